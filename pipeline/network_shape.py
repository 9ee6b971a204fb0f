"""What a network in Keras and its graph have to agree on: the names of weights, and the hash of n-grams."""

from __future__ import annotations

from pipeline.recipe import NetworkSettings

OF_CELL = {
    "simple": ("kernel", "recurrent", "bias"),
    "gru": ("kernel", "recurrent", "bias"),
    "lstm": ("kernel", "recurrent", "bias"),
    "mingru": ("kernel", "bias"),
}
"""Weights of one cell, in Keras's order."""
EMBEDDING = "embedding"
NGRAMS = "ngrams"
STORED_SMALL = (EMBEDDING, NGRAMS)
"""Weights that may be stored as small whole numbers; they are most of a bundle."""
ATTENTION_LIMIT = 10.0
"""Importance of a step is 10 · tanh of its sum: no exponential can overflow, whatever the states (the clipped
logits of Bello et al., *Neural combinatorial optimization with reinforcement learning*, 2017)."""
HASH_FACTOR, HASH_MODULUS = 1_540_483_477, 2**31 - 1
"""Hash of a run of words: that of the run without its first word times the one, plus the first word's id,
modulo the other (Karp and Rabin 1987); a product stays below 2^62. A single word's hash is its id."""


def weight_names(network: NetworkSettings) -> list[str]:
    """Name all weights in the order of ``keras.Model.get_weights``: ``embedding`` … ``dense_bias``."""
    names = [EMBEDDING]
    names += [f"{cell}_{part}" for cell in cell_names(network) for part in OF_CELL[network.cell]]
    names += ["attention"] if "attention" in network.pooling else []
    names += [NGRAMS] if network.ngrams else []
    return [*names, "dense_kernel", "dense_bias"]


def cell_names(network: NetworkSettings) -> list[str]:
    """Name the cells, ``forward_1`` …: layer by layer, the one that reads forward first."""
    return [f"{way}_{layer}" for layer in range(1, network.layers + 1) for way in network.directions]
