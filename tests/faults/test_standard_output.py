"""Standard output that is full, or that nobody reads any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.material import Material
from tests.faults.starting import Launcher

_FAILED, _READER_GONE = 6, 141


@pytest.fixture(
    params=[
        "score",
        "score many",
        "score --dry-run",
        "inspect",
        "inspect --json",
        "verify",
        "--help",
        "--version",
    ]
)
def command(request: pytest.FixtureRequest, material: Material, launcher: Launcher) -> Iterator[list[str]]:
    """The arguments of each command that writes to standard output."""
    name, _, option = request.param.partition(" ")
    if name == "score":
        many = "many.csv many.jsonl.gz"
        yield material.command(inputs=many) if option == "many" else material.command(*option.split())
    else:
        yield [name, *option.split(), *([] if name.startswith("-") else [str(material.bundle)])]
    if name == "verify":
        # It lets the next run test the bundle again, which is not what other tests have traced.
        launcher.run(material.command(), material.folder)


def test_a_full_one_is_told(launcher: Launcher, material: Material, command: list[str]) -> None:
    ended = launcher.prepare(command, material.folder, stdout="/dev/full").go().wait()
    assert ended.status == _FAILED, ended
    assert "No space left on device" in ended.err
    assert "standard output" in ended.err or command[0] != "score" or "--dry-run" in command
    assert ended.err.count("\n") == 1, ended.err


def test_one_that_nobody_reads_ends_the_run_without_a_word(
    launcher: Launcher, material: Material, tmp_path: Path, command: list[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run = launcher.prepare(command, material.folder, stdout=str(pipe))
    os.close(reader)
    ended = run.go().wait()
    assert (ended.status, ended.err) == (_READER_GONE, "")
