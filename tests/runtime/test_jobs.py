"""One scoring run: every row comes out once, in order, and is counted."""

from __future__ import annotations

import io
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ResenhaError
from pipeline.runtime import batching, jobs
from pipeline.runtime.batching import WINDOW
from pipeline.runtime.bundle import MODEL, Bundle
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.jobs import score_rows
from pipeline.runtime.rows import Reject, RejectCode, Row
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat, RowSink
from pipeline.runtime.summary import Summary
from tests.runtime.altered_models import model_with_weight
from tests.stand_ins import MAX_LENGTH, make_model, make_scorer

SCORER = make_scorer()


def rows_of(*texts: str | None) -> list[Row | Reject]:
    """Rows of these texts; None stands for a row that could not be read."""
    return [
        Reject("a", number, RejectCode.BAD_JSON, "") if text is None else Row("a", number, None, text)
        for number, text in enumerate(texts, start=1)
    ]


def run(
    rows: Sequence[Row | Reject] | Iterator[Row | Reject], scorer: Scorer = SCORER
) -> tuple[Summary, list[int], list[Reject]]:
    stream, rejects = io.BytesIO(), list[Reject]()
    summary = score_rows(rows, scorer, RowSink(stream, OutputFormat.JSONL), rejects.append)
    scored = [json.loads(line)["row"] for line in stream.getvalue().splitlines()]
    return summary, scored, rejects


def test_no_rows_are_no_scores() -> None:
    summary, scored, rejects = run([])
    assert (summary.rows_in, summary.scored, summary.rejected.total()) == (0, 0, 0)
    assert (scored, rejects) == ([], [])


@pytest.mark.parametrize("count", [1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 1])
def test_rows_come_out_in_their_order(count: int) -> None:
    summary, scored, _ = run(rows_of(*["good"] * count))
    assert scored == list(range(1, count + 1))
    assert (summary.rows_in, summary.scored) == (count, count)


def test_everything_that_happened_is_counted() -> None:
    summary, _, _ = run(rows_of("good", "bad", "", None, "film " * MAX_LENGTH, "bad " * 50))
    assert (summary.rows_in, summary.scored, summary.truncated) == (6, 4, 2)
    assert summary.rejected == {"no_tokens": 1, "bad_json": 1}
    assert summary.labels == {"positive": 2, "negative": 2}


def test_a_score_that_is_no_number_is_a_reject() -> None:
    scorer = Scorer(Bundle(Path("stand-in"), {MODEL: model_with_weight("dull", math.nan)}, None))
    summary, scored, rejects = run(rows_of("good", "dull", "bad"), scorer)
    assert scored == [1, 3]
    assert [(reject.row, reject.code) for reject in rejects] == [(2, RejectCode.NOT_FINITE)]
    assert summary.rejected == {"not_finite": 1}


def test_a_run_of_nothing_but_rejects_never_calls_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = make_scorer()
    monkeypatch.setattr(scorer, "_session", None)
    summary, scored, rejects = run(rows_of("", None, "?!"), scorer)
    assert (scored, len(rejects), summary.scored) == ([], 3, 0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["good", "bad film", "", "?!", None]), max_size=20), st.integers(1, 7))
def test_each_row_is_scored_or_rejected_exactly_once(texts: list[str | None], batch_size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "WINDOW", batch_size)
        summary, scored, rejects = run(rows_of(*texts))
    assert sorted([*scored, *(reject.row for reject in rejects)]) == list(range(1, len(texts) + 1))
    assert scored == sorted(scored)
    assert summary.rows_in == len(texts) == summary.scored + summary.rejected.total()


def test_long_rows_are_scored_before_too_many_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_WINDOW_CHARACTERS", 100)
    read, held = 0, list[int]()

    def long_rows() -> Iterator[Row]:
        nonlocal read
        for number in range(1, 11):
            read = number
            yield Row("a", number, None, "good " * 12)

    def watch(summary: Summary) -> None:
        held.append(summary.rows_in)
        assert read <= summary.rows_in + 2  # The next window is being scored meanwhile.

    sink = RowSink(io.BytesIO(), OutputFormat.JSONL)
    score_rows(long_rows(), SCORER, sink, lambda _reject: None, watch=watch)
    assert held == [2, 4, 6, 8, 10]


def test_progress_counts_scored_and_rejected_rows() -> None:
    told: list[int] = []
    sink = RowSink(io.BytesIO(), OutputFormat.JSONL)
    rows = rows_of(*["good", None] * WINDOW)
    score_rows(rows, SCORER, sink, lambda _reject: None, watch=lambda summary: told.append(summary.rows_in))
    assert told[-1] == 2 * WINDOW
    assert max(after - before for before, after in pairwise([0, *told])) == WINDOW


@pytest.mark.parametrize("scored", [1, 3])
def test_a_row_that_got_lost_or_doubled_is_no_success(scored: int) -> None:
    with pytest.raises(ResenhaError, match="lost or doubled"):
        Summary(rows_in=3, scored=scored, rejected=Counter({"no_tokens": 1})).check_conservation()


def test_counts_that_add_up_are_a_success() -> None:
    counted = Histograms()
    counted.add(scores=np.array([0.1, 0.9]), tokens=np.array([1, 2]), unknown_share=np.zeros(2))
    Summary(rows_in=3, scored=2, rejected=Counter({"no_tokens": 1}), histograms=counted).check_conservation()


def test_a_run_that_breaks_off_waits_for_no_batch_that_nobody_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "_BATCH_ROWS", 1)
    monkeypatch.setattr(batching, "_FEWEST_ROWS", 1)
    several = Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None), threads=2)
    begun, whole = list[int](), Scorer.score_ids

    def score_slowly(self: Scorer, ids: Any) -> Any:
        begun.append(len(ids))
        time.sleep(0.01)
        return whole(self, ids)

    def break_off() -> Iterator[Row]:
        for number in range(1, 601):
            yield Row("a", number, None, "good film")
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "score_ids", score_slowly)
    sink = RowSink(io.BytesIO(), OutputFormat.JSONL)
    with pytest.raises(KeyboardInterrupt):
        score_rows(break_off(), several, sink, lambda _reject: None)
    time.sleep(0.1)
    last = len(begun)
    time.sleep(0.2)
    assert len(begun) == last < 300
    assert len(several.score_reviews(["good"] * 5)) == 5


def test_ids_count_towards_what_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_WINDOW_CHARACTERS", 100)
    told: list[int] = []
    rows = [Row("a", number, "x" * 60, "good") for number in range(1, 7)]
    sink = RowSink(io.BytesIO(), OutputFormat.JSONL)
    score_rows(rows, SCORER, sink, lambda _reject: None, watch=lambda summary: told.append(summary.rows_in))
    assert told == [2, 4, 6]
