"""Start weights that help or hinder a long memory, beside those that Keras draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.network_shape import weight_names
from pipeline.networks.recurrent import replace_weights
from pipeline.networks.seeds import build_seeded_network
from pipeline.recipe import NetworkSettings, TextSettings

Start = Literal["keras", "small", "no forget bias", "long memory"]
Weights = Mapping[str, NDArray[np.float32]]
_SMALL = 0.05
"""Standard deviation; it is the default of ``keras.initializers.RandomNormal``."""
_RECURRENT, _BIAS = "forward_1_recurrent", "forward_1_bias"


def start_network(
    text: TextSettings, network: NetworkSettings, start: Start, *, seed: int = 1, memory: int = 2
) -> keras.Model:
    """Build a network of one layer that reads one way, with other start weights than Keras's.

    Args:
        text: As for ``build_network``.
        network: What it is.
        start: ``keras``: all as Keras draws it: recurrent kernels orthogonal, the LSTM's forget bias 1.
            ``small``: the recurrent kernel drawn from N(0, 0.05²). ``no forget bias``: the LSTM's is 0.
            ``long memory``: gates keep a state for up to ``memory`` steps (the chrono initialization of
            Tallec and Ollivier, *Can recurrent neural networks warp time?*, 2018).
        seed: Of all that is drawn.
        memory: Steps, at least 2.
    """
    model = build_seeded_network(text, network, seed)
    if start == "keras":
        return model
    weights = dict(zip(weight_names(network), model.get_weights(), strict=True))
    source = np.random.default_rng(seed)
    if start == "small":
        others = {_RECURRENT: source.normal(0, _SMALL, weights[_RECURRENT].shape).astype(np.float32)}
    elif start == "no forget bias":
        others = {_BIAS: np.zeros_like(weights[_BIAS])}
    else:
        kept = np.log(source.uniform(1, memory - 1, network.units)).astype(np.float32)
        others = {_BIAS: _LONG_MEMORY[network.cell](weights[_BIAS], kept)}
    return replace_weights(text, network, model, others)


def _keep_gru(bias: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([bias[:, : len(kept)] + [kept, 0 * kept], bias[:, len(kept) :]], axis=1)


def _keep_lstm(bias: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([-kept, kept, bias[2 * len(kept) :]])


def _keep_mingru(bias: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([-kept, bias[len(kept) :]])


_LONG_MEMORY: dict[str, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    "gru": _keep_gru,
    "lstm": _keep_lstm,
    "mingru": _keep_mingru,
}
"""From the bias and the logits of what is kept at each step to the bias with them, gate by gate; the GRU's
gates come in the order z, r, h, the LSTM's in i, f, c, o, the minGRU's in z, c."""
