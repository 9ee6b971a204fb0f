"""The recurrent cells, forward and backward, as training walks them.

Arrays are ``(units, rows)``, or several such blocks one below the other: a gate is a whole piece of memory.

The formulas are those of Keras's layers with their defaults (the GRU is that of ``reset_after``, with its
gates in the order z, r, h; the LSTM's come in the order i, f, c, o) and their derivatives by the chain rule
(Werbos, *Backpropagation through time: what it does and how to do it*, 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]
CLOSED = 100.0
"""A gate's sum beyond which float32 knows but 0 and 1."""


@dataclass(frozen=True)
class Cell:
    """A recurrence without its products."""

    step: Callable[[tf.Tensor, tf.Tensor, Tensors], Tensors]
    """Takes a step, and gives what is kept of it.

    Its arguments: the product of the step's word with the input kernel, and bias; the product of the first
    state with the recurrent kernel, and bias if it has one of its own; the states after the step before.
    """
    back: Callable[[Tensors, Tensors, Tensors], tuple[tf.Tensor, tf.Tensor, Tensors]]
    """Takes a step back.

    Its arguments: what was kept of the step; the states before it; the gradients of those after it. It gives
    the gradients of both sums, and of the states before, but for what reaches the first of them through
    the product.
    """
    blocks: int
    """Blocks of the kernels."""
    states: int
    """What a step hands on; the product is that of the first."""
    kept: tuple[int, ...]
    """Blocks of each array that the way back needs of a step; the states come before all else."""
    has_two_sums: bool
    """Whether the gradients of inputs and of products differ."""
    padding: tuple[float, ...]
    """Inputs, block by block, with which a step leaves states at 0 that are 0."""


def _simple(inputs: tf.Tensor, product: tf.Tensor, _states: Tensors) -> Tensors:
    return (tf.tanh(inputs + product),)


def _simple_back(kept: Tensors, _before: Tensors, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    (h,), (of_h,) = kept, gradients
    of_sum = of_h * (1 - h * h)
    return of_sum, of_sum, (tf.zeros_like(h),)


def _gru(inputs: tf.Tensor, product: tf.Tensor, states: Tensors) -> Tensors:
    (h,) = states
    units = h.shape[-2]
    # The same function as tf.sigmoid; XLA's tanh is the faster of the two.
    gates = 0.5 * tf.tanh(0.5 * (inputs[: 2 * units] + product[: 2 * units])) + 0.5
    z, r = tf.split(gates, 2, axis=-2)
    product_c = product[2 * units :]
    c = tf.tanh(inputs[2 * units :] + r * product_c)
    return c + z * (h - c), gates, c, product_c


def _gru_back(kept: Tensors, before: Tensors, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    _, gates, c, product_c = kept
    z, r = tf.split(gates, 2, axis=-2)
    (of_h,) = gradients
    of_z = of_h * (before[0] - c) * z * (1 - z)
    of_c = of_h * (1 - z) * (1 - c * c)
    of_gates = tf.concat([of_z, of_c * product_c * r * (1 - r)], axis=-2)
    return tf.concat([of_gates, of_c], -2), tf.concat([of_gates, of_c * r], -2), (of_h * z,)


def _lstm(inputs: tf.Tensor, product: tf.Tensor, states: Tensors) -> Tensors:
    # One tanh over all four, of which three become sigmoids.
    is_gate = tf.repeat(tf.constant([1.0, 1.0, 0.0, 1.0]), states[0].shape[-2])[:, None]
    scale = 1 - 0.5 * is_gate
    gates = tf.tanh((inputs + product) * scale) * scale + 0.5 * is_gate
    i, f, g, o = tf.split(gates, 4, axis=-2)
    c = f * states[1] + i * g
    shown = tf.tanh(c)
    return o * shown, c, gates, shown


def _lstm_back(kept: Tensors, before: Tensors, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    _, _, gates, shown = kept
    i, f, g, o = tf.split(gates, 4, axis=-2)
    of_h, of_c = gradients
    of_c += of_h * o * (1 - shown * shown)
    of_i, of_f, of_g = of_c * g * i * (1 - i), of_c * before[1] * f * (1 - f), of_c * i * (1 - g * g)
    of_sum = tf.concat([of_i, of_f, of_g, of_h * shown * o * (1 - o)], axis=-2)
    return of_sum, of_sum, (tf.zeros_like(of_h), of_c * f)


CELLS = {
    "simple": Cell(_simple, _simple_back, blocks=1, states=1, kept=(1,), has_two_sums=False, padding=(0.0,)),
    "gru": Cell(
        _gru,
        _gru_back,
        blocks=3,
        states=1,
        kept=(1, 2, 1, 1),
        has_two_sums=True,
        padding=(CLOSED, -CLOSED, 0.0),
    ),
    "lstm": Cell(
        _lstm,
        _lstm_back,
        blocks=4,
        states=2,
        kept=(1, 1, 4, 1),
        has_two_sums=False,
        padding=(0.0, 0.0, 0.0, 0.0),
    ),
}
"""Elman 1990; Cho et al. 2014, with the reset gate after the product, as cuDNN has it; Hochreiter and
Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
