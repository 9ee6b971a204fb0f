from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.training_steps import (
    BARE,
    STEP,
    WALK,
    WHOLE,
    prepare_parts_of_ours,
    prepare_parts_of_plain,
)
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

TEXT = TextSettings(num_words=20, max_length=6)
TRAINING = TrainingSettings(optimizer="rmsprop", epochs=1, batch_size=4, validation_split=0.2, seed=1)


@pytest.mark.parametrize(
    ("cell", "masked"), [("simple", False), ("gru", True)], ids=["over padding", "without padding"]
)
def test_all_parts_of_a_step_take_time_in_both_ways(cell: str, masked: bool) -> None:
    network = NetworkSettings.model_validate(
        {"cell": cell, "embedding_size": 3, "units": 2, "masked": masked}
    )
    source = np.random.default_rng(1)
    arrays = source.integers(0, 20, (12, 6), dtype=np.int32), source.integers(0, 2, 12, dtype=np.int32)
    arrays[0].sort(axis=1)
    for prepare, name in product((prepare_parts_of_ours, prepare_parts_of_plain), (WHOLE, WALK, BARE, STEP)):
        works = prepare(TEXT, network, TRAINING, arrays)
        assert set(works) == {WHOLE, WALK, BARE, STEP}
        assert 0 < works[name]() < 60
