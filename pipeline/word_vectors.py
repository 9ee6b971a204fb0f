"""Word vectors out of the company that words keep: a start for an embedding that costs a minute.

Positive pointwise mutual information of words and their neighbours, brought down to a few dimensions by a
truncated singular value decomposition (Levy, Goldberg and Dagan, *Improving distributional similarity with
lessons learned from word embeddings*, 2015, whose settings these are: neighbours weighed by nearness, their
frequencies raised to 0.75, and the square roots of the singular values).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd

from pipeline.runtime.padding import PAD_ID
from pipeline.runtime.text import UNKNOWN_ID

_SMOOTHING = 0.75
_SPREAD = 0.3
"""Root of the mean square of a vector's numbers, of all the same."""
_AT_ONCE = 8_000
"""Reviews whose pairs of words are in memory at once."""


def learn_word_vectors(
    ids: NDArray[np.int32], num_words: int, size: int, *, window: int
) -> NDArray[np.float32]:
    """Give words that keep the same company like vectors; equal arguments give equal vectors.

    Args:
        ids: Padded token ids of reviews, ``(reviews, max_length)``.
        num_words: Ids in all. What is no word, or is never seen, gets a vector of 0.
        size: Numbers of a vector, fewer than there are words.
        window: Words on either side that are company.

    Returns:
        ``(num_words, size)``.
    """
    company = _count_company(ids, num_words, window)
    is_seen = np.asarray(company.sum(axis=1)).ravel() > 0
    told = _positive_information(company)
    left, values, _ = randomized_svd(told, size, n_oversamples=10, n_iter=3, random_state=0)
    vectors = left * np.sqrt(values)
    # What all words share tells none from another.
    vectors[is_seen] -= vectors[is_seen].mean(axis=0)
    vectors[~is_seen] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = _SPREAD * np.sqrt(size) / np.maximum(lengths, np.finfo(np.float32).tiny)
    scaled: NDArray[np.float32] = (vectors * scale).astype(np.float32)
    return scaled


def _count_company(ids: NDArray[np.int32], num_words: int, window: int) -> csr_matrix:
    """Count pairs of words, the nearest for 1, those at the window's end for 1 / window."""
    counts = csr_matrix((num_words, num_words), dtype=np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        # Padding between reviews keeps their words apart.
        part = np.pad(ids[start : start + _AT_ONCE], ((0, 0), (0, window)), constant_values=PAD_ID).ravel()
        for distance in range(1, window + 1):
            one, other = part[:-distance], part[distance:]
            are_words = (one > UNKNOWN_ID) & (other > UNKNOWN_ID)
            weights = np.full(int(are_words.sum()), 1 - (distance - 1) / window, np.float32)
            pairs = (weights, (one[are_words], other[are_words]))
            counts += coo_matrix(pairs, shape=counts.shape).tocsr()
    return counts + counts.T


def _positive_information(company: csr_matrix) -> csr_matrix:
    """Give log(share of a pair / what it would be by chance) where that is above 0."""
    totals = np.asarray(company.sum(axis=1), np.float64).ravel()
    smoothed = totals**_SMOOTHING
    smoothed /= max(smoothed.sum(), 1.0)
    pairs = company.tocoo()
    told = np.log(pairs.data / (totals[pairs.row] * smoothed[pairs.col]))
    kept = told > 0
    return csr_matrix(
        (told[kept].astype(np.float32), (pairs.row[kept], pairs.col[kept])), shape=company.shape
    )
