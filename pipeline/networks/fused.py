"""A network as training runs it: scores and gradients of Keras's own layers, in a fraction of the time.

What Keras's layers do anew at every step is done here once for all steps, which changes nothing but rounding:
the products with the input kernels before the walk, the gradients of kernels and biases after it, and what
a step back multiplies by in between. XLA compiles the walk, and nothing else. Where a network leaves padding
out, so does the walk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

from pipeline.network_shape import ATTENTION_LIMIT, EMBEDDING, NGRAMS, OF_CELL, weight_names
from pipeline.networks.cells import CELLS, Cell, Tensors
from pipeline.networks.layers import weigh_ngrams
from pipeline.networks.linear import walk_mingru
from pipeline.networks.packing import Half, PackedBatch
from pipeline.recipe import NetworkSettings

_TWO_BIASES = 2
"""Axes of the biases where inputs and products have one each."""

Walk = Callable[[tf.Tensor, Tensors, tf.Tensor, tf.Tensor], tf.Tensor]
"""From words ``(steps, rows, size)``, the weights of a direction, whether there is a word
``(steps, 1, rows)``, and zeros where states begin anew, else ones ``(steps,)``, to the first state after
each step, ``(steps, units, rows)``. It has a gradient."""


@cache
def make_walk(name: str) -> Walk:
    """Give the walk of a cell over all steps."""
    return walk_mingru if name == "mingru" else _step_by_step(CELLS[name])


def _step_by_step(cell: Cell) -> Walk:
    forward = tf.function(lambda *arguments: _forward(cell, *arguments), jit_compile=True)
    backward = tf.function(lambda *arguments: _backward(cell, *arguments), jit_compile=True)

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def walk(words: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, object]:
        kept = forward(words, *others)

        def gradient(found: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            found = tf.ensure_shape(found, kept[0].shape)
            return (*backward(words, *others, kept, found), None, None)

        return kept[0], gradient

    def walk_weights(words: tf.Tensor, weights: Tensors, *rest: tf.Tensor) -> tf.Tensor:
        of_words, of_state, biases = weights
        # The GRU has a bias for products too.
        both = tf.unstack(biases) if biases.shape.rank == _TWO_BIASES else (biases, tf.zeros_like(biases))
        return walk(words, of_words, of_state, *both, *rest)

    return walk_weights


def _forward(cell: Cell, words: tf.Tensor, *others: tf.Tensor) -> Tensors:
    """Walk the steps; gives what was kept of each."""
    of_words, of_state, bias, product_bias, is_word, goes_on = others
    steps, rows, _ = words.shape
    units = of_state.shape[0]
    kept = tuple(tf.TensorArray(tf.float32, steps, element_shape=(n * units, rows)) for n in cell.kept)
    of_words, of_state = tf.transpose(of_words), tf.transpose(of_state)
    padding = tf.repeat(tf.constant(cell.padding), units)[:, None]

    def step(time: tf.Tensor, states: Tensors, kept: tuple[tf.TensorArray, ...]) -> tuple[object, ...]:
        states = tuple(state * goes_on[time] for state in states)
        inputs = tf.matmul(of_words, words[time], transpose_b=True) + bias[:, None]
        inputs = tf.where(is_word[time], inputs, padding)
        found = cell.step(inputs, tf.matmul(of_state, states[0]) + product_bias[:, None], states)
        written = tuple(array.write(time, each) for array, each in zip(kept, found, strict=True))
        return time + 1, found[: cell.states], written

    start = (tf.constant(0), (tf.zeros((units, rows)),) * cell.states, kept)
    *_, kept = tf.while_loop(lambda time, *_: time < steps, step, start, maximum_iterations=steps)
    return tuple(array.stack() for array in kept)


def _backward(cell: Cell, words: tf.Tensor, *others: Any) -> Tensors:
    """Walk back, with the gradients of the first state after each step as they come from outside.

    Returns:
        The gradients of words, input kernel, recurrent kernel, and the biases of inputs and of products.
    """
    of_words, of_state, _, _, is_word, goes_on, kept, found = others
    steps, units, rows = kept[0].shape
    turned_of_words = tf.transpose(of_words)
    ones = tf.ones((rows, 1))

    def step(time: tf.Tensor, states: Tensors, of_word: tf.TensorArray, sums: Tensors) -> tuple[object, ...]:
        now = tuple(each[time] for each in kept)
        before = tuple(each[tf.maximum(time - 1, 0)] * goes_on[time] for each in kept[: cell.states])
        states = (states[0] + found[time], *states[1:])
        of_inputs, of_product, (first, *others) = cell.back(now, before, states)
        of_inputs = tf.where(is_word[time], of_inputs, 0.0)
        if not cell.has_two_sums:
            of_product = of_inputs
        added = (
            tf.matmul(of_inputs, words[time]),
            tf.matmul(of_product, before[0], transpose_b=True),
            tf.matmul(of_inputs, ones),
            tf.matmul(of_product, ones),
        )
        first += tf.matmul(of_state, of_product)
        return (
            time - 1,
            tuple(state * goes_on[time] for state in (first, *others)),
            of_word.write(time, tf.matmul(of_inputs, turned_of_words, transpose_a=True)),
            tuple(before + more for before, more in zip(sums, added, strict=True)),
        )

    nothing = tuple(tf.zeros((cell.blocks * units, columns)) for columns in (words.shape[2], units, 1, 1))
    of_word = tf.TensorArray(tf.float32, steps, element_shape=words.shape[1:])
    start = (tf.constant(steps - 1), (tf.zeros((units, rows)),) * cell.states, of_word, nothing)
    *_, of_word, sums = tf.while_loop(lambda time, *_: time >= 0, step, start, maximum_iterations=steps)
    of_kernels, of_biases = sums[:2], sums[2:]
    return of_word.stack(), *map(tf.transpose, of_kernels), *(each[:, 0] for each in of_biases)


def score_packed(
    network: NetworkSettings,
    walk: Walk,
    weights: Sequence[tf.Tensor],
    batch: PackedBatch,
    shares: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """Score a batch.

    Args:
        network: What the weights belong to.
        walk: That of its cell.
        weights: In the order of ``keras.Model.get_weights``.
        batch: Tensors in place of its arrays.
        shares: Of each row's features what the last layer gets of them, ``(batch, features)`` or one number;
            or several of these, ``(views, batch, features)``.

    Returns:
        Probabilities of the positive label, float32 ``(batch,)`` or ``(views, batch)``.
    """
    named = dict(zip(weight_names(network), weights, strict=True))
    kernel, bias = named["dense_kernel"], named["dense_bias"]
    found = tf.concat([_read(network, walk, named, half) for half in batch.halves], axis=0)
    features = tf.gather(tf.reshape(tf.transpose(found, (0, 2, 1)), (-1, kernel.shape[0])), batch.places)
    return tf.sigmoid(tf.tensordot(features * shares, kernel, 1) + bias)[..., 0]


def _read(network: NetworkSettings, walk: Walk, weights: Mapping[str, tf.Tensor], half: Half) -> tf.Tensor:
    """Walk, and pool; gives ``(groups, features, rows)``."""
    states = walk_half(network, walk, weights, half)
    features = [
        _POOLINGS[kind](network, half, each, number, weights)
        for kind in network.pooling
        for number, each in enumerate(states)
    ]
    if network.ngrams:
        found = weigh_ngrams(weights[NGRAMS], half.tokens, half.goes_on, network.ngrams.longest)
        features.append(_sum_groups(found, half)[:, None, :])
    return tf.concat(features, axis=1)


def walk_half(
    network: NetworkSettings, walk: Walk, weights: Mapping[str, tf.Tensor], half: Half
) -> list[tf.Tensor]:
    """Walk each way, layer by layer.

    Args:
        network: What the weights belong to.
        walk: That of its cell.
        weights: By the names of ``weight_names``.
        half: Tensors in place of its arrays.

    Returns:
        For each direction its last layer's states, ``(steps, units, rows)``, in the order in which it reads.
    """
    # A word's gradients have to stay apart for each place that it stands in: Keras's optimizers square them
    # one by one, not their sum. So no table of words times kernel here, and one look-up for both ways.
    words = tf.gather(weights[EMBEDDING], half.tokens)
    is_word = half.tokens[:, None, :] > 0 if network.masked else tf.ones((1, 1, 1), tf.bool)
    is_word = tf.broadcast_to(is_word, (words.shape[0], 1, words.shape[1]))
    states = _walk_ways(network, walk, weights, 1, words, is_word, half)
    for layer in range(2, network.layers + 1):
        words = _side_by_side(states, half)
        states = _walk_ways(network, walk, weights, layer, words, is_word, half)
    return states


def _walk_ways(
    network: NetworkSettings,
    walk: Walk,
    weights: Mapping[str, tf.Tensor],
    layer: int,
    words: tf.Tensor,
    is_word: tf.Tensor,
    half: Half,
) -> list[tf.Tensor]:
    """Give the states of each direction, ``(steps, units, rows)``, in the order in which it reads."""
    ways = [words, _turn_round(words, half.turned_round)] if network.bidirectional else [words]
    parts = [
        tuple(weights[f"{direction}_{layer}_{part}"] for part in OF_CELL[network.cell])
        for direction in network.directions
    ]
    return [walk(way, each, is_word, half.goes_on) for way, each in zip(ways, parts, strict=True)]


def _side_by_side(states: Sequence[tf.Tensor], half: Half) -> tf.Tensor:
    """Give what the next layer reads, ``(steps, rows, size)``: each state where its word stands."""
    forward, *backward = (tf.transpose(each, (0, 2, 1)) for each in states)
    return tf.concat([forward, *(_turn_round(each, half.turned_round) for each in backward)], axis=2)


def _turn_round(words: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Put words into other places; doing so twice changes nothing, so gradients go the same way."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def turn(values: tf.Tensor) -> tuple[tf.Tensor, object]:
        return _take(values), _take

    def _take(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.gather(tf.reshape(values, (-1, values.shape[-1])), places), words.shape)

    return turn(words)


def _sum_groups(values: tf.Tensor, half: Half) -> tf.Tensor:
    groups = half.ends.shape[0]
    return tf.math.unsorted_segment_sum(values, half.groups, groups + 1)[:groups]


def _last(_network: NetworkSettings, half: Half, states: tf.Tensor, *_rest: object) -> tf.Tensor:
    return tf.gather(states, half.ends)


def _mean(_network: NetworkSettings, half: Half, states: tf.Tensor, *_rest: object) -> tf.Tensor:
    return _sum_groups(states, half) / half.words


def _max(network: NetworkSettings, half: Half, states: tf.Tensor, *_rest: object) -> tf.Tensor:
    groups = half.ends.shape[0]
    largest = tf.math.unsorted_segment_max(states, half.groups, groups + 1)[:groups]
    return tf.maximum(largest, 0.0) if network.masked else largest


def _attention(
    _network: NetworkSettings, half: Half, states: tf.Tensor, number: int, weights: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    sums = tf.reduce_sum(states * weights["attention"][number][:, None], axis=1, keepdims=True)
    shares = tf.exp(ATTENTION_LIMIT * tf.tanh(sums))
    # Where a direction has read nothing but padding yet, its states count nothing.
    shares *= tf.cast(half.tokens[:, None, :] > 0, tf.float32)
    whole = _sum_groups(shares, half)
    return _sum_groups(shares * states, half) / tf.where(whole > 0, whole, 1.0)


_POOLINGS: dict[str, Callable[..., tf.Tensor]] = {
    "last": _last,
    "mean": _mean,
    "max": _max,
    "attention": _attention,
}
"""Each gives ``(groups, units, rows)`` of the states of one direction, whose number is given."""
