"""Standard output that whatever stops the run leaves with its last line whole."""

from __future__ import annotations

import os
import select
import stat

from pipeline.runtime.signals import DeferredSignals

_FILE_BYTES = 1 << 20
_PATIENCE = 1.0
"""Seconds for which a signal waits for a reader that has begun a long line and takes no more of it."""


class WholeLines:
    """Writes to a descriptor, as many whole lines at once as the kernel takes together or not at all.

    A file takes any number, a pipe ``PIPE_BUF`` bytes. Python answers a signal between two writes, and
    its own buffered streams also within what was one write for whoever called them.

    Args:
        descriptor: Of a file, a pipe, a terminal or a socket, open to be written.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._most = _FILE_BYTES if is_file else select.PIPE_BUF
        self._tail = b""

    def write(self, content: bytes) -> int:
        """Write all but a last line that has no end yet."""
        content, start = self._tail + content, 0
        while (end := self._border(content, start)) > start:
            self._put(content[start:end])
            start = end
        self._tail = content[start:]
        return len(content)

    def flush(self) -> None:
        """Do nothing: no whole line waits."""

    def finish(self) -> None:
        """Write a last line that has no end."""
        self._put(self._tail)
        self._tail = b""

    def _border(self, content: bytes, start: int) -> int:
        """Give the end of what is to be written at once."""
        end = content.rfind(b"\n", start, start + self._most) + 1
        if end or len(content) - start <= self._most:
            return max(start, end)
        return content.find(b"\n", start + self._most) + 1 or len(content)

    def _put(self, piece: bytes) -> None:
        if len(piece) <= self._most:
            self._put_short(memoryview(piece))
            return
        with DeferredSignals() as signals:
            for first in range(0, len(piece), self._most):
                while not select.select([], [self._descriptor], [], _PATIENCE)[1]:
                    if signals.came:
                        return
                self._put_short(memoryview(piece)[first : first + self._most])

    def _put_short(self, piece: memoryview) -> None:
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]
