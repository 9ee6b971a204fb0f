"""Runs of the command that stand still until they are let go."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.light_environment import ROOT

PATIENCE = 60.0
"""Seconds after which a run that has not ended is taken for one that hangs."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended:
    """What a run left behind."""

    status: int
    """Exit status; negative where a signal ended it."""
    out: bytes
    err: str


class Launcher:
    """Starts runs of ``resenha``, one at a time, from a process that has the imports behind it.

    Args:
        folder: Of its own; takes what the runs say.
        environment: Of the runs.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env=environment,
        )

    def prepare(
        self, arguments: Sequence[str | Path], cwd: Path, *, stdin: str = os.devnull, stdout: str = ""
    ) -> Run:
        """Give a run that stands before its first step."""
        assert self._process.stdin is not None
        out, err = stdout or str(self._folder / "out"), str(self._folder / "err")
        request = {"arguments": [*map(str, arguments)], "cwd": str(cwd)}
        request |= {"stdin": stdin, "stdout": out, "stderr": err}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._pid = self._answer()
        return Run(self._pid, self._ended)

    def run(self, arguments: Sequence[str | Path], cwd: Path) -> Ended:
        """Run the command to its end."""
        return self.prepare(arguments, cwd).go().wait()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            os.kill(self._pid, signal.SIGKILL)
            msg = f"a run has not ended after {PATIENCE:.0f} s"
            raise TimeoutError(msg)
        return int(self._process.stdout.readline())

    def _ended(self) -> Ended:
        status = self._answer()
        out = self._folder / "out"
        return Ended(
            status,
            out.read_bytes() if out.exists() else b"",
            (self._folder / "err").read_text("utf-8", "backslashreplace"),
        )

    def close(self) -> None:
        """End the process that starts runs, and a run that has not ended."""
        assert self._process.stdin is not None
        with self._process:
            self._process.stdin.close()
            self._process.terminate()


@dataclass(frozen=True)
class Run:
    """A run that stands still until it is let go."""

    pid: int
    _ended: Callable[[], Ended]

    def go(self) -> Run:
        """Let it go."""
        os.kill(self.pid, signal.SIGCONT)
        return self

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it has not ended already; only before ``wait``."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait for its end."""
        return self._ended()

    def children(self) -> list[int]:
        """Give the process ids of what it has started."""
        with suppress(FileNotFoundError):
            return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
        return []


def environment(cache: Path) -> dict[str, str]:
    """Give the environment of runs that do the same steps each time."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(cache),
    }


def across(
    launchers: Sequence[Launcher], items: Iterable[Item], work: Callable[[Launcher, Item], Result]
) -> list[Result]:
    """Do some work on each of many things, as many at once as there are launchers; results in order."""
    idle = list(launchers)

    def do(item: Item) -> Result:
        launcher = idle.pop()
        try:
            return work(launcher, item)
        finally:
            idle.append(launcher)

    with ThreadPoolExecutor(len(launchers)) as pool:
        return list(pool.map(do, items))


def workers_of(run: Run) -> list[int]:
    """Give the process ids of a run's workers, once it has started two."""
    wait_for(lambda: len(run.children()) == 2)
    return run.children()


def wait_until_gone(pids: Sequence[int]) -> None:
    """See to it that no worker outlives its run; one that is being ended may take a moment."""
    wait_for(lambda: not any(map(_is_worker, pids)))


def _is_worker(pid: int) -> bool:
    try:
        return b"part_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come about.

    Raises:
        TimeoutError: If it does not.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            msg = f"not so after {PATIENCE:.0f} s"
            raise TimeoutError(msg)
        time.sleep(0.005)
