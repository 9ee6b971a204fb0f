"""Faults at one chosen system call of a run, by ``strace``."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.faults.starting import Ended, Run

OUTPUT = "OUT"
"""Stands for the folder around a run's output wherever a call is shown."""
_WITHOUT_EFFECT = ("stat", "lseek", "ioctl", "read", "getdents64")
_NAME = re.compile(r"[a-z0-9_]+(?=\()")
_PATH = re.compile(OUTPUT + r'[^">]*')
_VARYING = re.compile(r"\.resenha-[0-9a-f]+|0x[0-9a-f]+|\{st_[^}]*\}|(?<=AT_FDCWD)<[^>]*>| +(?= = )")


@dataclass(frozen=True)
class Call:
    """A system call of a run's main thread."""

    name: str
    number: int
    """The how many-th of that name it is, from 1."""
    shown: str
    """As ``strace`` shows it, without what differs from run to run."""
    line: str = field(compare=False)
    """As ``strace`` shows it."""

    @property
    def deed(self) -> str:
        """Its name, or ``stat`` for each of those that look at a file, as one libc or the other calls them."""
        return "stat" if "stat" in self.name else self.name

    @property
    def has_effect(self) -> bool:
        """Whether it can change what is there, or make sure of it."""
        return self.deed not in _WITHOUT_EFFECT

    @property
    def paths(self) -> list[str]:
        """What of the output it names, by its argument or by a descriptor."""
        return _PATH.findall(self.shown.rpartition(" = ")[0])

    def __str__(self) -> str:
        return f"{self.name} {self.number}, {self.shown}"


@cache
def why_not_traced() -> str | None:
    """Give why no system call can be made to fail here; None where it can."""
    if platform.machine() != "x86_64":
        return f"system calls are named here as on x86_64; this is {platform.machine()}"
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    command = ["strace", "-o", "/dev/null", "-e", "inject=close:error=EIO:when=9999", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"strace cannot trace here: {tried.stderr.strip()}" if tried.returncode else None


def traced(run: Run, home: Path, *, log: Path | None = None) -> tuple[Ended, list[Call]]:
    """Let a run go, and give its end with the calls that name its output, or anything in it.

    Args:
        run: Stands still.
        home: Folder around the output, and around nothing else.
        log: Takes the trace; beside the folder where None.
    """
    log = log or home.with_suffix(".trace")
    ended = _under_strace(run, log, "trace=%file,%desc")
    return ended, [call for call in _calls(log, home) if call.paths]


def faulty(run: Run, home: Path, call: Call, fault: str, *, log: Path | None = None) -> Ended:
    """Let a run go that meets a fault at one call.

    Args:
        run: Stands still.
        home: Folder around the output.
        call: From a trace of a run with the same arguments.
        fault: As ``strace -e inject`` takes it: ``error=EIO``, ``signal=KILL``.
        log: Takes the trace; beside the folder where None.
    """
    log = log or home.with_suffix(".trace")
    ended = met_by(run, log, (call.name, call.number), fault)
    met = next((each for each in _calls(log, home) if each.number == call.number), None)
    # A run that takes other steps than the traced one would meet its fault somewhere else.
    assert met, f"the run never came to {call}"
    assert met.paths == call.paths, f"met {met} where {call} was expected"
    return ended


def met_by(run: Run, log: Path, which: tuple[str, int], fault: str) -> Ended:
    """Let a run go that meets a fault at the how many-th call of a name, if it comes so far."""
    name, number = which
    return _under_strace(run, log, f"trace={name}", f"inject={name}:{fault}:when={number}")


def _under_strace(run: Run, log: Path, *expressions: str) -> Ended:
    # Only the main thread is attached: no other touches the output, and calls are counted by thread.
    command = ["strace", "-p", str(run.pid), "-y", "-s", "8", "-e", "signal=none", "-o", str(log)]
    for expression in expressions:
        command += ["-e", expression]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        ended = run.go().wait()
        said += tracer.stderr.read()
    assert "attached" in said, said
    return ended


def _calls(log: Path, home: Path) -> Iterator[Call]:
    numbers: Counter[str] = Counter()
    for line in log.read_text("utf-8", "replace").splitlines():
        if name := _NAME.match(line):
            numbers[name[0]] += 1
            shown = _VARYING.sub("", line).replace(str(home), OUTPUT)
            yield Call(name[0], numbers[name[0]], shown, line)
