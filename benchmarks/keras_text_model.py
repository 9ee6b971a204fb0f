"""A Keras network that takes text: Keras's own ``TextVectorization`` layer with our vocabulary in front."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.runtime.text import KERAS_FILTERS, START_ID, Tokenizer

KERAS_BATCH = 512
"""Quicker than the default 32."""


class KerasTextModel:
    """A trained network behind a ``TextVectorization`` layer.

    Args:
        network: The network as Keras saved it.
        tokenizer: Whose words and rule it was trained with; line breaks of HTML are kept.
    """

    def __init__(self, network: Path, tokenizer: Tokenizer) -> None:
        self._model = keras.models.load_model(network)
        self._max_length = tokenizer.rule.max_length
        self._layer = keras.layers.TextVectorization(
            standardize=_standardize, split=_split, ragged=True, vocabulary=list(tokenizer.words)
        )

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give the probability of the positive label per text."""
        data = tf.data.Dataset.from_tensor_slices(list(texts)).batch(KERAS_BATCH)
        padded = data.map(self.to_padded_ids, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
        scores: NDArray[np.float32] = self._model.predict(padded, verbose=0)[:, 0]
        return scores

    def to_padded_ids(self, texts: tf.Tensor) -> tf.Tensor:
        """Give int32 ids, padded on the left; the layer's own are 1 for unknown words, else rank + 1."""
        found = tf.cast(self._layer(texts), tf.int32)
        ids = found + 1 + tf.cast(found > 1, tf.int32)
        started = tf.concat([tf.fill([tf.shape(texts)[0], 1], START_ID), ids], axis=1)
        # Ragged rows are padded on the right; turned round, that is the left.
        backwards = started[:, -self._max_length :][:, ::-1].to_tensor(shape=[None, self._max_length])
        return tf.reverse(backwards, [1])


def _standardize(texts: tf.Tensor) -> tf.Tensor:
    lower = tf.strings.lower(texts, encoding="utf-8")
    return tf.strings.regex_replace(lower, f"[{re.escape(KERAS_FILTERS)}]", " ")


def _split(texts: tf.Tensor) -> tf.RaggedTensor:
    return tf.strings.split(texts)
