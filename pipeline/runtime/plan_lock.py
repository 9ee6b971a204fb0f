"""The lock of a plan: who writes a part shares it, and who takes the plan away needs it alone.

The lock of an output directory is held by the process of its run, and by those that this has started.
Who scores parts elsewhere may outlive the run; that is what this lock is for.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputOutputError, OutputInUse, PlanError, ResenhaError
from pipeline.runtime.plan import Shard
from pipeline.runtime.rows import printable

_POLL = 0.05
"""Seconds between two looks whether somebody still writes."""


@contextmanager
def share_plan(path: Path, digest: str, number: int) -> Iterator[None]:
    """Keep a plan where it is while a part of it is written.

    Args:
        path: Of the plan's file.
        digest: Of the plan that the part is of.
        number: Of the part, from 0: it has to be one of the shard that is there, which no digest tells.

    Raises:
        PlanError: If another plan, or none, is there by now.
        InputOutputError: If it cannot be read or held, or its directory is gone.
    """
    stream = _open(path, os.O_RDONLY)
    if stream is None:
        raise _exchanged(path)
    with stream:
        try:
            # Waits while the plan is being taken away, which leaves a file without a name.
            fcntl.flock(stream, fcntl.LOCK_SH)
            is_there = os.path.samestat(os.fstat(stream.fileno()), path.stat())
            record = json.load(stream)
            if not is_there or record["digest"] != digest or not Shard(*record["shard"]).owns(number):
                raise _exchanged(path)
        except (FileNotFoundError, ValueError, LookupError, TypeError) as error:
            raise _exchanged(path) from error
        except OSError as error:
            raise _not_held(path, error) from error
        yield


@contextmanager
def hold_plan_alone(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """See to it that nobody writes a part of a plan, if there is one, and that nobody begins to.

    Args:
        path: Of the plan's file.
        patience: Seconds to wait for those who write.

    Raises:
        OutputInUse: If somebody still writes then.
        InputOutputError: If it cannot be held.
    """
    # Over NFS, a lock that is not shared takes a file that is open for writing.
    stream = _open(path, os.O_RDWR, os.O_RDONLY)
    if stream is None:
        yield
        return
    with stream:
        until = time.monotonic() + patience
        while not _is_held_alone(path, stream):
            if time.monotonic() >= until:
                where = printable(str(path.parent))
                msg = f"{where} is in use: a worker of an earlier run still writes a part; wait, or end it"
                raise OutputInUse(msg)
            time.sleep(_POLL)
        yield


def _open(path: Path, flags: int, *others: int) -> BinaryIO | None:
    """Open a file, if it is there; in another way where the first is not allowed."""
    try:
        return os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        if others:
            return _open(path, *others)
        raise _not_held(path, error) from error
    except OSError as error:
        raise _not_held(path, error) from error


def _is_held_alone(path: Path, stream: BinaryIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _not_held(path, error) from error
    return True


def _exchanged(path: Path) -> ResenhaError:
    where = printable(str(path.parent))
    if not path.parent.is_dir():
        return InputOutputError(f"{where} is gone: another program has removed it")
    return PlanError(f"{where} does not hold the plan any more that this part is of: another run began there")


def _not_held(path: Path, error: OSError) -> InputOutputError:
    return InputOutputError(f"{printable(str(path))} cannot be locked: {error.strerror or error}")
