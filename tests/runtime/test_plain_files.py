from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.runtime import plain_files
from pipeline.runtime.plain_files import opened, plain_size, read_plain


def read(path: Path | str, max_bytes: int = 100) -> bytes:
    with opened(path) as descriptor:
        return read_plain(descriptor, max_bytes)


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").glob("*")))
    yield
    assert len(list(Path("/proc/self/fd").glob("*"))) == before


@pytest.mark.parametrize(("size", "is_read"), [(0, True), (9, True), (10, True), (11, False)])
def test_a_file_of_the_limit_is_read_and_no_larger_one(tmp_path: Path, size: int, is_read: bool) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    if is_read:
        assert read(tmp_path / "file", 10) == b"x" * size
    else:
        with pytest.raises(OSError, match="it has 11 bytes, at most 10 are read"):
            read(tmp_path / "file", 10)


def test_a_huge_sparse_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 1 << 33)
    with pytest.raises(OSError, match="at most 100 are read"):
        read(tmp_path / "file")


@pytest.mark.parametrize("grown", [1, -1, 10_000])
def test_a_file_that_changes_its_size_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: int
) -> None:
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    monkeypatch.setattr(plain_files, "plain_size", lambda descriptor: plain_size(descriptor) - grown)
    with pytest.raises(OSError, match="its size changed"):
        read(tmp_path / "file", 1 << 20)


@pytest.mark.parametrize("target", ["file", "folder", "nowhere", "link"])
def test_a_link_is_followed_only_where_it_may_be_one(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="it is a link"):
        read(tmp_path / "link")
    if target == "file":
        with opened(tmp_path / "link", may_be_link=True) as descriptor:
            assert read_plain(descriptor, 1) == b"x"
    if target == "link":
        with pytest.raises(OSError), opened(tmp_path / "link", may_be_link=True):
            pass


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "folder":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(OSError, match="it is no plain file"):
        read(path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # A socket's path has to be short.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(OSError):
            read("socket")


def test_a_name_in_a_folder_is_looked_up_in_the_folder_that_was_opened(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"old")
    with opened(tmp_path / "folder") as folder:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_bytes(b"new")
        with opened("file", folder=folder) as descriptor:
            assert read_plain(descriptor, 3) == b"old"


def test_a_file_that_takes_the_name_meanwhile_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with opened(tmp_path / "file") as descriptor:
        assert plain_size(descriptor) == 3
        (tmp_path / "other").write_bytes(b"not")
        (tmp_path / "other").replace(tmp_path / "file")
        assert read_plain(descriptor, 3) == b"old"
