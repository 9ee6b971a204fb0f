from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.starts import Start, start_network
from pipeline.network_shape import weight_names
from pipeline.recipe import NetworkSettings, TextSettings

TEXT = TextSettings(num_words=20, max_length=6)
UNITS = 32


def weights(cell: str, start: Start, **options: Any) -> dict[str, np.ndarray]:
    network = NetworkSettings.model_validate(
        {"cell": cell, "embedding_size": 4, "units": UNITS, "masked": True}
    )
    model = start_network(TEXT, network, start, **options)
    return dict(zip(weight_names(network), model.get_weights(), strict=True))


def states_after(cell: str, start: Start, steps: int, **options: Any) -> np.ndarray:
    """Of a state of ones (the LSTM's own one), what is left after steps whose words say nothing."""
    bias = weights(cell, start, **options)["forward_1_bias"]
    sums = bias[0] if bias.ndim == 2 else bias
    kept: np.ndarray = {"gru": sums[:UNITS], "lstm": sums[UNITS : 2 * UNITS], "mingru": -sums[:UNITS]}[cell]
    left: np.ndarray = np.exp(-steps * np.log1p(np.exp(-kept)))
    return left


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_a_long_memory_keeps_more(cell: str) -> None:
    plain, long = states_after(cell, "keras", 100), states_after(cell, "long memory", 100, memory=200)
    assert plain.max() < 1e-10
    assert np.median(long) > 0.1
    # Half-lives of all lengths up to the one asked for.
    kept = states_after(cell, "long memory", 1, memory=200)
    assert kept.min() < 0.99
    assert 0.99 < kept.max() <= 199 / 200


def test_other_weights_are_those_that_keras_draws() -> None:
    plain = weights("lstm", "keras")
    for start, changed in (("small", "recurrent"), ("no forget bias", "bias"), ("long memory", "bias")):
        found = weights("lstm", start)  # type: ignore[arg-type]  # each is one
        differing = [name for name in plain if (plain[name] != found[name]).any()]
        assert differing == [f"forward_1_{changed}"]


def test_recurrent_kernels_are_orthogonal_or_small() -> None:
    orthogonal, small = (weights("simple", start)["forward_1_recurrent"] for start in ("keras", "small"))
    np.testing.assert_allclose(orthogonal.T @ orthogonal, np.eye(UNITS), atol=1e-5)
    assert np.abs(np.linalg.eigvals(small)).max() < 0.5


def test_the_forget_bias_is_1_unless_it_is_taken_away() -> None:
    plain, without = (weights("lstm", start)["forward_1_bias"] for start in ("keras", "no forget bias"))
    assert plain.tolist() == [0.0] * UNITS + [1.0] * UNITS + [0.0] * 2 * UNITS
    assert not without.any()
