"""Who is at work: a lock that a flow run's process holds for as long as it lives.

Prefect learns of the end of a run from the run. A process that is killed tells nobody, and a process
number says little: it may belong to another process by now. The kernel gives a lock back whatever its
holder died of, so a file whose lock nobody holds is a run whose process is gone.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path

from flows.processes import MARK
from pipeline.errors import InputOutputError
from pipeline.runtime.rows import printable

_FOLDER = "alive"
_held: dict[str, int] = {}
"""Descriptors of the locks that this process holds, by flow run."""


def attend() -> None:
    """Mark the flow run that this is called in as alive until this process ends.

    Not only until the flow returns: its last state is reported after that, and that may take minutes
    while the server restarts. Outside a flow run nothing is done.

    Raises:
        InputOutputError: If there is no place for the lock in Prefect's home.
    """
    from prefect.runtime import flow_run
    from prefect.settings import get_current_settings

    if (run := flow_run.get_id()) and run not in _held:
        home = get_current_settings().home
        hold(home, run)
        if MARK in os.environ:
            _keep_output(home / "runs.log")


def _keep_output(log: Path) -> None:
    """Let output go to a file: the pipe to the worker breaks with it, and Prefect's log with the pipe."""
    with log.open("ab") as stream:
        for output in (sys.stdout, sys.stderr):
            with suppress(OSError):
                output.flush()
            os.dup2(stream.fileno(), output.fileno())


def hold(home: Path, run: str) -> None:
    """Take the lock of a flow run, for as long as this process lives.

    Processes that it forks hold it, too: what they write is still that run's.
    """
    path = home / _FOLDER / run
    # Under its final name the file is locked from the first moment on.
    temporary = path.with_name(f".{run}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _held[run] = os.open(temporary, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(_held[run], fcntl.LOCK_EX)
        temporary.rename(path)
    except OSError as error:
        msg = f"{printable(str(path))} cannot be locked: {error.strerror}; set PREFECT_HOME to a local folder"
        raise InputOutputError(msg) from error
    atexit.register(path.unlink, missing_ok=True)


def is_attended(home: Path, run: str) -> bool | None:
    """Tell whether a flow run's process lives; None if none ever took the run's lock here."""
    try:
        descriptor = os.open(home / _FOLDER / run, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def forget_all_but(home: Path, active: set[str]) -> None:
    """Remove the files that killed processes left of runs which are over.

    Args:
        home: Prefect's home.
        active: Flow runs that are not over.
    """
    with suppress(FileNotFoundError):
        for path in (home / _FOLDER).iterdir():
            if path.name not in active and not path.name.startswith(".") and not is_attended(home, path.name):
                path.unlink(missing_ok=True)
