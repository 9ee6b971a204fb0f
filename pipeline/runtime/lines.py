"""Lines of bytes from a stream, in bounded memory however long a line is."""

from __future__ import annotations

import codecs
import io
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


def read_lines(stream: BinaryIO, *, max_bytes: int = MAX_ROW_BYTES) -> Iterator[Line]:
    r"""Split a stream at ``\n``, ``\r\n`` and lone ``\r``, and nowhere else.

    The last line needs no line end. A line of more than ``max_bytes`` comes without its content,
    and the next one is read correctly.
    """
    number, offset, pending, dropped = 1, 0, b"", 0
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


def utf8_stream(stream: io.BufferedReader, encoding: str | None) -> io.BufferedReader:
    """Give the stream as UTF-8 without a byte-order mark.

    Args:
        stream: The raw bytes.
        encoding: The encoding that was asked for; without one, UTF-8, or UTF-16 where the stream
            begins with its mark.

    Returns:
        A readable stream. UTF-8 passes through unchecked, so that one bad row stays one bad row;
        from another encoding, bytes that cannot be decoded raise UnicodeDecodeError on reading.
    """
    head = stream.peek(len(codecs.BOM_UTF8))
    if encoding is None and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding is not None and codecs.lookup(encoding).name != "utf-8":
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        return io.BufferedReader(_Transcoded(stream, decoder))
    if head.startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    return stream


class _Transcoded(io.RawIOBase):
    """A raw stream that reads another one through a decoder and gives UTF-8."""

    def __init__(self, stream: BinaryIO, decoder: codecs.IncrementalDecoder) -> None:
        self._stream = stream
        self._decoder = decoder
        self._ready = b""
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed asks for its own private protocol
        while not self._ready and not self._is_done:
            chunk = self._stream.read(_CHUNK)
            self._is_done = not chunk
            self._ready = self._decoder.decode(chunk, final=not chunk).encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
