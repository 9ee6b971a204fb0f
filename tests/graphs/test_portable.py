from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.errors import BundleError
from pipeline.graphs.canonical import canonicalise
from pipeline.graphs.checks import ALLOWED_OPERATORS, check_graph, float_weights
from pipeline.graphs.portable import export_portable
from pipeline.networks.recurrent import build_network, predict_scores
from pipeline.recipe import NetworkSettings, TextSettings
from pipeline.runtime.scorer import open_session
from tests.runtime.altered_models import refusals_beside
from tests.stand_ins import make_model

LENGTH = 6
TEXT = TextSettings(num_words=20, max_length=LENGTH)
CELLS = ("simple", "gru", "lstm", "mingru")
IDS = np.array(
    [[0, 0, 0, 1, 4, 5], [1, 6, 7, 8, 9, 19], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2]], dtype=np.int32
)


LARGER = {
    "layers": 2,
    "bidirectional": True,
    "pooling": ["last", "attention", "mean", "max"],
    "ngrams": {"longest": 3, "buckets": 64},
}


def build(cell: str, *, masked: bool = False, **settings: Any) -> Any:
    import keras

    keras.utils.set_random_seed(5)
    network = NetworkSettings.model_validate(
        {"cell": cell, "embedding_size": 3, "units": 5, "masked": masked, **settings}
    )
    model = build_network(TEXT, network)
    model.set_weights(
        [np.random.default_rng(3).normal(0, 0.7, weight.shape) for weight in model.get_weights()]
    )
    return model


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="over padding"),
        pytest.param({"masked": True}, id="masked"),
        pytest.param({"masked": True, **LARGER}, id="larger"),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_scores_as_keras_does_however_much_padding_is_left_out(
    cell: str, settings: dict[str, Any]
) -> None:
    model = build(cell, **settings)
    graph = export_portable(model, LENGTH)
    assert set(check_graph(graph)) <= ALLOWED_OPERATORS
    session = open_session(graph.SerializeToString())
    expected = predict_scores(model, IDS)
    assert session.run(["score"], {"token_ids": IDS})[0] == pytest.approx(expected, abs=1e-6)
    for row, score in zip(IDS, expected, strict=True):
        first = int(np.argmax(row > 0)) if row.any() else LENGTH - 1
        for start in range(first + 1):
            alone = session.run(["score"], {"token_ids": row[None, start:]})[0]
            assert alone == pytest.approx([score], abs=1e-6)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_has_a_bundles_face_and_standard_operators_only(cell: str) -> None:
    graph = export_portable(build(cell), LENGTH)
    operators = check_graph(graph)
    assert set(operators) <= ALLOWED_OPERATORS
    assert operators.get("LSTM" if cell == "lstm" else "Loop") == 1
    face = [
        (value.name, value.type.tensor_type.elem_type) for value in (*graph.graph.input, *graph.graph.output)
    ]
    assert face == [("token_ids", TensorProto.INT32), ("score", TensorProto.FLOAT)]
    axes = [[axis.dim_param for axis in value.type.tensor_type.shape.dim] for value in graph.graph.input]
    assert axes == [["batch", "time"]]


@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_can_be_loaded_with_its_own_vocabulary_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], cell: str
) -> None:
    graph = export_portable(build(cell), LENGTH)
    capfd.readouterr()
    fewer, own, more = refusals_beside(graph, TEXT.num_words, LENGTH, tmp_path)
    assert f"the graph scores the token id {TEXT.num_words - 1}" in fewer
    assert own == ""
    assert "the graph fails on token ids that its vocabulary allows" in more
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_equal_weights_give_equal_bytes_in_another_process() -> None:
    script = (
        "import hashlib; from tests.graphs.test_portable import *; "
        "print(hashlib.sha256(export_portable(build('simple'), LENGTH).SerializeToString(deterministic=True)).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != ""


def test_canonical_form_does_not_depend_on_names_or_order() -> None:
    def make(names: list[str], *, reverse: bool) -> bytes:
        first, second, table = names
        weights = [
            helper.make_tensor(table, TensorProto.FLOAT, [2], [1.0, 2.0]),
            helper.make_tensor("dead", TensorProto.FLOAT, [1], [3.0]),
        ]
        nodes = [
            helper.make_node("Mul", ["x", table], [first], name=first),
            helper.make_node("Add", [first, table], [second], name=second),
            helper.make_node("Tanh", [second], ["y"], doc_string=first),
            helper.make_node("Neg", ["dead"], ["unused"]),
        ]
        face = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
        order = [nodes[3], *nodes[:3]] if reverse else nodes
        graph = helper.make_graph(order, table, face[:1], face[1:], weights[::-1] if reverse else weights)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name=first)
        canonicalise(model)
        check_graph(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    content = make(["a", "b", "c"], reverse=False)
    assert content == make(["value9", "node1", "weight3"], reverse=True)
    assert b"dead" not in content


@pytest.mark.parametrize("copied", ["y", "z"])
def test_canonical_form_does_not_depend_on_which_of_two_outputs_is_the_copy(copied: str) -> None:
    def make(copied: str) -> bytes:
        made = "z" if copied == "y" else "y"
        nodes = [helper.make_node("Tanh", ["x"], [made]), helper.make_node("Identity", [made], [copied])]
        face = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xyz"]
        body = helper.make_graph(nodes, "body", [], face[1:])
        outer = [
            helper.make_node("If", ["flag"], ["a", "b"], then_branch=body, else_branch=body),
            helper.make_node("Add", ["a", "b"], ["score"]),
        ]
        flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
        score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [2])
        graph = helper.make_graph(outer, "g", [face[0], flag], [score])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        canonicalise(model)
        check_graph(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    assert make(copied) == make("y")


@pytest.mark.parametrize("cell", CELLS)
def test_canonical_form_changes_nothing_the_second_time_and_no_score(cell: str) -> None:
    graph = export_portable(build(cell), LENGTH)
    before = graph.SerializeToString(deterministic=True)
    canonicalise(graph)
    assert graph.SerializeToString(deterministic=True) == before


def edit(change: str) -> onnx.ModelProto:
    model = onnx.load_model_from_string(make_model())
    if change == "domain":
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        model.graph.node[2].op_type, model.graph.node[2].domain = "Gelu", "com.microsoft"
    elif change == "operator":
        model.graph.node[2].op_type = "Relu"
    elif change == "function":
        body = [helper.make_node("Sigmoid", ["a"], ["b"])]
        model.functions.append(
            helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
        )
        model.opset_import.append(helper.make_opsetid("own", 1))
    elif change == "external":
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    elif change == "type":
        model.graph.node[0].input[0] = "nowhere"
    return model


@pytest.mark.parametrize("change", ["domain", "operator", "function", "external", "type"])
def test_a_graph_that_holds_what_it_may_not_is_refused(change: str) -> None:
    with pytest.raises(BundleError):
        check_graph(edit(change))


def test_an_honest_graph_is_counted() -> None:
    assert check_graph(edit("nothing")) == {"Gather": 1, "ReduceSum": 1, "Sigmoid": 1}


def test_weights_are_found_inside_loops_too() -> None:
    model = build("simple")
    held = np.sort(
        np.concatenate([weight.ravel() for weight in float_weights(export_portable(model, LENGTH))])
    )
    for weight in model.get_weights():
        assert np.isin(weight, held).all()
