from __future__ import annotations

import numpy as np
import pytest

from pipeline.runtime import batching
from pipeline.runtime.batching import WINDOW, cut_batches, window_sizes


def test_windows_grow_to_their_full_size() -> None:
    sizes = [size for size, _ in zip(window_sizes(), range(6), strict=False)]
    assert sizes[0] < WINDOW == sizes[-1]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "lengths",
    [[], [0], [5], [3, 0, 9, 1, 0], list(range(700)), [500] * 1000, [1] * 3000, [9000] * 40, [200_000, 1]],
    ids=["none", "no ids", "one", "some", "many", "long", "short", "very long", "longer than a batch"],
)
def test_every_review_with_ids_is_in_one_batch_of_a_bounded_size(lengths: list[int], threads: int) -> None:
    batches = list(cut_batches(np.array(lengths, np.int64), threads))
    assert sorted(row for batch in batches for row in batch.tolist()) == [
        row for row, length in enumerate(lengths) if length
    ]
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= batching._BATCH_IDS
        assert 1 <= len(batch) <= batching._BATCH_ROWS
    longest_first = [max(lengths[row] for row in batch) for batch in batches]
    assert longest_first == sorted(longest_first, reverse=True)
