from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.metrics import calibration_error
from pipeline.networks.calibration import calibrate, fit_platt
from pipeline.networks.recurrent import build_network, predict_scores
from pipeline.recipe import NetworkSettings, TextSettings


def drawn(stretch: float, shift: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose logits, stretched and shifted, are those of the labels."""
    source = np.random.default_rng(1)
    logits = source.normal(0, 2, rows)
    labels = source.random(rows) < 1 / (1 + np.exp(-(stretch * logits + shift)))
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels.astype(np.int32)


@pytest.mark.parametrize(("stretch", "shift"), [(1.0, 0.0), (0.4, 0.5), (2.5, -1.0), (-0.7, 0.2)])
def test_stretch_and_shift_are_found(stretch: float, shift: float) -> None:
    found = fit_platt(*drawn(stretch, shift))
    assert found == pytest.approx((stretch, shift), abs=0.08)


def test_scores_of_0_and_1_have_an_end() -> None:
    scores, labels = drawn(1.0, 0.0, 200)
    found = fit_platt(np.round(scores), labels)
    assert np.isfinite(found).all()
    assert 0 < found[0] < 1


def make_network(sign: float) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """A network that is far too sure of itself; with the sign −1, of the contrary."""
    keras.utils.set_random_seed(4)
    text = TextSettings(num_words=50, max_length=6)
    model = build_network(text, NetworkSettings(cell="gru", embedding_size=4, units=4))
    *others, kernel, _ = model.get_weights()
    model.set_weights([each * 3 for each in others] + [kernel * 20, np.array([1.0], np.float32)])
    source = np.random.default_rng(2)
    ids = source.integers(0, 50, (4_000, 6), dtype=np.int32)
    scores = predict_scores(model, ids).astype(np.float64)
    truth = 1 / (1 + ((1 - scores) / scores) ** (0.25 * sign))
    return model, ids, (source.random(len(ids)) < truth).astype(np.int32)


def test_a_network_becomes_calibrated_and_keeps_its_order() -> None:
    model, ids, labels = make_network(1.0)
    before = predict_scores(model, ids)
    assert calibration_error(before, labels) > 0.05
    calibrate(model, ids, labels)
    after = predict_scores(model, ids)
    assert calibration_error(after, labels) < 0.02
    order = np.argsort(before)
    assert (np.diff(after[order]) >= -1e-6).all()


def test_an_inverted_network_stays_inverted() -> None:
    model, ids, labels = make_network(-1.0)
    before = model.get_weights()
    calibrate(model, ids, labels)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scores_that_are_no_numbers_are_left_to_the_gate() -> None:
    model, ids, labels = make_network(1.0)
    model.set_weights([each * np.nan for each in model.get_weights()])
    calibrate(model, ids, labels)
    assert np.isnan(model.get_weights()[-1]).all()
