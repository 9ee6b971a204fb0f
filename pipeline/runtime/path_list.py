"""A list of paths in a file or on standard input, read as often as needed and never held whole."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.lines import read_chunks
from pipeline.runtime.opening import STDIN
from pipeline.runtime.rows import printable
from pipeline.runtime.spilled_sort import close_quietly, naming_temporary_folder, temporary_file

MAX_PATH_BYTES = 1 << 20
_CHUNK = 1 << 16
_PATIENCE = 5.0
"""Seconds to wait until somebody opens the other end of a named pipe."""


@dataclass(frozen=True)
class PathList:
    r"""Paths that end with ``\n`` or ``\r\n`` each, or with NUL where the list holds any."""

    name: str
    """The list's path as it was given, or ``-`` for standard input."""
    descriptor: int
    """Of a file, which is read without moving in it."""

    @property
    def shown(self) -> str:
        """The list's name for messages."""
        return "standard input" if self.name == STDIN else printable(self.name)

    def paths(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each line, from 1, and its path; empty lines are skipped.

        Bytes that are not UTF-8 become what ``os.fsencode`` turns back.

        Raises:
            UsageError: If the list holds no path, or one longer than ``MAX_PATH_BYTES``.
            InputOutputError: If the list cannot be read.
        """
        holds_nul = any(b"\0" in chunk for chunk in self._chunks())
        is_empty = True
        for number, line in self._lines(b"\0" if holds_nul else b"\n"):
            path = line if holds_nul else line.removesuffix(b"\r")
            if path:
                is_empty = False
                yield number, os.fsdecode(path)
        if is_empty:
            msg = f"{self.shown} lists no input; each line has to be a path"
            raise UsageError(msg)

    def _lines(self, end: bytes) -> Iterator[tuple[int, bytes]]:
        number, rest = 1, b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(end)
            for line in lines:
                self._check_length(number, line)
                yield number, line
                number += 1
            self._check_length(number, rest)
        yield number, rest

    def _check_length(self, number: int, line: bytes) -> None:
        if len(line) > MAX_PATH_BYTES:
            msg = (
                f"line {number:,} of {self.shown} is longer than {MAX_PATH_BYTES:,} bytes;"
                " each line has to be a path"
            )
            raise UsageError(msg)

    def _chunks(self) -> Iterator[bytes]:
        offset = 0
        try:
            while chunk := os.pread(self.descriptor, _CHUNK, offset):
                offset += len(chunk)
                yield chunk
        except OSError as error:
            msg = f"{self.shown} cannot be read: {error.strerror or error}"
            raise InputOutputError(msg) from error


@contextmanager
def open_path_list(name: str) -> Iterator[PathList]:
    """Open a list of paths; what can be read only once is copied to a temporary file.

    Args:
        name: Of a file or a pipe, or ``-`` for standard input.

    Raises:
        UsageError: If it is not there, or is neither a file nor a pipe.
        InputOutputError: If it cannot be opened, read or copied.
    """
    with ExitStack() as stack:
        source = _standard_input() if name == STDIN else stack.enter_context(_opened(name))
        if name != STDIN and stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            yield PathList(name, source.fileno())
            return
        with naming_temporary_folder():
            copy = temporary_file()
            stack.callback(close_quietly, copy)
            listed = PathList(name, copy.fileno())
            for chunk in _chunks_once(source, listed.shown):
                copy.write(chunk)
            copy.flush()
        yield listed


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        msg = "standard input is closed; name a file that lists the inputs"
        raise InputOutputError(msg)
    return sys.stdin.buffer


def _opened(name: str) -> BinaryIO:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to must not wait for ever.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or not os.path.lexists(name):
            msg = f"{printable(name)}, which has to list inputs, is not there"
            raise UsageError(msg) from error
        msg = f"{printable(name)} cannot be opened: {error.strerror or error}"
        raise InputOutputError(msg) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        os.close(descriptor)
        msg = f"{printable(name)} is neither a file nor a pipe; it has to list inputs, a path on each line"
        raise UsageError(msg)
    if stat.S_ISFIFO(mode):
        _await_writer(descriptor)
    return os.fdopen(descriptor, "rb")


def _await_writer(descriptor: int) -> None:
    import select

    # Without it, a writer that comes a moment later would find its list taken for empty.
    select.select([descriptor], [], [], _PATIENCE)
    os.set_blocking(descriptor, True)


def _chunks_once(source: BinaryIO, shown: str) -> Iterator[bytes]:
    try:
        yield from read_chunks(source)
    except OSError as error:
        msg = f"{shown} cannot be read: {error.strerror or error}"
        raise InputOutputError(msg) from error
