"""Gzip data comes back whole or is refused, in bounded memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from contextlib import suppress
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.compressed import (
    MAX_RATIO,
    RATIO_FLOOR,
    CorruptedFileError,
    GzipStream,
    check_gzip,
    is_gzip,
)

CONTENT = b"A moving film.\r\nDull, dull, dull.\n" * 3
SMALL = gzip.compress(CONTENT, mtime=0)
TWO_MEMBERS = SMALL + gzip.compress(b"next\n", mtime=0)


class Dribble(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time."""

    def __init__(self, content: bytes, size: int = 1) -> None:
        self._content, self._size = io.BytesIO(content), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self._content.read(min(self._size, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def dribbled(content: bytes, size: int) -> BinaryIO:
    return io.BufferedReader(Dribble(content, size))


def content_of(data: bytes, size: int = 1 << 16) -> bytes:
    stream = io.BufferedReader(GzipStream(io.BytesIO(data)))
    return b"".join(iter(lambda: stream.read1(size), b""))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (SMALL, True),
        (SMALL[:3], True),
        (SMALL[:2], False),
        (b"", False),
        (b"\x1f\x8b\x07", False),
        (b"PK\x03\x04", False),
        (b"PAR1", False),
        (b"text", False),
    ],
    ids=["gzip", "3 bytes", "2 bytes", "nothing", "not deflate", "zip", "parquet", "text"],
)
def test_gzip_is_known_by_its_first_bytes(head: bytes, expected: bool) -> None:
    assert is_gzip(head) is expected


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.integers(0, 9),
    st.integers(1, 400),
    st.integers(1, 100),
    st.integers(0, 3),
)
def test_any_bytes_come_back_from_any_members_in_any_pieces(
    members: list[bytes], level: int, read_size: int, raw_size: int, padding: int
) -> None:
    data = b"".join(gzip.compress(member, level) for member in members) + bytes(padding)
    stream = io.BufferedReader(GzipStream(dribbled(data, raw_size)), 1)
    assert b"".join(iter(lambda: stream.read1(read_size), b"")) == b"".join(members)
    check_gzip(dribbled(data, raw_size))


@pytest.mark.parametrize("size", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 3 << 16])
@pytest.mark.parametrize("level", [0, 9], ids=["stored", "best"])
def test_content_as_long_as_a_piece_comes_back(size: int, level: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    assert content_of(gzip.compress(content, level)) == content


@pytest.mark.parametrize("padding", [1, 512, (1 << 16) + 1])
def test_zeros_after_the_last_member_are_padding(padding: int) -> None:
    assert content_of(SMALL + bytes(padding)) == CONTENT


def test_a_header_with_every_field_is_read() -> None:
    fields = b"\x03\0abc" + b"name.csv\0" + b"a comment\0"
    head = b"\x1f\x8b\x08\x1e" + SMALL[4:10] + fields
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert content_of(head + SMALL[10:]) == CONTENT


def test_a_finished_stream_stays_finished() -> None:
    stream = GzipStream(io.BytesIO(SMALL))
    assert stream.readall() == CONTENT
    assert (stream.read(1), stream.next_piece()) == (b"", b"")


@pytest.mark.parametrize("size", range(len(TWO_MEMBERS)))
def test_data_that_is_cut_off_is_refused(size: int) -> None:
    if size == len(SMALL):  # Whole as it stands.
        assert content_of(TWO_MEMBERS[:size]) == CONTENT
        return
    with pytest.raises(CorruptedFileError, match=f"cut off after {size:,} bytes"):
        check_gzip(io.BytesIO(TWO_MEMBERS[:size]))


@pytest.mark.parametrize("place", range(len(TWO_MEMBERS)))
def test_a_flipped_byte_is_refused_or_makes_no_difference(place: int) -> None:
    for bits in (0x01, 0x10, 0x80, 0xFF):
        data = bytearray(TWO_MEMBERS)
        data[place] ^= bits
        try:
            content = content_of(bytes(data))
        except CorruptedFileError:
            continue
        assert content == CONTENT + b"next\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SMALL[:-8] + bytes(4) + SMALL[-4:], "corrupted: incorrect data check, between byte 0 and "),
        (SMALL[:-4] + bytes(4), "corrupted: incorrect length check"),
        (b"text" * 9, "corrupted: incorrect header check"),
        (b"\x1f\x8b\x07" + SMALL[3:], "corrupted: unknown compression method"),
        (SMALL + b"garbage", f"something that is not gzip follows the gzip data at byte {len(SMALL)}"),
        (SMALL + bytes(3) + b"x", f"something that is not gzip follows the gzip data at byte {len(SMALL) + 3}"),
        (SMALL + b"\x1f\x8b\x07" + bytes(9), "corrupted: unknown compression method"),
    ],
    ids=["checksum", "length", "no gzip", "not deflate", "garbage", "garbage after zeros", "bad second header"],
)  # fmt: skip
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    with pytest.raises(CorruptedFileError, match=message):
        check_gzip(io.BytesIO(data))


@given(st.binary(max_size=60), st.integers(0, len(SMALL)))
def test_no_bytes_raise_anything_else(data: bytes, kept: int) -> None:
    with suppress(CorruptedFileError):
        content_of(SMALL[:kept] + data)


def swollen(content: bytes, size: int) -> bytes:
    """Compressed in pieces, so that the test need not hold the content."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = content * (1 << 20)
    rounds = -(-size // len(piece))
    return b"".join(packer.compress(piece) for _ in range(rounds)) + packer.flush()


def test_a_bomb_is_refused_in_bounded_memory() -> None:
    data = swollen(b"\0", 64 * RATIO_FLOOR // 8)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptedFileError, match=f"above {MAX_RATIO}:1 it is taken for a bomb"):
            check_gzip(io.BytesIO(data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_of_many_members_is_refused() -> None:
    member = gzip.compress(bytes(1 << 20), 9)
    with pytest.raises(CorruptedFileError, match="bomb"):
        check_gzip(io.BytesIO(member * 17))


@pytest.mark.parametrize(
    ("row", "size"), [(b"good\n", 3 * RATIO_FLOOR), (b"ok\n", RATIO_FLOOR - (4 << 20))], ids=["good", "small"]
)
def test_a_file_of_one_row_repeated_is_no_bomb(row: bytes, size: int) -> None:
    check_gzip(io.BytesIO(swollen(row, size)))


class Failing(Dribble):
    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = super().readinto(buffer)
        if not size:
            raise OSError(5, "Input/output error")
        return size


def test_a_failing_disk_is_no_corrupted_file() -> None:
    with pytest.raises(OSError, match="Input/output error"):
        check_gzip(io.BufferedReader(Failing(SMALL[:20])))
