from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.starts import start_network
from benchmarks.state_gradients import nudged_losses, prepare_norms
from pipeline.recipe import NetworkSettings, TextSettings

TEXT = TextSettings(num_words=20, max_length=6)
STEPS, UNITS, EPSILON = 6, 3, 1e-3
IDS = np.arange(1, 1 + 2 * STEPS, dtype=np.int32).reshape(2, STEPS)
LABELS = np.array([0, 1], np.int32)


def make_model(cell: str, pooling: str) -> tf.keras.Model:
    network = NetworkSettings.model_validate(
        {"cell": cell, "embedding_size": 4, "units": UNITS, "pooling": pooling, "masked": True}
    )
    model = start_network(TEXT, network, "keras")
    # With fresh embeddings all states are near 0: which one is the largest would be for a nudge to say.
    table, *others = model.get_weights()
    model.set_weights([np.random.default_rng(2).normal(0, 1, table.shape), *others])
    return model


@pytest.mark.parametrize("cell", ["simple", "gru", "lstm", "mingru"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_norms_are_those_of_numerical_differentiation(cell: str, pooling: str) -> None:
    model = make_model(cell, pooling)
    found = prepare_norms(model, IDS, LABELS)()
    for step in range(STEPS):
        derivatives = []
        for unit in range(UNITS):
            nudge = np.zeros((STEPS, 2, UNITS), np.float32)
            nudge[step, :, unit] = EPSILON
            up, down = (nudged_losses(model, IDS, LABELS, sign * nudge).numpy() for sign in (1, -1))
            derivatives.append((up - down) / (2 * EPSILON))
        expected = np.linalg.norm(derivatives, axis=0)
        np.testing.assert_allclose(found[:, STEPS - 1 - step], expected, rtol=0.02, atol=2e-4)


@pytest.mark.parametrize("cell", ["simple", "gru", "lstm", "mingru"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_without_nudges_losses_are_the_networks_own(cell: str, pooling: str) -> None:
    model = make_model(cell, pooling)
    scores = model.predict(IDS, verbose=0)[:, 0]
    expected = -np.log(np.where(LABELS == 1, scores, 1 - scores))
    found = nudged_losses(model, IDS, LABELS, tf.zeros((STEPS, 2, UNITS))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_simple_networks_norms_are_the_products_of_its_steps() -> None:
    """By hand: d h_t / d h_{t-1} is diag(1 − h_t²) times the recurrent kernel."""
    model = make_model("simple", "last")
    table, kernel, recurrent, bias, dense, dense_bias = (
        each.astype(np.float64) for each in model.get_weights()
    )
    states = [np.zeros((2, UNITS))]
    for step in range(STEPS):
        states.append(np.tanh(table[IDS[:, step]] @ kernel + states[-1] @ recurrent + bias))
    score = 1 / (1 + np.exp(-(states[-1] @ dense + dense_bias)))
    gradient = (score - LABELS[:, None]) @ dense.T
    expected = [np.linalg.norm(gradient, axis=1)]
    for state in states[:1:-1]:
        gradient = (gradient * (1 - state**2)) @ recurrent.T
        expected.append(np.linalg.norm(gradient, axis=1))
    np.testing.assert_allclose(prepare_norms(model, IDS, LABELS)(), np.transpose(expected), rtol=1e-4)


def test_what_is_almost_nothing_is_told() -> None:
    """Its square is nothing in float32."""
    model = make_model("simple", "last")
    weights = model.get_weights()
    model.set_weights([*weights[:2], 1e-5 * weights[2], *weights[3:]])
    norms = prepare_norms(model, IDS, LABELS)()
    assert (norms[:, -1] > 0).all()
    assert (norms[:, -1] < 1e-24).all()
