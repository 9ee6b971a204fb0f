"""Files that are whole or absent: temporary name, sync, rename, sync of the folder."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import InputOutputError
from pipeline.runtime.rows import printable

_CHUNK = 1 << 20
_TEMPORARY = ".resenha-"


def sync_folder(folder: Path) -> None:
    """Make the names inside ``folder`` survive power loss (a no-op where folders cannot sync)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let a failure of the operating system name the file that it is about."""
    try:
        yield
    except FileExistsError as error:
        msg = f"{printable(str(path))} exists by now (--overwrite replaces it)"
        raise InputOutputError(msg) from error
    except OSError as error:
        msg = f"{printable(str(path))} cannot be written: {error.strerror or error}"
        raise InputOutputError(msg) from error


class _NamedFile(io.FileIO):
    """A file whose failing writes name its final path."""

    def __init__(self, temporary: Path, path: Path) -> None:
        super().__init__(temporary, "xb")
        self._path = path

    def write(self, data: Any, /) -> int:
        with _named(self._path):
            return super().write(data)


def temporary_name(folder: Path) -> Path:
    """Give a new name for a file that is not finished."""
    return folder / f"{_TEMPORARY}{secrets.token_hex(6)}.tmp"


def is_temporary(name: str) -> bool:
    """Tell whether a file's name is one that ``temporary_name`` gives: left over, if nobody writes it."""
    return name.startswith(_TEMPORARY) and name.endswith(".tmp")


class Draft:
    """A file under a temporary name, until it is published under its final one."""

    def __init__(self, path: Path, temporary: Path) -> None:
        self.path = path
        self._temporary = temporary
        with _named(path):
            self.stream: BinaryIO = io.BufferedWriter(_NamedFile(temporary, path))

    def publish(self, *, overwrite: bool = True) -> None:
        """Sync the content and give it its final name; to sync the folder is left to the caller."""
        with _named(self.path):
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.close()
            if overwrite:
                self._temporary.replace(self.path)
            else:
                _publish_new(self._temporary, self.path)


@contextmanager
def draft(path: Path) -> Iterator[Draft]:
    """Give a draft that is gone after the block, unless it was published."""
    temporary = temporary_name(path.parent)
    try:
        drafted = Draft(path, temporary)
        try:
            yield drafted
        finally:
            with suppress(OSError, InputOutputError):
                drafted.stream.close()
    finally:
        # Also where a signal came between the making of the file and what follows it.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def durable_file(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Give a stream whose content appears under ``path`` only when the block ends well.

    Args:
        path: The final name; its folder must exist.
        overwrite: Whether a file that has appeared there meanwhile may be replaced.

    Raises:
        InputOutputError: If the file cannot be written, synced or renamed; ``path`` is then
            as it was before, unless only the last step failed, which makes the new name
            survive power loss. What the block itself raises passes through.
    """
    with draft(path) as drafted:
        yield drafted.stream
        drafted.publish(overwrite=overwrite)
        with _named(path):
            sync_folder(path.parent)


def _publish_new(temporary: Path, path: Path) -> None:
    """Give a file its final name unless that is taken; a rename would silently replace it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # A file system without hard links, as on many memory cards.
        if path.exists():
            raise FileExistsError(path) from None
        temporary.replace(path)


def write_durably(path: Path, content: bytes | str) -> None:
    """Write ``content`` under ``path`` whole or not at all; text is UTF-8."""
    with durable_file(path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def sha256_of(path: Path) -> str:
    """Give a file's SHA-256 as 64 hexadecimal digits, reading it in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
