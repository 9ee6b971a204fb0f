"""The lock of a plan, between real processes: who writes keeps the plan, who takes it away waits for nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import InputOutputError, OutputInUse, PlanError
from pipeline.runtime.output_folder import PLAN, OutputFolder
from pipeline.runtime.plan_lock import hold_plan_alone, share_plan

_WRITER = """
import sys
from pathlib import Path
from pipeline.runtime.plan_lock import share_plan
with share_plan(Path(sys.argv[1]), "d1", 0):
    print("holds", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / PLAN
    path.write_text('{"digest": "d1", "shard": [1, 1]}')
    return path


@contextmanager
def writer(plan: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes a part, until it is told not to."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _WRITER, str(plan)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_writer_keeps_the_plan_even_while_it_is_stopped_and_until_it_is_killed(plan: Path) -> None:
    folder = OutputFolder(plan.parent)
    with writer(plan) as process:
        os.kill(process.pid, signal.SIGSTOP)
        (plan.parent / "part-00000.jsonl").touch()
        with pytest.raises(OutputInUse, match="a worker of an earlier run still writes a part"):
            folder.clear()
        assert sorted(each.name for each in plan.parent.iterdir()) == [PLAN, "part-00000.jsonl"]
        process.kill()
        process.wait()
        folder.clear()
    assert list(plan.parent.iterdir()) == []


def test_writers_do_not_keep_each_other_waiting(plan: Path) -> None:
    with writer(plan), writer(plan), share_plan(plan, "d1", 0):
        pass


def test_a_part_of_another_shard_is_not_written(plan: Path) -> None:
    plan.write_text('{"digest": "d1", "shard": [2, 3]}')
    with share_plan(plan, "d1", 1):
        pass
    for number in (0, 2):
        with pytest.raises(PlanError, match="another run began there"), share_plan(plan, "d1", number):
            pass


def test_waiting_for_a_writer_ends_with_it(plan: Path) -> None:
    with writer(plan) as process:
        assert process.stdin is not None
        process.stdin.close()
        with hold_plan_alone(plan, patience=60):
            assert process.wait(60) == 0
        process.stdin = None


@pytest.mark.parametrize(
    "content", ['{"digest": "d2", "shard": [1, 1]}', '{"digest": "d1"}', "{}", "[]", "", "\udcff", None]
)
def test_another_plan_or_none_is_refused(plan: Path, content: str | None) -> None:
    if content is None:
        plan.unlink()
    else:
        plan.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PlanError, match="does not hold the plan any more"), share_plan(plan, "d1", 0):
        pass


@pytest.mark.parametrize("successor", ["the same plan", "no plan"])
def test_a_plan_that_was_taken_away_while_one_waited_for_it_is_refused(
    plan: Path, successor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock = fcntl.flock

    def exchange_first(stream: object, operation: int) -> None:
        plan.unlink()
        if successor == "the same plan":
            plan.write_text('{"digest": "d1", "shard": [1, 1]}')
        flock(stream, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", exchange_first)
    with pytest.raises(PlanError, match="another run began there"), share_plan(plan, "d1", 0):
        pass


def test_where_there_is_no_plan_nobody_can_write_a_part_of_it(tmp_path: Path) -> None:
    with hold_plan_alone(tmp_path / PLAN):
        pass


def test_what_the_block_raises_is_its_own(plan: Path) -> None:
    for error in (ValueError, FileNotFoundError, OSError):
        with pytest.raises(error, match="mine"), share_plan(plan, "d1", 0):
            raise error("mine")
        with pytest.raises(error, match="mine"), hold_plan_alone(plan):
            raise error("mine")


def test_a_plan_that_cannot_be_opened_or_locked_is_named(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def fail(*_arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with (
        pytest.raises(InputOutputError, match=f"{PLAN} cannot be locked: No locks"),
        share_plan(plan, "d1", 0),
    ):
        pass
    with pytest.raises(InputOutputError, match=f"{PLAN} cannot be locked: No locks"), hold_plan_alone(plan):
        pass
    plan.unlink()
    plan.mkdir()
    with (
        pytest.raises(InputOutputError, match=f"{PLAN} cannot be locked: Is a dir"),
        share_plan(plan, "d1", 0),
    ):
        pass
