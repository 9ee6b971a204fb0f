from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline import nb_svm
from pipeline.errors import DataError
from pipeline.nb_svm import cross_fit_nb_svm, fit_nb_svm

_REST = "the a film was it and of story actor scene".split()


def some_reviews(count: int = 200) -> tuple[list[str], NDArray[np.int32]]:
    """Reviews whose label is told by a pair of words, and by no word alone."""
    source = random.Random(3)
    texts = []
    for number in range(count):
        told = ("not bad", "quite good") if number % 2 else ("not good", "quite bad")
        words = [source.choice(told), *source.choices(_REST, k=source.randrange(9))]
        source.shuffle(words)
        texts.append(" ".join(words))
    return texts, np.arange(count, dtype=np.int32) % 2


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    return float(((logits > 0) == (labels == 1)).mean())


def test_runs_of_words_tell_what_words_alone_do_not() -> None:
    texts, labels = some_reviews()
    assert accuracy(fit_nb_svm(texts, labels, ngrams=2).logits(texts), labels) == 1
    assert accuracy(fit_nb_svm(texts, labels, ngrams=1).logits(texts), labels) < 0.8


def test_logits_are_those_of_the_paper_step_by_step() -> None:
    texts, labels = some_reviews()
    counter = CountVectorizer(binary=True, min_df=2, ngram_range=(1, 2), token_pattern=r"\S+")
    held = counter.fit_transform(texts).toarray().astype(np.float64)
    positive, negative = 1 + held[labels == 1].sum(axis=0), 1 + held[labels == 0].sum(axis=0)
    ratio = np.log((positive / positive.sum()) / (negative / negative.sum()))
    linear = LogisticRegression(C=1, tol=1e-8, max_iter=10_000).fit(held * ratio, labels)
    found = fit_nb_svm(texts, labels, ngrams=2)
    assert found.features == len(ratio)
    # The fitting stops early, and counts the bias among the weights that are to be small.
    assert np.corrcoef(found.logits(texts), linear.decision_function(held * ratio))[0, 1] > 0.999


def test_a_features_ratio_is_smoothed_as_in_the_paper() -> None:
    held = csr_matrix(np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1]], np.float32))
    found = nb_svm._log_ratios(held, np.array([1, 1, 0]))
    np.testing.assert_allclose(
        found, np.log([(3 / 7) / (1 / 5), (2 / 7) / (2 / 5), (2 / 7) / (2 / 5)]), rtol=1e-6
    )


def test_a_review_is_scored_as_if_it_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = some_reviews()
    model = fit_nb_svm(texts, labels)
    together = model.logits([*texts[:5], "", "Not BAD,<br />not bad!"])
    assert together.dtype == np.float32
    alone = [model.logits([text])[0] for text in [*texts[:5], "", "not bad not bad"]]
    np.testing.assert_array_equal(together, alone)
    monkeypatch.setattr(nb_svm, "_AT_ONCE", 3)
    np.testing.assert_array_equal(model.logits([*texts[:5], "", "not bad not bad"]), together)
    assert model.logits([]).shape == (0,)


def test_no_review_is_scored_by_a_model_that_has_learnt_from_it() -> None:
    texts, _ = some_reviews()
    drawn = np.random.default_rng(5).integers(0, 2, 200).astype(np.int32)
    model, out_of_fold = cross_fit_nb_svm(texts, drawn, ngrams=3, folds=5)
    assert accuracy(model.logits(texts), drawn) > 0.8
    assert accuracy(out_of_fold, drawn) < 0.6


def test_equal_reviews_give_equal_models_whatever_was_drawn_before() -> None:
    texts, labels = some_reviews()
    fitted = []
    for seed in (1, 2):
        np.random.seed(seed)
        model, out_of_fold = cross_fit_nb_svm(texts, labels, ngrams=2, folds=3)
        fitted.append((model.logits(texts).tobytes(), out_of_fold.tobytes()))
    assert fitted[0] == fitted[1]
    np.testing.assert_array_equal(fit_nb_svm(texts, labels, ngrams=2).logits(texts), model.logits(texts))


def test_reviews_sorted_in_any_way_have_both_labels_in_every_part() -> None:
    texts, labels = some_reviews()
    for order in (np.argsort(labels, kind="stable"), np.arange(200)):
        _, out_of_fold = cross_fit_nb_svm([texts[n] for n in order], labels[order], ngrams=2, folds=2)
        assert accuracy(out_of_fold, labels[order]) > 0.95


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a b", "c d", "e f", "g h"], [0, 1, 0, 1], "no two of the 4 reviews .* have a word in common"),
        (["", "", "?", "!"], [0, 1, 0, 1], "no two of the 4 reviews"),
        (["a b", "a c", "a d", "a e"], [0, 1, 0, 0], r"1 have the rarer label; 2 parts \(teacher.folds\)"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    texts: list[str], labels: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        cross_fit_nb_svm(texts, np.array(labels, np.int32), ngrams=2, folds=2)
