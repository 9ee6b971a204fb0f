"""Optimizers as Keras has them, and as it applies them to an embedding.

Where a word stands in a batch several times, Keras 3 hands its optimizers a gradient for each place. They sum
those for the first moment, but square them one by one for the second: it is the sum of squares, and not
the square of the sum, as in the papers (Hinton's lecture 6e for RMSprop; Kingma and Ba 2015 for Adam).

Clipping changes that, in Keras 3 and so here: the norm is still that of the gradients place by place, not of
their sum per row, but scaling them sums them, and the second moment is the square of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_EPSILON = 1e-7
"""This and the rates below are Keras's defaults."""
_RISE = 0.1
"""Share of all batches over which a triangular schedule rises."""


def triangle(done: float) -> float:
    """Give the share of the learning rate that a triangular schedule uses after this share of all batches."""
    return min(done / _RISE, (1 - done) / (1 - _RISE))


class Optimizer:
    """RMSprop or Adam."""

    def __init__(self, name: str, weights: Sequence[tf.Variable], *, clip_norm: float | None = None) -> None:
        """Start from nothing learnt: all moments are 0.

        Args:
            name: ``rmsprop`` or ``adam``.
            weights: What is to learn.
            clip_norm: Largest norm of all gradients together; None: any.
        """
        self._weights, self._clip_norm = list(weights), clip_norm
        self._is_adam = name == "adam"
        self.steps = tf.Variable(0.0)
        """Taken so far."""
        self._second = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
        self._first = [tf.Variable(tf.zeros_like(weight)) for weight in weights] if self._is_adam else []
        self._variables = [self.steps, *self._second, *self._first]
        self._apply_compiled = tf.function(self._apply, jit_compile=True)

    def read(self) -> list[NDArray[np.float32]]:
        """Give all that has to be kept to go on later."""
        return [each.numpy() for each in self._variables]

    def write(self, values: Sequence[NDArray[np.float32]]) -> None:
        """Go on from what ``read`` gave."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices], rate: tf.Tensor) -> None:
        """Take a step; some gradients are of a table's rows, place by place."""
        parts = [
            (each.values, each.indices) if isinstance(each, tf.IndexedSlices) else (each,)
            for each in gradients
        ]
        self._apply_compiled(parts, rate)

    def _apply(self, gradients: Sequence[tuple[tf.Tensor, ...]], rate: tf.Tensor) -> None:
        self.steps.assign_add(1.0)
        if self._clip_norm is not None:
            gradients = self._clip(gradients, self._clip_norm)
        for number, (values, *rows) in enumerate(gradients):
            gradient, square = values, values * values
            if rows:
                both = self._sum_rows(number, tf.stack([values, square], axis=1), rows[0])
                gradient, square = tf.unstack(both, axis=1)
            self._update(number, gradient, square, rate)

    def _clip(self, gradients: Sequence[tuple[tf.Tensor, ...]], most: float) -> list[tuple[tf.Tensor, ...]]:
        """Scale all alike until their norm is ``most``, if it is larger; those of rows are summed."""
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(values * values) for values, *_ in gradients]))
        summed = [
            self._sum_rows(number, values, *rows) if rows else values
            for number, (values, *rows) in enumerate(gradients)
        ]
        return [(each * (most / tf.maximum(norm, most)),) for each in summed]

    def _sum_rows(self, number: int, values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.math.unsorted_segment_sum(values, rows, self._weights[number].shape[0])

    def _update(self, number: int, gradient: tf.Tensor, square: tf.Tensor, rate: tf.Tensor) -> None:
        weight, second = self._weights[number], self._second[number]
        if not self._is_adam:
            second.assign(0.9 * second + 0.1 * square)
            weight.assign_sub(rate * gradient / tf.sqrt(second + _EPSILON))
            return
        first = self._first[number]
        first.assign_add(0.1 * (gradient - first))
        second.assign_add(0.001 * (square - second))
        rate *= tf.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        weight.assign_sub(rate * first / (tf.sqrt(second) + _EPSILON))
