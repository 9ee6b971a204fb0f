"""What the bytes of ``model.onnx`` may hold, looked at before ONNX Runtime sees them.

ONNX's own package is not there on the light side, so its protobuf messages are walked here. Fields
have the numbers of ``onnx.proto`` (ONNX 1.23); what has no line in the tables is refused, so that a
graph can't bring along what nobody thought of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from pipeline.errors import BundleError

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""Wire types: https://protobuf.dev/programming-guides/encoding. The deprecated groups have two more."""
_WIDTHS = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_DOMAINS = (b"", b"ai.onnx")
"""Two names of ONNX's own operators."""
_MOST_LEVELS = 25
"""Of messages in messages: six bodies of loops or branches inside each other. Published graphs have one."""
_MOST_FIELDS = 200_000
"""What can be looked through in a moment. Published graphs have some hundreds."""

_WIRE_TYPES = {
    "number": (_VARINT,),
    "numbers": (_VARINT, _BYTES),
    "float": (_FOUR_BYTES,),
    "floats": (_FOUR_BYTES, _BYTES),
    "doubles": (_EIGHT_BYTES, _BYTES),
}
"""What is not in here is bytes: values, a text, a domain, or another message."""
_FIELDS = {
    "model": {1: "number", 2: "text", 3: "text", 6: "text", 7: "graph", 8: "operator set", 14: "entry"},
    "operator set": {1: "domain", 2: "number"},
    "entry": {1: "text", 2: "text"},
    "graph": {1: "node", 2: "text", 5: "tensor", 11: "value", 12: "value"},
    "node": {1: "text", 2: "text", 3: "text", 4: "text", 5: "attribute", 7: "domain"},
    "attribute": {
        1: "text", 2: "float", 3: "number", 4: "bytes", 5: "tensor", 6: "graph",
        7: "floats", 8: "numbers", 9: "bytes", 20: "number",
    },
    "tensor": {
        1: "numbers", 2: "number", 4: "floats", 5: "numbers", 7: "numbers", 8: "text", 9: "bytes",
        10: "doubles", 11: "numbers", 12: "text",
    },
    "value": {1: "text", 2: "type"},
    "type": {1: "tensor type"},
    "tensor type": {1: "number", 2: "shape"},
    "shape": {1: "size"},
    "size": {1: "number", 2: "text"},
}  # fmt: skip
_REFUSED = {
    ("model", 20): "training information",
    ("model", 25): "functions of its own",
    ("graph", 15): "a sparse tensor",
    ("attribute", 22): "a sparse tensor",
    ("attribute", 23): "a sparse tensor",
    ("tensor", 13): "external data",
    ("tensor", 14): "external data",
}


def check_graph_bytes(model: bytes) -> None:
    """Refuse a graph that could reach beyond its own bytes and ONNX's own operators.

    A tensor's values are passed over, not copied: the work grows with the number of fields alone.

    Raises:
        BundleError: For external data, sparse tensors, operators of another domain, functions,
            training information, any other field that no published graph has, messages nested too
            deep, and bytes that are no protobuf message.
    """
    waiting = [("model", 0, len(model), 1)]
    left = _MOST_FIELDS
    while waiting:
        kind, start, end, level = waiting.pop()
        for number, wire_type, first, last in _read_fields(model, start, end):
            left -= 1
            content = _FIELDS[kind].get(number)
            if content is None or wire_type not in _WIRE_TYPES.get(content, (_BYTES,)):
                _refuse(
                    "holds " + _REFUSED.get((kind, number), f"field {number} in a message of kind {kind!r}")
                )
            if left < 0:
                _refuse(f"has over {_MOST_FIELDS:,} fields")
            if level > _MOST_LEVELS:
                _refuse(f"has messages nested over {_MOST_LEVELS} deep")
            if content in ("text", "domain"):
                _check_text(content, model[first:last])
            if content in _FIELDS:
                waiting.append((content, first, last, level + 1))


def _check_text(kind: str, text: bytes) -> None:
    try:
        shown = repr(text.decode()[:60])
    except UnicodeDecodeError as error:
        _refuse(f"holds a {kind} that is not UTF-8 ({error.reason})")
    if kind == "domain" and text not in _DOMAINS:
        _refuse(f"needs operators of the domain {shown}")


def _read_fields(model: bytes, place: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number and wire type of each field of a message, and where its content begins and ends."""
    while place < end:
        tag, first = _read_varint(model, place)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, place = _read_varint(model, first)
        elif wire_type == _BYTES:
            length, first = _read_varint(model, first)
            place = first + length
        else:
            place = first + _WIDTHS.get(wire_type, end)
        if place > end:
            _refuse("is no protobuf message, or is cut off")
        yield tag >> 3, wire_type, first, place


def _read_varint(model: bytes, place: int) -> tuple[int, int]:
    """Give a number of 7 bits a byte, lowest first, and the place after it."""
    number = 0
    for shift, byte in enumerate(model[place : place + 10]):
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, place + shift + 1
    return _refuse("is no protobuf message, or is cut off")


def _refuse(found: str) -> NoReturn:
    msg = f"the graph {found}; a bundle's graph is one file of ONNX's own operators (export it again)"
    raise BundleError(msg)
