"""The text rule against Keras on real reviews, where the machine has them.

``RESENHA_TEST_DATA`` names a folder with ``imdb.npz``, ``imdb_word_index.json`` and an archive
``aclImdb*.tar.gz``.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.datasets import npz_utils

from pipeline.corpora.aclimdb import read_aclimdb
from pipeline.corpora.imdb import read_imdb
from pipeline.networks.keras_text import keras_padded_ids
from pipeline.recipe import load_recipe
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.text import HtmlBreaks, Tokenizer
from pipeline.stages.prepare import _ordered, encode_split
from tests.plain_tokenizer import encode_plainly, taken_apart

DATA = os.environ.get("RESENHA_TEST_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="RESENHA_TEST_DATA names no folder with real reviews"),
]
SEED = load_recipe("seed")


@pytest.fixture(scope="module")
def data() -> Path:
    return Path(DATA or "")


def test_ids_from_raw_text_are_keras_ids_on_every_review(data: Path) -> None:
    words = read_imdb(data / "imdb.npz", data / "imdb_word_index.json").words or []
    [archive] = data.glob("aclImdb*.tar.gz")
    corpus = read_aclimdb(archive)
    texts = [review.text for review in (*corpus.train, *corpus.test)]
    assert len(texts) >= 30_000
    tokenizer = Tokenizer(SEED.text_rule, words)
    batch = tokenizer.encode_batch(texts)
    found = pad_batch(batch, np.arange(len(texts)), width=SEED.text.max_length)
    assert (found == keras_padded_ids(texts, words, SEED.text_rule)).all()


@pytest.mark.parametrize("html_breaks", ["keep", "blank"])
def test_every_review_is_encoded_as_word_by_word(data: Path, html_breaks: HtmlBreaks) -> None:
    words = read_imdb(data / "imdb.npz", data / "imdb_word_index.json").words or []
    [archive] = data.glob("aclImdb*.tar.gz")
    with tarfile.open(archive) as members:
        texts = [
            extracted.read().decode()
            for member in members
            if re.search(r"/(pos|neg|unsup)/[^/]+\.txt$", member.name)
            and (extracted := members.extractfile(member))
        ]
    assert len(texts) >= 30_000
    rule = replace(SEED.text_rule, html_breaks=html_breaks)
    tokenizer = Tokenizer(rule, words)
    for start in range(0, len(texts), 4096):
        some = texts[start : start + 4096]
        assert taken_apart(tokenizer.encode_batch(some)) == encode_plainly(rule, words, some)


def test_the_training_arrays_are_those_of_the_notebook(data: Path) -> None:
    """``imdb.load_data(num_words=10000)`` and ``pad_sequences(maxlen=500)``, written out with Keras's parts."""
    corpus = read_imdb(data / "imdb.npz", data / "imdb_word_index.json")
    split = encode_split(
        _ordered(corpus.train, SEED.training), Tokenizer(SEED.text_rule, corpus.words or []), SEED.text_rule
    )
    arrays = npz_utils.load_npz(str(data / "imdb.npz"))
    order = np.arange(len(arrays["x_train"]))
    np.random.RandomState(113).shuffle(order)
    sequences = [
        [1, *(rank + 3 if rank + 3 < 10_000 else 2 for rank in review)] for review in arrays["x_train"][order]
    ]
    assert (split.ids == keras.utils.pad_sequences(sequences, maxlen=500)).all()
    assert (split.labels == arrays["y_train"][order]).all()
    assert split.lengths.mean() + 1 == pytest.approx(238.70, abs=0.005)
