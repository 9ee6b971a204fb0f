"""Runs into a directory that are killed at any moment, in one process or in several."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from pipeline.runtime.part_scorer import Assignment
from tests.faults.material import Material, snapshot
from tests.faults.reading import assert_readable
from tests.faults.starting import PATIENCE, Ended, Launcher, Run, across, wait_until_gone, workers_of

_KILLED, _SCORED, _FAILED, _IN_USE = -signal.SIGKILL, 3, 1, 7


def test_a_run_killed_at_any_moment_is_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    measured: tuple[dict[str, bytes], float],
    is_long: bool,
    figures: list[str],
) -> None:
    whole, seconds = measured
    rounds = 200 if is_long else 5

    def kill(launcher: Launcher, number: int) -> int:
        source, out, kills = random.Random(number), tmp_path / str(number), 0
        arguments = material.many(out)
        while kills < 2 and killed_after(
            launcher.prepare(arguments, material.folder), seconds * source.random()
        ):
            assert_readable(snapshot(out), whole)
            arguments = material.many(out, "--resume")
            kills += 1
        ended = launcher.run(material.many(out, "--resume"), material.folder)
        assert (ended.status, ended.err) == (_SCORED, ""), number
        assert snapshot(out) == whole, number
        for path in out.iterdir():
            path.unlink()
        return kills

    kills = Counter(across(launchers, range(rounds), kill))
    assert kills[0] < rounds
    spread = ", ".join(f"{kills[number]} after {number}" for number in range(3))
    figures.append(f"killed at random moments: {rounds}/{rounds} same bytes ({spread} kills)")


def killed_after(run: Run, seconds: float) -> bool:
    """Kill a run after some time; tell whether it had not ended before."""
    run.go()
    time.sleep(seconds)
    run.send(signal.SIGKILL)
    ended = run.wait()
    assert ended.status in (_KILLED, _SCORED), ended
    return ended.status == _KILLED


@pytest.mark.parametrize(
    ("victim", "status"), [("parent", _KILLED), ("worker", _FAILED)], ids=["parent", "worker"]
)
def test_a_run_of_several_processes_is_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    measured: tuple[dict[str, bytes], float],
    is_long: bool,
    figures: list[str],
    victim: str,
    status: int,
) -> None:
    whole, seconds = measured
    rounds = 12 if is_long else 2

    def kill(launcher: Launcher, number: int) -> int:
        out, source = tmp_path / str(number), random.Random(number)
        run = launcher.prepare(material.many(out, "--workers", "2"), material.folder).go()
        workers = workers_of(run)
        time.sleep(seconds * source.random())
        with suppress(ProcessLookupError):
            os.kill(run.pid if victim == "parent" else source.choice(workers), signal.SIGKILL)
        ended = run.wait()
        assert ended.status in (status, _SCORED), ended
        assert "Traceback" not in ended.err, ended
        if ended.status == _FAILED:
            assert "was ended by SIGKILL" in ended.err
            assert "--resume" in ended.err
        assert_readable(snapshot(out), whole)
        again = gone_on_with(launcher, material.many(out, "--workers", "2", "--resume"), material.folder)
        assert (again.status, again.err) == (_SCORED, ""), number
        assert snapshot(out) == whole, number
        wait_until_gone(workers)
        return ended.status

    statuses = Counter(across(launchers, range(rounds), kill))
    figures.append(
        f"killed {victim} of two workers: {rounds}/{rounds} same bytes ({statuses[status]} in time)"
    )


def gone_on_with(launcher: Launcher, arguments: Sequence[str], cwd: Path) -> Ended:
    """Go on with a run, once what is left of the one before it has let the directory go."""
    end = time.monotonic() + PATIENCE
    while (ended := launcher.run(arguments, cwd)).status == _IN_USE:
        assert time.monotonic() < end
        time.sleep(0.05)
    return ended


@pytest.fixture
def worker(
    launcher: Launcher, material: Material, run_environment: dict[str, str], tmp_path: Path
) -> Iterator[Worker]:
    """A worker, as a run with several starts it; the parts that it may be told to score are there already."""
    out = tmp_path / "out"
    assert launcher.run(material.arguments(out), material.folder).status == _SCORED
    lock = os.open(out, os.O_RDONLY)
    plan = json.loads((out / "_plan.json").read_bytes())
    told = Assignment(str(out), plan["digest"], str(material.bundle), plan["bundle"]["digest"], threads=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.runtime.part_worker", json.dumps(asdict(told))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=material.folder,
        env=run_environment,
        pass_fds=[lock],
    )
    os.close(lock)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        yield Worker(process, process.stdin, process.stdout, process.stderr)


class Worker(NamedTuple):
    """A worker and its streams."""

    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def tell(self, job: dict[str, Any]) -> None:
        """Give it a job."""
        self.stdin.write(json.dumps(job).encode() + b"\n")
        self.stdin.flush()

    def end(self) -> tuple[int, bytes]:
        """Wait for its end, and give its status and what it says on standard error."""
        return self.process.wait(PATIENCE), self.stderr.read()


def test_a_worker_without_anybody_who_tells_it_ends_without_a_word(worker: Worker) -> None:
    worker.stdin.close()
    assert worker.end() == (0, b"")


def test_a_worker_without_anybody_who_listens_ends_without_a_word(worker: Worker) -> None:
    worker.stdout.close()
    worker.tell({"part": 0, "start": {}})
    assert worker.end() == (0, b"")


def test_a_worker_that_fails_says_so_once(worker: Worker) -> None:
    worker.tell({"part": 50, "start": {"file": 99}})
    said = json.loads(worker.stdout.read())
    assert said["status"] == 8
    assert worker.end() == (8, b"")
