"""What tells a file that is still the same from one that changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.runtime.stamps import InputCheck, Stamp, stamp_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    return path


def test_a_file_is_known_by_size_and_time(file: Path) -> None:
    assert stamp_of(str(file), InputCheck.STAT) == Stamp(4, 1_700_000_000_123_456_789)


def test_a_file_is_known_by_size_and_content(file: Path) -> None:
    found = stamp_of(str(file), InputCheck.SHA256)
    assert found == Stamp(4, hashlib.sha256(b"good").hexdigest())
    os.utime(file)
    assert stamp_of(str(file), InputCheck.SHA256) == found


@pytest.mark.parametrize("check", InputCheck)
@pytest.mark.parametrize("name", ["folder", "fifo", "nothing", "loop", "a.txt/b", "/dev/null", "x" * 300])
def test_what_is_no_file_has_no_stamp_and_is_not_waited_for(file: Path, name: str, check: InputCheck) -> None:
    (file.parent / "folder").mkdir()
    os.mkfifo(file.parent / "fifo")
    (file.parent / "loop").symlink_to("loop")
    assert stamp_of(str(file.parent / name), check) is None


def test_a_link_has_the_stamp_of_its_file(file: Path) -> None:
    (file.parent / "link").symlink_to(file.name)
    assert stamp_of(str(file.parent / "link"), InputCheck.STAT) == stamp_of(str(file), InputCheck.STAT)


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        (Stamp(1234, 1_700_000_000_123_456_789), "1,234 bytes, last changed 2023-11-14 22:13:20.123+00:00"),
        (Stamp(0, "ab" * 32), "0 bytes with the SHA-256 abababababab…"),
    ],
    ids=["time", "content"],
)
def test_a_stamp_can_be_told(stamp: Stamp, shown: str) -> None:
    assert str(stamp) == shown


@pytest.mark.parametrize("nanoseconds", [-(10**18), 0, 2**63 - 1], ids=["before 1970", "1970", "far"])
def test_any_time_that_a_disk_can_hold_can_be_told(nanoseconds: int) -> None:
    assert "bytes" in str(Stamp(1, nanoseconds))
