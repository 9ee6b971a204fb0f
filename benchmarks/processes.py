"""Commands in processes of their own: how long, and how much memory at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ResenhaError

# A child's peak starts with its parent's, so the parent has to be small: this one, not the
# benchmark with TensorFlow in it. ru_maxrss is in KiB, on macOS in bytes.
_LAUNCHER = """
import json, resource, subprocess, sys, time
command, text = json.loads(sys.argv[1])
started = time.perf_counter()
done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([done.returncode, seconds, peak, done.stdout.decode(errors="replace")[-2000:]]))
"""


@dataclass(frozen=True)
class Finished:
    """A process that has ended well."""

    seconds: float
    peak_bytes: int
    """The most memory it held in RAM."""


def run_process(command: Sequence[str], *, text: str = "") -> Finished:
    """Run a command from its start to its end.

    Args:
        command: Program and arguments.
        text: What it reads from standard input.

    Raises:
        ResenhaError: If its exit status is not 0.
    """
    launcher = [sys.executable, "-S", "-c", _LAUNCHER, json.dumps([list(command), text])]
    # An installed package has its bytecode beside it; a folder of sources writes it in its first run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run(launcher, capture_output=True, text=True, check=True, env=environment).stdout
    status, seconds, peak, output = json.loads(answer)
    if status != 0:
        msg = f"{' '.join(command)} ended with exit status {status}: {output}"
        raise ResenhaError(msg)
    return Finished(seconds, peak)
