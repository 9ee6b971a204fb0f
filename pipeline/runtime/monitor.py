"""Watches a run: how many rows are done, and whether too many of them are rejects."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import TooManyRejects, UsageError
from pipeline.runtime.summary import Summary

_FEWEST_ROWS = 1_000
"""Rows below which a share of them says nothing yet."""


@dataclass(frozen=True)
class RejectLimit:
    """How many rejects a run may have before it is stopped; one of the two."""

    count: int | None = None
    share: float | None = None
    """Of the rows read, 0 to 1."""

    @classmethod
    def parse(cls, text: str) -> RejectLimit:
        """Read ``100`` as a count, ``2.5%`` as a share.

        Raises:
            UsageError: If it is neither.
        """
        number = text.removesuffix("%")
        try:
            limit = cls(count=int(number)) if number == text else cls(share=float(number) / 100)
        except ValueError:
            limit = cls(count=-1)
        if (limit.count is not None and limit.count < 0) or not 0 <= (limit.share or 0) <= 1:
            msg = f"{text!r} is no limit for rejects; write a number of them, or a share such as 2.5%"
            raise UsageError(msg)
        return limit

    def check(self, rows: int, rejected: int, *, is_end: bool = False) -> None:
        """Stop a run that has too many rejects.

        Raises:
            TooManyRejects: If they are more than the count; or more than the share, once that many
                rows were read that a share says something, or all.
        """
        is_too_many = self.count is not None and rejected > self.count
        if self.share is not None and (is_end or rows >= _FEWEST_ROWS):
            is_too_many = rejected > self.share * rows
        if is_too_many:
            limit = f"{self.share:.4g} of all" if self.count is None else f"{self.count:,}"
            msg = f"stopped: {rejected:,} of {rows:,} rows are rejects, allowed are {limit} (--max-rejects)"
            raise TooManyRejects(msg)


class Monitor:
    """Adds up what the parts of a run report, from any thread.

    Args:
        limit: What stops the run; None: nothing does.
        show: Told the rows done and the rejects among them, each time that they grow.
    """

    def __init__(
        self,
        limit: RejectLimit | None = None,
        show: Callable[[int, int], object] = lambda _rows, _rejected: None,
    ) -> None:
        self._limit = limit
        self._show = show
        self._lock = threading.Lock()
        self.rows = 0
        """Rows read so far."""
        self.rejected = 0
        """Those of them that are rejects."""
        self.new_rows = 0
        """Those of them that this run has read."""

    def add(self, rows: int, rejected: int, *, is_new: bool = True) -> None:
        """Count rows that are done, by this run or by one before it.

        Raises:
            TooManyRejects: If that is beyond the limit.
        """
        with self._lock:
            self.rows += rows
            self.rejected += rejected
            if is_new:
                self.new_rows += rows
                self._show(self.rows, self.rejected)
            if self._limit:
                self._limit.check(self.rows, self.rejected)

    def follow(self) -> Callable[[Summary], None]:
        """Give what watches one job, whose counts begin at 0 and grow."""
        rows = rejected = 0

        def watch(summary: Summary) -> None:
            nonlocal rows, rejected
            more = summary.rows_in - rows, summary.rejected.total() - rejected
            rows, rejected = summary.rows_in, summary.rejected.total()
            self.add(*more)

        return watch

    def check_end(self) -> None:
        """Judge the whole run.

        Raises:
            TooManyRejects: If it has more rejects than allowed.
        """
        if self._limit:
            self._limit.check(self.rows, self.rejected, is_end=True)
