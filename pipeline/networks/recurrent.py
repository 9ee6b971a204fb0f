"""The recurrent network of a recipe, and how its weights are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.network_shape import weight_names
from pipeline.networks.layers import (
    AttentionOverWords,
    HashedNgrams,
    LastStates,
    MinGruCell,
    PoolingOverWords,
)
from pipeline.recipe import NetworkSettings, TextSettings

_POOLING = {"mean": keras.layers.GlobalAveragePooling1D, "max": keras.layers.GlobalMaxPooling1D}
"""Over all steps."""
_CELLS = {"simple": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
PREDICT_BATCH = 512


def build_network(text: TextSettings, network: NetworkSettings) -> keras.Model:
    """Build a recipe's network, with freshly drawn weights; ``weight_names`` names them."""
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    words = keras.layers.Embedding(text.num_words, network.embedding_size, mask_zero=network.masked)
    states = words(ids)
    is_last_alone = network.pooling == ["last"]
    for layer in range(1, network.layers + 1):
        gives_all = layer < network.layers or not is_last_alone
        states = _recurrent(network, return_sequences=gives_all)(states)
    features = [states] if is_last_alone else [_pooling(network, kind)(states) for kind in network.pooling]
    if network.ngrams:
        features.append(HashedNgrams(network.ngrams.longest, network.ngrams.buckets)(ids))
    found = keras.layers.Concatenate()(features) if len(features) > 1 else features[0]
    return keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(found))


def _recurrent(network: NetworkSettings, **options: bool) -> keras.layers.Layer:
    if network.cell == "mingru":
        layer = keras.layers.RNN(MinGruCell(network.units), **options)
    else:
        layer = _CELLS[network.cell](network.units, **options)
    return keras.layers.Bidirectional(layer) if network.bidirectional else layer


def _pooling(network: NetworkSettings, kind: str) -> keras.layers.Layer:
    if kind == "last":
        return LastStates(len(network.directions))
    if kind == "attention":
        return AttentionOverWords(len(network.directions))
    return PoolingOverWords(kind) if network.masked else _POOLING[kind]()


def predict_scores(model: keras.Model, padded: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give Keras's own probability of the positive label, shape ``(reviews,)``."""
    scores: NDArray[np.float32] = model.predict(padded, batch_size=PREDICT_BATCH, verbose=0)[:, 0]
    return scores


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights as an ``.npz`` of plain arrays: equal weights give equal bytes."""
    save_arrays({f"{number:03d}": weight for number, weight in enumerate(model.get_weights())}, path)


def save_arrays(arrays: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Write named arrays as an ``.npz``."""
    # numpy's stub takes the arrays' names for those of its own options.
    save: Callable[..., None] = np.savez
    save(path, **arrays)


def load_network(text: TextSettings, network: NetworkSettings, weights: Path) -> keras.Model:
    """Rebuild a trained network from its recipe and its weights."""
    model = build_network(text, network)
    arrays = load_arrays(weights)
    model.set_weights([arrays[name] for name in sorted(arrays)])
    return model


def load_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read what ``save_arrays`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def replace_weights(
    text: TextSettings,
    network: NetworkSettings,
    model: keras.Model,
    others: Mapping[str, NDArray[np.float32]],
) -> keras.Model:
    """Give a copy of a network in which the named weights are others."""
    copy = build_network(text, network)
    weights = dict(zip(weight_names(network), model.get_weights(), strict=True))
    copy.set_weights(list((weights | dict(others)).values()))
    return copy
