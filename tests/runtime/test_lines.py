"""Lines out of bytes, however the bytes arrive."""

from __future__ import annotations

import io
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.runtime.lines import Line, read_lines


class Pieces(io.BytesIO):
    """A stream that hands out a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read1(self, _size: int | None = -1, /) -> bytes:
        return super().read1(self._size)


class Endless(io.BytesIO):
    """Many bytes without a line end, made as they are read, and then one more line."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self._chunks = chunks

    def read1(self, size: int | None = -1, /) -> bytes:
        self._chunks -= 1
        if self._chunks > 0:
            return b"x" * (size or 1)
        return b"\nnext\n" if self._chunks == 0 else b""


def contents(data: bytes, *, size: int = 1 << 16, max_bytes: int = 100) -> list[bytes | None]:
    return [line.content for line in read_lines(Pieces(data, size), max_bytes=max_bytes)]


def naive_lines(data: bytes) -> list[tuple[bytes, bytes]]:
    parts = [*re.split(rb"(\r\n|\n|\r)", data), b""]
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    return pairs[:-1] if pairs[-1] == (b"", b"") else pairs


BYTES = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"a", b"bb", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\x0c", b"\x1c"]
    ),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 16])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_each_line_end_ends_a_line(end: bytes, size: int) -> None:
    assert contents(b"one" + end + b"two" + end, size=size) == [b"one", b"two"]


def test_line_ends_may_be_mixed() -> None:
    assert contents(b"one\rtwo\r\nthree\nfour") == [b"one", b"two", b"three", b"four"]


def test_the_last_line_needs_no_line_end() -> None:
    assert list(read_lines(io.BytesIO(b"one\ntwo"))) == [
        Line(1, 0, b"one", b"\n", 4),
        Line(2, 4, b"two", b"", 7),
    ]


def test_nothing_has_no_lines() -> None:
    assert contents(b"") == []


def test_two_line_ends_hold_an_empty_line() -> None:
    assert contents(b"\n\r\n\r") == [b"", b"", b""]


@pytest.mark.parametrize(
    "character", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"], ids=ascii
)
def test_no_other_character_ends_a_line(character: str) -> None:
    line = f"one{character}two".encode()
    assert contents(line + b"\nthree") == [line, b"three"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_line_end_split_over_two_chunks_is_one(size: int) -> None:
    assert contents(b"abc\r\ndef\r\n", size=size) == [b"abc", b"def"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_lone_cr_at_the_end_of_a_chunk_ends_a_line(size: int) -> None:
    assert contents(b"abc\rdef\r", size=size) == [b"abc", b"def"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""], ids=["LF", "CRLF", "CR", "none"])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 6, 1 << 16])
@pytest.mark.parametrize(("length", "fits"), [(3, True), (4, True), (5, False), (50, False)])
def test_a_line_may_be_as_long_as_the_limit(length: int, fits: bool, size: int, end: bytes) -> None:
    line = b"x" * length
    assert contents(line + end, size=size, max_bytes=4) == [line if fits else None]


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_the_line_after_one_that_is_too_long_is_right(end: bytes, size: int) -> None:
    lines = list(read_lines(Pieces(b"x" * 99 + end + b"next" + end, size), max_bytes=10))
    assert lines == [
        Line(1, 0, None, end, 99 + len(end)),
        Line(2, 99 + len(end), b"next", end, 103 + 2 * len(end)),
    ]


def test_a_line_without_an_end_takes_bounded_memory() -> None:
    tracemalloc.start()
    try:
        lines = list(read_lines(Endless(chunks=500), max_bytes=1 << 17))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [line.content for line in lines] == [None, b"next"]
    assert lines[1].offset == 499 * (1 << 16) + 1
    assert peak < 2 << 20


@given(BYTES | st.binary(), st.integers(1, 7))
@example(b"\r", 1)
@example(b"a\r\n", 2)
def test_content_and_ends_together_give_back_the_bytes(data: bytes, size: int) -> None:
    lines = list(read_lines(Pieces(data, size)))
    assert b"".join((line.content or b"") + line.end for line in lines) == data


@given(BYTES | st.binary(), st.integers(1, 7), st.integers(0, 8))
@example(b"aa\r\nb", 3, 1)
def test_lines_are_those_of_a_plain_split(data: bytes, size: int, max_bytes: int) -> None:
    found = [(line.content, line.end) for line in read_lines(Pieces(data, size), max_bytes=max_bytes)]
    expected = [(content if len(content) <= max_bytes else None, end) for content, end in naive_lines(data)]
    assert found == expected


@given(BYTES | st.binary(), st.integers(1, 7), st.integers(0, 8))
def test_numbers_and_offsets_say_where_a_line_stands(data: bytes, size: int, max_bytes: int) -> None:
    lines = list(read_lines(Pieces(data, size), max_bytes=max_bytes))
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    starts = [0]
    for content, end in naive_lines(data):
        starts.append(starts[-1] + len(content) + len(end))
    assert [line.offset for line in lines] == starts[:-1]
