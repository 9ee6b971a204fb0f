"""Stand-in networks with one thing changed, for tests that want to see a fault noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import BundleError
from pipeline.runtime.bundle import MODEL, open_bundle
from pipeline.runtime.scorer import Scorer
from tests.stand_ins import WORDS, make_facts, make_model


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


def as_published(model: onnx.ModelProto, num_words: int, max_length: int) -> bytes:
    """A network as it is published for a vocabulary of so many ids, of which one is a word's."""
    facts = make_facts(max_length, WORDS[:1])
    facts = replace(facts, text_rule=replace(facts.text_rule, num_words=num_words))
    helper.set_model_props(model, facts.to_metadata(WORDS[:1]))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def refusals_beside(model: onnx.ModelProto, num_words: int, max_length: int, folder: Path) -> list[str]:
    """Why a network is refused with a vocabulary of one id fewer, its own, and one more; "" if it is not."""
    reasons = []
    for count in (num_words - 1, num_words, num_words + 1):
        (folder / MODEL).write_bytes(as_published(model, count, max_length))
        bundle = open_bundle(folder / MODEL)
        try:
            Scorer(bundle)
            reasons.append("")
        except BundleError as error:
            reasons.append(str(error))
    return reasons
