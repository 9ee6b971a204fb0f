"""The Keras networks whose speed is compared, with drawn weights: speed does not depend on training."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.networks.recurrent import build_network
from pipeline.recipe import NetworkSettings, TextSettings, load_recipe
from pipeline.runtime.text import TextRule

EMBEDDING_SIZE = 32


@dataclass(frozen=True)
class Network:
    """A network as a recipe would have it, and what the tables call it."""

    name: str
    settings: NetworkSettings


def _network(name: str, **settings: object) -> Network:
    return Network(name, NetworkSettings.model_validate({"embedding_size": EMBEDDING_SIZE, **settings}))


MAIN = _network("SimpleRNN 32", cell="simple", units=32)
NETWORKS = (
    MAIN,
    _network("GRU 32", cell="gru", units=32),
    _network("GRU 64", cell="gru", units=64),
    _network("LSTM 32", cell="lstm", units=32),
    _network("LSTM 64", cell="lstm", units=64),
    _network("BiGRU 48", cell="gru", units=48, bidirectional=True),
    _network("minGRU 32", cell="mingru", units=32),
    _network("SimpleRNN 32, without padding", cell="simple", units=32, masked=True),
    _network("GRU 32, without padding", cell="gru", units=32, masked=True),
    _network("LSTM 32, without padding", cell="lstm", units=32, masked=True),
    _network("minGRU 32, without padding", cell="mingru", units=32, masked=True),
    _network("GRU 32, two layers", cell="gru", units=32, masked=True, layers=2),
    _network("GRU 32, attention", cell="gru", units=32, masked=True, pooling="attention"),
    Network("as recipe `small`", load_recipe("small").network),
)


def draw_network(network: Network, rule: TextRule) -> keras.Model:
    """Build a network whose scores differ from review to review, the same ones every time."""
    keras.utils.set_random_seed(1)
    text = TextSettings(num_words=rule.num_words, max_length=rule.max_length)
    model = build_network(text, network.settings)
    # Fresh Keras weights give 0.5 for everything, and a check of scores that could not fail; zero
    # biases would hide a mistake in their order.
    source = np.random.default_rng(1)
    embedding, *others = model.get_weights()
    others = [each if each.any() else source.normal(0, 0.1, each.shape) for each in others]
    model.set_weights([source.normal(0, 0.4, embedding.shape), *others])
    return model
