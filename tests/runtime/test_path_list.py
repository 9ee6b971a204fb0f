"""Lists of inputs, of any bytes and from anywhere."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime import path_list
from pipeline.runtime.path_list import MAX_PATH_BYTES, open_path_list


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    stream = io.BufferedReader(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))


def listed(folder: Path, content: bytes) -> list[tuple[int, bytes]]:
    path = folder / "list.txt"
    path.write_bytes(content)
    with open_path_list(str(path)) as paths:
        found = [(number, os.fsencode(name)) for number, name in paths.paths()]
        assert found == [(number, os.fsencode(name)) for number, name in paths.paths()]
    return found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a.txt\nb.txt\n", [(1, b"a.txt"), (2, b"b.txt")]),
        (b"a.txt\nb.txt", [(1, b"a.txt"), (2, b"b.txt")]),
        (b"a.txt\r\nb.txt\r\n", [(1, b"a.txt"), (2, b"b.txt")]),
        (b"\n\na.txt\n\r\n\nb.txt\n\n", [(3, b"a.txt"), (6, b"b.txt")]),
        (b" a.txt \n\t\n", [(1, b" a.txt "), (2, b"\t")]),
        (b'-rf\n"a",b\n=1\n', [(1, b"-rf"), (2, b'"a",b'), (3, b"=1")]),
        (b"caf\xe9\n\xc2\x85\n", [(1, b"caf\xe9"), (2, b"\xc2\x85")]),
        (b"a\rb\n", [(1, b"a\rb")]),
        (b"a\nb\0c\r\0\0\n\0", [(1, b"a\nb"), (2, b"c\r"), (4, b"\n")]),
        (b"a\nb\0c", [(1, b"a\nb"), (2, b"c")]),
    ],
    ids=repr,
)
def test_each_line_is_a_path(tmp_path: Path, content: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert listed(tmp_path, content) == expected


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\n", b"\0", b"\0\0"], ids=repr)
def test_a_list_without_a_path_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match=r"list\.txt lists no input"):
        listed(tmp_path, content)


@pytest.mark.parametrize("end", [b"\n", b"\0", b""], ids=repr)
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_a_path_has_a_largest_length(tmp_path: Path, excess: int, end: bytes) -> None:
    long = b"x" * (MAX_PATH_BYTES + excess)
    content = b"a" + (end or b"\n") + long + end
    if excess <= 0:
        assert listed(tmp_path, content) == [(1, b"a"), (2, long)]
        return
    with pytest.raises(UsageError, match=r"line 2 of .*list\.txt is longer than 1,048,576 bytes"):
        listed(tmp_path, content)


@settings(deadline=None)
@given(
    content=st.lists(st.sampled_from([b"\n", b"\r", b"\0", b"a", b"\xff", b"/", b" "]), max_size=20).map(
        b"".join
    )
    | st.binary(max_size=20),
    chunk=st.integers(1, 9),
)
@example(content=b"a\nb\0", chunk=1)
def test_any_bytes_are_paths_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk: int
) -> None:
    if b"\0" in content:
        plain = content.split(b"\0")
    else:
        plain = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    expected = [(number, path) for number, path in enumerate(plain, start=1) if path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_list, "_CHUNK", chunk)
        try:
            assert listed(tmp_path_factory.getbasetemp(), content) == expected
        except UsageError:
            assert expected == []


def test_a_list_can_be_read_by_two_at_once(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a\nb\n")
    with open_path_list(str(tmp_path / "list")) as paths:
        pairs = list(zip(paths.paths(), paths.paths(), strict=True))
    assert pairs == [((1, "a"), (1, "a")), ((2, "b"), (2, "b"))]


# Standard input and pipes


def test_a_list_on_standard_input_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"a\nb\n")
    with open_path_list("-") as paths:
        assert list(paths.paths()) == list(paths.paths()) == [(1, "a"), (2, "b")]


def test_an_empty_list_on_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"")
    with open_path_list("-") as paths, pytest.raises(UsageError, match="standard input lists no input"):
        list(paths.paths())


def test_standard_input_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputOutputError, match="standard input is closed"), open_path_list("-"):
        pass


def test_standard_input_that_breaks_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Broken())))
    with pytest.raises(InputOutputError, match="standard input cannot be read"), open_path_list("-"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("size", [1, 1_000_000], ids=["on the last write", "on the way"])
def test_a_copy_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    pipe_in(monkeypatch, b"x" * size)
    monkeypatch.setattr(tempfile, "tempdir", "/some/folder")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("w+b"))  # noqa: SIM115 - the code closes it
    with pytest.raises(InputOutputError, match=r"/some/folder.*No space left"), open_path_list("-"):
        pass


def test_a_copy_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe_in(monkeypatch, b"a\n")
    with pytest.raises(KeyboardInterrupt), open_path_list("-"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_can_be_a_list() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a\nb\n")
    os.close(writing)
    try:
        with open_path_list(f"/dev/fd/{reading}") as paths:
            assert list(paths.paths()) == list(paths.paths()) == [(1, "a"), (2, "b")]
    finally:
        os.close(reading)


def test_a_named_pipe_waits_for_its_writer(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"a\n" * 100_000))
    timer = threading.Timer(0.05, writer.start)
    timer.start()
    with open_path_list(str(fifo)) as paths:
        assert sum(1 for _ in paths.paths()) == 100_000
    timer.join()
    writer.join()


def test_a_named_pipe_that_nobody_writes_to_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_list, "_PATIENCE", 0.01)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with open_path_list(str(fifo)) as paths, pytest.raises(UsageError, match="lists no input"):
        list(paths.paths())


# What is no list


@pytest.mark.parametrize("name", ["nothing", "no/thing", "x" * 5_000, "list/x", "dangling"])
def test_a_list_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "list").touch()
    (tmp_path / "dangling").symlink_to("nothing")
    with pytest.raises(UsageError, match="is not there"), open_path_list(str(tmp_path / name)):
        pass


@pytest.mark.parametrize("name", ["", "/dev/zero", "/dev/null"], ids=["folder", "endless", "empty"])
def test_a_folder_or_a_device_is_no_list(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="neither a file nor a pipe"), open_path_list(name or str(tmp_path)):
        pass


def test_a_list_without_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "list"
    path.touch()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputOutputError, match="cannot be opened: Permission denied"):
        open_path_list(str(path)).__enter__()


def test_a_list_on_a_broken_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: int) -> bytes:
        raise OSError(5, "Input/output error")

    (tmp_path / "list").touch()
    with open_path_list(str(tmp_path / "list")) as paths:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(InputOutputError, match="list cannot be read: Input/output error"):
            list(paths.paths())


def test_memory_does_not_grow_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak_bytes(count: int) -> int:
        pipe_in(monkeypatch, b"".join(b"reviews/%06d.txt\n" % number for number in range(count)))
        tracemalloc.start()
        try:
            with open_path_list("-") as paths:
                assert sum(1 for _ in paths.paths()) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(1)
    assert peak_bytes(100_000) < peak_bytes(10_000) + 100_000
