"""What a graph may hold before it may be published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.graphs.quantized import expanded_weights

OPSET = 17
"""Read by ONNX Runtime from 1.12 (2022) on."""
STANDARD_DOMAINS = ("", "ai.onnx")
ALLOWED_OPERATORS = frozenset(
    """
    Add And ArgMax BitShift Cast Concat Constant ConstantOfShape Div Equal Exp Expand Gather GatherND Gemm
    Greater Identity If LSTM Less Loop MatMul Max Min Mod Mul Neg Not Pad ReduceMax ReduceMean ReduceSum
    Reshape ReverseSequence Scan Shape Sigmoid Slice Split Sqrt Squeeze Sub Sum Tanh Tile Transpose
    Unsqueeze Where
    """.split()
)
"""Operators of the standard domain that recurrent networks need; none reads a file or draws a number."""


def check_graph(model: onnx.ModelProto) -> dict[str, int]:
    """Check a graph and count its operators.

    Returns:
        Operator type to its number, subgraphs included, in alphabetical order.

    Raises:
        BundleError: If ONNX's checker refuses it, or it holds external data, functions of its own,
            or an operator that is not allowed.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        msg = f"the ONNX checker refuses the graph: {error}"
        raise BundleError(msg) from error
    if model.functions:
        msg = f"the graph defines functions of its own: {', '.join(f.name for f in model.functions)}"
        raise BundleError(msg)
    if any(entry.domain not in STANDARD_DOMAINS for entry in model.opset_import):
        msg = f"the graph needs other domains: {', '.join(entry.domain for entry in model.opset_import)}"
        raise BundleError(msg)
    counts: Counter[str] = Counter()
    for graph in graphs_of(model.graph):
        counts.update(
            f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in graph.node
        )
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                msg = f"the graph keeps {tensor.name} in a file of its own; a bundle's graph is one file"
                raise BundleError(msg)
    if foreign := sorted(set(counts) - ALLOWED_OPERATORS):
        msg = f"the graph holds operators that are not allowed: {', '.join(foreign)}"
        raise BundleError(msg)
    return dict(sorted(counts.items()))


def float_weights(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    """Give every float32 weight of a graph and its subgraphs, quantized ones as they are expanded."""
    return [*expanded_weights(model).values()] + [
        onnx.numpy_helper.to_array(tensor)
        for graph in graphs_of(model.graph)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    ]


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and every graph inside its nodes (the bodies of loops and branches)."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from graphs_of(inner)
