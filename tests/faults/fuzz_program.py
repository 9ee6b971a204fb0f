"""Fuzzing in processes of its own, which a crash of native code may end without harm.

``python -m tests.faults.fuzz_program KIND FIRST END PROGRESS`` prints a tally as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.fuzzing import Fuzzer, Tally
from tests.faults.mutants import seeds

_ROOT = Path(__file__).parents[2]
_MORE_MEMORY = 2 << 30
_IN_MEMORY = Path("/dev/shm")


def fuzz_apart(kind: str, first: int, end: int) -> Tally:
    """Try the mutants from one number to another in a process; where it crashes, go on in the next one."""
    total = Tally()
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        progress = Path(folder, "progress")
        while first < end:
            command = [
                sys.executable,
                "-m",
                "tests.faults.fuzz_program",
                kind,
                str(first),
                str(end),
                str(progress),
            ]
            done = subprocess.run(
                command,
                cwd=_ROOT,
                env=os.environ | {"TMPDIR": folder},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                record = json.loads(done.stdout)
                total.add(Tally(**{**record, "rejects": Counter(record["rejects"])}))
                break
            reached = int(progress.read_text()) if progress.exists() else first
            total.crashes.append(
                f"{kind} {reached}: ended with status {done.returncode}: {done.stderr[-300:]}"
            )
            total.mutants += reached + 1 - first
            first = reached + 1
    return total


def limit_memory() -> None:
    """Let what asks for absurd memory fail, instead of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(arguments: Sequence[str]) -> None:
    """Try mutants, noting in a file the number of each before it is tried."""
    kind, first, end, progress = arguments
    descriptor = os.open(progress, os.O_WRONLY | os.O_CREAT)

    def note(number: int) -> None:
        os.pwrite(descriptor, b"%12d" % number, 0)

    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), note)
        seeds("parquet")
        limit_memory()
        print(json.dumps(vars(fuzzer.run(kind, range(int(first), int(end))))))
        os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1:])
