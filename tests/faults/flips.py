"""A bundle with one bit or byte of it changed, through the whole of ``resenha score``.

``python -m tests.faults.flips FOLDER FIRST END PROGRESS`` prints, for each flip, its exit status and
what was told; a process of its own may be ended by a crash of native code without harm.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from pipeline import cli
from tests.faults.fuzz_program import limit_memory

_ROOT = Path(__file__).parents[2]
CRASHED = -1
"""The status of a flip that ended the process."""


class Flip(NamedTuple):
    """What became of one flip."""

    file: str
    status: int
    told: str


def flip_apart(path: Path, numbers: range, progress: Path) -> list[Flip]:
    """Try flips of a bundle's folder, or of a graph alone, in a process; after a crash, in the next one."""
    found: list[Flip] = []
    while len(found) < len(numbers):
        first = numbers[len(found)]
        progress.write_text("")
        command = [
            sys.executable,
            "-m",
            "tests.faults.flips",
            str(path),
            str(first),
            str(numbers.stop),
            str(progress),
        ]
        done = subprocess.run(command, cwd=_ROOT, env=os.environ, capture_output=True, text=True, check=False)
        found += [Flip(*json.loads(line)) for line in progress.read_text().splitlines()]
        if done.returncode:
            found.append(
                Flip("?", CRASHED, f"flip {numbers[len(found)]}: {done.returncode}: {done.stderr[-300:]}")
            )
    return found


def try_flip(path: Path, number: int) -> Flip:
    """Change a byte, score, and put the byte back."""
    source = random.Random(number)
    file = source.choice(sorted(path.iterdir())) if path.is_dir() else path
    content = file.read_bytes()
    changed = bytearray(content)
    changed[source.randrange(len(content))] ^= source.choice(
        (1 << source.randrange(8), source.randrange(1, 256))
    )
    file.write_bytes(changed)
    out, told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    stdin = SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(b"a good film\nbad\n")))
    try:
        with (
            mock.patch.object(sys, "stdin", stdin),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(told),
        ):
            status = cli.run(["score", "-q", "--bundle", str(path), "-"])
    finally:
        file.write_bytes(content)
    return Flip(file.name, status, told.getvalue())


def main(arguments: Sequence[str]) -> None:
    """Try flips, telling of each in a file."""
    path, first, end, progress = arguments
    limit_memory()
    with Path(progress).open("a") as stream:
        for number in range(int(first), int(end)):
            stream.write(json.dumps(try_flip(Path(path), number)) + "\n")
            stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
