"""One scoring run: rows in, scored rows and rejects out, everything counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from pipeline.errors import ResenhaError
from pipeline.runtime.batching import window_sizes
from pipeline.runtime.rows import Refusal, Reject, Row, Score
from pipeline.runtime.scorer import ScoredReviews, Scorer
from pipeline.runtime.sinks import RowSink

_WINDOW_CHARACTERS = 4 << 20
"""Text and ids of one window at most (beside one row): what bounds memory when rows are very long.
Three windows live at once: one is read, one scored, one written."""


@dataclass
class Summary:
    """What became of every row of a run."""

    rows_in: int = 0
    """Rows read, and files that could not be read, each counted once."""
    scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Rejects by code."""
    labels: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    blank_lines: int = 0
    passed_over: int = 0
    """Entries of input folders that are no ``.txt`` files."""
    seconds: float = 0.0

    def check_conservation(self) -> None:
        """Refuse to call a run finished in which a row got lost or doubled."""
        if self.rows_in != self.scored + self.rejected.total():
            msg = (
                f"{self.rows_in:,} rows were read but {self.scored:,} scored and "
                f"{self.rejected.total():,} rejected: a row got lost or doubled; please report this"
            )
            raise ResenhaError(msg)


def score_rows(
    rows: Iterable[Row | Reject],
    scorer: Scorer,
    sink: RowSink,
    report_reject: Callable[[Reject], None],
    *,
    advance: Callable[[int], object] = lambda _count: None,
) -> Summary:
    """Score every row and write the results in the order of the input.

    Args:
        rows: What a source yields.
        scorer: The network.
        sink: Takes the scored rows.
        report_reject: Takes each reject, once.
        advance: Told how many rows have been dealt with since it was last told.

    Returns:
        The counts; ``rows_in = scored + rejected`` holds.
    """
    summary, started = Summary(), time.perf_counter()
    # Where a run breaks off, what no thread has begun is not to be waited for.
    with closing(scorer):
        for window, pending in _scored_ahead(rows, scorer):
            summary.rows_in += len(window)
            results = iter(pending.results())
            scored: list[tuple[Row, Score]] = []
            for item in window:
                outcome = item if isinstance(item, Reject) else _outcome(item, next(results))
                if isinstance(outcome, Reject):
                    summary.rejected[outcome.code.value] += 1
                    report_reject(outcome)
                else:
                    scored.append(outcome)
            _count(scored, summary)
            sink.write(scored)
            advance(len(window))
    summary.seconds = time.perf_counter() - started
    summary.check_conservation()
    return summary


def _scored_ahead(
    rows: Iterable[Row | Reject], scorer: Scorer
) -> Iterator[tuple[list[Row | Reject], ScoredReviews]]:
    """Yield each window once the next one is read and on its way, so that no thread waits for a file."""
    ahead: tuple[list[Row | Reject], ScoredReviews] | None = None
    for window in _windows(rows):
        started = scorer.start([row.text for row in window if isinstance(row, Row)])
        if ahead:
            yield ahead
        ahead = window, started
    if ahead:
        yield ahead


def _outcome(row: Row, result: Score | Refusal) -> tuple[Row, Score] | Reject:
    if isinstance(result, Refusal):
        return Reject(row.source, row.row, result.code, result.message)
    return row, result


def _count(scored: list[tuple[Row, Score]], summary: Summary) -> None:
    summary.scored += len(scored)
    for _, score in scored:
        summary.labels[score.label] += 1
        summary.truncated += score.truncated


def _windows(rows: Iterable[Row | Reject]) -> Iterator[list[Row | Reject]]:
    sizes = window_sizes()
    size = next(sizes)
    window: list[Row | Reject] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += len(row.text) + len(row.id or "") if isinstance(row, Row) else 0
        if len(window) >= size or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters, size = [], 0, next(sizes)
    if window:
        yield window
