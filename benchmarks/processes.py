"""Commands in processes of their own: how long, and how much memory at most."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ResenhaError

# A child's peak starts with its parent's, so the parent has to be small: this one, not the
# benchmark with TensorFlow in it. ru_maxrss is in KiB, on macOS in bytes.
_LAUNCHER = """
import json, os, resource, subprocess, sys, threading, time
command, text, output, kill_after, shows_errors = json.loads(sys.argv[1])
pipe = subprocess.PIPE
where = dict(stdout=pipe, stderr=subprocess.STDOUT)
if output:
    where = dict(stdout=open(output, "wb"), stderr=pipe)
if shows_errors:
    where["stderr"] = None
started = time.perf_counter()
process = subprocess.Popen(command, stdin=pipe, **where)
def end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    process.kill()
threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
try:
    said = process.communicate(text.encode(), timeout=kill_after)
except subprocess.TimeoutExpired:
    process.kill()
    said = process.communicate()
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
shown = b"".join(filter(None, said)).decode(errors="replace")[-2000:]
print(json.dumps([process.returncode, seconds, peak, shown]))
"""


@dataclass(frozen=True)
class Finished:
    """A process that has ended as it may."""

    seconds: float
    peak_bytes: int
    """The most memory it held in RAM; where it had processes of its own, the most that one of them held."""
    was_killed: bool = False


def run_process(
    command: Sequence[str],
    *,
    text: str = "",
    output: Path | None = None,
    kill_after: float | None = None,
    allowed: Collection[int] = (0,),
    environment: Mapping[str, str] = os.environ,
    shows_errors: bool = False,
) -> Finished:
    """Run a command from its start to its end, or to that of this process, if it is killed.

    Args:
        command: Program and arguments.
        text: What it reads from standard input.
        output: File that takes its standard output, as a shell's ``>`` does.
        kill_after: Seconds after which it is ended by SIGKILL, if it has not ended by then.
        allowed: Exit statuses that mean no failure.
        environment: What it is started with.
        shows_errors: Whether what it writes to standard error is passed on as it comes; what it says when
            it fails has to stand on its standard output then.

    Raises:
        ResenhaError: If its exit status is another one.
    """
    job = [list(command), text, str(output) if output else None, kill_after, shows_errors]
    launcher = [sys.executable, "-S", "-c", _LAUNCHER, json.dumps(job)]
    # An installed package has its bytecode beside it; a folder of sources writes it in its first run.
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    errors = None if shows_errors else subprocess.PIPE
    answer = subprocess.run(
        launcher, stdout=subprocess.PIPE, stderr=errors, text=True, check=True, env=environment
    ).stdout
    status, seconds, peak, said = json.loads(answer)
    was_killed = kill_after is not None and status == -signal.SIGKILL
    if status not in allowed and not was_killed:
        msg = f"{' '.join(command)} ended with exit status {status}: {said}"
        raise ResenhaError(msg)
    return Finished(seconds, peak, was_killed)


def own_peak_bytes() -> int:
    """Give the most memory that this process has held, which is its own only below ``run_process``."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
