"""The fast training is the same training: gradients and steps are those of Keras's own layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.same_training import compare_with_keras
from pipeline.networks import optimizers
from pipeline.networks.cells import CELLS, Tensors
from pipeline.networks.fitting import Arrays, Fitting
from pipeline.networks.fused import make_walk
from pipeline.networks.recurrent import build_network
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

TEXT = TextSettings(num_words=50, max_length=30)
ROWS = 70
TRAINING = TrainingSettings(
    optimizer="rmsprop", learning_rate=0.01, epochs=1, batch_size=17, validation_split=0.2, seed=5
)
"""No whole number of batches, and no whole number of rows to each half of one."""


def make_network(cell: str, **settings: Any) -> NetworkSettings:
    return NetworkSettings.model_validate({"cell": cell, "embedding_size": 7, "units": 5, **settings})


def some_reviews(shortest: int = 0) -> Arrays:
    """Padded on the left, of all lengths from the shortest to the whole."""
    source = np.random.default_rng(3)
    ids = source.integers(1, TEXT.num_words, (ROWS, TEXT.max_length), dtype=np.int32)
    lengths = source.integers(shortest, TEXT.max_length + 1, ROWS)
    lengths[:2] = shortest, TEXT.max_length
    ids[np.arange(TEXT.max_length) < TEXT.max_length - lengths[:, None]] = 0
    return ids, (ids.sum(axis=1) % 2).astype(np.int32)


def assert_same(network: NetworkSettings, training: TrainingSettings = TRAINING) -> None:
    # Over padding states come to rest: which of many largest ones gets the gradient is for rounding to say.
    shortest = TEXT.max_length - 3 if network.pooling == ["max"] and not network.masked else 0
    distance = compare_with_keras(TEXT, network, training, some_reviews(shortest))
    assert distance.gradients < 2e-5
    assert distance.losses < 2e-6
    assert distance.weights < 1e-5


@pytest.mark.parametrize(
    ("cell", "masked", "bidirectional", "pooling"),
    [
        (cell, masked, *shape)
        for cell, masked, shape in product(
            (*CELLS, "mingru"),
            (False, True),
            ((False, "last"), (True, "max")),
        )
    ]
    + [("gru", masked, True, "mean") for masked in (False, True)],
)
def test_training_is_that_of_keras(cell: str, masked: bool, bidirectional: bool, pooling: str) -> None:
    assert_same(make_network(cell, masked=masked, bidirectional=bidirectional, pooling=pooling))


EVERYTHING: dict[str, Any] = {
    "layers": 2,
    "bidirectional": True,
    "pooling": ["last", "attention", "max", "mean"],
    "ngrams": {"longest": 3, "buckets": 256},
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*CELLS, "mingru"])
def test_training_of_larger_networks_is_that_of_keras(cell: str) -> None:
    assert_same(make_network(cell, masked=True, **EVERYTHING))


def test_training_with_ngrams_over_padding_is_that_of_keras() -> None:
    settings = {"pooling": ["mean", "last"], "ngrams": {"longest": 2, "buckets": 64}}
    assert_same(make_network("simple", bidirectional=True, **settings))


@pytest.mark.parametrize("masked", [False, True])
def test_training_with_adam_is_that_of_keras(masked: bool) -> None:
    assert_same(make_network("gru", masked=masked), TRAINING.model_copy(update={"optimizer": "adam"}))


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
@pytest.mark.parametrize("clip_norm", [0.02, 100.0], ids=["always", "never"])
def test_clipped_training_is_that_of_keras(optimizer: str, clip_norm: float) -> None:
    training = TRAINING.model_copy(update={"optimizer": optimizer, "clip_norm": clip_norm})
    assert_same(make_network("gru", masked=True, ngrams={"longest": 2, "buckets": 64}), training)


def test_the_norm_of_a_words_summed_gradients_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = optimizers.Optimizer._clip

    def sums_first(self: optimizers.Optimizer, gradients: Any, most: float) -> Any:
        summed = [
            (self._sum_rows(number, *each) if len(each) > 1 else each[0],)
            for number, each in enumerate(gradients)
        ]
        return clip(self, summed, most)

    monkeypatch.setattr(optimizers.Optimizer, "_clip", sums_first)
    with pytest.raises(AssertionError):
        assert_same(make_network("simple"), TRAINING.model_copy(update={"clip_norm": 0.02}))


def test_a_wrong_step_back_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = CELLS["lstm"]

    def forget(kept: Tensors, before: Tensors, gradients: Tensors) -> Any:
        of_inputs, of_product, (of_h, of_c) = lstm.back(kept, before, gradients)
        return of_inputs, of_product, (of_h, 0.99 * of_c)

    monkeypatch.setitem(CELLS, "lstm", replace(lstm, back=forget))
    make_walk.cache_clear()
    with pytest.raises(AssertionError):
        assert_same(make_network("lstm"))
    make_walk.cache_clear()


def test_the_square_of_a_words_summed_gradients_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    def squares_sums(self: optimizers.Optimizer, gradients: Any, rate: Any) -> None:
        for number, (values, *rows) in enumerate(gradients):
            gradient = values
            if rows:
                gradient = tf.math.unsorted_segment_sum(values, rows[0], self._weights[number].shape[0])
            self._update(number, gradient, gradient * gradient, rate)

    monkeypatch.setattr(optimizers.Optimizer, "_apply", squares_sums)
    with pytest.raises(AssertionError):
        assert_same(make_network("simple"))


def test_measures_are_those_of_keras() -> None:
    network, (ids, labels) = make_network("gru", masked=True), some_reviews()
    keras.utils.set_random_seed(1)
    model = build_network(TEXT, network)
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    figures = Fitting(network, TRAINING, model).run_epoch((ids, labels), (ids, labels), lambda _loss: None)
    loss, accuracy = model.evaluate(ids, labels, verbose=0)
    assert figures["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert figures["val_accuracy"] == pytest.approx(accuracy)
    assert 0 < figures["accuracy"] < 1
