"""Steps of training that tell how long they took: the project's, and those of the plain Keras layers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.network_shape import EMBEDDING, weight_names
from pipeline.networks.fitting import Arrays, Fitting
from pipeline.networks.fused import make_walk
from pipeline.networks.optimizers import Optimizer
from pipeline.networks.packing import Half, PackedBatch, pack_batch
from pipeline.networks.recurrent import build_network
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

Work = Callable[[], float]
"""Takes some steps, and gives the seconds of one: their median, as now and then one is compiled anew."""
WHOLE, WALK, BARE, STEP = "whole", "walk", "bare walk", "optimizer"
"""A whole step; the recurrent layer there and back; the same for words of one number each, which leaves
hardly anything to multiply with the input kernel; the optimizer, with the sum of a word's gradients."""
_REPEATS = 5


def prepare_ours(
    text: TextSettings, network: NetworkSettings, training: TrainingSettings, arrays: Arrays
) -> Work:
    """Give an epoch of the project's own training over at least two batches."""
    fitting = Fitting(network, training, build_network(text, network))
    few = arrays[0][:1], arrays[1][:1]

    def run() -> float:
        ends: list[float] = []
        fitting.run_epoch(arrays, few, lambda _loss: ends.append(time.perf_counter()))
        # The last one is of the row that is judged, and the first step has no beginning.
        return float(statistics.median(np.diff(ends[:-1])))

    return run


def prepare_plain(
    text: TextSettings, network: NetworkSettings, training: TrainingSettings, arrays: Arrays
) -> Work:
    """Give an epoch of the plain Keras layers, as ``compile`` sets them up by itself."""
    model = _compiled(text, network, training)
    size = training.batch_size
    batches = [
        (arrays[0][start : start + size], arrays[1][start : start + size])
        for start in range(0, len(arrays[1]), size)
    ]

    def run() -> float:
        return statistics.median(_seconds(model.train_on_batch, *batch) for batch in batches)

    return run


def prepare_parts_of_ours(
    text: TextSettings, network: NetworkSettings, training: TrainingSettings, arrays: Arrays
) -> dict[str, Work]:
    """Give a whole step of the project's training, and its parts compiled for themselves."""
    model = build_network(text, network)
    batch = _ordinary_batch(network, training, arrays)
    places = sum(half.tokens.size for half in batch.halves)
    tokens = np.concatenate([half.tokens.ravel() for half in batch.halves])
    weights = [each.value for each in model.trainable_variables]
    optimizer, rate = Optimizer(training.optimizer, weights), tf.constant(training.learning_rate)
    gradients = _made_up_gradients(weights, tokens, places)
    return {
        WHOLE: prepare_ours(text, network, training, arrays),
        WALK: _repeated(_walk_of_ours(network, model, batch, network.embedding_size)),
        BARE: _repeated(_walk_of_ours(network, model, batch, 1)),
        STEP: _repeated(tf.function(lambda: optimizer.apply(gradients, rate))),
    }


def prepare_parts_of_plain(
    text: TextSettings, network: NetworkSettings, training: TrainingSettings, arrays: Arrays
) -> dict[str, Work]:
    """Give the same of the plain Keras layers."""
    model = _compiled(text, network, training)
    ids = arrays[0][: training.batch_size]
    weights = [each.value for each in model.trainable_variables]
    gradients = _made_up_gradients(weights, ids.ravel(), ids.size)
    optimizer = _optimizer(training)
    optimizer.build(model.trainable_variables)
    return {
        WHOLE: prepare_plain(text, network, training, arrays),
        WALK: _repeated(_walk_of_plain(network, model, ids, network.embedding_size)),
        BARE: _repeated(_walk_of_plain(network, model, ids, 1)),
        STEP: _repeated(tf.function(lambda: optimizer.apply(gradients), jit_compile=model.jit_compile)),
    }


def _optimizer(training: TrainingSettings) -> Any:
    options = {"learning_rate": training.learning_rate, "global_clipnorm": training.clip_norm}
    return keras.optimizers.get({"class_name": training.optimizer, "config": options})


def _compiled(text: TextSettings, network: NetworkSettings, training: TrainingSettings) -> keras.Model:
    model = build_network(text, network)
    model.compile(_optimizer(training), "binary_crossentropy", metrics=["accuracy"])
    return model


def _ordinary_batch(network: NetworkSettings, training: TrainingSettings, arrays: Arrays) -> PackedBatch:
    """Pack the batch whose number of steps is in the middle."""
    size = training.batch_size
    packed = [
        pack_batch(arrays[0][start : start + size], network, size)
        for start in range(0, len(arrays[1]) - size + 1, size)
    ]
    return sorted(packed, key=lambda each: len(each.halves[0].tokens))[len(packed) // 2]


def _made_up_gradients(weights: list[tf.Variable], tokens: NDArray[np.int32], places: int) -> list[Any]:
    source = np.random.default_rng(1)
    of_words = source.normal(0, 1e-3, (places, weights[0].shape[1])).astype(np.float32)
    table = tf.IndexedSlices(tf.constant(of_words), tf.constant(tokens), tf.constant(weights[0].shape))
    others = [source.normal(0, 1e-3, each.shape).astype(np.float32) for each in weights[1:]]
    return [table, *map(tf.constant, others)]


def _walk_of_ours(
    network: NetworkSettings, model: keras.Model, batch: PackedBatch, size: int
) -> Callable[[], object]:
    walk, source = make_walk(network.cell), np.random.default_rng(1)
    named = dict(zip(weight_names(network), model.get_weights(), strict=True))
    of_words, *others = (named[name] for name in named if name.startswith("forward_1_"))
    weights = [tf.Variable(each) for each in (of_words[:size], *others)]
    vectors = named[EMBEDDING][:, :size]
    words = [tf.constant(vectors[half.tokens]) for half in batch.halves]
    shapes = [(len(half.tokens), network.units, half.tokens.shape[1]) for half in batch.halves]
    found = [tf.constant(source.normal(0, 1e-3, shape), "float32") for shape in shapes]

    def states_of(half: Half, given: tf.Tensor) -> tf.Tensor:
        is_word = half.tokens[:, None, :] > 0 if network.masked else np.ones(half.tokens[:, None].shape, bool)
        return walk(given, tuple(weights), tf.constant(is_word), tf.constant(half.goes_on))

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def there_and_back(given: list[tf.Tensor]) -> object:
        with tf.GradientTape() as tape:
            tape.watch(given)
            states = [states_of(half, each) for half, each in zip(batch.halves, given, strict=True)]
        return tape.gradient(states, [*given, *weights], output_gradients=found)

    return lambda: there_and_back(words)


def _walk_of_plain(
    network: NetworkSettings, model: keras.Model, ids: NDArray[np.int32], size: int
) -> Callable[[], object]:
    source, trained = np.random.default_rng(1), model.layers[2]
    layer = type(trained).from_config(trained.get_config())
    words = tf.constant(model.get_weights()[0][ids][:, :, :size])
    mask = tf.constant(ids > 0) if network.masked else None
    layer(words, mask=mask)
    found = tf.constant(source.normal(0, 1e-3, (len(ids), network.units)), "float32")

    @tf.function(jit_compile=model.jit_compile)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def there_and_back(given: tf.Tensor) -> object:
        with tf.GradientTape() as tape:
            tape.watch(given)
            state = layer(given, mask=mask)
        weights = [each.value for each in layer.trainable_variables]
        return tape.gradient(state, [given, *weights], output_gradients=found)

    return lambda: there_and_back(words)


def _repeated(call: Callable[[], object]) -> Work:
    return lambda: statistics.median(_seconds_of(call))


def _seconds_of(call: Callable[[], object]) -> Iterator[float]:
    for _ in range(_REPEATS):
        yield _seconds(call)


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started
