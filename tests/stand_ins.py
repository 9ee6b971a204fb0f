"""Stand-ins that take no training: a network of three operators, and a bundle around it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.runtime.bundle import (
    CARD,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    Bundle,
    FileRecord,
    Manifest,
)
from pipeline.runtime.golden_rows import write_golden
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.model_facts import FACTS_VERSION, ModelFacts
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import score_golden
from pipeline.runtime.text import TextRule

WORDS = ("good", "bad", "film", "the", "a", "dull", "moving", "br", "not", "3")
MAX_LENGTH = 8
WEIGHTS = {"good": 2.0, "moving": 1.5, "bad": -2.0, "dull": -1.5}


def make_facts(max_length: int = MAX_LENGTH, words: Sequence[str] = WORDS) -> ModelFacts:
    """Facts of the stand-in network."""
    return ModelFacts(
        facts_version=FACTS_VERSION,
        name="stand-in",
        corpus="sample",
        provenance="synthetic",
        text_rule=TextRule(num_words=len(words) + 4, max_length=max_length, html_breaks="keep"),
        threshold=0.5,
        labels=("negative", "positive"),
    )


def make_model(max_length: int = MAX_LENGTH, words: Sequence[str] = WORDS) -> bytes:
    """A graph whose score is the sigmoid of the sum of its words' weights; padding weighs nothing."""
    table = np.zeros((len(words) + 4, 1), dtype=np.float32)
    for rank, word in enumerate(words, start=1):
        table[rank + 3] = WEIGHTS.get(word, 0.0)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "token_ids"], ["weights"]),
            helper.make_node("ReduceSum", ["weights", "axes"], ["sum"], keepdims=0),
            helper.make_node("Sigmoid", ["sum"], ["score"]),
        ],
        "stand-in",
        [helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["batch", "time"])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, make_facts(max_length, words).to_metadata(tuple(words)))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def make_scorer() -> Scorer:
    """The stand-in network, ready to score."""
    return Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None))


def make_bundle(
    folder: Path,
    *,
    accuracy: float = 0.9,
    model: bytes | None = None,
    reference: Histograms | None = None,
) -> Manifest:
    """Write a whole, valid bundle of the stand-in network into a new folder."""
    content = model or make_model()
    scorer = Scorer(Bundle(folder, {MODEL: content}, None))
    golden = [score_golden(scorer, text) for text in ("a good film", "a bad, dull film", "?!")]
    files = {MODEL: content, GOLDEN: write_golden(golden), CARD: b"# stand-in\n"}
    records = {
        name: FileRecord(hashlib.sha256(value).hexdigest(), len(value)) for name, value in files.items()
    }
    operators = {node.op_type: 1 for node in onnx.load_from_string(content).graph.node}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        recipe={"name": "stand-in"},
        corpus={"name": "sample", "provenance": "synthetic", "test_sha256": "0" * 64},
        packages={},
        metrics={
            "accuracy": accuracy,
            "accuracy_interval": [accuracy - 0.01, accuracy + 0.01],
            "reviews": 100,
        },
        gates=[{"name": "scores", "passed": True, "figure": 0.0, "limit": "at most 5e-05", "message": ""}],
        parity={"largest": 0.0, "labels_changed": 0},
        graph={"form": "float32", "operators": operators, "opset": 17, "bytes": len(content), "refused": {}},
        reference=(reference or Histograms()).to_record(),
        files=records,
    ).sealed()
    folder.mkdir(parents=True)
    for name, value in {**files, MANIFEST: manifest.to_bytes()}.items():
        (folder / name).write_bytes(value)
    return manifest
