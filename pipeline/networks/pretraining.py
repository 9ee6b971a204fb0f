"""A language model as a start: what a network's first layer learns from texts without labels.

From its states both directions foretell the words that come next in their order (Dai and Le, *Semi-supervised
sequence learning*, 2015, and Howard and Ruder 2018 on what that is worth to a classifier). A word's chance is
``softmax(p · e + log f)``, with the projected state p, the word's own vector e and its frequency f; the sum
over all words is estimated from some hundred that a whole batch shares (sampled softmax: Jean et al., *On
using very large target vocabulary*, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.network_shape import EMBEDDING, weight_names
from pipeline.networks.fused import make_walk, walk_half
from pipeline.networks.optimizers import Optimizer, triangle
from pipeline.networks.packing import Half, PackedBatch, pack_batch
from pipeline.networks.seeds import build_seeded_network
from pipeline.recipe import NetworkSettings, PretrainingSettings, TextSettings, TrainingSettings
from pipeline.runtime.text import UNKNOWN_ID
from pipeline.word_vectors import learn_word_vectors

_STRETCH = 128
"""Words of a review that are read in one go: a stretch of it, drawn anew."""
_NEXT = 4
"""Words that each state foretells."""
_STRIDE = 2
"""Of so many states one foretells: neighbours would say the same."""
_SAMPLED = 256
_SMOOTHING = 0.75
"""Power of the frequencies that words are sampled by (Mikolov et al. 2013)."""
_FREQUENT = 1e-3
"""A word more frequent than this share counts for less, by the root of the quotient (the same)."""


class _Frequencies(NamedTuple):
    """Of each id; what is no word has none."""

    log: NDArray[np.float32]
    """Logarithm of the share of all words."""
    importance: NDArray[np.float32]
    sampled: NDArray[np.float64]
    """Chance to be sampled."""
    log_sampled: NDArray[np.float32]
    """Logarithm of the share over how often it is sampled: it makes an estimate of the sum over all words."""


def pretrain(
    text: TextSettings,
    network: NetworkSettings,
    pretraining: PretrainingSettings,
    training: TrainingSettings,
    ids: NDArray[np.int32],
    *,
    after_batch: Callable[[float], None],
) -> dict[str, NDArray[np.float32]]:
    """Read the reviews; the same arguments give the same weights on the same machine.

    Args:
        text: Number of words.
        network: Whose embedding and first layer learn.
        pretraining: How.
        training: Size of a batch, and seed.
        ids: Padded token ids, ``(reviews, max_length)``.
        after_batch: Is given the mean surprise of each batch's words, in nats.

    Returns:
        What they have learnt, by the names of ``weight_names``.
    """
    weights = build_seeded_network(text, network, training.seed).get_weights()
    first_layer = network.model_copy(update={"layers": 1})
    named = dict(zip(weight_names(network), weights, strict=True))
    learnt = {
        name: tf.Variable(named[name])
        for name in named
        if name == EMBEDDING or name.partition("_")[2].startswith("1_")
    }
    vectors = learn_word_vectors(ids, text.num_words, network.embedding_size, window=pretraining.window)
    learnt[EMBEDDING].assign(
        np.where(np.abs(vectors).sum(axis=1, keepdims=True) > 0, vectors, named[EMBEDDING])
    )
    model = _LanguageModel(first_layer, learnt, _count(ids, text.num_words), training.seed)
    draws = np.random.default_rng((training.seed, 0, 2))
    size = training.batch_size
    batches = [
        order[start : start + size]
        for order in (draws.permutation(len(ids)) for _ in range(pretraining.epochs))
        for start in range(0, len(order), size)
    ]
    for number, rows in enumerate(batches):
        rate = pretraining.learning_rate * triangle((number + 0.5) / len(batches))
        stretch = _stretch(ids[rows], draws)
        after_batch(model.learn(pack_batch(stretch, first_layer, size), draws, rate))
    return {name: each.numpy() for name, each in learnt.items()}


def _stretch(ids: NDArray[np.int32], draws: np.random.Generator) -> NDArray[np.int32]:
    """Take some words of each review that stand together, padded on the left as the review is."""
    width = min(_STRETCH, ids.shape[1])
    spare = np.maximum(np.count_nonzero(ids, axis=1) - width, 0)
    ends = ids.shape[1] - draws.integers(0, spare + 1)
    return np.take_along_axis(ids, ends[:, None] - width + np.arange(width), axis=1)


def _count(ids: NDArray[np.int32], num_words: int) -> _Frequencies:
    counts = np.bincount(ids.ravel(), minlength=num_words).astype(np.float64)
    counts[: UNKNOWN_ID + 1] = 0
    shares = np.maximum(counts / max(counts.sum(), 1.0), 1e-8)
    importance = np.where(counts > 0, np.minimum(1, np.sqrt(_FREQUENT / shares)), 0)
    chances = counts**_SMOOTHING
    chances /= max(chances.sum(), 1.0)
    log = np.log(shares)
    log_sampled = log - np.log(np.maximum(_SAMPLED * chances, 1e-12))
    return _Frequencies(
        log.astype(np.float32), importance.astype(np.float32), chances, log_sampled.astype(np.float32)
    )


class _LanguageModel:
    """Foretells words from the states of each direction."""

    def __init__(
        self,
        network: NetworkSettings,
        weights: Mapping[str, tf.Variable],
        frequencies: _Frequencies,
        seed: int,
    ) -> None:
        self._network, self._weights, self._frequencies = network, weights, frequencies
        draw = keras.initializers.GlorotUniform(seed)
        shape = (network.units, network.embedding_size)
        self._projections = [tf.Variable(draw(shape)) for _ in network.directions]
        self._learning = [*weights.values(), *self._projections]
        self._optimizer = Optimizer("adam", self._learning)
        self._walk = make_walk(network.cell)
        self._step = tf.function(self._learn_from_batch)

    def learn(self, batch: PackedBatch, draws: np.random.Generator, rate: float) -> float:
        """Take a step; gives the mean surprise of a word."""
        chances = self._frequencies.sampled
        sampled = draws.choice(len(chances), _SAMPLED, p=chances).astype(np.int32)
        turn = np.int32(draws.integers(_STRIDE))
        return float(self._step(batch, sampled, turn, np.float32(rate)))

    def _learn_from_batch(
        self, batch: PackedBatch, sampled: tf.Tensor, turn: tf.Tensor, rate: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = [self._surprise(half, sampled, turn) for half in batch.halves]
            surprise, words = (tf.add_n(each) for each in zip(*found, strict=True))
            loss = surprise / tf.maximum(words, 1.0)
        self._optimizer.apply(tape.gradient(loss, self._learning), rate)
        return loss

    def _surprise(self, half: Half, sampled: tf.Tensor, turn: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Give the surprise at all words that are foretold, and their number; both weighed by importance."""
        surprise, words = tf.constant(0.0), tf.constant(0.0)
        states = walk_half(self._network, self._walk, self._weights, half)
        orders = [half.tokens]
        if self._network.bidirectional:
            turned = tf.gather(tf.reshape(half.tokens, (-1,)), half.turned_round)
            orders.append(tf.reshape(turned, half.tokens.shape))
        for way, tokens, projection in zip(states, orders, self._projections, strict=True):
            more, many = self._surprise_of_way(way, tokens, half.groups, projection, sampled, turn)
            surprise, words = surprise + more, words + many
        return surprise, words

    def _surprise_of_way(
        self,
        states: tf.Tensor,
        tokens: tf.Tensor,
        groups: tf.Tensor,
        projection: tf.Tensor,
        sampled: tf.Tensor,
        turn: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        embedding, frequencies = self._weights[EMBEDDING], self._frequencies
        told = tf.matmul(tf.transpose(_every(states, turn), (0, 2, 1)), projection)
        chances = tf.matmul(told, tf.gather(embedding, sampled), transpose_b=True)
        others = tf.reduce_logsumexp(chances + tf.gather(frequencies.log_sampled, sampled), axis=-1)
        surprise, words = tf.constant(0.0), tf.constant(0.0)
        has_read, group = _every(tokens, turn) > 0, _every(groups, turn)
        for distance in range(1, _NEXT + 1):
            word = _every(_later(tokens, distance), turn)
            is_same_text = (_every(_later(groups, distance), turn) == group)[:, None] & has_read
            importance = tf.gather(frequencies.importance, word) * tf.cast(is_same_text, tf.float32)
            own = tf.reduce_sum(told * tf.gather(embedding, word), axis=-1) + tf.gather(frequencies.log, word)
            surprise += tf.reduce_sum(importance * tf.nn.softplus(others - own))
            words += tf.reduce_sum(importance)
        return surprise, words


def _every(values: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Take of every ``_STRIDE`` steps the one whose turn it is."""
    return tf.gather(values, tf.range(values.shape[0] // _STRIDE) * _STRIDE + turn)


def _later(values: tf.Tensor, distance: int) -> tf.Tensor:
    """Give what stands so many steps later, and in the end nothing."""
    return tf.concat([values[distance:], tf.zeros_like(values[:distance])], axis=0)
