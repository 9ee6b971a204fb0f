"""Layers that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pipeline.network_shape import ATTENTION_LIMIT, HASH_FACTOR, HASH_MODULUS


class _Layer(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Keeps its settings for Keras, and hands on no mask."""

    def __init__(self, settings: dict[str, Any], options: dict[str, Any]) -> None:
        super().__init__(**options)
        self._settings = settings
        self.supports_masking = True

    def compute_mask(self, *_arguments: object, **_others: object) -> None:
        """Tell that what comes out has no steps, and so no mask."""

    def get_config(self) -> dict[str, object]:
        """Give what the layer is built from."""
        return {**super().get_config(), **self._settings}


@keras.saving.register_keras_serializable("resenha")
class MinGruCell(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """``h = (1 - z) h + z c``, with a gate ``z = sigmoid(W_z x + b_z)`` and ``c = W_c x + b_c``.

    Feng et al., *Were RNNs all we needed?*, 2024. The kernel is ``(size, 2 · units)``, in the order z, c.
    """

    def __init__(self, units: int, **options: object) -> None:
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Draw the weights; the last of the shape is the size of a word."""
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 2 * self.units))
        self.bias = self.add_weight(name="bias", shape=(2 * self.units,), initializer="zeros")

    def call(
        self, words: tf.Tensor, states: list[tf.Tensor], training: object = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Take a step, with ``(batch, size)`` and one state ``(batch, units)``."""
        gate, candidate = tf.split(tf.matmul(words, self.kernel) + self.bias, 2, axis=-1)
        state = states[0] + tf.sigmoid(gate) * (candidate - states[0])
        return state, [state]

    def get_config(self) -> dict[str, object]:
        """Give what the layer is built from."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("resenha")
class PoolingOverWords(_Layer):
    """The mean of the unmasked steps, or per unit their largest value, if it is above 0.

    Keras's own layers give no number for a row of padding alone, and take no mask, respectively.
    """

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__({"kind": kind}, options)
        self.kind = kind

    def call(self, states: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Pool float32 ``(batch, steps, units)`` over the steps where ``(batch, steps)`` is true."""
        words = tf.cast(mask, states.dtype)[:, :, None]
        if self.kind == "max":
            return tf.maximum(tf.reduce_max(states * words, axis=1), 0.0)
        return tf.reduce_sum(states * words, axis=1) / tf.maximum(tf.reduce_sum(words, axis=1), 1.0)


@keras.saving.register_keras_serializable("resenha")
class AttentionOverWords(_Layer):
    """A mean of the unmasked steps, each direction's weighted by what its states say of their importance.

    A step's weight is ``exp(10 tanh(v · h))`` with a trained ``v`` per direction; see ``ATTENTION_LIMIT``.
    """

    def __init__(self, directions: int, **options: object) -> None:
        super().__init__({"directions": directions}, options)
        self.directions = directions

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Begin with steps of equal importance; the last of the shape is the units of all directions."""
        units = (shape[-1] or 0) // self.directions
        self.importance = self.add_weight(
            name="importance", shape=(self.directions, units), initializer="zeros"
        )

    def call(self, states: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Pool float32 ``(batch, steps, directions · units)`` where the mask ``(batch, steps)`` is true."""
        ways = tf.stack(tf.split(states, self.directions, axis=-1), axis=2)
        words = tf.cast(mask, states.dtype)[:, :, None, None]
        sums = tf.reduce_sum(ways * self.importance, axis=-1, keepdims=True)
        shares = tf.exp(ATTENTION_LIMIT * tf.tanh(sums)) * words
        whole = tf.reduce_sum(shares, axis=1)
        pooled = tf.reduce_sum(shares * ways, axis=1) / tf.where(whole > 0, whole, 1.0)
        return tf.concat(tf.unstack(pooled, self.directions, axis=1), axis=-1)


@keras.saving.register_keras_serializable("resenha")
class LastStates(_Layer):
    """The state that each direction ends with: at the last step, and at the first for who reads from the end.

    Of a masked network the first step is that of the first word: Keras gives zeros for those before.
    """

    def __init__(self, directions: int, **options: object) -> None:
        super().__init__({"directions": directions}, options)
        self.directions = directions

    def call(self, states: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Take them from float32 ``(batch, steps, directions · units)``; the mask is ``(batch, steps)``."""
        forward, *backward = tf.split(states, self.directions, axis=-1)
        is_word = tf.ones(tf.shape(states)[:2]) if mask is None else mask
        first = tf.argmax(tf.cast(is_word, tf.int32), axis=1)
        return tf.concat(
            [forward[:, -1], *(tf.gather(way, first, batch_dims=1) for way in backward)], axis=-1
        )


@keras.saving.register_keras_serializable("resenha")
class HashedNgrams(_Layer):
    """The sum of what the runs of words weigh, each that of its hash; see ``NgramSettings``."""

    def __init__(self, longest: int, buckets: int, **options: object) -> None:
        super().__init__({"longest": longest, "buckets": buckets}, options)
        self.longest, self.buckets = longest, buckets

    def build(self, _shape: tuple[int | None, ...]) -> None:
        """Begin with runs that weigh nothing."""
        self.table = self.add_weight(name="table", shape=(self.buckets,), initializer="zeros")

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        """Take int32 ids ``(batch, steps)``, padded with 0 on the left; give ``(batch, 1)``."""
        turned = tf.transpose(tokens)
        goes_on = tf.ones_like(turned[:, 0])
        return tf.reduce_sum(weigh_ngrams(self.table, turned, goes_on, self.longest), axis=0)[:, None]


def weigh_ngrams(table: tf.Tensor, tokens: tf.Tensor, goes_on: tf.Tensor, longest: int) -> tf.Tensor:
    """Give what the runs weigh that end at each step.

    Args:
        table: A weight per bucket.
        tokens: Ids ``(steps, rows)``, padding before words.
        goes_on: 0 where rows begin anew, else 1; ``(steps,)``.
        longest: Words of the longest runs.

    Returns:
        Float32 ``(steps, rows)``.
    """
    word = keys = tf.cast(tokens, tf.int64)
    goes_on = tf.cast(goes_on, tf.int64)[:, None]
    found = 0.0
    for length in range(1, longest + 1):
        if length > 1:
            word = tf.concat([tf.zeros_like(word[:1]), word[:-1]], axis=0) * goes_on
            keys = (keys * HASH_FACTOR + word) % HASH_MODULUS
        found += tf.gather(table, keys % table.shape[0]) * tf.cast(word > 0, tf.float32)
    return found
