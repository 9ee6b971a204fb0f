"""How an embedding is stored in a graph: as it is, or as small whole numbers with a scale per row.

The whole numbers are expanded by standard operators on constants alone, which ONNX Runtime works
out once, when it loads the graph (``DequantizeLinear`` it would work out anew for every batch).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.recipe import Storage

Floats = NDArray[np.float32]
LEVELS = {"int8": 127, "int4": 7}
"""Whole numbers on either side of 0."""

_SCALE = """
        embedding_share = Cast <to = 1> (embedding_scale)
        embedding_row_scale = Mul (embedding_share, embedding_largest_scale)
        embedding = Mul (embedding_whole, embedding_row_scale)
    """
EXPANSION = {
    "float32": "",
    "int8": """
        embedding_whole = Cast <to = 1> (embedding_int8)
    """
    + _SCALE,
    "int4": """
        embedding_first = BitShift <direction = "RIGHT"> (embedding_int4, embedding_four)
        embedding_second = Mod (embedding_int4, embedding_sixteen)
        embedding_both = Concat <axis = 1> (embedding_first, embedding_second)
        embedding_above = Cast <to = 1> (embedding_both)
        embedding_whole = Sub (embedding_above, embedding_eight)
    """
    + _SCALE,
}
"""ONNX text that makes ``embedding`` of what ``store_embedding`` gives; 1 is ONNX's number for float32."""


def store_embedding(embedding: Floats, storage: Storage) -> dict[str, NDArray[Any]]:
    """Store an embedding as a graph's constants.

    Each row is divided by its largest absolute value over 127 (``int8``) or 7 (``int4``) and rounded:
    symmetric quantization per row, without a zero point. A row's scale is kept as a float16 share
    of the largest row's scale. ``int4`` keeps two numbers in a byte, each 8 higher than it is: column
    *i* in the upper half, column *i* + size / 2 in the lower one.

    Args:
        embedding: Shape ``(words, size)``; for ``int4`` the size is even.
        storage: How to store it.

    Returns:
        Arrays by the names that ``EXPANSION`` uses.
    """
    if storage == "float32":
        return {"embedding": embedding}
    levels = LEVELS[storage]
    scale = (abs(embedding).max(axis=1, keepdims=True) / levels).astype(np.float32)
    largest = np.maximum(scale.max(), np.finfo(np.float32).tiny)
    share = (scale / largest).astype(np.float16)
    row_scale = share.astype(np.float32) * largest
    # A row too small for a scale of its own is nothing beside the others.
    row_scale[row_scale == 0] = np.inf
    whole = np.clip(np.rint(embedding / row_scale), -levels, levels).astype(np.int8)
    scales = {"embedding_scale": share, "embedding_largest_scale": np.array(largest, np.float32)}
    if storage == "int8":
        return {"embedding_int8": whole, **scales}
    first, second = np.split((whole + 8).astype(np.uint8), 2, axis=1)
    return {
        "embedding_int4": first << 4 | second,
        **scales,
        "embedding_four": np.array(4, np.uint8),
        "embedding_sixteen": np.array(16, np.uint8),
        "embedding_eight": np.array(8, np.float32),
    }


def expanded_embedding(model: onnx.ModelProto) -> Floats | None:
    """Expand a graph's int8 or int4 embedding as the graph does it, bit for bit; None if it has none."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    if "embedding_int8" in constants:
        whole = onnx.numpy_helper.to_array(constants["embedding_int8"]).astype(np.float32)
    elif "embedding_int4" in constants:
        both = onnx.numpy_helper.to_array(constants["embedding_int4"])
        whole = np.concatenate([both >> 4, both & 15], axis=1).astype(np.float32) - np.float32(8)
    else:
        return None
    share = onnx.numpy_helper.to_array(constants["embedding_scale"]).astype(np.float32)
    expanded: Floats = whole * (share * onnx.numpy_helper.to_array(constants["embedding_largest_scale"]))
    return expanded
