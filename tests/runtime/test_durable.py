"""Files are whole under their final name, or not there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InputOutputError
from pipeline.runtime.durable import durable_file, sha256_of, write_durably
from tests.faults.cases import case


def fail_in_the_middle(path: Path, error: BaseException) -> None:
    with durable_file(path) as stream:
        stream.write(b"half")
        raise error


def disk_full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("content", [b"", b"one", b"x" * 100_000])
def test_what_was_written_stands_under_the_name(tmp_path: Path, content: bytes) -> None:
    with durable_file(tmp_path / "a") as stream:
        stream.write(content)
    assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    with durable_file(tmp_path / "a") as stream:
        stream.write(b"half")
        stream.flush()
        assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_a_block_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises((error, InputOutputError)):
        fail_in_the_middle(tmp_path / "a", error())
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ValueError, match="no"):
        fail_in_the_middle(tmp_path / "a", ValueError("no"))
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace", "rename"])
def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    if call == "fsync":
        monkeypatch.setattr(os, "fsync", disk_full)
    else:
        monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(InputOutputError, match="No space left on device") as failure:
        write_durably(tmp_path / "a", b"new")
    assert str(tmp_path / "a") in str(failure.value)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_sync_is_never_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync: Callable[[int], None] = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            disk_full()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    with pytest.raises(InputOutputError):
        write_durably(tmp_path / "a", b"new")


@case("Promises", "P4 durable")
def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    write_durably(tmp_path / "a", b"new")
    assert synced == [(tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="nowhere"):
        write_durably(tmp_path / "nowhere" / "a", b"")


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_exists_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_durably(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appeared_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", disk_full)
    with pytest.raises(InputOutputError, match="--overwrite"), durable_file(tmp_path / "a", overwrite=False):
        (tmp_path / "a").write_bytes(b"theirs")
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_file_needs_no_leave_to_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", disk_full)
    with durable_file(tmp_path / "a", overwrite=False) as stream:
        stream.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_a_failure_elsewhere_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    # As when scores go to a pipe that closes while the rejects go to a file.
    with pytest.raises((BrokenPipeError, InputOutputError)) as failure, durable_file(tmp_path / "a"):
        raise BrokenPipeError(32, "Broken pipe")
    assert str(tmp_path / "a") not in str(failure.value)


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_checksum_is_that_of_the_whole_file(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"x" * size).hexdigest()
