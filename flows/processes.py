"""The processes that a service started, found by a mark in their environment.

A process number in a file may by now be another program's. The environment that a process was started
with is its own, it is handed down to whatever the process starts, and it outlives every parent.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ResenhaError

MARK = "RESENHA_SERVICE"
"""Names the home of the service that started a process."""
PART = "RESENHA_PART"
"""Says what of the service a process is: supervisor, server or worker."""
RUN = "PREFECT__FLOW_RUN_ID"
"""What Prefect's workers set for the process of a flow run."""
_KILLED_BY = 10.0
"""Seconds after which a process that was killed is expected to be gone."""
_READ_AGAIN = (0.0, 0.01, 0.1)
"""Seconds before each reading of an environment: it is empty for a moment while a program begins."""


@dataclass(frozen=True)
class Process:
    """One process, with what its environment says of it."""

    number: int
    service: str | None
    part: str
    """supervisor, server or worker, or run for whatever belongs to a flow run."""
    run: str | None

    @property
    def leads(self) -> bool:
        """Whether it leads its session, as the first process of a flow run does."""
        try:
            return os.getsid(self.number) == self.number
        except OSError:
            return False


def started_by(home: Path, parts: Iterable[str]) -> list[Process]:
    """Give the processes of the service in ``home`` that are the named parts of it."""
    return [found for found in _marked() if found.service == str(home) and found.part in set(parts)]


def runs_with_a_process() -> set[str]:
    """Give the flow runs whose first process lives on this machine, whoever started them."""
    return {found.run for found in _marked() if found.run and found.leads}


def end(home: Path, *parts: str, patience: float) -> None:
    """End the named parts of a service: SIGTERM, and after ``patience`` seconds SIGKILL.

    Raises:
        ResenhaError: If one does not even end when it is killed.
    """
    deadline, told = time.monotonic() + patience, set[int]()
    while living := started_by(home, parts):
        overdue = time.monotonic() - deadline
        if overdue > _KILLED_BY:
            msg = (
                f"process {living[0].number} ({living[0].part}) was killed and does not end: look at its disk"
            )
            raise ResenhaError(msg)
        for process in living:
            if overdue > 0 or process.number not in told:
                _signal(process.number, signal.SIGKILL if overdue > 0 else signal.SIGTERM)
                _signal(process.number, signal.SIGCONT)  # One that is halted could not answer.
                told.add(process.number)
        time.sleep(0.1)


def _signal(number: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, what)


def _marked() -> Iterator[Process]:
    for number, surroundings in _from_proc() if sys.platform == "linux" else _from_ps():
        if number != os.getpid() and (RUN in surroundings or MARK in surroundings):
            run = surroundings.get(RUN)
            part = "run" if run else surroundings.get(PART, "")
            yield Process(number, surroundings.get(MARK), part, run)


def _from_proc() -> Iterator[tuple[int, dict[str, str]]]:
    unread = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    for pause in _READ_AGAIN:
        time.sleep(pause)
        reading, unread = unread, []
        for folder in reading:
            # Gone in the meantime, another user's, or one of the kernel's, which runs no program.
            with suppress(OSError):
                if text := (folder / "environ").read_bytes():
                    lines = os.fsdecode(text).split("\0")
                    yield int(folder.name), dict(line.split("=", 1) for line in lines if "=" in line)
                elif (folder / "exe").readlink():
                    unread.append(folder)
        if not unread:
            return


def _from_ps() -> Iterator[tuple[int, dict[str, str]]]:
    listing = subprocess.run(["ps", "-Eww", "-ax", "-o", "pid=,command="], capture_output=True, check=False)  # noqa: S607 - macOS has it in /bin
    yield from read_listing(os.fsdecode(listing.stdout))


def read_listing(listing: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the marks out of macOS's ``ps -E``: number, command and environment, with blanks between."""
    for line in listing.splitlines():
        number, _, rest = line.strip().partition(" ")
        # A value ends where the next name begins; it may hold blanks itself.
        found = re.findall(rf"(?<= )({MARK}|{PART}|{RUN})=(.*?)(?= [A-Za-z_][A-Za-z0-9_]*=|$)", rest)
        if number.isdigit():
            yield int(number), dict(found)
