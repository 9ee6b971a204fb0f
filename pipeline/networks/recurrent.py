"""The recurrent network of a recipe, how it is fitted, and how its weights are kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

_POOLING = {"mean": keras.layers.GlobalAveragePooling1D, "max": keras.layers.GlobalMaxPooling1D}
_CELLS = {"simple": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
_OPTIMIZERS = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}
PREDICT_BATCH = 512

Arrays = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Padded token ids, shape ``(reviews, max_length)``, and labels, shape ``(reviews,)``."""


def build_network(text: TextSettings, network: NetworkSettings) -> keras.Model:
    """Build embedding → recurrent cell → pooling → one sigmoid, with freshly drawn weights."""
    recurrent = _CELLS[network.cell](network.units, return_sequences=network.pooling != "last")
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="token_ids"),
            keras.layers.Embedding(text.num_words, network.embedding_size),
            keras.layers.Bidirectional(recurrent) if network.bidirectional else recurrent,
            *([_POOLING[network.pooling]()] if network.pooling != "last" else []),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def fit_network(
    text: TextSettings,
    network: NetworkSettings,
    training: TrainingSettings,
    train: Arrays,
    validation: Arrays,
    *,
    callbacks: list[keras.callbacks.Callback],
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Train from fixed seeds; the same arguments give the same weights on the same machine.

    Training stops early only when the loss is no longer a number.

    Returns:
        The network, and per measured quantity its value after each epoch.
    """
    keras.utils.set_random_seed(training.seed)
    # Without it, two runs differ: threads add up the embedding's gradient in any order.
    tf.config.experimental.enable_op_determinism()
    with _own_seeds(training.seed):
        model = build_network(text, network)
    optimizer = _OPTIMIZERS[training.optimizer](learning_rate=training.learning_rate)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    best = _BestWeights()
    history = model.fit(
        *train,
        batch_size=training.batch_size,
        epochs=training.epochs,
        validation_data=validation,
        callbacks=[keras.callbacks.TerminateOnNaN(), best, *callbacks],
        verbose=0,
    )
    if training.keep == "best" and best.weights is not None:
        model.set_weights(best.weights)
    return model, {name: [float(value) for value in values] for name, values in history.history.items()}


@contextmanager
def _own_seeds(seed: int) -> Iterator[None]:
    """Let this thread draw the seeds of layers as after ``random.seed(seed)``, whatever other threads draw.

    Keras draws them by ``random.randint`` from the generator of the whole process, which the threads of
    a server's client, or of a cluster's worker, use for waiting times.
    """
    own, drawn, thread = random.Random(seed), random.randint, threading.get_ident()  # noqa: S311

    def draw(low: int, high: int) -> int:
        return (own.randint if threading.get_ident() == thread else drawn)(low, high)

    random.randint = draw  # type: ignore[assignment]
    try:
        yield
    finally:
        random.randint = drawn


class _BestWeights(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Remembers the weights after the epoch with the least validation loss."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[NDArray[np.float32]] | None = None
        self._least = float("inf")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = (logs or {}).get("val_loss", float("nan"))
        if loss < self._least:
            self._least, self.weights = loss, self.model.get_weights()


def predict_scores(model: keras.Model, padded: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give Keras's own probability of the positive label, shape ``(reviews,)``."""
    scores: NDArray[np.float32] = model.predict(padded, batch_size=PREDICT_BATCH, verbose=0)[:, 0]
    return scores


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights as an ``.npz`` of plain arrays: equal weights give equal bytes."""
    arrays = {f"{number:03d}": weight for number, weight in enumerate(model.get_weights())}
    # numpy's stub takes the arrays' names for those of its own options.
    save: Callable[..., None] = np.savez
    save(path, **arrays)


def load_network(text: TextSettings, network: NetworkSettings, weights: Path) -> keras.Model:
    """Rebuild a trained network from its recipe and its weights."""
    model = build_network(text, network)
    with np.load(weights, allow_pickle=False) as arrays:
        model.set_weights([arrays[name] for name in sorted(arrays.files)])
    return model


def replace_embedding(
    text: TextSettings, network: NetworkSettings, model: keras.Model, embedding: NDArray[np.float32]
) -> keras.Model:
    """Give a copy of a network that has another embedding."""
    copy = build_network(text, network)
    copy.set_weights([embedding, *model.get_weights()[1:]])
    return copy
