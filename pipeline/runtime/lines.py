"""Lines of bytes from a stream, in bounded memory however long a line is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_ROW_BYTES = 1 << 20
"""Bytes of one row; the longest review of the Large Movie Review Dataset has 14,000."""
_CHUNK = 1 << 16
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Line(NamedTuple):
    """One line; ``content`` is None where it was longer than a row may be."""

    number: int
    offset: int
    content: bytes | None
    end: bytes


def read_lines(stream: BinaryIO, *, offset: int = 0, max_bytes: int = MAX_ROW_BYTES) -> Iterator[Line]:
    r"""Split a stream at ``\n``, ``\r\n`` and lone ``\r``, and nowhere else.

    The last line needs no line end. A line of more than ``max_bytes`` comes without its content,
    and the next one is read correctly. ``offset`` is that of the stream's first byte.
    """
    number, pending, dropped = 1, b"", 0
    for chunk in _chunks(stream):
        data = pending + chunk
        start = 0
        for match in _LINE_END.finditer(data):
            # A "\r" at the very end may be half of "\r\n": it waits for the next chunk.
            if match.end() == len(data) and match[0] == b"\r" and chunk:
                break
            fits = not dropped and match.start() - start <= max_bytes
            yield Line(number, offset, data[start : match.start()] if fits else None, match[0])
            number, offset, dropped = number + 1, offset + dropped + match.end() - start, 0
            start = match.end()
        pending = data[start:]
        if len(pending) > max_bytes + 1:
            # The last byte stays: it may be the "\r" of the line's end.
            dropped, pending = dropped + len(pending) - 1, pending[-1:]
    if pending or dropped:
        fits = not dropped and len(pending) <= max_bytes
        yield Line(number, offset, pending if fits else None, b"")


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what is there, as it comes; an empty chunk at the end says that no more will."""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        yield chunk
    yield b""
