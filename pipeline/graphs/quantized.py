"""How a graph's tables are stored: as they are, or as small whole numbers with a scale per row.

The whole numbers are expanded by standard operators on constants alone, which ONNX Runtime works
out once, when it loads the graph (``DequantizeLinear`` it would work out anew for every batch).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.network_shape import NGRAMS, STORED_SMALL
from pipeline.recipe import Storage

Floats = NDArray[np.float32]
LEVELS = {"int8": 127, "int4": 7}
"""Whole numbers on either side of 0."""

NGRAM_ROW = 64
"""Weights of n-grams that share a scale: they stand in rows as an embedding's do."""

_SCALE = """
        {name}_share = Cast <to = 1> ({name}_scale)
        {name}_row_scale = Mul ({name}_share, {name}_largest_scale)
        {name}_rows = Mul ({name}_whole, {name}_row_scale)
    """
_EXPANSION: dict[Storage, str] = {
    "float32": """
        {name}_rows = Identity ({name}_float32)
    """,
    "int8": """
        {name}_whole = Cast <to = 1> ({name}_int8)
    """
    + _SCALE,
    "int4": """
        {name}_first = BitShift <direction = "RIGHT"> ({name}_int4, {name}_four)
        {name}_second = Mod ({name}_int4, {name}_sixteen)
        {name}_both = Concat <axis = 1> ({name}_first, {name}_second)
        {name}_above = Cast <to = 1> ({name}_both)
        {name}_whole = Sub ({name}_above, {name}_eight)
    """
    + _SCALE,
}
"""1 is ONNX's number for float32."""


def storage_of(name: str, storage: Storage) -> Storage:
    """Give how a weight is stored where ``storage`` is asked for.

    A weight of n-grams goes into the score as it is, without a kernel that evens roundings out: it takes
    int8 at least.
    """
    return "int8" if name == NGRAMS and storage == "int4" else storage


def expansion(name: str, storage: Storage) -> str:
    """Write ONNX text that makes ``name`` of what ``store_weights`` gives."""
    made = "Reshape ({name}_rows, flat)" if name == NGRAMS else "Identity ({name}_rows)"
    return (_EXPANSION[storage_of(name, storage)] + f"        {{name}} = {made}\n").format(name=name)


def store_weights(weights: Mapping[str, Floats], storage: Storage) -> dict[str, NDArray[Any]]:
    """Store the embedding, and n-grams' weights if there are any, as a graph's constants."""
    constants: dict[str, NDArray[Any]] = {}
    for name, values in weights.items():
        rows = in_rows(name, values)
        constants |= {
            f"{name}_{part}": array for part, array in store_rows(rows, storage_of(name, storage)).items()
        }
    return constants


def in_rows(name: str, values: Floats) -> Floats:
    """Put values that share a scale side by side."""
    return values.reshape(-1, NGRAM_ROW) if name == NGRAMS else values


def store_rows(values: Floats, storage: Storage) -> dict[str, NDArray[Any]]:
    """Store rows of values.

    Each row is divided by its largest absolute value over 127 (``int8``) or 7 (``int4``) and rounded:
    symmetric quantization per row, without a zero point. A row's scale is kept as a float16 share
    of the largest row's scale. ``int4`` keeps two numbers in a byte, each 8 higher than it is: column
    *i* in the upper half, column *i* + size / 2 in the lower one.

    Args:
        values: Shape ``(rows, size)``; for ``int4`` the size is even.
        storage: How to store them.

    Returns:
        Arrays by the names that the expansion uses.
    """
    if storage == "float32":
        return {"float32": values}
    levels = LEVELS[storage]
    scale = (abs(values).max(axis=1, keepdims=True) / levels).astype(np.float32)
    largest = np.maximum(scale.max(), np.finfo(np.float32).tiny)
    share = (scale / largest).astype(np.float16)
    row_scale = share.astype(np.float32) * largest
    # A row too small for a scale of its own is nothing beside the others.
    row_scale[row_scale == 0] = np.inf
    whole = np.clip(np.rint(values / row_scale), -levels, levels).astype(np.int8)
    scales = {"scale": share, "largest_scale": np.array(largest, np.float32)}
    if storage == "int8":
        return {"int8": whole, **scales}
    first, second = np.split((whole + 8).astype(np.uint8), 2, axis=1)
    return {
        "int4": first << 4 | second,
        **scales,
        "four": np.array(4, np.uint8),
        "sixteen": np.array(16, np.uint8),
        "eight": np.array(8, np.float32),
    }


def expanded_weights(model: onnx.ModelProto) -> dict[str, Floats]:
    """Expand a graph's int8 and int4 weights as the graph does it, bit for bit, in rows; by name."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def read(name: str) -> NDArray[Any]:
        return onnx.numpy_helper.to_array(constants[name])

    found: dict[str, Floats] = {}
    for name in STORED_SMALL:
        if f"{name}_int8" in constants:
            whole = read(f"{name}_int8").astype(np.float32)
        elif f"{name}_int4" in constants:
            both = read(f"{name}_int4")
            whole = np.concatenate([both >> 4, both & 15], axis=1).astype(np.float32) - np.float32(8)
        else:
            continue
        share = read(f"{name}_scale").astype(np.float32)
        found[name] = whole * (share * read(f"{name}_largest_scale"))
    return found
