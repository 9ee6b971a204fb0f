"""Plain files, read whole: what was checked is what is read, and nothing makes the reader wait.

A file is opened once and checked through its descriptor, so that no other file can take its name in
between. An ``OSError`` says in its ``strerror`` what is wrong.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path | str, *, folder: int | None = None, may_be_link: bool = False) -> Iterator[int]:
    """Open a file or folder to be read, without waiting for whoever would write into a FIFO.

    Args:
        path: What to open.
        folder: Descriptor of the folder that a relative path starts from; the working one where None.
        may_be_link: Whether the last part of the path may be a symbolic link.

    Raises:
        OSError: If it cannot be opened, or is a link.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if may_be_link else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and not may_be_link:
            raise OSError(errno.ELOOP, "it is a link") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def plain_size(descriptor: int) -> int:
    """Give the size of a plain file in bytes.

    Raises:
        OSError: If it is a folder, a FIFO, a device or a socket.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    return status.st_size


def read_plain(descriptor: int, max_bytes: int) -> bytes:
    """Read a plain file whole.

    Raises:
        OSError: If it is no plain file, holds over ``max_bytes``, or changes its size meanwhile.
    """
    size = plain_size(descriptor)
    if size > max_bytes:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {max_bytes:,} are read")
    with open(descriptor, "rb", closefd=False) as stream:
        content = stream.read(size + 1)
    if len(content) != size:
        raise OSError(errno.EIO, "its size changed while it was read")
    return content
