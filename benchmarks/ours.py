"""Graphs and scorers of Resenha, made of the networks that rivals are made of."""

from __future__ import annotations

from pathlib import Path

import keras
import onnx

from benchmarks.networks import Network
from pipeline.graphs.lean import export_lean
from pipeline.recipe import FULL_STORAGE, Storage
from pipeline.runtime.bundle import MODEL, Bundle
from pipeline.runtime.scorer import Scorer


def make_graph(model: keras.Model, network: Network, like: Scorer, storage: Storage = FULL_STORAGE) -> bytes:
    """Write a Keras network as a bundle would hold it, with the text rule and vocabulary of another."""
    graph = export_lean(model.get_weights(), network.settings, like.facts.text_rule.max_length, storage)
    onnx.helper.set_model_props(graph, like.facts.to_metadata(like.tokenizer.words))
    content: bytes = graph.SerializeToString()
    return content


def make_scorer(graph: bytes, *, threads: int) -> Scorer:
    """Make a scorer of a graph."""
    return Scorer(Bundle(Path("measured"), {MODEL: graph}, None), threads=threads)
