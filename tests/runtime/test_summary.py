"""Counts of rows add up, come back from JSON, and are never called whole where a row is missing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ResenhaError
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.scorer import ScoreColumns
from pipeline.runtime.summary import Summary, summary_record

COUNTS = st.integers(0, 1 << 20)
CODES = st.dictionaries(st.sampled_from(["binary", "no_tokens"]), st.integers(1, 1 << 20)).map(Counter)


def columns(scores: list[float]) -> ScoreColumns:
    size = len(scores)
    return ScoreColumns(
        np.array(scores),
        np.array([score >= 0.5 for score in scores], dtype=bool),
        np.arange(1, size + 1),
        np.ones(size, dtype=np.int64),
        np.full(size, 0.25),
        np.arange(size) % 2 == 1,
    )


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    scores = draw(st.lists(st.floats(0, 1, width=32), max_size=5))
    summary = Summary(
        rejected=draw(CODES), blank_lines=draw(COUNTS), passed_over=draw(COUNTS), repeated_ids=draw(COUNTS)
    )
    summary.count_scores(columns(scores), ("negative", "positive"))
    summary.rows_in = summary.scored + summary.rejected.total()
    return summary


def test_rows_without_a_score_are_not_counted_as_scored() -> None:
    summary = Summary()
    summary.count_scores(columns([0.25, np.nan, 0.75, np.inf, 0.5]), ("negative", "positive"))
    assert summary.scored == summary.histograms.total == 3
    assert summary.labels == {"negative": 1, "positive": 2}
    assert (summary.tokens, summary.unknown_tokens, summary.truncated) == (1 + 3 + 5, 3, 0)


def test_nothing_scored_has_no_unknown_word() -> None:
    summary = Summary()
    summary.count_scores(columns([]), ("negative", "positive"))
    assert (summary.unknown_share, summary.labels) == (0.0, {})
    summary.check_conservation()


@pytest.mark.parametrize("change", ["rows_in", "scored", "rejected"])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_row_that_is_lost_or_doubled_is_told(change: str, by: int) -> None:
    summary = Summary(rows_in=4, rejected=Counter(binary=2))
    summary.count_scores(columns([0.1, 0.9]), ("negative", "positive"))
    summary.check_conservation()
    if change == "rejected":
        summary.rejected["binary"] += by
    else:
        setattr(summary, change, getattr(summary, change) + by)
    with pytest.raises(ResenhaError, match="lost or doubled"):
        summary.check_conservation()


@given(summaries())
def test_a_summary_comes_back_from_json(summary: Summary) -> None:
    record = json.loads(json.dumps(summary.to_record()))
    assert Summary.from_record(record) == summary
    assert Summary.from_record(record | {"more": 1}) == summary


@given(st.lists(summaries(), max_size=3))
def test_summaries_add_up_in_any_order(parts: list[Summary]) -> None:
    totals = []
    for order in (parts, parts[::-1]):
        total = Summary()
        for part in order:
            total.merge(part)
        total.check_conservation()
        totals.append(total.to_record())
    assert totals[0] == totals[1]
    assert totals[0]["rows_in"] == sum(part.rows_in for part in parts)
    rejected = sum((part.rejected for part in parts), Counter[str]())
    assert totals[0]["rejected"] == dict(sorted(rejected.items()))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(name=st.sampled_from(list(Summary().to_record())), value=VALUES)
def test_a_record_with_anything_in_a_place_is_a_summary_or_refused(name: str, value: Any) -> None:
    record = Summary().to_record() | {name: value}
    try:
        found = Summary.from_record(record)
    except ValueError:
        return
    assert found.to_record() == record | {"unknown_share": found.unknown_share}


@pytest.mark.parametrize("name", [each for each in Summary().to_record() if each != "unknown_share"])
def test_a_record_without_a_count_is_refused(name: str) -> None:
    record = Summary().to_record()
    del record[name]
    with pytest.raises(ValueError, match=name if name != "histograms" else "histograms have to be"):
        Summary.from_record(record)


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None])
def test_what_is_no_count_is_refused(value: object) -> None:
    for record in ({"scored": value}, {"rejected": {"binary": value}}):
        with pytest.raises(ValueError, match="is no count"):
            Summary.from_record(Summary().to_record() | record)


def test_a_page_says_which_bundle_counted_and_what_to_compare_with() -> None:
    reference = Histograms().to_record()
    page = summary_record(Summary(rows_in=0), {"name": "n", "digest": "d"}, reference, {"parts": 2})
    assert list(page)[:4] == ["summary_version", "bundle", "parts", "rows_in"]
    assert page["bundle"] == {"name": "n", "digest": "d"}
    assert page["reference"] == reference
    assert json.loads(json.dumps(page, allow_nan=False)) == page
