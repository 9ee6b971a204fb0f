"""Standard output whose last line is whole, whatever stops the run."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import whole_lines
from pipeline.cli.whole_lines import WholeLines

LONG = select.PIPE_BUF


def drain(descriptor: int, into: bytearray, pause: float = 0.0) -> None:
    while piece := os.read(descriptor, 1 << 12):
        into += piece
        time.sleep(pause)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends, to read and to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def written(pieces: list[bytes], target: int, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Write pieces, and give what the kernel is handed at once."""
    handed: list[bytes] = []
    write = os.write

    def note(descriptor: int, content: memoryview) -> int:
        handed.append(bytes(content))
        return write(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", note)
        lines = WholeLines(target)
        for piece in pieces:
            assert lines.write(piece) == len(piece)
        lines.flush()
        lines.finish()
    return handed


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=3).map(lambda part: part * 9 + b"\n" * (len(part) % 2)), max_size=30)
)
def test_what_is_written_comes_out_however_it_is_cut(
    pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("out") / "out"
    with path.open("wb", buffering=0) as stream:
        lines = WholeLines(stream.fileno())
        for piece in pieces:
            lines.write(piece)
            content = path.read_bytes()
            assert content == b"" or content.endswith(b"\n")
        lines.finish()
    assert path.read_bytes() == b"".join(pieces)


@pytest.mark.parametrize("width", [1, 100, LONG - 2, LONG - 1])
def test_a_pipe_is_handed_whole_lines_that_it_takes_together_or_not_at_all(
    width: int, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b"x" * width + b"\n"] * (50_000 // width // 4 + 1)
    handed = written([b"".join(lines)], pipe[1], monkeypatch)
    assert b"".join(handed) == b"".join(lines)
    assert all(piece.endswith(b"\n") and len(piece) <= LONG for piece in handed)


@pytest.mark.parametrize("width", [LONG, LONG + 1, 3 * LONG])
def test_a_line_that_is_longer_is_handed_over_in_pieces(
    width: int, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"a\n" + b"x" * width + b"\nb\n"
    handed = written([content], pipe[1], monkeypatch)
    assert b"".join(handed) == content
    assert max(map(len, handed)) == LONG


def test_a_file_takes_many_lines_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"good film\n" * 50_000
    with (tmp_path / "out").open("wb", buffering=0) as stream:
        assert written([content], stream.fileno(), monkeypatch) == [content]


class Stopped(Exception):
    """What the signal raises."""


@pytest.fixture
def _stopping() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def write_on(lines: WholeLines, content: bytes) -> NoReturn:
    while True:
        lines.write(content)


def interrupt_soon() -> threading.Timer:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    return timer


@pytest.mark.usefixtures("_stopping")
@pytest.mark.parametrize("width", [10, 100, LONG, 5 * LONG])
def test_a_signal_in_the_middle_of_a_write_leaves_whole_lines(width: int, pipe: tuple[int, int]) -> None:
    line, read = b"x" * width + b"\n", bytearray()
    timer = interrupt_soon()
    # A reader that takes its time, so that the pipe is full whenever the signal comes.
    reader = threading.Thread(target=drain, args=(pipe[0], read, 0.005))
    reader.start()
    lines = WholeLines(pipe[1])
    with pytest.raises(Stopped):
        write_on(lines, line * 100)
    os.close(pipe[1])
    reader.join()
    timer.join()
    assert len(read) % len(line) == 0
    assert read == line * (len(read) // len(line))


@pytest.mark.usefixtures("_stopping")
def test_a_reader_that_takes_no_more_does_not_hold_a_signal_up(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_lines, "_PATIENCE", 0.05)
    interrupt_soon()
    with pytest.raises(Stopped):
        WholeLines(pipe[1]).write(b"x" * (1 << 20) + b"\n")


def test_a_reader_that_has_left_is_told(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    for content in (b"x\n", b"x" * 3 * LONG + b"\n"):
        with pytest.raises(BrokenPipeError):
            WholeLines(pipe[1]).write(content)
