"""CSV and TSV records out of lines, with the damage of a stray quote kept to one row."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.runtime.lines import MAX_ROW_BYTES, Line, read_lines
from pipeline.runtime.rows import RejectCode

_MAX_QUOTED_LINES = 1_000
"""Lines one quoted field may run over. It bounds what is read twice after an unclosed quote."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one row, or why it has none."""

    line: int
    fields: list[str] | None
    code: RejectCode | None = None
    message: str = ""


def read_records(
    stream: BinaryIO, delimiter: str, *, offset: int = 0, max_bytes: int = MAX_ROW_BYTES
) -> Iterator[Record]:
    """Read records of UTF-8 text as RFC 4180 has them: quoted line ends, doubled quotes.

    A quote that is never closed, or is followed by anything but a delimiter, costs the line where
    it opened; reading goes on at the next line. A line without any character has no fields.
    """
    csv.field_size_limit(max_bytes)
    lines = read_lines(stream, offset=offset, max_bytes=max_bytes)
    waiting: deque[Line] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        if line.content is None:
            yield _reject(line, RejectCode.TOO_LONG, f"longer than {max_bytes:,} bytes")
        elif not line.content:
            yield Record(line.number, [])
        else:
            yield _read_record(line, lines, waiting, delimiter, max_bytes)


def _read_record(
    first: Line, lines: Iterator[Line], waiting: deque[Line], delimiter: str, max_bytes: int
) -> Record:
    """Join lines until no quote is open; on failure the lines after the first wait again."""
    taken, size, is_open = [first], 0, False
    quote, mark = b'"', delimiter.encode()
    while True:
        last = taken[-1]
        content = last.content
        size += len(content or b"") + len(last.end)
        is_whole = content is not None and size <= max_bytes and len(taken) <= _MAX_QUOTED_LINES
        state = _scan(content, mark, quote, is_open=is_open) if is_whole and content is not None else None
        if state is None:
            break
        if not state:
            return _parse(taken, delimiter)
        is_open = True
        following = waiting.popleft() if waiting else next(lines, None)
        if following is None:
            break
        taken.append(following)
    waiting.extendleft(reversed(taken[1:]))
    return _reject(first, RejectCode.UNCLOSED_QUOTE, "a quote opens here and is not closed properly")


def _scan(line: bytes, delimiter: bytes, quote: bytes, *, is_open: bool) -> bool | None:
    """Tell whether a quoted field is open at the line's end; None if a quote is out of place."""
    position = 0
    while True:
        if not is_open and line.startswith(quote, position):
            is_open, position = True, position + 1
        if is_open:
            closing = line.find(quote, position)
            while closing >= 0 and line.startswith(quote, closing + 1):
                closing = line.find(quote, closing + 2)
            if closing < 0:
                return True
            is_open, position = False, closing + 1
            if position < len(line) and not line.startswith(delimiter, position):
                return None
        position = line.find(delimiter, position)
        if position < 0:
            return False
        position += len(delimiter)


def _parse(lines: list[Line], delimiter: str) -> Record:
    raw = b"".join((line.content or b"") + line.end for line in lines)
    first = lines[0]
    if b"\0" in raw:
        return _reject(first, RejectCode.BINARY, "holds a NUL byte")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        where = first.offset + error.start
        return _reject(
            first,
            RejectCode.INVALID_ENCODING,
            f"not UTF-8 at byte {where} (--encoding reads other encodings)",
        )
    text = text.removesuffix(lines[-1].end.decode())
    # newline="" semantics: csv sees the record as one string with its own line ends inside.
    fields = next(csv.reader([text], delimiter=delimiter, strict=True))
    return Record(first.number, fields)


def _reject(line: Line, code: RejectCode, message: str) -> Record:
    return Record(line.number, None, code, message)
