"""Stand-in networks with one thing changed, for tests that want to see a fault noticed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.stand_ins import WORDS, make_model


def altered(change: Callable[[onnx.ModelProto], object], model: bytes | None = None) -> bytes:
    """A network, the stand-in one where none is given, after a change."""
    graph = onnx.load_from_string(model or make_model())
    change(graph)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def model_with_weight(word: str, weight: float) -> bytes:
    """The stand-in network with another weight for one word."""

    def change(model: onnx.ModelProto) -> None:
        table = numpy_helper.to_array(model.graph.initializer[0]).copy()
        table[WORDS.index(word) + 4] = weight
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))

    return altered(change)


def model_with_table_rows(rows: int) -> bytes:
    """The stand-in network with a table cut to its first rows, or with rows of nothing added."""

    def change(model: onnx.ModelProto) -> None:
        table = numpy_helper.to_array(model.graph.initializer[0])
        other = np.zeros((rows, 1), np.float32)
        other[: len(table)] = table[:rows]
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(other, "table"))

    return altered(change)


def model_with_metadata(metadata: dict[str, str]) -> bytes:
    """The stand-in network with other metadata."""

    def change(model: onnx.ModelProto) -> None:
        del model.metadata_props[:]
        helper.set_model_props(model, metadata)

    return altered(change)
