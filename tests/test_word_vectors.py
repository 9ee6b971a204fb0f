from __future__ import annotations

import numpy as np
import pytest

from pipeline.word_vectors import _count_company, learn_word_vectors

PETS, TOOLS = range(10, 14), range(20, 24)
ABOUT_PETS, ABOUT_TOOLS = range(30, 36), range(40, 46)


def texts() -> np.ndarray:
    """Pets and tools each stand among words of their own, never beside one another."""
    source = np.random.default_rng(1)
    rows = []
    for number in range(600):
        things, about = (PETS, ABOUT_PETS) if number % 2 else (TOOLS, ABOUT_TOOLS)
        row = source.choice(list(about), 12)
        row[source.choice(range(0, 12, 4), 2, replace=False)] = source.choice(list(things), 2)
        rows.append([0, 0, 1, 2, *row])
    return np.array(rows, np.int32)


def test_words_of_the_same_company_have_like_vectors() -> None:
    vectors = learn_word_vectors(texts(), 50, 6, window=3)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    alike = unit @ unit.T
    assert alike[np.ix_(PETS, PETS)].min() > alike[np.ix_(PETS, TOOLS)].max() + 0.5


def test_what_is_no_word_or_never_seen_has_no_vector_and_all_others_the_same_length() -> None:
    vectors = learn_word_vectors(texts(), 50, 6, window=3)
    seen = [*PETS, *TOOLS, *ABOUT_PETS, *ABOUT_TOOLS]
    assert vectors.dtype == np.float32
    assert np.sqrt((vectors[seen] ** 2).mean(axis=1)) == pytest.approx(0.3, rel=1e-4)
    assert not np.delete(vectors, seen, axis=0).any()


def test_equal_texts_give_equal_vectors() -> None:
    one, other = (learn_word_vectors(texts(), 50, 6, window=3) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_company_is_weighed_by_nearness_and_ends_with_the_review() -> None:
    ids = np.array([[0, 1, 5, 6, 2, 7], [0, 0, 0, 0, 0, 8]], np.int32)
    company = _count_company(ids, 9, window=2).toarray()
    expected = np.zeros((9, 9))
    for one, other, weight in ((5, 6, 1.0), (6, 7, 0.5)):
        expected[one, other] = expected[other, one] = weight
    np.testing.assert_allclose(company, expected)
