"""How much of the loss reaches a state that lies so many steps before the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def prepare_norms(
    model: keras.Model, ids: NDArray[np.int32], labels: NDArray[np.int32 | np.float32]
) -> Callable[[], NDArray[np.float64]]:
    """Give what tells the norm of ``d loss / d h_t`` of each review, by the steps from ``t`` to the end.

    The derivative is the total one: by way of all later steps, and of the pooling. Of an LSTM it is that of
    what a step shows, ``h``; it reaches the end through the cell's own state.

    Args:
        model: From ``build_network``: one layer that reads one way, and one pooling. What is told is of the
            weights that it has then.
        ids: Reviews without padding, shape ``(reviews, steps)``.
        labels: 0 or 1, shape ``(reviews,)``.

    Returns:
        A function that gives shape ``(reviews, steps)``: in the first column the last state.
    """
    units = model.layers[2].cell.units

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def differentiate() -> tf.Tensor:
        nudges = tf.zeros((ids.shape[1], len(ids), units))
        with tf.GradientTape() as tape:
            tape.watch(nudges)
            loss = tf.reduce_sum(nudged_losses(model, ids, labels, nudges))
        # A float32 of 1e-20 is a number; its square is none.
        return tf.norm(tf.cast(tape.gradient(loss, nudges), tf.float64), axis=-1)

    return lambda: differentiate().numpy().T[:, ::-1]


def nudged_losses(
    model: keras.Model, ids: NDArray[np.int32], labels: NDArray[np.int32 | np.float32], nudges: tf.Tensor
) -> tf.Tensor:
    """Give each review's loss where something is added to its states on the way.

    Args:
        model: As for ``prepare_norms``, like the next two.
        ids: Reviews.
        labels: Their labels.
        nudges: What is added to the state after each step, float32 ``(steps, reviews, units)``.
    """
    _, embedding, recurrent, *pooling, dense = model.layers
    cell = recurrent.cell
    sizes = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    start = [tf.zeros((len(ids), size)) for size in sizes]

    def step(states: Any, given: Any) -> Any:
        word, nudge = given
        first, *others = cell(word, states)[1]
        return [first + nudge, *others]

    states = tf.transpose(
        tf.scan(step, (tf.transpose(embedding(ids), (1, 0, 2)), nudges), start)[0], (1, 0, 2)
    )
    features = pooling[0](states, mask=tf.ones(ids.shape, tf.bool)) if pooling else states[:, -1]
    scores = dense(features)
    return keras.losses.binary_crossentropy(labels[:, None].astype(np.float32), scores)
