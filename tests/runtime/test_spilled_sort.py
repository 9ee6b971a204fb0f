"""A sort that does not need the memory for what it sorts."""

from __future__ import annotations

import io
import re
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError
from pipeline.runtime import spilled_sort
from pipeline.runtime.spilled_sort import sorted_bytes

FAN_IN = spilled_sort._FAN_IN


@settings(deadline=None, max_examples=60)
@given(names=st.lists(st.binary(max_size=6), max_size=60), in_memory=st.integers(1, 400))
def test_whatever_fits_in_memory_the_order_is_that_of_sorted(names: list[bytes], in_memory: int) -> None:
    assert list(sorted_bytes(names, in_memory=in_memory)) == sorted(names)


@pytest.mark.parametrize(
    "count",
    [0, 1, FAN_IN - 1, FAN_IN, FAN_IN + 1, FAN_IN**2 - 1, FAN_IN**2, FAN_IN**2 + 1],
)
def test_runs_are_merged_at_every_level(count: int) -> None:
    names = [b"%d" % (number * 7919 % 1_000) for number in range(count)]
    assert list(sorted_bytes(names, in_memory=1)) == sorted(names)


def test_few_files_are_open_however_many_runs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[IO[bytes]] = []
    temporary_file = spilled_sort.temporary_file

    def remember() -> IO[bytes]:
        made.append(temporary_file())
        assert sum(not file.closed for file in made) <= 2 * FAN_IN
        return made[-1]

    monkeypatch.setattr(spilled_sort, "temporary_file", remember)
    names = [b"%d" % number for number in range(FAN_IN**2 - 1)]
    assert list(sorted_bytes(names, in_memory=1)) == sorted(names)
    assert len(made) > FAN_IN**2
    assert all(file.closed for file in made)


def test_what_fits_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert list(sorted_bytes([b"b", b"a"])) == [b"a", b"b"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("end", ["exhausted", "closed", "failed"])
def test_no_file_is_left_after_any_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def names() -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(40))
        if end == "failed":
            raise KeyboardInterrupt

    found = sorted_bytes(names(), in_memory=1)
    if end == "failed":
        with pytest.raises(KeyboardInterrupt):
            next(found)
    elif end == "closed":
        next(found)
        found.close()  # type: ignore[attr-defined]  # it is a generator
    else:
        assert len(list(found)) == 40
    assert names_in(tmp_path) == []


def test_a_folder_for_temporary_files_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at\nall")
    with pytest.raises(InputOutputError, match=re.escape(r"/nowhere/at\u000aall") + ".*TMPDIR"):
        list(sorted_bytes([b"a"], in_memory=1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("count", [1, 10_000], ids=["on the last write", "on the way"])
def test_a_full_disk_is_an_error_that_names_the_folder(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/some/folder")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("w+b"))  # noqa: SIM115 - the code closes it
    names = (b"%d" % number for number in range(count))
    with pytest.raises(InputOutputError, match=r"/some/folder.*No space left on device"):
        list(sorted_bytes(names, in_memory=count * 36))


def test_what_the_names_raise_passes_through() -> None:
    def names() -> Iterator[bytes]:
        yield b"a"
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError):
        list(sorted_bytes(names(), in_memory=1))


def peak_bytes(count: int) -> int:
    names = (b"review-%06d.txt" % (number * 7919 % count) for number in range(count))
    tracemalloc.start()
    try:
        read = sum(1 for _ in sorted_bytes(names, in_memory=200_000))
        return tracemalloc.get_traced_memory()[1] if read == count else -1
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_names() -> None:
    few, many = peak_bytes(20_000), peak_bytes(200_000)
    # Each open run has a buffer.
    assert 0 < many < few + 2 * FAN_IN * (io.DEFAULT_BUFFER_SIZE + 4096)
