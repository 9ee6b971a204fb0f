"""Which reviews are scored together: windows of a run, and in each of them batches of like length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WINDOW = 4096
"""Reviews that are sorted by length together: more waste less on padding, and take more memory."""
_FIRST_WINDOW = 256
_BATCH_IDS, _BATCH_ROWS = 1 << 18, 512
"""Ids, padding included, and rows of a batch at most: beyond them nothing was gained, for any cell."""
_ROWS_PER_STEP = 48
"""What a step of a batch costs however few rows it has, in rows. Measured: 1.6 µs, where a row of a
SimpleRNN with 32 units takes 40 ns."""
_FEWEST_ROWS, _BATCHES_PER_THREAD = 64, 4
"""Smaller batches share few reviews out more evenly, down to where they cost more than that gains."""


def window_sizes() -> Iterator[int]:
    """Yield how many reviews to sort together: few at first, so that no thread waits long for work."""
    size = _FIRST_WINDOW
    while True:
        size = min(size, WINDOW)
        yield size
        size *= 2


def cut_batches(lengths: NDArray[np.int64], threads: int) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of the reviews of each batch, like lengths together, the longest first.

    A batch ends where padding its rows to its longest one costs more than the steps of one batch
    more, or at the limits, and holds at least one; reviews without ids are in none.

    Args:
        lengths: Ids per review.
        threads: Threads that share the batches.
    """
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    limit = _BATCH_ROWS
    if threads > 1:
        limit = min(limit, max(_FEWEST_ROWS, len(order) // (threads * _BATCHES_PER_THREAD)))
    while len(order):
        longest = int(lengths[order[0]])
        nearest = lengths[order[: max(1, min(limit, _BATCH_IDS // longest))]]
        padding = np.cumsum(longest - nearest)
        rows = np.count_nonzero(padding <= _ROWS_PER_STEP * nearest)
        yield order[:rows]
        order = order[rows:]
