"""How inputs are to be read: formats, options, and what is counted on the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InputFormat(StrEnum):
    """How a file's bytes become rows."""

    TEXT = "text"
    """The whole file is one review."""
    LINES = "lines"
    """Each line is one review."""
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True)
class ReadOptions:
    """How inputs are to be read, the same for all inputs of a run."""

    input_format: InputFormat | None = None
    """None: by each file's suffix; ``.txt`` is one review, standard input is lines."""
    text_column: str = "text"
    """Column, or JSON key, that holds the review."""
    id_column: str | None = None
    """Column, or JSON key, that names the row; None: ``id`` where there is one."""
    delimiter: str | None = None
    """One character between columns; None: a comma for CSV, a tab for TSV."""
    encoding: str | None = None
    """None: UTF-8, or UTF-16 where a file begins with its byte-order mark."""
    keep_columns: tuple[str, ...] = ()
    """Columns, or JSON keys, whose values go with the row to the output."""


@dataclass(slots=True)
class Place:
    """How far reading has come: everything before it is read, nothing behind it."""

    file: int = 0
    """Files that lie behind it whole."""
    row: int = 0
    """Rows of the next file that lie behind it."""
    line: int = 1
    """Number of the line that comes next, from 1."""
    offset: int = 0
    """Bytes of the next file, decompressed and as UTF-8, that lie behind it."""

    def enter(self, file: int) -> None:
        """Move to the beginning of a file."""
        self.file, self.row, self.line, self.offset = file, 0, 1, 0


@dataclass
class ReadTally:
    """What was read without becoming a row."""

    blank_lines: int = 0
    passed_over: int = 0
    """Entries of input folders that are no ``.txt`` or ``.txt.gz`` files; a folder inside counts as one."""
