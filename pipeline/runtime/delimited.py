"""CSV and TSV records out of lines, with the damage of a stray quote kept to one row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pipeline.runtime.lines import MAX_ROW_BYTES, Line, read_lines
from pipeline.runtime.rows import RejectCode

_MAX_QUOTED_LINES = 1_000
"""Lines one quoted field may run over. It bounds what is read twice after an unclosed quote."""


class Record(NamedTuple):
    """The fields of one row, or why it has none."""

    line: int
    fields: list[str] | None
    code: RejectCode | None = None
    message: str = ""
    offset: int | None = None
    """The byte that is no text, where that is what is wrong."""


class RecordReader:
    """Reads records of UTF-8 text as RFC 4180 has them: quoted line ends, doubled quotes.

    A quote that is never closed, or is followed by anything but a delimiter, costs the line where
    it opened; reading goes on at the next line. A line without any character has no fields.

    Args:
        stream: UTF-8.
        delimiter: One ASCII character.
        offset: That of the stream's first byte.
        number: That of the stream's first line.
        max_bytes: The longest record that is read.
    """

    def __init__(
        self,
        stream: BinaryIO,
        delimiter: str,
        *,
        offset: int = 0,
        number: int = 1,
        max_bytes: int = MAX_ROW_BYTES,
    ) -> None:
        self._lines = read_lines(stream, offset=offset, number=number, max_bytes=max_bytes)
        # Lines that are read twice: those after a quote that is never closed.
        self._waiting: deque[Line] = deque()
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._behind = number, offset

    @property
    def following(self) -> tuple[int, int]:
        """Number and offset of the line at which the next record begins."""
        return self._waiting[0][:2] if self._waiting else self._behind

    def __iter__(self) -> Iterator[Record]:
        while (line := self._next_line()) is not None:
            content = line.content
            if content is None:
                yield _reject(line, RejectCode.TOO_LONG, f"longer than {self._max_bytes:,} bytes")
            elif not content:
                yield Record(line.number, [])
            elif b'"' in content:
                yield self._read_quoted(line)
            else:
                yield _checked(line, content, _decode(content).split(self._delimiter))

    def _next_line(self) -> Line | None:
        if self._waiting:
            return self._waiting.popleft()
        line = next(self._lines, None)
        if line is not None:
            self._behind = line.number + 1, line.following
        return line

    def _read_quoted(self, first: Line) -> Record:
        taken = [first]
        fields = self._split(taken)
        if fields is None:
            self._waiting.extendleft(reversed(taken[1:]))
            message = "a quote opens here and is not closed properly"
            return _reject(first, RejectCode.UNCLOSED_QUOTE, message)
        record = first.content or b""
        if len(taken) > 1:
            record = b"".join([(line.content or b"") + line.end for line in taken])
        return _checked(first, record, fields)

    def _split(self, taken: list[Line]) -> list[str] | None:
        """Split the one line taken into fields, taking more while a quote is open.

        None where a quote is not closed, or is followed by anything but a delimiter.
        """
        # The line end behind it gives every character of the line a next one.
        text, position = _decode(taken[0].content or b"") + "\n", 0
        fields = []
        while True:
            if text[position] == '"':
                quoted = self._read_field(text, position + 1, taken)
                if quoted is None:
                    return None
                field, text, cut = quoted
            else:
                cut = text.find(self._delimiter, position)
                field = text[position:cut]
            fields.append(field)
            if cut < 0 or text[cut] == "\n":
                return fields
            if text[cut] != self._delimiter:
                return None
            position = cut + 1

    def _read_field(self, text: str, start: int, taken: list[Line]) -> tuple[str, str, int] | None:
        """Give a quoted field, the text of the line on which it ends, and the place behind its quote."""
        parts = []
        while True:
            quote = text.find('"', start)
            if quote < 0:
                parts.append(text[start:-1] + taken[-1].end.decode())
                following = self._take_line(taken)
                if following is None:
                    return None
                text, start = following, 0
            elif text[quote + 1] == '"':
                parts.append(text[start : quote + 1])
                start = quote + 2
            else:
                parts.append(text[start:quote])
                return "".join(parts), text, quote + 1

    def _take_line(self, taken: list[Line]) -> str | None:
        """Add one line to a record, unless there is none or the record would be too long."""
        line = self._next_line()
        if line is None:
            return None
        taken.append(line)
        if line.content is None or len(taken) > _MAX_QUOTED_LINES:
            return None
        size = line.offset + len(line.content) - taken[0].offset
        return _decode(line.content) + "\n" if size <= self._max_bytes else None


def _decode(content: bytes) -> str:
    """Decode what may turn out to be no text only after its quotes have been looked at."""
    return content.decode(errors="surrogateescape")


def _checked(line: Line, record: bytes, fields: list[str]) -> Record:
    if b"\0" in record:
        return _reject(line, RejectCode.BINARY, "holds a NUL byte")
    try:
        if not record.isascii():
            record.decode()
    except UnicodeDecodeError as error:
        where = line.offset + error.start
        message = f"not UTF-8 at byte {where} (--encoding reads other encodings)"
        return Record(line.number, None, RejectCode.INVALID_ENCODING, message, where)
    return Record(line.number, fields)


def _reject(line: Line, code: RejectCode, message: str) -> Record:
    return Record(line.number, None, code, message)
