"""One form for equal graphs: converters number their values in any order, which changes the bytes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def canonicalise(model: onnx.ModelProto) -> None:
    """Order and name everything in a graph by where it stands on the way to the outputs.

    Nodes come in the order in which a depth-first walk from the outputs finishes them; values,
    weights and nodes are numbered in that order. What no output needs is left out, and of the
    nodes that only copy a value, all but those that give an output a name of its own. The names
    of the graph's own inputs and outputs stay. The model is changed in place.
    """
    graph = model.graph
    face = [value.name for value in (*graph.input, *graph.output)]
    _settle_copies(graph, {}, set(face))
    _rename_graph(graph, {name: name for name in face}, _Numbers())
    # Unused domains, which a converter declares for operators that it did not need.
    standard = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(standard)
    model.producer_name, model.producer_version, model.doc_string = "resenha", "", ""
    graph.name = "resenha"


def _settle_copies(graph: onnx.GraphProto, outer: dict[str, str], fixed: set[str]) -> None:
    """Read through ``Identity`` nodes; where two outputs are one value, the later one copies it.

    A converter may make either output the copy. ``outer`` maps names of the enclosing graph.
    """
    original = dict(outer)
    copies = [node for node in graph.node if node.op_type == "Identity" and node.output[0] not in fixed]
    for node in copies:
        original[node.output[0]] = node.input[0]

    def resolve(name: str) -> str:
        while name in original:
            name = original[name]
        return name

    nodes = [node for node in graph.node if not any(node is copy for copy in copies)]
    for node in nodes:
        node.input[:] = [resolve(name) for name in node.input]
        for inner in _inner_graphs(node):
            _settle_copies(inner, original, set())
    taken: set[str] = set()
    for place, value in enumerate(graph.output):
        name = value.name if value.name in fixed else resolve(value.name)
        if name in taken:
            source, name = name, f"{name}/copied to {place}"
            nodes.append(onnx.helper.make_node("Identity", [source], [name]))
        value.name = name
        taken.add(name)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


class _Numbers:
    """Hands out names that no graph or subgraph of a model shares."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, kind: str) -> str:
        self._last += 1
        return f"{kind}{self._last}"


def _inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g


def _ordered(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], list[str]]:
    """Give the nodes that the outputs need, in order, and the outer names that they use."""
    producers = {name: node for node in graph.node for name in node.output if name}
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    seen: set[str] = set()
    captured: list[str] = []

    def visit(name: str) -> None:
        if not name or name in seen:
            return
        seen.add(name)
        if name in producers:
            node = producers[name]
            seen.update(node.output)
            for needed in (*node.input, *_captured(node)):
                visit(needed)
            nodes.append(node)
        elif name not in own:
            captured.append(name)

    for output in graph.output:
        visit(output.name)
    return nodes, captured


def _captured(node: onnx.NodeProto) -> list[str]:
    """Give the outer names that the graphs inside a node use."""
    return [name for inner in _inner_graphs(node) for name in _ordered(inner)[1]]


def _rename_graph(graph: onnx.GraphProto, names: dict[str, str], numbers: _Numbers) -> None:
    """Rename a graph's content; ``names`` maps the outer scope's names and gains this one's."""
    nodes, _ = _ordered(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    used: list[onnx.TensorProto] = []

    def rename(name: str) -> str:
        if not name or name in names:
            return names.get(name, "")
        if name in weights:
            used.append(weights[name])
        names[name] = numbers.next("weight" if name in weights else "value")
        return names[name]

    for value in graph.input:
        value.name = rename(value.name)
    for node in nodes:
        node.name = numbers.next("node")
        _clear_what_says_nothing(node)
        node.input[:] = [rename(name) for name in node.input]
        for name in _captured(node):
            rename(name)
        _rename_inner_graphs(node, names, numbers)
        node.output[:] = [rename(name) for name in node.output]
    for value in graph.output:
        value.name = rename(value.name)
    for tensor in used:
        tensor.name, tensor.doc_string = names[tensor.name], ""
    graph.CopyFrom(
        onnx.GraphProto(name=graph.name, node=nodes, initializer=used, input=graph.input, output=graph.output)
    )


def _clear_what_says_nothing(node: onnx.NodeProto) -> None:
    """Unset what is empty: set to nothing and not set are different bytes."""
    node.ClearField("doc_string")
    if not node.domain:
        node.ClearField("domain")


def _rename_inner_graphs(node: onnx.NodeProto, names: dict[str, str], numbers: _Numbers) -> None:
    for inner in _inner_graphs(node):
        inner.name = numbers.next("body")
        for value in (*inner.input, *inner.output):
            for axis in value.type.tensor_type.shape.dim:
                # Converters number unknown sizes too; unnamed says the same.
                axis.ClearField("dim_param")
        # A body's names hold inside it only: another body may use the same ones.
        _rename_graph(inner, dict(names), numbers)
