"""Fitting a network: batches in an order that a seed fixes, epoch after epoch."""

from __future__ import annotations

import io
import json
import logging
import math
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.networks.fused import make_walk, score_packed
from pipeline.networks.noise import Noise
from pipeline.networks.optimizers import Optimizer, triangle
from pipeline.networks.packing import PackedBatch, pack_batch
from pipeline.recipe import NetworkSettings, TrainingSettings
from pipeline.runtime.durable import write_durably

_log = logging.getLogger("resenha")
_MIDDLE = 0.5
_WINDOW = 50
"""Batches whose rows are put in the order of their lengths: more would leave out hardly more padding, and
mix the rows less."""

Arrays = tuple[NDArray[np.int32], NDArray[np.int32 | np.float32]]
"""Padded token ids, shape ``(reviews, max_length)``, and labels, shape ``(reviews,)``: 0 or 1, or of those to
learn from anything between; above one half counts as positive."""
Weights = list[NDArray[np.float32]]
History = dict[str, list[float]]
"""Per measured quantity its value after each epoch."""


class Watcher(Protocol):
    """Is told how far a fitting is; what it raises ends the fitting."""

    def begin_epoch(self, number: int) -> None:
        """Before an epoch, which are counted from 1."""

    def end_batch(self, loss: float) -> None:
        """Between two batches, with the mean loss of the one before; those to learn from come first."""

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        """After an epoch, and after what is needed to go on from there has been kept."""


class Watchers:
    """Several watchers in the place of one: each is told in its turn."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def begin_epoch(self, number: int) -> None:
        """Before an epoch."""
        for each in self._watchers:
            each.begin_epoch(number)

    def end_batch(self, loss: float) -> None:
        """Between two batches."""
        for each in self._watchers:
            each.end_batch(loss)

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        """After an epoch."""
        for each in self._watchers:
            each.end_epoch(number, figures, seconds)


def fit_network(
    model: keras.Model,
    network: NetworkSettings,
    training: TrainingSettings,
    train: Arrays,
    validation: Arrays,
    *,
    watcher: Watcher,
    checkpoint: Path,
) -> tuple[History, list[float]]:
    """Train from fixed seeds; the same arguments give the same weights on the same machine.

    Training stops early only when the loss is no longer a number.

    Args:
        model: From ``build_seeded_network``; its weights change in place.
        network: What it was built from.
        training: How it learns.
        train: Reviews to learn from.
        validation: Reviews to measure each epoch on.
        watcher: Is told how far it is.
        checkpoint: Written after each epoch; if it is there, training goes on from it, and ends where it
            would have ended.

    Returns:
        The history, and the seconds of each epoch.
    """
    fitting = Fitting(network, training, model)
    fitting.restore(checkpoint)
    while fitting.goes_on:
        number = fitting.epochs + 1
        watcher.begin_epoch(number)
        figures = fitting.run_epoch(train, validation, watcher.end_batch)
        fitting.save(checkpoint)
        watcher.end_epoch(number, figures, fitting.seconds[-1])
    fitting.finish()
    return fitting.history, fitting.seconds


class Fitting:
    """A network on its way: all that the next epoch depends on, and a file that keeps it."""

    def __init__(self, network: NetworkSettings, training: TrainingSettings, model: keras.Model) -> None:
        """Begin with the weights that the model has; they change in place."""
        self.history: History = {}
        self.seconds: list[float] = []
        """Of each epoch."""
        self._network, self._training, self._model = network, training, model
        self._best: Weights = []
        """Those after the epoch with the least validation loss, if they are to be kept."""
        self._weights = [each.value for each in model.trainable_variables]
        self._averages = [tf.Variable(each) for each in self._weights] if training.averaging else []
        """What counts in place of the weights, if they are averaged."""
        self._optimizer = Optimizer(training.optimizer, self._weights, clip_norm=training.clip_norm)
        self._walk = make_walk(network.cell)
        self._learn = tf.function(self._learn_from_batch)
        self._judge = tf.function(partial(self._score, self._averages or self._weights))

    def _score(
        self, weights: list[tf.Variable], batch: PackedBatch, labels: tf.Tensor, kept: tf.Tensor | float = 1.0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        views = score_packed(self._network, self._walk, weights, batch, kept)
        views = tf.reshape(views, (-1, labels.shape[0]))
        losses = keras.losses.binary_crossentropy(
            (tf.ones_like(views) * labels)[:, :, None], views[:, :, None]
        )
        return tf.reduce_mean(views, axis=0), tf.reduce_mean(losses, axis=0)

    def _learn_from_batch(
        self, batch: PackedBatch, labels: tf.Tensor, shares: tf.Tensor, kept: tf.Tensor, rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            scores, losses = self._score(self._weights, batch, labels, kept)
            loss = tf.reduce_sum(losses * shares)
        self._optimizer.apply(tape.gradient(loss, self._weights), rate)
        # The first ones, far from the end, are soon forgotten (as in tf.train.ExponentialMovingAverage).
        steps = self._optimizer.steps
        share = tf.minimum(self._training.averaging, (1 + steps) / (10 + steps))
        for average, weight in zip(self._averages, self._weights, strict=False):
            average.assign_sub((1 - share) * (average - weight))
        return scores, losses

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.seconds)

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch to run."""
        losses = self.history.get("loss", [])
        return self.epochs < self._training.epochs and all(map(math.isfinite, losses))

    def run_epoch(
        self, train: Arrays, validation: Arrays, after_batch: Callable[[float], None]
    ) -> dict[str, float]:
        """Learn from every review once.

        Returns:
            ``accuracy`` and ``loss`` on the way, and ``val_accuracy`` and ``val_loss`` after it.
        """
        started = time.perf_counter()
        learnt, judged = _Totals(), _Totals()
        order = self._order(train[0])
        noise = Noise(self._training, self.epochs)
        features = self._weights[-2].shape[0]
        for number, (batch, labels, many) in enumerate(self._batches(train, order, noise.forget_words)):
            shares = np.where(np.arange(len(labels)) < many, 1 / many, 0).astype(np.float32)
            kept = noise.keep_features(len(labels), features)
            scores, losses = self._learn(batch, labels, shares, kept, self._rate(number, len(order)))
            after_batch(learnt.add(scores, losses, labels, many))
            if not math.isfinite(learnt.loss):
                break
        # Where padding is left out, rows of like length leave the least of it if they go together.
        for batch, labels, many in self._batches(
            validation, np.argsort(np.count_nonzero(validation[0], axis=1))
        ):
            scores, losses = self._judge(batch, labels)
            after_batch(judged.add(scores, losses, labels, many))
        figures = {
            "accuracy": learnt.accuracy,
            "loss": learnt.loss,
            "val_accuracy": judged.accuracy,
            "val_loss": judged.loss,
        }
        least = min(filter(math.isfinite, self.history.get("val_loss", [])), default=math.inf)
        if self._training.keep == "best" and judged.loss < least:
            self._best = self._counting_weights()
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)
        self.seconds.append(time.perf_counter() - started)
        return figures

    def _order(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Give the rows in the order in which this epoch takes them."""
        draws = np.random.default_rng((self._training.seed, self.epochs))
        order = draws.permutation(len(ids))
        if not self._training.bucket_by_length:
            return order
        size = self._training.batch_size
        windows = np.arange(len(order)) // (size * _WINDOW)
        order = order[np.lexsort((np.count_nonzero(ids[order], axis=1), windows))]
        whole = len(order) // size
        batches = order[: whole * size].reshape(whole, size)
        return np.concatenate([draws.permutation(batches).ravel(), order[whole * size :]])

    def _rate(self, batch: int, rows: int) -> NDArray[np.float32]:
        """Give the learning rate of an epoch's batch, which are counted from 0."""
        training, share = self._training, 1.0
        if training.schedule == "triangular":
            of_epoch = -(-rows // training.batch_size)
            share = triangle((self.epochs * of_epoch + batch + 0.5) / (training.epochs * of_epoch))
        return np.array(training.learning_rate * share, np.float32)

    def _batches(
        self,
        arrays: Arrays,
        order: NDArray[np.int64],
        change: Callable[[NDArray[np.int32]], NDArray[np.int32]] = lambda ids: ids,
    ) -> Iterator[tuple[PackedBatch, NDArray[np.float32], int]]:
        ids, labels = arrays
        size = self._training.batch_size
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            filled = np.zeros(size, np.float32)
            filled[: len(chosen)] = labels[chosen]
            yield pack_batch(change(ids[chosen]), self._network, size), filled, len(chosen)

    def finish(self) -> None:
        """Give the network the weights that the settings want kept."""
        self._model.set_weights(self._best or self._counting_weights())

    def _counting_weights(self) -> Weights:
        return [each.numpy() for each in self._averages or self._weights]

    def save(self, path: Path) -> None:
        """Keep all that the next epoch depends on; ``path`` holds it whole, or what it held before."""
        content = io.BytesIO()
        groups = {
            "weights": self._model.get_weights(),
            "optimizer": self._optimizer.read(),
            "averages": [each.numpy() for each in self._averages],
            "best": self._best,
        }
        arrays = {f"{name}/{n:03d}": each for name, group in groups.items() for n, each in enumerate(group)}
        told = json.dumps({"history": self.history, "seconds": self.seconds})
        save: Callable[..., None] = (
            np.savez
        )  # NumPy's stub takes the arrays' names for those of its own options.
        save(content, told=np.array(told), **arrays)
        write_durably(path, content.getvalue())

    def restore(self, path: Path) -> None:
        """Go on from what is kept at ``path``; if nothing is, or it cannot be read, from the beginning."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                told = json.loads(str(arrays["told"]))
                found = {name: arrays[name] for name in sorted(arrays.files)}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("%s cannot be read (%s): training starts from its first epoch", path, error)
            return
        groups = {
            group: [found[name] for name in found if name.startswith(f"{group}/")]
            for group in ("weights", "optimizer", "averages", "best")
        }
        self._model.set_weights(groups["weights"])
        self._optimizer.write(groups["optimizer"])
        for average, value in zip(self._averages, groups["averages"], strict=True):
            average.assign(value)
        self._best = groups["best"]
        self.history, self.seconds = told["history"], told["seconds"]
        _log.info("training goes on after epoch %d of %d", self.epochs, self._training.epochs)


class _Totals:
    """Sums over the rows of batches."""

    def __init__(self) -> None:
        self._rows, self._right, self._loss = 0, 0, 0.0

    def add(self, scores: tf.Tensor, losses: tf.Tensor, labels: NDArray[np.float32], many: int) -> float:
        """Add the first ``many`` rows of a batch; give their mean loss."""
        loss = float(losses.numpy()[:many].sum(dtype=np.float64))
        self._rows += many
        self._right += int(((scores.numpy() > _MIDDLE) == (labels > _MIDDLE))[:many].sum())
        self._loss += loss
        return loss / many

    @property
    def accuracy(self) -> float:
        return self._right / self._rows

    @property
    def loss(self) -> float:
        return self._loss / self._rows
