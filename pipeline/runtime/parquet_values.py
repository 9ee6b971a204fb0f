"""What the values of a Parquet column become; pyarrow is handed in by who imports it."""

from __future__ import annotations

import json
import math
from typing import Any


def is_usable(types: Any, kind: Any, *, is_text: bool) -> bool:
    """Tell whether a column of this type can be the text, or else an id or a kept column.

    Args:
        types: The module ``pyarrow.types``.
        kind: The column's type.
        is_text: Whether it is to be the text.
    """
    kind = getattr(kind, "storage_type", kind)
    if types.is_dictionary(kind):
        kind = kind.value_type
    if is_text or _is_text(types, kind):
        return _is_text(types, kind)
    checks = "boolean integer floating null temporal decimal fixed_size_binary"
    return _is_binary(types, kind) or any(getattr(types, f"is_{check}")(kind) for check in checks.split())


def column_values(pa: Any, column: Any) -> list[Any]:
    """Give a usable column's values as JSON has them, but strings, which need not be UTF-8, as bytes.

    Numbers, booleans and nulls stay what they are, NaN and the infinities become None, timestamps
    (in UTC), dates, times and decimals are written out, and bytes of a fixed length become
    hexadecimal digits.

    Args:
        pa: The module ``pyarrow``.
        column: Its array.
    """
    types = pa.types
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_fixed_size_binary(kind):
        return [None if value is None else value.hex() for value in column.to_pylist()]
    if types.is_floating(kind):
        return _finite(pa, column)
    if types.is_timestamp(kind) and kind.tz:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    if _is_text(types, kind) or _is_binary(types, kind):
        column = column.cast(pa.large_binary())
    elif types.is_temporal(kind) or types.is_decimal(kind):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def _finite(pa: Any, column: Any) -> list[float | None]:
    if column.type.bit_width < 64:  # The shortest decimal that means this number, as for scores.
        column = column.cast(pa.string()).cast(pa.float64())
    return [None if value is None or not math.isfinite(value) else value for value in column.to_pylist()]


def as_text(value: Any) -> str | None:
    """Give a string as it is, None as None, and anything else as JSON."""
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(types: Any, kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))
