"""Padding: reviews of any length become one rectangular array."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.runtime.text import TokenizedBatch

PAD_ID = 0


def pad_batch(
    batch: TokenizedBatch, rows: NDArray[np.int64], *, width: int | None = None
) -> NDArray[np.int32]:
    """Pad chosen reviews of a batch on the left and keep the last ``width`` ids of each.

    Matches ``keras.utils.pad_sequences`` with its default ``"pre"`` modes.

    Args:
        batch: Tokenized reviews; those without a word become rows of padding.
        rows: Numbers of the reviews, in the order of the result.
        width: Ids per row of the result; as many as the longest of these reviews has where None.

    Returns:
        Array of shape ``(len(rows), width)``, dtype int32.
    """
    ends = batch.offsets[1:][rows]
    lengths = ends - batch.offsets[rows]
    if width is None:
        width = int(lengths.max(initial=0))
    if not len(rows) or not width:
        return np.full((len(rows), width), PAD_ID, dtype=np.int32)
    ids = batch.token_ids
    if ends.min() < width:
        # Before the first review there is padding.
        ids = np.concatenate([np.full(width, PAD_ID, dtype=np.int32), ids])
        ends = ends + width
    # A row is the ids that end where its review ends: whole stretches are copied, then what
    # belongs to the review before is padded over.
    padded = sliding_window_view(ids, width)[ends - width]
    missing = np.maximum(width - lengths, 0)
    columns = np.arange(missing.max())
    padded[:, : len(columns)][columns < missing[:, None]] = PAD_ID
    return padded
