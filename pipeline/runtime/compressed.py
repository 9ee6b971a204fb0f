"""Gzip data as the bytes that were compressed, in bounded memory, proved by its checksums."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

MAX_RATIO = 700
"""Bytes out for each byte in, above which data is a bomb and no text.

DEFLATE gives at most 258 bytes for two bits, 1032:1, and that only where the bytes repeat within 4;
each doubling of that distance costs a bit. What repeats within 5 bytes or more thus stays below
688:1, whoever compressed it. Measured with gzip -9 on 64 MiB of one row repeated: 1028:1 for ``ok``,
686:1 for ``good``, 344:1 for a row of 50 bytes, 258:1 for 230 bytes, 214:1 for 1,000 bytes, 78:1
where a running number stands before each row; zeros 1029:1."""
RATIO_FLOOR = 16 << 20
"""Bytes out up to which no ratio is too high: what repeats within 4 bytes passes while it is small."""
_CHUNK = 1 << 16
_MAGIC = b"\x1f\x8b\x08"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class CorruptedFileError(Exception):
    """Data that is not what its format promises: cut off, altered, or made to swell."""


def is_gzip(head: bytes) -> bool:
    """Tell by its first bytes, at least 3, whether data is compressed with gzip."""
    return head.startswith(_MAGIC)


class GzipStream(io.RawIOBase):
    """Reads another stream's gzip members, one after the other, as one stream of their content.

    What is read last may already have been given when its checksum turns out wrong; ``check_gzip``
    says beforehand.

    Args:
        raw: The compressed bytes; errors of its own pass through, and it stays open.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._next_chunk = getattr(raw, "read1", raw.read)
        self._waiting = b""
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._bytes_in = 0
        self._bytes_out = 0
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed asks for its own private protocol
        """Fill a buffer as far as what is there allows; 0 at the end.

        Raises:
            CorruptedFileError: If the data is cut off or altered, something else follows it, or it
                swells to more than ``MAX_RATIO`` times its size.
        """
        if not self._ready:
            self._ready = memoryview(self.next_piece())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def next_piece(self) -> bytes:
        """Decompress on, up to 64 KiB; nothing at the end. Raises as ``readinto`` does."""
        while True:
            if self._member.eof and not self._begins_member():
                return b""
            if not self._waiting:
                self._waiting = self._next_chunk(_CHUNK)
                self._bytes_in += len(self._waiting)
            piece = self._inflated()
            if piece:
                return piece

    def _begins_member(self) -> bool:
        """Go on to the next member, past zeros, which tapes and disks pad a file with."""
        while not (rest := self._waiting.lstrip(b"\0")):
            self._waiting = self._next_chunk(_CHUNK)
            self._bytes_in += len(self._waiting)
            if not self._waiting:
                return False
        self._waiting = rest
        if rest[:1] != _MAGIC[:1]:
            msg = f"something that is not gzip follows the gzip data at byte {self._place():,}"
            raise CorruptedFileError(msg)
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        return True

    def _inflated(self) -> bytes:
        member, data = self._member, self._waiting
        try:
            piece = member.decompress(data, _CHUNK)
        except zlib.error as error:
            reason = str(error).rpartition(": ")[2]
            msg = (
                f"the gzip data is corrupted: {reason}, between byte {self._place():,} and {self._bytes_in:,}"
            )
            raise CorruptedFileError(msg) from error
        if not data and not piece and not member.eof:
            msg = f"the gzip data is cut off after {self._bytes_in:,} bytes"
            raise CorruptedFileError(msg)
        self._waiting = member.unused_data if member.eof else member.unconsumed_tail
        self._bytes_out += len(piece)
        if self._bytes_out > max(RATIO_FLOOR, MAX_RATIO * self._place()):
            msg = (
                f"the first {self._place():,} bytes of gzip data swell to more than {self._bytes_out:,}; "
                f"above {MAX_RATIO}:1 it is taken for a bomb, not for text"
            )
            raise CorruptedFileError(msg)
        return piece

    def _place(self) -> int:
        """Bytes of the input that have been dealt with."""
        return self._bytes_in - len(self._waiting)


def check_gzip(raw: BinaryIO) -> None:
    """Read gzip data to its end and keep nothing, to know it whole before a part of it is used.

    Raises:
        CorruptedFileError: As ``GzipStream.readinto`` does.
    """
    stream = GzipStream(raw)
    while stream.next_piece():
        pass
