"""Graphs as protobuf sees them, against what is looked for in their bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # It has no stubs.
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from pipeline.errors import BundleError
from pipeline.runtime import graph_check
from pipeline.runtime.graph_check import check_graph_bytes
from tests.runtime.altered_models import altered
from tests.stand_ins import make_model

PLACES = ["graph", "If", "Loop", "Scan", "If in Scan"]


def part(model: ModelProto, place: str) -> GraphProto:
    """The graph of a model, or one inside it, which is added under an operator that holds one."""
    graph = model.graph
    for operator in [] if place == "graph" else reversed(place.split(" in ")):
        node = graph.node.add(op_type=operator, output=["unused"])
        inner = helper.make_graph([], "inner", [], [])
        node.attribute.append(helper.make_attribute("then_branch" if operator == "If" else "body", inner))
        graph = node.attribute[0].g
    return graph


def external_tensor(fields: str = "both") -> TensorProto:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    if fields != "entry":
        tensor.data_location = TensorProto.EXTERNAL
    if fields != "location":
        tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def sparse_tensor() -> onnx.SparseTensorProto:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "t")
    return helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.zeros(1, np.int64), "i"), [1])


def attribute(**content: Any) -> NodeProto:
    node = NodeProto(op_type="Constant", output=["unused"])
    node.attribute.add(name="value", **content)
    return node


FAULTS: dict[str, tuple[Callable[[GraphProto], object], str]] = {
    "external data": (lambda graph: graph.initializer.append(external_tensor()), "holds external data"),
    "an entry of external data": (
        lambda graph: graph.initializer.append(external_tensor("entry")),
        "holds external data",
    ),
    "a data location": (
        lambda graph: graph.initializer.append(external_tensor("location")),
        "holds external data",
    ),
    "external data in an attribute": (
        lambda graph: graph.node.append(attribute(t=external_tensor())),
        "holds external data",
    ),
    "external data in a list": (
        lambda graph: graph.node.append(attribute(tensors=[external_tensor()])),
        "holds field 10 in a message of kind 'attribute'",
    ),
    "graphs in a list": (
        lambda graph: graph.node.append(attribute(graphs=[GraphProto()])),
        "holds field 11 in a message of kind 'attribute'",
    ),
    "sparse weights": (
        lambda graph: graph.sparse_initializer.append(sparse_tensor()),
        "holds a sparse tensor",
    ),
    "a sparse attribute": (
        lambda graph: graph.node.append(attribute(sparse_tensor=sparse_tensor())),
        "holds a sparse tensor",
    ),
    "sparse attributes": (
        lambda graph: graph.node.append(attribute(sparse_tensors=[sparse_tensor()])),
        "holds a sparse tensor",
    ),
    "a foreign domain": (
        lambda graph: graph.node.add(op_type="Gelu", domain="com.microsoft"),
        "needs operators of the domain 'com.microsoft'",
    ),
    "a domain that hides": (
        lambda graph: graph.node.add(op_type="F", domain="ai.onnx\u202e"),
        r"needs operators of the domain 'ai.onnx\\u202e'",
    ),
    "a node of an overload": (lambda graph: graph.node.add(op_type="F", overload="x"), "holds field 8 in a"),
    "a reference to a function's attribute": (
        lambda graph: graph.node.append(attribute(ref_attr_name="x")),
        "holds field 21 in a message of kind 'attribute'",
    ),
    "metadata of a graph": (lambda graph: graph.metadata_props.add(key="k"), "holds field 16 in a"),
}


def planted(plant: Callable[[GraphProto], object], place: str) -> bytes:
    return altered(lambda model: plant(part(model, place)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused_wherever_it_stands(fault: str, place: str) -> None:
    plant, message = FAULTS[fault]
    model = planted(plant, place)
    with pytest.raises(BundleError, match=message):
        check_graph_bytes(model)


@pytest.mark.parametrize("place", PLACES)
def test_the_place_of_a_fault_is_no_fault(place: str) -> None:
    check_graph_bytes(altered(lambda model: part(model, place)))
    check_graph_bytes(altered(lambda model: part(model, place).node.add(op_type="Tanh", domain="ai.onnx")))


def own_function(model: ModelProto) -> None:
    body = [helper.make_node("Sigmoid", ["a"], ["b"])]
    model.functions.append(
        helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    )


MODEL_FAULTS: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "a domain that no node uses": (
        lambda model: model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3)),
        "needs operators of the domain 'ai.onnx.ml'",
    ),
    "a function": (own_function, "holds functions of its own"),
    "training": (lambda model: model.training_info.add(), "holds training information"),
    "a model's domain": (lambda model: setattr(model, "domain", "x"), "holds field 4 in a"),
    "a model's version": (lambda model: setattr(model, "model_version", 1), "holds field 5 in a"),
    "devices": (lambda model: model.configuration.add(name="x"), "holds field 26 in a"),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_fault_of_the_whole_model_is_refused(fault: str) -> None:
    plant, message = MODEL_FAULTS[fault]
    with pytest.raises(BundleError, match=message):
        check_graph_bytes(altered(plant))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (b"\x98\x06\x01", "holds field 99 in a message of kind 'model'"),
        (b"\xfa\xff\xff\xff\x0f\x00", "holds field 536870911 in a message of kind 'model'"),
        (b"\x00\x00", "holds field 0 in a message of kind 'model'"),
        (b"\x38\x01", "holds field 7 in a message of kind 'model'"),
        (b"\x0a\x01\x00", "holds field 1 in a message of kind 'model'"),
        (b"\x3b\x3c", "is no protobuf message"),
        (b"\x3e", "is no protobuf message"),
        (b"\x08", "is no protobuf message"),
        (b"\x08" + b"\x80" * 10 + b"\x00", "is no protobuf message"),
        (b"\x12\x05abcd", "is no protobuf message"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "is no protobuf message"),
        (b"\x12\x01\xff", "holds a text that is not UTF-8"),
        (b"\x42\x03\x0a\x01\xff", "holds a domain that is not UTF-8"),
        (b"\x3a\x07\x2a\x05\x09abcd", "is no protobuf message"),
    ],
    ids=[
        "unknown field", "largest field", "field 0", "a graph that is a number", "a number that is bytes",
        "group", "no wire type", "no number", "long number", "cut text", "absurd length", "no text", "no domain",
        "cut tensor",
    ],
)  # fmt: skip
def test_bytes_that_no_published_graph_has_are_refused(more: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_graph_bytes(make_model() + more)


@pytest.mark.parametrize("more", [b"", b"\x12\x03abc", b"\x12\x00", b"\x08\x88\x80\x00", b"\x3a\x80\x00"])
def test_fields_may_come_twice_and_numbers_be_written_long(more: bytes) -> None:
    check_graph_bytes(make_model() + more)


def is_taken(content: bytes) -> bool:
    try:
        check_graph_bytes(content)
    except BundleError:
        return False
    return True


def is_read(content: bytes) -> bool:
    try:
        onnx.load_from_string(content)
    except DecodeError:
        return False
    return True


def test_a_cut_graph_is_taken_only_where_protobuf_reads_it_too() -> None:
    model = altered(lambda model: part(model, "If in Scan").node.add(op_type="Tanh", domain="ai.onnx"))
    whole = [size for size in range(len(model) + 1) if is_taken(model[:size])]
    assert whole == [size for size in range(len(model) + 1) if is_read(model[:size])]
    assert 5 <= len(whole) < 20


def nested(content: bytes, bodies: int) -> bytes:
    """A model whose graph holds a node, whose attribute holds a graph, and so on; then this content."""
    for _ in range(bodies):
        content = b"\x0a" + _length(b"\x2a" + _length(b"\x32" + _length(content)))
    return b"\x3a" + _length(content)


@pytest.mark.parametrize(
    ("content", "bodies", "is_shallow"),
    [
        (b"\x62\x06\x12\x04\x0a\x02\x08\x01", 0, True),
        (b"\x62\x0a\x12\x08\x0a\x06\x12\x04\x0a\x02\x08\x01", 6, True),
        (b"\x62\x0a\x12\x08\x0a\x06\x12\x04\x0a\x02\x08\x01", 7, False),
        (b"\x0a\x04\x2a\x02\x18\x01", 7, True),
        (b"\x0a\x06\x2a\x04\x2a\x02\x08\x01", 7, False),
        (b"", 300, False),
    ],
    ids=["one graph", "25 with a size", "28 with a size", "25 with a number", "26 with a tensor", "900"],
)
def test_messages_may_be_nested_25_deep(content: bytes, bodies: int, is_shallow: bool) -> None:
    model = nested(content, bodies)
    if is_shallow:
        check_graph_bytes(model)
        assert is_read(model)
    else:
        with pytest.raises(BundleError, match="nested over 25 deep"):
            check_graph_bytes(model)


@pytest.mark.parametrize(
    "inner",
    [b"\x2a\x02\x4a\x05", b"\x2a\x05", b"\x2a\x02\x21\x00", b"\x2a\x02\x08\x80"],
    ids=lambda inner: inner.hex(),
)
def test_a_message_may_not_reach_beyond_the_one_around_it(inner: bytes) -> None:
    with pytest.raises(BundleError, match="is no protobuf message"):
        check_graph_bytes(b"\x3a" + _length(inner) + make_model())


def _length(content: bytes) -> bytes:
    return _number(len(content)) + content


@pytest.mark.parametrize("fields", [9, 10, 11])
def test_a_graph_of_many_fields_is_refused(monkeypatch: pytest.MonkeyPatch, fields: int) -> None:
    monkeypatch.setattr(graph_check, "_MOST_FIELDS", 10)
    assert is_taken(b"\x08\x08" * fields) == (fields <= 10)


def test_millions_of_fields_are_not_looked_through() -> None:
    with pytest.raises(BundleError, match="has over 200,000 fields"):
        check_graph_bytes(b"\x42\x00" * 5_000_000)


def test_weights_are_not_copied() -> None:
    tensor = numpy_helper.from_array(np.zeros(4_000_000, np.float32), "large")
    content = altered(lambda model: model.graph.initializer.append(tensor))
    tracemalloc.start()
    try:
        check_graph_bytes(content)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# The tables, and what ONNX's own package reads

MESSAGES: dict[str, Any] = {
    "model": ModelProto,
    "operator set": onnx.OperatorSetIdProto,
    "entry": onnx.StringStringEntryProto,
    "graph": GraphProto,
    "node": NodeProto,
    "attribute": AttributeProto,
    "tensor": TensorProto,
    "value": onnx.ValueInfoProto,
    "type": onnx.TypeProto,
    "tensor type": onnx.TypeProto.Tensor,
    "shape": onnx.TensorShapeProto,
    "size": onnx.TensorShapeProto.Dimension,
}
SCALARS = {
    1: ("double", "doubles"),
    2: ("float", "floats"),
    3: ("number", "numbers"),
    4: ("number", "numbers"),
    5: ("number", "numbers"),
    9: ("text", "text"),
    12: ("bytes", "bytes"),
    14: ("number", "numbers"),
}
"""By ``FieldDescriptor.type``: double, float, int64, uint64, int32, string, bytes, enum; alone and in a list."""


@pytest.mark.parametrize("kind", graph_check._FIELDS)
def test_every_field_is_what_onnx_says(kind: str) -> None:
    kinds = {message.DESCRIPTOR.full_name: name for name, message in MESSAGES.items()}
    fields = MESSAGES[kind].DESCRIPTOR.fields_by_number
    for number, content in graph_check._FIELDS[kind].items():
        field = fields[number]
        if field.message_type:
            assert content == kinds[field.message_type.full_name]
        elif field.name == "domain":
            assert content == "domain"
        else:
            is_list = not isinstance(getattr(MESSAGES[kind](), field.name), int | float | str | bytes)
            assert content == SCALARS[field.type][is_list]


def faults_of(message: Any) -> Iterator[str]:
    """Yield what a message and all in it hold that a bundle's graph may not, as protobuf reads it."""
    for field, value in message.ListFields():
        if field.name in ("external_data", "data_location", "functions", "training_info"):
            yield field.name
        if field.name == "domain" and value not in ("", "ai.onnx"):
            yield str(value)
        if field.message_type:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from faults_of(inner)


def holds_no_fault_if_taken(content: bytes) -> None:
    # Values of a list are not looked at here, so a little is taken that protobuf cannot read.
    if is_taken(content) and is_read(content):
        assert list(faults_of(onnx.load_from_string(content))) == []


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    holds_no_fault_if_taken(content)


PLANTED = [
    make_model(),
    *(planted(plant, "If") for plant, _ in FAULTS.values()),
    *(altered(plant) for plant, _ in MODEL_FAULTS.values()),
]


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_fault_is_never_taken_however_its_bytes_are_changed(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(PLANTED)))
    for _ in range(data.draw(st.integers(0, 3))):
        first = data.draw(st.integers(0, len(content)))
        last = data.draw(st.integers(first, min(first + 8, len(content))))
        content[first:last] = data.draw(st.binary(max_size=8))
    holds_no_fault_if_taken(bytes(content))


def fields(contents: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    numbers = st.sampled_from([*range(1, 17), 20, 21, 22, 25, 99])
    return st.lists(st.tuples(numbers, st.sampled_from([0, 1, 4]), contents), max_size=4)


NUMBERS = st.integers(0, 2**64 - 1)
TEXTS = st.sampled_from([b"", b"ai.onnx", b"com.microsoft", b"location", b"\xff"])
MESSAGE = fields(st.recursive(NUMBERS | TEXTS, fields, max_leaves=12))


def write(fields: list[Any]) -> bytes:
    """Write fields as protobuf does, some lengths with more bytes than they need."""
    content = b""
    for number, more, value in fields:
        inner = write(value) if isinstance(value, list) else value
        if isinstance(inner, int):
            content += _number(number << 3) + _number(inner)
        else:
            content += _number(number << 3 | 2) + _number(len(inner), longer=more) + inner
    return content


def _number(value: int, *, longer: int = 0) -> bytes:
    digits = []
    while value > 127 or longer:
        longer -= value <= 127
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


@settings(deadline=None, max_examples=400)
@given(MESSAGE)
def test_well_formed_messages_with_a_fault_are_never_taken(fields: list[Any]) -> None:
    holds_no_fault_if_taken(write(fields))
