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
from pipeline.runtime.scorer import INPUT, OUTPUT

_OPERATORS = {"SimpleRNN": ("RNN", (0,)), "GRU": ("GRU", (0, 1, 2)), "LSTM": ("LSTM", (0, 3, 1, 2))}
"""Keras layer to ONNX operator, and in ONNX's order the gates' places in Keras's."""

Array = NDArray[Any]


def export_operator(model: keras.Model, max_length: int) -> onnx.ModelProto:
    """Write a network as embedding, one recurrent node and one sigmoid.

    Like ``export_portable``'s, the graph pads every row on the left to ``max_length`` itself and
    reads the padding, as the unmasked layer does.

    Args:
        model: Embedding, SimpleRNN, GRU (``reset_after``) or LSTM or a Bidirectional one, Dense(1, sigmoid).
        max_length: Ids per row that the network was trained on.

    Returns:
        A graph from int32 ``token_ids`` ``[batch, time]`` to float32 ``score`` ``[batch]``.
    """
    _face, embedding, recurrent, dense = model.layers
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
    return _graph(operator, attributes, weights, max_length)


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


def _graph(
    operator: str, attributes: dict[str, Any], weights: dict[str, Array], max_length: int
) -> onnx.ModelProto:
    numbers = {
        "length": [max_length],
        "one": [1],
        "zero": [0],
        "two zeros": [0, 0],
        "row": [0, -1],
        "flat": [-1],
    }
    constants = {name: np.array(value, dtype=np.int64) for name, value in numbers.items()}
    constants |= {name: each.astype(np.float32) for name, each in weights.items()}
    nodes = [
        helper.make_node("Shape", [INPUT], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["time"]),
        helper.make_node("Sub", ["length", "time"], ["missing"]),
        helper.make_node("Concat", ["zero", "missing", "two zeros"], ["pads"], axis=0),
        helper.make_node("Pad", [INPUT, "pads"], ["padded"]),
        helper.make_node("Transpose", ["padded"], ["by time"], perm=[1, 0]),
        helper.make_node("Gather", ["table", "by time"], ["embedded"]),
        helper.make_node(operator, ["embedded", "W", "R", "B"], ["", "state"], **attributes),
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
