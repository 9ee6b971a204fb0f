"""Inputs in any encoding, with or without a mark, as UTF-8."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.lines import read_lines
from pipeline.runtime.opening import Utf8Stream


def utf8(content: bytes, encoding: str | None = None) -> bytes:
    return io.BufferedReader(Utf8Stream(io.BytesIO(content), encoding)).read()


TEXT = "A moving film, café — 映画 🎬\r\nnext\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
    ],
    ids=["plain", "UTF-8 mark", "UTF-16 LE mark", "UTF-16 BE mark"],
)
def test_a_byte_order_mark_says_how_to_read(content: bytes) -> None:
    assert utf8(content) == TEXT.encode()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis", "utf-16-le", "utf-32", "utf-8-sig"])
def test_an_encoding_that_was_asked_for_is_used(encoding: str) -> None:
    assert utf8("good film\n".encode(encoding), encoding) == b"good film\n"


@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF8"])
def test_utf_8_passes_through_unchecked(encoding: str | None) -> None:
    assert utf8(b"a\xff\nb", encoding) == b"a\xff\nb"


def test_bytes_another_encoding_does_not_have_raise() -> None:
    with pytest.raises(UnicodeError, match="not utf-16-le at byte 4"):
        utf8(b"\xff\xfeg\x00\x00\xd8", None)


def test_nothing_is_nothing_in_every_encoding() -> None:
    assert [utf8(b"", encoding) for encoding in (None, "utf-8", "utf-16", "latin-1")] == [b""] * 4


@given(st.text(), st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8", "utf-7"]))
def test_text_survives_each_encoding(text: str, encoding: str) -> None:
    if not text.startswith("\ufeff"):
        assert utf8(text.encode(encoding), encoding).decode() == text


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"], ids=["UTF-8", "UTF-16"])
def test_a_mark_that_arrives_byte_by_byte_is_seen(mark: bytes) -> None:
    encoding = "utf-8" if mark == b"\xef\xbb\xbf" else "utf-16-le"

    class Slow(io.BytesIO):
        def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
            piece = self.read(1)
            buffer[: len(piece)] = piece
            return len(piece)

    stream: io.BufferedReader = io.BufferedReader(Slow(mark + "good\n".encode(encoding)))
    assert [line.content for line in read_lines(io.BufferedReader(Utf8Stream(stream)))] == [b"good"]
