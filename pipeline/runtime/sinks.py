"""Scored rows and rejects on their way out: JSON lines or CSV, to a stream or to one whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any, BinaryIO

from pipeline.runtime.rows import Reject, Row, Score

COLUMNS = ("source", "row", "id", "score", "label", "tokens", "unknown_share", "truncated")
_TO_QUOTE = re.compile('[",\r\n]')
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEUTRALISED_COLUMNS = ("source", "id")
_JSON_LINE = "{" + ", ".join(f'"{column}": %s' for column in COLUMNS) + "}\n"
_CSV_LINE = ",".join("%s" for _ in COLUMNS) + "\n"
_encode_column = json.JSONEncoder(ensure_ascii=False, separators=("\n", ": ")).encode


class OutputFormat(StrEnum):
    """How scored rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


def neutralised(value: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value


def _csv_cell(value: str) -> str:
    """Quote as RFC 4180 says; unlike Python's csv.writer also a lone carriage return."""
    return f'"{value.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(value) else value


def _csv_cells(column: str, values: Sequence[Any]) -> Iterable[str]:
    if column in _NEUTRALISED_COLUMNS:
        return [_csv_cell(neutralised(value or "")) for value in values]
    return map(_csv_cell, values) if column == "label" else _json_cells(column, values)


def _json_cells(_column: str, values: Sequence[Any]) -> Iterable[str]:
    """Encode a whole column at once, which is thrice as fast as row by row; no value holds a line end."""
    return _encode_column(values)[1:-1].split("\n")


class RowSink:
    """Writes scored rows to a binary stream, many at a time, each line whole."""

    def __init__(self, stream: BinaryIO, output_format: OutputFormat) -> None:
        self._stream = stream
        is_csv = output_format is OutputFormat.CSV
        self._line = _CSV_LINE if is_csv else _JSON_LINE
        self._as_cells: Callable[[str, Sequence[Any]], Iterable[str]] = _csv_cells if is_csv else _json_cells
        if is_csv:
            self._stream.write((_CSV_LINE % COLUMNS).encode())

    def write(self, scored: Sequence[tuple[Row, Score]]) -> None:
        """Write rows in the order given and hand them to the operating system."""
        if scored:
            rows, scores = zip(*scored, strict=True)
            source, row, review_id, _text = zip(*rows, strict=True)
            columns = source, row, review_id, *zip(*scores, strict=True)
            cells = map(self._as_cells, COLUMNS, columns)
            self._stream.write("".join(map(self._line.__mod__, zip(*cells, strict=True))).encode())
        self._stream.flush()


def reject_line(reject: Reject) -> bytes:
    """Give one reject as a JSON line."""
    return (json.dumps(asdict(reject), ensure_ascii=False) + "\n").encode()
