"""The graph that uses ONNX's own recurrent operators: RNN, GRU or LSTM as one node.

Weight layouts: https://onnx.ai/onnx/operators/ (RNN, GRU, LSTM); gate orders there are ``zrh`` and
``iofc``, in Keras ``zrh`` and ``ifco``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.graphs.checks import OPSET
from pipeline.recipe import NetworkSettings
from pipeline.runtime.scorer import INPUT, OUTPUT

_OPERATORS = {"SimpleRNN": ("RNN", (0,)), "GRU": ("GRU", (0, 1, 2)), "LSTM": ("LSTM", (0, 3, 1, 2))}
"""Keras layer to ONNX operator, and in ONNX's order the gates' places in Keras's."""

Array = NDArray[Any]


def is_one_operator(network: NetworkSettings) -> bool:
    """Tell whether one node of ONNX is a network's recurrence, and its last state all that counts."""
    is_last_alone = network.pooling == ["last"] and network.ngrams is None
    return network.cell != "mingru" and network.layers == 1 and is_last_alone


def export_operator(model: keras.Model, max_length: int) -> onnx.ModelProto:
    """Write a network as embedding, one recurrent node and one sigmoid.

    Like ``export_portable``'s, the graph of a layer that reads padding pads every row on the left to
    ``max_length`` itself. That of a masked layer moves each row to the left, and tells the node its length.

    Args:
        model: Embedding, SimpleRNN, GRU (``reset_after``) or LSTM or a Bidirectional one, Dense(1, sigmoid).
        max_length: Ids per row that the network was trained on.

    Returns:
        A graph from int32 ``token_ids`` ``[batch, time]`` to float32 ``score`` ``[batch]``.
    """
    embedding, recurrent, dense = (each for each in model.layers if each.weights)
    is_bidirectional = isinstance(recurrent, keras.layers.Bidirectional)
    layers = [recurrent.forward_layer, recurrent.backward_layer] if is_bidirectional else [recurrent]
    operator, gates = _OPERATORS[type(layers[0]).__name__]
    per_direction = [_onnx_weights(layer.get_weights(), gates) for layer in layers]
    weights = dict(zip(("W", "R", "B"), map(np.stack, zip(*per_direction, strict=True)), strict=True))
    kernel, bias = dense.get_weights()
    weights |= {"table": embedding.get_weights()[0], "kernel": kernel, "bias": bias}
    attributes = {
        "hidden_size": layers[0].units,
        "direction": "bidirectional" if is_bidirectional else "forward",
    }
    if operator == "GRU":
        attributes["linear_before_reset"] = 1
    face = _to_the_left() if embedding.mask_zero else _with_padding()
    return _graph(operator, attributes, weights, face, max_length)


def _onnx_weights(weights: list[Array], gates: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Give W ``[gates * units, input]``, R ``[gates * units, units]`` and B ``[2 * gates * units]``."""
    kernel, recurrent, bias = weights
    # GRU with reset_after has a bias of its own for each of the two products; the others have one.
    input_bias, recurrent_bias = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    ordered = [
        np.concatenate([np.split(each, len(gates), axis=-1)[gate] for gate in gates], axis=-1)
        for each in (kernel, recurrent, input_bias, recurrent_bias)
    ]
    return ordered[0].T, ordered[1].T, np.concatenate(ordered[2:])


def _with_padding() -> list[onnx.NodeProto]:
    """Make ``rows`` of ``max_length`` ids, all of which are read."""
    return [
        helper.make_node("Shape", [INPUT], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["time"]),
        helper.make_node("Sub", ["length", "time"], ["missing"]),
        helper.make_node("Concat", ["zero", "missing", "two zeros"], ["pads"], axis=0),
        helper.make_node("Pad", [INPUT, "pads"], ["rows"]),
    ]


def _to_the_left() -> list[onnx.NodeProto]:
    """Make ``rows`` that begin with their first word, and ``lengths`` of what is to be read of them."""
    return [
        helper.make_node("Cast", [INPUT], ["is word"], to=TensorProto.BOOL),
        helper.make_node("Cast", ["is word"], ["counted"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["counted", "one"], ["column of lengths"], keepdims=1),
        helper.make_node("Reshape", ["column of lengths", "flat"], ["lengths"]),
        helper.make_node("Shape", [INPUT], ["shape"]),
        helper.make_node("Gather", ["shape", "one as scalar"], ["time"]),
        helper.make_node("Cast", ["time"], ["width"], to=TensorProto.INT32),
        helper.make_node("Sub", ["width", "column of lengths"], ["missing"]),
        helper.make_node("Range", ["zero to count", "width", "one to count"], ["steps"]),
        helper.make_node("Add", ["steps", "missing"], ["wanted"]),
        helper.make_node("Sub", ["width", "one to count"], ["last place"]),
        helper.make_node("Min", ["wanted", "last place"], ["places"]),
        helper.make_node("GatherElements", [INPUT, "places"], ["rows"], axis=1),
    ]


def _graph(
    operator: str,
    attributes: dict[str, Any],
    weights: dict[str, Array],
    face: list[onnx.NodeProto],
    max_length: int,
) -> onnx.ModelProto:
    numbers = {
        "length": [max_length],
        "one": [1],
        "one as scalar": 1,
        "zero": [0],
        "two zeros": [0, 0],
        "row": [0, -1],
        "flat": [-1],
    }
    constants = {name: np.array(value, dtype=np.int64) for name, value in numbers.items()}
    constants |= {"zero to count": np.array(0, dtype=np.int32), "one to count": np.array(1, dtype=np.int32)}
    constants |= {name: each.astype(np.float32) for name, each in weights.items()}
    is_masked = any("lengths" in node.output for node in face)
    inputs = ["embedded", "W", "R", "B", *(["lengths"] if is_masked else [])]
    nodes = [
        *face,
        helper.make_node("Transpose", ["rows"], ["by time"], perm=[1, 0]),
        helper.make_node("Gather", ["table", "by time"], ["embedded"]),
        helper.make_node(operator, inputs, ["", "state"], **attributes),
        helper.make_node("Transpose", ["state"], ["by row"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["by row", "row"], ["last"]),
        helper.make_node("MatMul", ["last", "kernel"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        operator,
        [helper.make_tensor_value_info(INPUT, TensorProto.INT32, ["batch", "time"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model
