"""One scoring run: rows in, scored rows and rejects out, everything counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from pipeline.errors import ResenhaError
from pipeline.runtime.batching import WINDOW, window_sizes
from pipeline.runtime.rows import Refusal, Reject, Row, Score, printable
from pipeline.runtime.scorer import ScoredReviews, Scorer
from pipeline.runtime.sinks import Sink
from pipeline.runtime.summary import Summary

_WINDOW_CHARACTERS = 4 << 20
"""Text and ids of one window at most (beside one row): what bounds memory when rows are very long.
Three windows live at once: one is read, one scored, one written."""
_REMEMBERED_IDS = 100_000 - WINDOW
"""Rows after which repeated ids are looked for anew."""


def score_rows(
    rows: Iterable[Row | Reject],
    scorer: Scorer,
    sink: Sink,
    report_reject: Callable[[Reject], object],
    *,
    watch: Callable[[Summary], object] = lambda _summary: None,
) -> Summary:
    """Score every row and write the results in the order of the input.

    Args:
        rows: What a source yields.
        scorer: The network.
        sink: Takes the scored rows.
        report_reject: Takes each reject, once.
        watch: Shown the counts each time that rows have been written; what it raises ends the run.

    Returns:
        The counts; ``rows_in = scored + rejected`` holds, and as many rows were written as scored.

    Raises:
        ResenhaError: If a row got lost or doubled.
    """
    summary, order, ids = Summary(), _Order(), _RepeatedIds()
    written = sink.rows
    # Where a run breaks off, what no thread has begun is not to be waited for.
    with closing(scorer):
        for window, pending in _scored_ahead(rows, scorer):
            summary.rows_in += len(window)
            results = iter(pending.results())
            scored: list[tuple[Row, Score]] = []
            for item in window:
                order.check(item)
                outcome = item if isinstance(item, Reject) else _outcome(item, next(results))
                if isinstance(outcome, Reject):
                    summary.rejected[outcome.code.value] += 1
                    report_reject(outcome)
                else:
                    scored.append(outcome)
            summary.count_scores(pending.columns, scorer.facts.labels)
            summary.repeated_ids += ids.count(scored)
            sink.write(scored)
            watch(summary)
    if sink.rows - written != summary.scored:
        msg = f"{summary.scored:,} rows were scored but {sink.rows - written:,} written; please report this"
        raise ResenhaError(msg)
    summary.check_conservation()
    return summary


class _Order:
    """Sees to it that within each source every row follows the one before it."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._row = 0

    def check(self, item: Row | Reject) -> None:
        source, row = item.source, item.row
        follows = row == self._row + 1 if source == self._source else row <= 1 or self._source is None
        # Row 0 is a file, of which no other row can be read.
        if not follows and row:
            msg = f"{printable(source)}: row {row} does not follow row {self._row}; please report this"
            raise ResenhaError(msg)
        self._source, self._row = source, row


class _RepeatedIds:
    """Counts ids that were seen before, in bounded memory: it forgets all it has seen now and then."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._rows = 0

    def count(self, scored: list[tuple[Row, Score]]) -> int:
        if self._rows >= _REMEMBERED_IDS:
            self._seen, self._rows = set(), 0
        self._rows += len(scored)
        ids = [hash(row.id) for row, _ in scored if row.id is not None]
        before = len(self._seen)
        self._seen.update(ids)
        return len(ids) - (len(self._seen) - before)


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
        return Reject(row.source, row.row, result.code, result.message, row.line)
    return row, result


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
