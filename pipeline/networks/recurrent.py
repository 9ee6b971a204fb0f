"""The recurrent network of a recipe, and how its weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.recipe import NetworkSettings, TextSettings

_POOLING = {"mean": keras.layers.GlobalAveragePooling1D, "max": keras.layers.GlobalMaxPooling1D}
"""Over all steps."""
_CELLS = {"simple": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
PREDICT_BATCH = 512


def build_network(text: TextSettings, network: NetworkSettings) -> keras.Model:
    """Build embedding → recurrent cell → pooling → one sigmoid, with freshly drawn weights."""
    returns = {"return_sequences": network.pooling != "last"}
    if network.cell == "mingru":
        recurrent = keras.layers.RNN(MinGruCell(network.units), **returns)
    else:
        recurrent = _CELLS[network.cell](network.units, **returns)
    pooling = []
    if network.pooling != "last":
        pooling = [PoolingOverWords(network.pooling) if network.masked else _POOLING[network.pooling]()]
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="token_ids"),
            keras.layers.Embedding(text.num_words, network.embedding_size, mask_zero=network.masked),
            keras.layers.Bidirectional(recurrent) if network.bidirectional else recurrent,
            *pooling,
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


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
class PoolingOverWords(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """The mean of the unmasked steps, or per unit their largest value, if it is above 0.

    Keras's own layers give no number for a row of padding alone, and take no mask, respectively.
    """

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__(**options)
        self.kind = kind
        self.supports_masking = True

    def compute_mask(self, states: tf.Tensor, mask: tf.Tensor | None = None) -> None:
        """Tell that what comes out has no steps, and so no mask."""

    def call(self, states: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Pool float32 ``(batch, steps, units)`` over the steps where ``(batch, steps)`` is true."""
        words = tf.cast(mask, states.dtype)[:, :, None]
        if self.kind == "max":
            return tf.maximum(tf.reduce_max(states * words, axis=1), 0.0)
        return tf.reduce_sum(states * words, axis=1) / tf.maximum(tf.reduce_sum(words, axis=1), 1.0)

    def get_config(self) -> dict[str, object]:
        """Give what the layer is built from."""
        return {**super().get_config(), "kind": self.kind}


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
