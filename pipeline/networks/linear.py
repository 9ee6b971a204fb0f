"""A recurrence whose state enters nothing but a sum: no product is left in the walk over the steps.

With gates that know the word alone, ``h_t = a_t h_{t-1} + b_t`` for sequences a and b that are known
beforehand, by one product for all steps. The gates are those of the minGRU (Feng et al., *Were RNNs all we
needed?*, 2024).
"""

from __future__ import annotations

import tensorflow as tf

from pipeline.networks.cells import Tensors


def walk_mingru(words: tf.Tensor, weights: Tensors, is_word: tf.Tensor, goes_on: tf.Tensor) -> tf.Tensor:
    """Give the states of a minGRU after all steps; see ``fused.Walk``."""
    kernel, bias = weights
    # One product over all steps, in the layout that the scan wants.
    sums = tf.matmul(kernel[None], words, transpose_a=True, transpose_b=True)
    return _states(sums, bias, is_word, goes_on)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
def _states(sums: tf.Tensor, bias: tf.Tensor, is_word: tf.Tensor, goes_on: tf.Tensor) -> tf.Tensor:
    of_gate, candidate = tf.split(sums + bias[:, None], 2, axis=1)
    gate = tf.where(is_word, tf.sigmoid(of_gate), 0.0)
    return scan_linear((1 - gate) * goes_on[:, None, None], gate * candidate)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships no types
def scan_linear(kept: tf.Tensor, let_in: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Give ``h_t = kept_t · h_{t-1} + let_in_t`` for all steps, from 0; all are ``(steps, units, rows)``.

    The gradients are the same recurrence, from the end.
    """
    states = _scan(kept, let_in)

    def gradient(of_states: tf.Tensor) -> Tensors:
        after = tf.concat([kept[1:], tf.zeros_like(kept[:1])], axis=0)
        of_let_in = _scan(after[::-1], of_states[::-1])[::-1]
        return of_let_in * tf.concat([tf.zeros_like(states[:1]), states[:-1]], axis=0), of_let_in

    return states, gradient


def _scan(kept: tf.Tensor, let_in: tf.Tensor) -> tf.Tensor:
    # Nothing here is a product of matrices: on a processor's few cores this walk, which reads everything
    # once, is quicker than any scan in parts, which reads it twice and more.
    steps, units, rows = kept.shape
    states = tf.TensorArray(tf.float32, steps, element_shape=(units, rows))

    def step(time: tf.Tensor, state: tf.Tensor, states: tf.TensorArray) -> tuple[object, ...]:
        state = kept[time] * state + let_in[time]
        return time + 1, state, states.write(time, state)

    start = (tf.constant(0), tf.zeros((units, rows)), states)
    *_, states = tf.while_loop(lambda time, *_: time < steps, step, start, maximum_iterations=steps)
    return states.stack()
