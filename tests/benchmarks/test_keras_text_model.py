from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.keras_text_model import KerasTextModel
from benchmarks.networks import NETWORKS, draw_network
from pipeline.networks.recurrent import predict_scores
from pipeline.runtime.padding import pad_batch
from tests.stand_ins import make_scorer

TEXTS = [
    "A good film!",
    "bad, dull<br />film",
    "café GOOD",
    "a b c d e f g good bad film the a dull moving not 3",
]


def test_the_layer_in_front_gives_the_ids_of_the_text_rule(tmp_path: Path) -> None:
    tokenizer = make_scorer().tokenizer
    network = draw_network(NETWORKS[0], tokenizer.rule)
    network.save(tmp_path / "network.keras")
    model = KerasTextModel(tmp_path / "network.keras", tokenizer)
    expected = pad_batch(
        tokenizer.encode_batch(TEXTS), np.arange(len(TEXTS)), width=tokenizer.rule.max_length
    )
    assert np.array_equal(model.to_padded_ids(tf.constant(TEXTS)).numpy(), expected)
    assert model.predict(TEXTS) == pytest.approx(predict_scores(network, expected), abs=1e-6)
