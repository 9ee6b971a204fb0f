"""Counts in fixed bins: every review once, in the bin that its values name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime.histograms import EDGES, Histograms
from pipeline.runtime.scorer import shortest_decimals

Rows = list[tuple[float, int, int]]
"""Score, words, unknown words."""
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.integers(1, 5_000), st.integers(0, 5_000)), max_size=30
)


def counted(rows: Rows) -> Histograms:
    found = Histograms()
    tokens = np.array([row[1] for row in rows], dtype=np.int64)
    unknown = np.minimum([row[2] for row in rows], tokens)
    found.add(
        scores=np.array([row[0] for row in rows], dtype=np.float32),
        tokens=tokens,
        unknown_share=np.round(unknown / tokens, 4),
    )
    return found


def one(*, score: float = 0.0, tokens: int = 1, unknown_share: float = 0.0) -> Histograms:
    found = Histograms()
    found.add(scores=np.array([score]), tokens=np.array([tokens]), unknown_share=np.array([unknown_share]))
    return found


def record(rows: int = 1) -> dict[str, Any]:
    return counted([(0.5, 10, 1)] * rows).to_record()


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("score", 0.0, 0), ("score", 0.0499, 0), ("score", 0.05, 1), ("score", 0.35, 7),
        ("score", 0.9499, 18), ("score", 0.95, 19), ("score", 1.0, 19),
        ("score", -0.5, 0), ("score", 1.5, 19),
        ("tokens", 0, 0), ("tokens", 1, 0), ("tokens", 3, 0), ("tokens", 4, 1), ("tokens", 1023, 15),
        ("tokens", 1024, 16), ("tokens", 1 << 40, 16),
        ("unknown_share", 0.0, 0), ("unknown_share", 0.0001, 1), ("unknown_share", 0.0099, 1),
        ("unknown_share", 0.01, 2), ("unknown_share", 0.4999, 7), ("unknown_share", 0.5, 8),
        ("unknown_share", 1.0, 8),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_lies_in_the_bin_that_begins_at_or_below_it(name: str, value: float, place: int) -> None:
    counts = one(**{name: value}).counts(name)  # type: ignore[arg-type]
    assert np.flatnonzero(counts).tolist() == [place]
    assert counts.sum() == 1


def test_a_float32_lies_in_the_same_bin_however_it_is_written() -> None:
    scores = np.array(EDGES["score"], dtype=np.float32)
    for written in (scores, scores.astype(np.float64), shortest_decimals(scores)):
        found = Histograms()
        found.add(scores=written, tokens=np.ones(20, np.int64), unknown_share=np.zeros(20))
        assert found.counts("score").tolist() == [1] * 20


@settings(max_examples=50)
@given(ROWS, ROWS, ROWS)
def test_merging_is_counting_all_rows_in_any_grouping(first: Rows, second: Rows, third: Rows) -> None:
    left, right, tail = counted(first), counted(second), counted(second)
    left.merge(right)
    left.merge(counted(third))
    tail.merge(counted(third))
    other = counted(first)
    other.merge(tail)
    assert left == other == counted(first + second + third)
    assert left.total == len(first) + len(second) + len(third)
    assert right == counted(second)


@settings(max_examples=50)
@given(ROWS)
def test_a_record_survives_json(rows: Rows) -> None:
    found = counted(rows)
    assert Histograms.from_record(json.loads(json.dumps(found.to_record()))) == found


def test_nothing_counted_is_all_zero() -> None:
    assert Histograms().total == 0
    assert counted([]) == Histograms() != counted([(0.5, 1, 0)])
    assert all(sum(entry["counts"]) == 0 for entry in Histograms().to_record().values())
    assert Histograms() != 0


def test_what_was_given_out_is_a_copy() -> None:
    found = counted([(0.5, 1, 0)])
    found.counts("score")[:] = 7
    found.to_record()["score"]["counts"][0] = 7
    assert found == counted([(0.5, 1, 0)])


@pytest.mark.parametrize(
    ("scores", "tokens", "shares"),
    [
        ([0.5, np.nan], [1, 1], [0.0, 0.0]),
        ([0.5, np.inf], [1, 1], [0.0, 0.0]),
        ([0.5, 0.5], [1, 1], [0.0, np.nan]),
        ([0.5], [1, 1], [0.0, 0.0]),
        ([0.5, 0.5], [1], [0.0, 0.0]),
        ([[0.5]], [[1]], [[0.0]]),
    ],
    ids=["nan", "infinite", "share", "fewer scores", "fewer lengths", "two axes"],
)
def test_what_is_no_scored_review_is_refused_and_not_half_counted(
    scores: list[Any], tokens: list[Any], shares: list[Any]
) -> None:
    found = Histograms()
    with pytest.raises(ValueError):
        found.add(scores=np.array(scores), tokens=np.array(tokens), unknown_share=np.array(shares))
    assert found == Histograms()


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.pop(name)


@pytest.mark.parametrize(
    "change",
    [
        without("score"),
        lambda record: record.update(more={}),
        lambda record: record.update(tokens=None),
        lambda record: record["tokens"].pop("edges"),
        lambda record: record["tokens"].update(more=1),
        lambda record: record["tokens"]["edges"].__setitem__(3, 17),
        lambda record: record["tokens"]["edges"].append(2048),
        lambda record: record["tokens"].update(counts=7),
        lambda record: record["tokens"]["counts"].append(0),
        lambda record: record["tokens"]["counts"].pop(),
        lambda record: record["tokens"]["counts"].__setitem__(slice(0, 3), [-1, 1, 1]),
        lambda record: record["tokens"]["counts"].__setitem__(2, 1.0),
        lambda record: record["tokens"]["counts"].__setitem__(2, True),
        lambda record: record["tokens"]["counts"].__setitem__(2, "1"),
        lambda record: record["tokens"]["counts"].__setitem__(0, (1 << 40) + 1),
        lambda record: record["tokens"]["counts"].__setitem__(0, 10**4_000),
        lambda record: record["tokens"]["counts"].__setitem__(0, 1),
    ],
    ids=[
        "feature missing", "feature too many", "null", "no edges", "one more key", "another edge",
        "one more edge", "no list", "one more bin", "one bin less", "negative", "a fraction", "true",
        "text", "too many", "absurd", "other total",
    ],
)  # fmt: skip
def test_another_record_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    changed = record()
    Histograms.from_record(changed)
    change(changed)
    with pytest.raises(ValueError, match="histogram"):
        Histograms.from_record(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100)
@given(JSON, st.sampled_from(["", "score", "tokens", "counts", "edges"]))
def test_no_json_breaks_the_reading(value: Any, place: str) -> None:
    changed: Any = record()
    if place in changed:
        changed[place] = value
    elif place:
        changed["score"][place] = value
    else:
        changed = value
    try:
        found = Histograms.from_record(changed)
    except ValueError:
        return
    assert found.to_record() == changed
