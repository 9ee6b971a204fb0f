"""The rule; that it frees slots on a real server is in test_service.py."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelling, Pending, Running

from flows import ghosts
from flows.attendance import hold
from flows.ghosts import Worker, is_ghost

NOW = datetime.now(UTC)
BEFORE, AFTER = NOW - timedelta(seconds=60), NOW + timedelta(seconds=60)
LONG_AGO = NOW - timedelta(hours=1)


@pytest.fixture(autouse=True)
def _at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes may lie between this module's import and its tests."""

    class Stopped(datetime):
        @classmethod
        def now(cls, _zone: object = None) -> Any:
            return NOW

    monkeypatch.setattr(ghosts, "datetime", Stopped)


def a_run(
    state: State[object], *, pool: str | None = "resenha", worker: str | None = "local", at: datetime = NOW
) -> FlowRun:
    state.timestamp = at
    labels: dict[str, bool | int | float | str] = {} if worker is None else {"prefect.worker.name": worker}
    return FlowRun.model_construct(
        id=uuid4(), flow_id=uuid4(), state=state, work_pool_name=pool, labels=labels
    )


def judged(run: FlowRun, home: Path, *, has_process: bool = False, since: datetime = LONG_AGO) -> bool:
    living = {str(run.id)} if has_process else set()
    return is_ghost(run, Worker(home, "resenha", "local", since), living)


def abandon(home: Path, run: FlowRun) -> None:
    code = "import os, sys; from pathlib import Path; from flows.attendance import hold; hold(Path(sys.argv[1]), sys.argv[2]); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(home), str(run.id)], env=dict(os.environ), check=True)


@pytest.mark.parametrize("state", [Running(), Cancelling()], ids=["running", "cancelling"])
@pytest.mark.parametrize("pool", ["resenha", "other", None])
def test_a_run_that_was_attended_is_judged_by_its_lock_alone(
    tmp_path: Path, state: State[object], pool: str | None
) -> None:
    run = a_run(state, pool=pool, worker="elsewhere", at=LONG_AGO)
    hold(tmp_path, str(run.id))
    assert not judged(run, tmp_path, since=AFTER)
    run = a_run(state, pool=pool, worker="elsewhere")
    abandon(tmp_path, run)
    assert judged(run, tmp_path, has_process=True)


def test_a_lock_left_by_an_earlier_attempt_says_nothing_of_the_next(tmp_path: Path) -> None:
    run = a_run(Pending())
    abandon(tmp_path, run)
    assert not judged(run, tmp_path)


@pytest.mark.parametrize(
    "state", [Pending(), Running(), Cancelling()], ids=["pending", "running", "cancelling"]
)
@pytest.mark.parametrize(
    ("at", "since", "expected"),
    [
        pytest.param(NOW, LONG_AGO, False, id="just begun by a living worker"),
        pytest.param(NOW - timedelta(seconds=110), LONG_AGO, False, id="being begun"),
        pytest.param(NOW - timedelta(seconds=130), LONG_AGO, True, id="never begun"),
        pytest.param(NOW, AFTER, True, id="its worker was replaced"),
        pytest.param(AFTER, BEFORE, False, id="by the worker that replaced another"),
    ],
)
def test_without_a_lock_and_a_process_time_tells(
    tmp_path: Path, state: State[object], at: datetime, since: datetime, expected: bool
) -> None:
    assert judged(a_run(state, at=at), tmp_path, since=since) is expected
    assert judged(a_run(state, at=at, worker=None), tmp_path, since=since) is expected
    assert not judged(a_run(state, at=at), tmp_path, since=since, has_process=True)


@pytest.mark.parametrize(
    ("pool", "worker"),
    [("resenha", "another host's"), ("other", "local"), (None, None)],
    ids=["another worker", "another pool", "no pool"],
)
def test_runs_of_others_are_left_alone(tmp_path: Path, pool: str | None, worker: str | None) -> None:
    assert not judged(a_run(Running(), pool=pool, worker=worker, at=LONG_AGO), tmp_path, since=AFTER)
