"""Scored rows and rejects on their way out: JSON lines or CSV, to a stream or to one whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from pipeline.runtime.parquet_values import as_text
from pipeline.runtime.rows import Reject, Row, Score

COLUMNS = ("source", "row", "id", "score", "label", "tokens", "unknown_share", "truncated")
"""Of every scored row; columns to be kept follow behind them."""
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")
_TO_QUOTE = re.compile('[",\r\n]')
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEUTRALISED_COLUMNS = ("source", "id")
_encode_column = json.JSONEncoder(ensure_ascii=False, separators=("\n", ": ")).encode


class OutputFormat(StrEnum):
    """How scored rows are written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


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


def _csv_kept(value: object) -> str:
    """Write a value of any type that JSON knows; a number stays one, whatever it starts with."""
    text = as_text(value) or ""
    return _csv_cell(text if _NUMBER.fullmatch(text) else neutralised(text))


def _json_cells(_column: str, values: Sequence[Any]) -> Iterable[str]:
    """Encode a whole column at once, which is thrice as fast as row by row; no value holds a line end."""
    return _encode_column(values)[1:-1].split("\n")


def _json_kept(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class Sink(Protocol):
    """Takes scored rows."""

    rows: int
    """Rows taken so far."""

    def write(self, scored: Sequence[tuple[Row, Score]]) -> None:
        """Take rows in the order given."""

    def close(self) -> None:
        """Write what is still held."""


class RowSink:
    """Writes scored rows to a binary stream, many at a time, each line whole.

    Args:
        stream: Where to.
        output_format: JSON lines or CSV.
        kept: Names of the columns that follow those of every scored row.
    """

    def __init__(self, stream: BinaryIO, output_format: OutputFormat, kept: Sequence[str] = ()) -> None:
        self._stream = stream
        self.rows = 0
        """Rows written so far."""
        is_csv = output_format is OutputFormat.CSV
        self._stream.write(header_of(output_format, kept))
        self._as_cells: Callable[[str, Sequence[Any]], Iterable[str]] = _csv_cells if is_csv else _json_cells
        self._kept = _csv_kept if is_csv else _json_kept
        if is_csv:
            self._line = ",".join("%s" for _ in (*COLUMNS, *kept)) + "\n"
        else:
            keys = (_json_kept(column).replace("%", "%%") for column in (*COLUMNS, *kept))
            self._line = "{" + ", ".join(f"{key}: %s" for key in keys) + "}\n"

    def write(self, scored: Sequence[tuple[Row, Score]]) -> None:
        """Write rows in the order given and hand them to the operating system."""
        if scored:
            rows, scores = zip(*scored, strict=True)
            source, row, review_id, _text, kept, _line = zip(*rows, strict=True)
            columns = source, row, review_id, *zip(*scores, strict=True)
            cells = [*map(self._as_cells, COLUMNS, columns)]
            cells += [map(self._kept, values) for values in zip(*kept, strict=True)]
            self._stream.write("".join(map(self._line.__mod__, zip(*cells, strict=True))).encode())
            self.rows += len(rows)
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: every line is whole already."""


def header_of(output_format: OutputFormat, kept: Sequence[str] = ()) -> bytes:
    """Give what stands before the first row."""
    if output_format is not OutputFormat.CSV:
        return b""
    names = map(_csv_cell, map(neutralised, (*COLUMNS, *kept)))
    return (",".join(names) + "\n").encode()


def open_sink(stream: BinaryIO, output_format: OutputFormat, kept: Sequence[str] = ()) -> Sink:
    """Give what writes scored rows in a format; it has to be closed when all are written.

    Raises:
        MissingExtra: If the format needs an extra that is not installed.
    """
    if output_format is OutputFormat.PARQUET:
        from pipeline.runtime.parquet_sink import ParquetSink

        return ParquetSink(stream, kept)
    return RowSink(stream, output_format, kept)


def reject_line(reject: Reject) -> bytes:
    """Give one reject as a JSON line."""
    return (json.dumps(asdict(reject), ensure_ascii=False) + "\n").encode()
