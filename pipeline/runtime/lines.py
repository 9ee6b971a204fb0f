"""Lines of bytes from a stream, in bounded memory however long a line is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_ROW_BYTES = 1 << 20
"""Bytes of one row; the longest review of the Large Movie Review Dataset has 14,000."""
_CHUNK = 1 << 16


class Line(NamedTuple):
    """One line; ``content`` is None where it was longer than a row may be."""

    number: int
    offset: int
    content: bytes | None
    end: bytes
    following: int
    """Offset of the first byte behind the line and its end."""


def read_lines(
    stream: BinaryIO, *, offset: int = 0, number: int = 1, max_bytes: int = MAX_ROW_BYTES
) -> Iterator[Line]:
    r"""Split a stream at ``\n``, ``\r\n`` and lone ``\r``, and nowhere else.

    The last line needs no line end. A line of more than ``max_bytes`` comes without its content,
    and the next one is read correctly. ``offset`` and ``number`` are those of the stream's first byte
    and first line.
    """
    pending, dropped = b"", 0
    for chunk in read_chunks(stream):
        # Of bytes, unlike of text, splitlines knows these three line ends and no other.
        lines = (pending + chunk).splitlines(keepends=True)
        # The last line may go on, and a "\r" at its end may be half of "\r\n".
        pending = lines.pop() if chunk and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            content = line.rstrip(b"\r\n")
            fits = not dropped and len(content) <= max_bytes
            following = offset + dropped + len(line)
            yield Line(number, offset, content if fits else None, line[len(content) :], following)
            number, offset, dropped = number + 1, following, 0
        if len(pending) > max_bytes + 1:
            # The last byte stays: it may be the "\r" of the line's end.
            dropped, pending = dropped + len(pending) - 1, pending[-1:]


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what is there, as it comes; an empty chunk at the end says that no more will."""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        yield chunk
    yield b""
