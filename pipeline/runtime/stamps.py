"""What a file was when it was planned, to tell whether it still is that."""

from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class InputCheck(StrEnum):
    """How an input is recognised as the one that was planned."""

    STAT = "stat"
    """By size and time of its last change."""
    SHA256 = "sha256"
    """By size and content: takes a reading of everything, and holds for copies on other machines."""


class Stamp(NamedTuple):
    """What is known of a file; two that are equal are taken for the same content."""

    size: int
    """Bytes."""
    mark: int | str
    """Nanoseconds since 1970 of its last change, or its SHA-256."""

    def __str__(self) -> str:
        if isinstance(self.mark, str):
            return f"{self.size:,} bytes with the SHA-256 {self.mark[:12]}…"
        changed = datetime.fromtimestamp(self.mark / 1e9, UTC).isoformat(" ", "milliseconds")
        return f"{self.size:,} bytes, last changed {changed}"


def stamp_of(name: str, check: InputCheck) -> Stamp | None:
    """Give the stamp of a file; None for what is no file or cannot be read."""
    path = Path(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if check is InputCheck.STAT:
            return Stamp(status.st_size, status.st_mtime_ns)
        with path.open("rb") as stream:
            return Stamp(status.st_size, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError:
        return None
