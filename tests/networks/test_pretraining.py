from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.network_shape import weight_names
from pipeline.networks.pretraining import _stretch, pretrain
from pipeline.networks.seeds import build_seeded_network
from pipeline.recipe import NetworkSettings, PretrainingSettings, TextSettings, TrainingSettings

WORDS, LENGTH = 43, 40
TEXT = TextSettings(num_words=WORDS, max_length=LENGTH)
TRAINING = TrainingSettings(optimizer="adam", epochs=1, batch_size=16, validation_split=0.2, seed=5)


def counting_texts(many: int) -> NDArray[np.int32]:
    """Each word is the one after the word before it, round and round; only the first one is chance."""
    source = np.random.default_rng(1)
    ids = 3 + (source.integers(0, WORDS - 3, (many, 1)) + np.arange(LENGTH)) % (WORDS - 3)
    ids[:, 0] = 1
    ids[np.arange(LENGTH) < source.integers(0, LENGTH // 2, (many, 1))] = 0
    return ids.astype(np.int32)


def learn(
    ids: NDArray[np.int32], *, epochs: int = 1, **settings: Any
) -> tuple[dict[str, NDArray[np.float32]], list[float]]:
    network = NetworkSettings.model_validate(
        {"cell": "gru", "embedding_size": 8, "units": 16, "masked": True, **settings}
    )
    surprises: list[float] = []
    pretraining = PretrainingSettings(learning_rate=0.02, epochs=epochs)
    learnt = pretrain(TEXT, network, pretraining, TRAINING, ids, after_batch=surprises.append)
    drawn = build_seeded_network(TEXT, network, TRAINING.seed).get_weights()
    for name, before in zip(weight_names(network), drawn, strict=True):
        assert (name in learnt) == (name == "embedding" or "_1_" in name)
        assert name not in learnt or (learnt[name] != before).any()
    return learnt, surprises


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="gru"),
        pytest.param({"cell": "lstm", "bidirectional": True, "layers": 2}, id="two layers both ways"),
        pytest.param({"cell": "mingru", "bidirectional": True}, id="mingru both ways"),
        pytest.param({"cell": "simple", "masked": False}, id="over padding"),
    ],
)
def test_the_next_words_are_foretold(settings: dict[str, Any]) -> None:
    _, surprises = learn(counting_texts(3_200), **settings)
    by_chance = math.log(WORDS - 3)
    assert surprises[0] == pytest.approx(by_chance, rel=0.2)
    # A state tells which four words come next, not in which order.
    assert math.log(4) - 0.05 < np.mean(surprises[-10:]) < 0.6 * by_chance


def test_what_cannot_be_foretold_is_not() -> None:
    ids = np.random.default_rng(2).integers(3, WORDS, (3_200, LENGTH), dtype=np.int32)
    _, surprises = learn(ids)
    assert np.mean(surprises[-10:]) == pytest.approx(math.log(WORDS - 3), rel=0.03)


def test_every_epoch_reads_all_texts_once_more() -> None:
    ids = counting_texts(70)
    once, twice = (learn(ids, epochs=epochs)[1] for epochs in (1, 2))
    assert (len(once), len(twice)) == (5, 10)
    assert np.mean(twice[5:]) < np.mean(twice[:5])


def test_equal_arguments_give_equal_weights() -> None:
    ids = counting_texts(64)
    for one, other in zip(*(learn(ids)[0].values() for _ in range(2)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stretch_stands_together_and_stays_padded_on_the_left() -> None:
    ids = np.zeros((300, 400), np.int32)
    for row, length in enumerate(range(1, 301)):
        ids[row, 400 - length :] = np.arange(1, length + 1)
    stretch = _stretch(ids, np.random.default_rng(3))
    assert stretch.shape == (300, 128)
    for row, length in zip(stretch, range(1, 301), strict=True):
        words = row[row > 0]
        assert len(words) == min(length, 128)
        assert (row[: 128 - len(words)] == 0).all()
        assert (np.diff(words) == 1).all()
    assert len({row[-1] - row[0] for row in stretch[200:]}) == 1
    assert len({400 - int(row[-1]) for row in stretch[200:]}) > 20
