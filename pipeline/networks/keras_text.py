"""Keras's own way from text to padded ids: what the project's text rule is held against."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.runtime.text import TextRule, blank_html_breaks

_START, _UNKNOWN, _INDEX_FROM = 1, 2, 3
"""Defaults of ``keras.datasets.imdb.load_data``, written out once more on purpose."""


def keras_padded_ids(texts: Sequence[str], words: Sequence[str], rule: TextRule) -> NDArray[np.int32]:
    """Tokenise and pad with Keras alone.

    Args:
        texts: Reviews.
        words: The vocabulary in the order of rank.
        rule: The text rule. Keras knows nothing of HTML: where the rule blanks line breaks, that
            is done first.

    Returns:
        What ``imdb.load_data(num_words=…)`` and ``pad_sequences(maxlen=…)`` would give for these
        words, shape ``(reviews, max_length)``.
    """
    ranks = {word: rank for rank, word in enumerate(words, start=1)}
    sequences = []
    for text in texts:
        prepared = blank_html_breaks(text) if rule.html_breaks == "blank" else text
        found = tf.keras.preprocessing.text.text_to_word_sequence(prepared)
        ids = (ranks.get(word, rule.num_words) + _INDEX_FROM for word in found)
        sequences.append([_START, *(each if each < rule.num_words else _UNKNOWN for each in ids)])
    padded: NDArray[np.int32] = keras.utils.pad_sequences(sequences, maxlen=rule.max_length)
    return padded
