"""Scored rows and rejects on their way out: JSON lines or CSV, to a stream or to one whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any, BinaryIO

from pipeline.runtime.rows import Reject, Row, Score

COLUMNS = ("source", "row", "id", "score", "label", "tokens", "unknown_share", "truncated")
_TO_QUOTE = re.compile('[",\r\n]')
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class OutputFormat(StrEnum):
    """How scored rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


def _as_columns(row: Row, score: Score) -> dict[str, Any]:
    return {
        "source": row.source,
        "row": row.row,
        "id": row.id,
        "score": score.score,
        "label": score.label,
        "tokens": score.tokens,
        "unknown_share": score.unknown_share,
        "truncated": score.truncated,
    }


def neutralised(value: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value


def _csv_cell(value: str) -> str:
    """Quote as RFC 4180 says; unlike Python's csv.writer also a lone carriage return."""
    return f'"{value.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(value) else value


class RowSink:
    """Writes scored rows to a binary stream, many at a time, each line whole."""

    def __init__(self, stream: BinaryIO, output_format: OutputFormat) -> None:
        self._stream = stream
        self._format = output_format
        if output_format is OutputFormat.CSV:
            self._write_csv([list(COLUMNS)])

    def write(self, scored: Sequence[tuple[Row, Score]]) -> None:
        """Write rows in the order given and hand them to the operating system."""
        records = [_as_columns(row, score) for row, score in scored]
        if self._format is OutputFormat.CSV:
            self._write_csv([self._csv_cells(record) for record in records])
        else:
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            self._stream.write("".join(lines).encode())
        self._stream.flush()

    @staticmethod
    def _csv_cells(record: dict[str, Any]) -> list[Any]:
        record["truncated"] = "true" if record["truncated"] else "false"
        for column in ("source", "id"):
            record[column] = neutralised(record[column] or "")
        return list(record.values())

    def _write_csv(self, rows: list[list[Any]]) -> None:
        lines = (",".join(_csv_cell(str(value)) for value in row) + "\n" for row in rows)
        self._stream.write("".join(lines).encode())


def reject_line(reject: Reject) -> bytes:
    """Give one reject as a JSON line."""
    return (json.dumps(asdict(reject), ensure_ascii=False) + "\n").encode()
