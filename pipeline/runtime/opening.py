"""Inputs as streams of UTF-8, whatever encoding and byte-order mark they come in."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pipeline.errors import InputOutputError, PlanError
from pipeline.runtime.compressed import GzipStream, check_gzip, is_gzip
from pipeline.runtime.rows import printable
from pipeline.runtime.stamps import Stamp

STDIN = "-"
_CHUNK = 1 << 16
_GZIP_HEAD = 3
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOKS_ESCAPED = re.compile(r"\\[x\\]")


class NotAFileError(Exception):
    """A name that reading could block on, or that is no stream of bytes."""


class Utf8Stream(io.RawIOBase):
    """Reads another stream as UTF-8 without a byte-order mark.

    UTF-8 passes through unchecked, so that one bad row stays one bad row; from another encoding,
    bytes that cannot be decoded raise UnicodeError with their place in the input.

    Args:
        stream: The raw bytes.
        encoding: The encoding that was asked for; None: UTF-8, or UTF-16 where a mark says so.
    """

    def __init__(self, stream: BinaryIO, encoding: str | None = None) -> None:
        self._stream = stream
        self._head = stream.read(len(codecs.BOM_UTF8))
        self._read = 0
        self.offset = 0
        """Bytes of the input before the first one that is given."""
        if encoding is None and self._head.startswith(_UTF16_MARKS):
            encoding = "utf-16"
        is_utf8 = encoding is None or codecs.lookup(encoding).name == "utf-8"
        self._decoder = (
            None if is_utf8 or encoding is None else codecs.getincrementaldecoder(encoding)("strict")
        )
        self._ready = b""
        self._is_done = False
        if is_utf8 and self._head == codecs.BOM_UTF8:
            self._head, self.offset = b"", len(codecs.BOM_UTF8)

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed asks for its own private protocol
        """Fill a buffer as far as what is there allows; 0 at the end."""
        while not self._ready and not self._is_done:
            chunk = self._head or self._next_chunk()
            self._head = b""
            self._is_done = not chunk
            self._ready = self._decoded(chunk)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def skip_to(self, offset: int) -> None:
        """Leave out what lies before a byte, which must not have been read yet."""
        if self._decoder is None and self._stream.seekable():
            self._stream.seek(offset)
            self._head = b""
            return
        left = offset - self.offset
        while left > 0 and (skipped := self.read(min(left, _CHUNK))):
            left -= len(skipped)

    def _next_chunk(self) -> bytes:
        read = getattr(self._stream, "read1", self._stream.read)
        chunk: bytes = read(_CHUNK)
        return chunk

    def _decoded(self, chunk: bytes) -> bytes:
        if self._decoder is None:
            return chunk
        waiting = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            place = self._read - waiting + error.start
            msg = f"not {error.encoding} at byte {place}"
            raise UnicodeError(msg) from error
        self._read += len(chunk)
        return text.encode("utf-8", "surrogatepass")


@contextmanager
def open_utf8(
    name: str, encoding: str | None, *, start: int = 0, stamp: Stamp | None = None, is_proved: bool = False
) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, or standard input, as UTF-8; what begins as gzip data is decompressed.

    Args:
        name: A path, or ``-``.
        encoding: See ``Utf8Stream``.
        start: Bytes of the UTF-8 to leave out, as they were counted when they were read.
        stamp: What the file has to be, before and after it is read.
        is_proved: Whether compressed data is known to be whole; if not, it is read to its end first.

    Yields:
        The stream, and how many bytes lie before its first one.

    Raises:
        NotAFileError: If it is a FIFO, a socket, a device or a folder; nothing is waited for.
        CorruptedFileError: If compressed data is not whole; from standard input only once it is met.
        PlanError: If it is another file than it has to be.
        InputOutputError: If standard input is closed.
    """
    with _standard_input() if name == STDIN else open_file(name, stamp) as raw:
        head = raw.read(_GZIP_HEAD)
        content: BinaryIO = io.BufferedReader(_Headed(head, raw), _CHUNK)
        if name != STDIN:
            raw.seek(0)
            content = raw
        if is_gzip(head):
            if not is_proved and name != STDIN:
                check_gzip(raw)
                raw.seek(0)
            content = io.BufferedReader(GzipStream(content), _CHUNK)
        stream = Utf8Stream(content, encoding)
        if start:
            stream.skip_to(start)
        yield io.BufferedReader(stream), max(start, stream.offset)


class _Headed(io.RawIOBase):
    """A stream with bytes that were read from it put back."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._head or self._stream.read1(len(buffer))  # type: ignore[attr-defined]  # it is buffered
        buffer[: min(len(chunk), len(buffer))] = chunk[: len(buffer)]
        self._head = chunk[len(buffer) :]
        return min(len(chunk), len(buffer))


@contextmanager
def _standard_input() -> Iterator[BinaryIO]:
    if sys.stdin is None:
        msg = "standard input is closed; name a file instead of -"
        raise InputOutputError(msg)
    yield sys.stdin.buffer


@contextmanager
def open_file(name: str, stamp: Stamp | None = None) -> Iterator[BinaryIO]:
    """Open a file, and see to it that it is what it has to be, before and after it is read.

    Raises:
        NotAFileError: If it is a FIFO, a socket, a device or a folder; nothing is waited for.
        PlanError: If it is another file than it has to be.
    """
    # O_NONBLOCK: opening a FIFO that nobody writes to must not wait.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(name, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = "neither a file nor a folder (pipe it to standard input instead)"
        raise NotAFileError(msg)
    with os.fdopen(descriptor, "rb") as raw:
        _check_stamp(name, raw, stamp)
        yield raw
        _check_stamp(name, raw, stamp)


def _check_stamp(name: str, raw: BinaryIO, stamp: Stamp | None) -> None:
    if stamp is None:
        return
    status = os.fstat(raw.fileno())
    if status.st_size != stamp.size or stamp.mark not in (status.st_mtime_ns, str(stamp.mark)):
        found = Stamp(status.st_size, status.st_mtime_ns)
        msg = f"{printable(name)} has changed: found {found}; planned {stamp}; start anew with --overwrite"
        raise PlanError(msg)


def name_without_loss(name: str) -> str:
    r"""Give a file's name as text that can be written as UTF-8, a different one for every name.

    Bytes that are not UTF-8 become ``\xNN``; in such names, and in those that look like one,
    a backslash becomes two.
    """
    raw = os.fsencode(name)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw.replace(b"\\", rb"\\").decode(errors="backslashreplace")
    return text.replace("\\", r"\\") if _LOOKS_ESCAPED.search(text) else text


def is_text_encoding(name: str) -> bool:
    """Tell whether Python knows an encoding of text by this name."""
    try:
        b"a".decode(name, "ignore")
    except (LookupError, ValueError):
        return False
    return True
