"""Padding, held against Keras's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.networks  # noqa: F401 - imports TensorFlow quietly, before anything else does
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.text import TextRule, Tokenizer
from tests.plain_tokenizer import encode_one
from tests.stand_ins import MAX_LENGTH, WORDS

TOKENIZER = Tokenizer(TextRule(len(WORDS) + 4, MAX_LENGTH, "keep"), WORDS)


@pytest.mark.parametrize(
    ("words", "padded"),
    [
        ("", [0, 0, 0]),
        ("good", [0, 1, 4]),
        ("good bad", [1, 4, 5]),
        ("good bad film", [4, 5, 6]),
        ("good bad film the", [5, 6, 7]),
    ],
    ids=["empty", "n-1", "n", "n+1", "n+2"],
)
def test_a_review_is_padded_and_cut_on_the_left(words: str, padded: list[int]) -> None:
    assert pad_batch(TOKENIZER.encode_batch([words]), np.array([0]), width=3).tolist() == [padded]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=MAX_LENGTH + 2), min_size=1, max_size=6),
    st.none() | st.integers(0, MAX_LENGTH + 3),
    st.data(),
)
def test_chosen_rows_are_padded_as_keras_pads_them(
    reviews: list[list[str]], width: int | None, data: st.DataObject
) -> None:
    import keras

    rows = data.draw(st.lists(st.integers(0, len(reviews) - 1)))
    batch = TOKENIZER.encode_batch([" ".join(review) for review in reviews])
    ids = [encode_one(TOKENIZER, " ".join(reviews[row])).token_ids for row in rows]
    if width is None:
        width = max(map(len, ids), default=0)
        padded = pad_batch(batch, np.array(rows, np.int64))
    else:
        padded = pad_batch(batch, np.array(rows, np.int64), width=width)
    assert padded.shape == (len(rows), width)
    assert padded.dtype == np.int32
    if rows and width:
        np.testing.assert_array_equal(padded, keras.utils.pad_sequences(ids, maxlen=width))
