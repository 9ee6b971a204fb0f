"""More names than memory holds, in order: sorted runs in temporary files, merged."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import IO

from pipeline.errors import InputOutputError
from pipeline.runtime.rows import printable

_IN_MEMORY = 8 << 20
_FAN_IN = 16
"""Runs of one size that are merged into one; so few files are open, however many names there are."""
_LENGTH_BYTES = 4
_PLACE_BYTES = 8
"""What a list needs for each thing it holds."""


def sorted_bytes(names: Iterable[bytes], *, in_memory: int = _IN_MEMORY) -> Iterator[bytes]:
    """Yield ``sorted(names)``, in memory that does not grow with their number.

    Args:
        names: Each of less than 4 GiB.
        in_memory: Bytes of names that are held at once; beyond that they go to temporary files.

    Raises:
        InputOutputError: If a temporary file cannot be written or read.
    """
    held: list[bytes] = []
    size = 0
    with closing(_Runs()) as runs:
        for name in names:
            held.append(name)
            size += sys.getsizeof(name) + _PLACE_BYTES
            if size >= in_memory:
                held.sort()
                runs.add(held)
                held, size = [], 0
        held.sort()
        yield from runs.merged_with(held)


def temporary_file() -> IO[bytes]:
    """Give an empty file without a name, which no end of the process leaves behind."""
    import tempfile  # Most runs need none.

    return tempfile.TemporaryFile()


def close_quietly(file: IO[bytes]) -> None:
    """Let a temporary file go; what could not be written to a full disk is not needed any more."""
    with suppress(OSError):
        file.close()


@contextmanager
def naming_temporary_folder() -> Iterator[None]:
    """Let a failure of the operating system name the folder for temporary files.

    Raises:
        InputOutputError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        import tempfile

        folder, why = printable(tempfile.tempdir or "none"), error.strerror or error
        msg = f"the folder for temporary files ({folder}) cannot be used: {why}; TMPDIR names another"
        raise InputOutputError(msg) from error


class _Runs:
    """Sorted runs in files; those on one level are of like size, and the next level's are longer."""

    def __init__(self) -> None:
        self._levels: list[list[IO[bytes]]] = []

    def add(self, names: Iterable[bytes]) -> None:
        """Write names that are in order, and merge runs where there are many of one size."""
        run = _written(names)
        for level in self._levels:
            level.append(run)
            if len(level) < _FAN_IN:
                return
            run = _written(heapq.merge(*map(_read, level)))
            _close_all(level)
        self._levels.append([run])

    def merged_with(self, names: Iterable[bytes]) -> Iterator[bytes]:
        """Give what all runs and ``names`` hold, in order."""
        return heapq.merge(*(_read(run) for level in self._levels for run in level), names)

    def close(self) -> None:
        """Let the files go."""
        for level in self._levels:
            _close_all(level)


def _written(names: Iterable[bytes]) -> IO[bytes]:
    with naming_temporary_folder(), ExitStack() as undo:
        run = temporary_file()
        undo.callback(close_quietly, run)
        for name in names:
            run.write(len(name).to_bytes(_LENGTH_BYTES, "big"))
            run.write(name)
        run.seek(0)
        undo.pop_all()
    return run


def _read(run: IO[bytes]) -> Iterator[bytes]:
    with naming_temporary_folder():
        while length := run.read(_LENGTH_BYTES):
            yield run.read(int.from_bytes(length, "big"))


def _close_all(runs: list[IO[bytes]]) -> None:
    while runs:
        close_quietly(runs.pop())
