"""Padding: reviews of any length become one rectangular array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PAD_ID = 0


def pad_reviews(
    reviews: Sequence[Sequence[int]], max_length: int, *, pad_id: int = PAD_ID
) -> NDArray[np.int32]:
    """Pad on the left and keep the last ``max_length`` ids of each review.

    Matches ``keras.utils.pad_sequences`` with its default ``"pre"`` modes.

    Args:
        reviews: Token ids per review; a review may be empty.
        max_length: Ids per row of the result, at least 1.
        pad_id: Id that fills the unused places.

    Returns:
        Array of shape ``(len(reviews), max_length)``, dtype int32.

    Raises:
        ValueError: If ``max_length`` is below 1.
    """
    if max_length < 1:
        msg = f"max_length is {max_length}; a row needs at least 1 place"
        raise ValueError(msg)
    padded = np.full((len(reviews), max_length), pad_id, dtype=np.int32)
    for row, ids in zip(padded, reviews, strict=True):
        kept = ids[-max_length:]
        if len(kept):
            row[-len(kept) :] = kept
    return padded
