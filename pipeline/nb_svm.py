"""NB-SVM: runs of words, weighed by how much more often one label holds them, under a linear model.

Wang and Manning, *Baselines and bigrams: simple, good sentiment and topic classification*, ACL 2012; with
logistic regression in the place of the support vector machine, so that its sums are logits. The words are
those of the project's own text rule: over four splits of 25,000 film reviews it has a validation accuracy of
0.9187, with words as scikit-learn finds them, and ! and ? as words of their own, 0.9188.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from pipeline.errors import DataError
from pipeline.runtime.text import split_words

_SMOOTHING = 1.0
"""Reviews of each label that are taken to hold every feature."""
_FEWEST_REVIEWS = 2
"""That have to hold a feature."""
_PENALTY = 1.0
"""What the loss weighs against the square of the weights; from 0.1 to 10, accuracy moves by 0.003."""
_TOLERANCE = 1e-2
_MOST_ROUNDS = 1_000
_SEED = 1
"""Of the parts, and of the order in which the fitting goes through the reviews."""
_AT_ONCE = 5_000
"""Reviews whose features are in memory at once when they are scored."""

Logits = NDArray[np.float32]
"""One a review; above 0 it is called positive."""


class _Line(NamedTuple):
    weights: NDArray[np.float32]
    bias: np.float32

    def logits(self, held: csr_matrix) -> Logits:
        found: Logits = held @ self.weights + self.bias
        return found


@dataclass(frozen=True)
class NbSvm:
    """A fitted model."""

    _counter: Any
    """Knows the features; scikit-learn's."""
    _line: _Line

    @property
    def features(self) -> int:
        """How many runs of words it knows."""
        return len(self._line.weights)

    def logits(self, texts: Sequence[str]) -> Logits:
        """Score reviews; each as if it were alone."""
        starts = range(0, len(texts), _AT_ONCE)
        parts = (self._counter.transform(texts[start : start + _AT_ONCE]) for start in starts)
        return np.concatenate([np.zeros(0, np.float32), *map(self._line.logits, parts)])


def fit_nb_svm(texts: Sequence[str], labels: NDArray[np.int32], *, ngrams: int = 3) -> NbSvm:
    """Learn from labelled reviews; equal arguments give equal models.

    Args:
        texts: Reviews.
        labels: 1 for the positive ones, 0 for the others; both have to be there.
        ngrams: Most words of a feature.

    Raises:
        DataError: If no two reviews have a word in common.
    """
    counter, held = _count(texts, ngrams)
    return NbSvm(counter, _fit(held, labels))


def cross_fit_nb_svm(
    texts: Sequence[str], labels: NDArray[np.int32], *, ngrams: int, folds: int
) -> tuple[NbSvm, Logits]:
    """Learn from labelled reviews, and say of each what a model says that has not learnt from it.

    Args:
        texts: Reviews.
        labels: As for ``fit_nb_svm``.
        ngrams: Most words of a feature.
        folds: Parts of the reviews; a model for each learns from the others.

    Returns:
        The model that has learnt from all, and a logit a review.

    Raises:
        DataError: If no two reviews have a word in common, or a label has fewer reviews than there are parts.
    """
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < folds:
        msg = (
            f"of the {len(labels):,} reviews to learn from, {fewest:,} have the rarer label; "
            f"{folds} parts (teacher.folds) need at least as many of each"
        )
        raise DataError(msg)
    counter, held = _count(texts, ngrams)
    out_of_fold = np.empty(len(labels), np.float32)
    parts = StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(held, labels)
    for others, part in parts:
        out_of_fold[part] = _fit(held[others], labels[others]).logits(held[part])
    return NbSvm(counter, _fit(held, labels)), out_of_fold


def _count(texts: Sequence[str], ngrams: int) -> tuple[Any, csr_matrix]:
    """Find the features of reviews, and which review holds which."""
    counter = CountVectorizer(
        tokenizer=partial(split_words, html_breaks="blank"),
        token_pattern=None,
        lowercase=False,  # The rule does that.
        ngram_range=(1, ngrams),
        min_df=_FEWEST_REVIEWS,
        binary=True,
        dtype=np.float32,
    )
    try:
        return counter, counter.fit_transform(texts)
    except ValueError as error:
        msg = f"no two of the {len(texts):,} reviews to learn from have a word in common: {error}"
        raise DataError(msg) from error


def _fit(held: csr_matrix, labels: NDArray[np.int32]) -> _Line:
    ratios = _log_ratios(held, labels)
    model = LogisticRegression(
        C=_PENALTY,
        solver="liblinear",
        dual=True,
        tol=_TOLERANCE,
        max_iter=_MOST_ROUNDS,
        random_state=_SEED,
    ).fit(held @ diags(ratios), labels)
    return _Line((ratios * model.coef_[0]).astype(np.float32), np.float32(model.intercept_[0]))


def _log_ratios(held: csr_matrix, labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give each feature's log-count ratio, the paper's r: above 0 where it speaks for the positive label."""
    positive, negative = (
        _SMOOTHING + np.asarray(held[labels == label].sum(axis=0), np.float64).ravel() for label in (1, 0)
    )
    ratios: NDArray[np.float64] = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
    return ratios.astype(np.float32)
