"""Stand-in networks with one thing changed, for tests that want to see a fault noticed."""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from tests.stand_ins import WORDS, make_model


def model_with_weight(word: str, weight: float) -> bytes:
    """The stand-in network with another weight for one word."""
    model = onnx.load_from_string(make_model())
    table = numpy_helper.to_array(model.graph.initializer[0]).copy()
    table[WORDS.index(word) + 4] = weight
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def model_with_table_rows(rows: int) -> bytes:
    """The stand-in network with a table cut to its first rows."""
    model = onnx.load_from_string(make_model())
    table = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table[:rows].copy(), "table"))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def model_with_metadata(metadata: dict[str, str]) -> bytes:
    """The stand-in network with other metadata."""
    model = onnx.load_from_string(make_model())
    del model.metadata_props[:]
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
