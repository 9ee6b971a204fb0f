"""Padding, held against Keras's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.networks  # noqa: F401 - imports TensorFlow quietly, before anything else does
from pipeline.runtime.padding import pad_reviews


@pytest.mark.parametrize(
    ("ids", "padded"),
    [
        ([], [0, 0, 0]),
        ([7], [0, 0, 7]),
        ([6, 7], [0, 6, 7]),
        ([5, 6, 7], [5, 6, 7]),
        ([4, 5, 6, 7], [5, 6, 7]),
    ],
    ids=["empty", "one", "n-1", "n", "n+1"],
)
def test_a_review_is_padded_and_cut_on_the_left(ids: list[int], padded: list[int]) -> None:
    assert pad_reviews([ids], 3).tolist() == [padded]


@pytest.mark.parametrize("reviews", [0, 1, 3])
def test_the_array_is_int32_with_a_row_for_each_review(reviews: int) -> None:
    padded = pad_reviews([[1, 2]] * reviews, 5)
    assert padded.shape == (reviews, 5)
    assert padded.dtype == np.int32


def test_another_id_can_pad() -> None:
    assert pad_reviews([[7]], 3, pad_id=9).tolist() == [[9, 9, 7]]


@pytest.mark.parametrize("max_length", [0, -1])
def test_a_row_without_a_place_is_refused(max_length: int) -> None:
    with pytest.raises(ValueError, match="at least 1 place"):
        pad_reviews([[1]], max_length)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=12), max_size=6), st.integers(1, 10))
def test_padding_is_that_of_keras(reviews: list[list[int]], max_length: int) -> None:
    import keras

    expected = keras.utils.pad_sequences(reviews, maxlen=max_length)
    np.testing.assert_array_equal(pad_reviews(reviews, max_length), expected)
