from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.installation import HOST, Installation
from flows.processes import MARK, PART, RUN
from flows.supervisor import Part, end_all, last_lines, refuse_taken_port
from pipeline.errors import UsageError


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part("worker", ["worker", "start"], Installation(tmp_path, 4200))


def die(part: Part, *, after: float = 0.0) -> None:
    part.process = subprocess.Popen(["false"])
    part.process.wait()
    part.since = datetime.now(UTC) - timedelta(seconds=after)
    assert part.died()
    assert not part.died()


def test_quick_deaths_put_the_next_start_off_and_are_given_up(part: Part) -> None:
    delays = []
    for _ in range(4):
        die(part)
        delays.append(round(part.due - time.monotonic()))
        assert not part.is_due()
        assert part.word == "ended with status 1 after 0 s, is started again"
    assert delays == [1, 3, 7, 15]
    die(part)
    assert part.due == float("inf")
    assert part.word.startswith("given up: ended with status 1 after 0 s, for the 5th time; ")
    assert str(part.place.log("worker")) in part.word


def test_one_that_lived_long_is_started_at_once(part: Part) -> None:
    for _ in range(4):
        die(part)
    die(part, after=60)
    assert part.is_due()
    die(part)
    assert part.due < time.monotonic() + 2


def test_one_that_lives_is_left_alone(part: Part) -> None:
    part.process = subprocess.Popen(["sleep", "60"])
    assert not part.died()
    assert not part.is_due()
    part.process.kill()
    part.process.wait()


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of 127.0.0.1 cannot be had .*PORT="):
            refuse_taken_port(port)
    refuse_taken_port(port)


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    assert last_lines(log) == f"  {log} ends with"
    log.write_text("a\nb\nc\n")
    assert last_lines(log, 2) == f"  {log} ends with\n    b\n    c"


@pytest.mark.parametrize("has_server", [True, False])
def test_runs_are_heard_only_where_there_is_a_server_to_tell(has_server: bool, tmp_path: Path) -> None:
    place = Installation(tmp_path, 4200)
    mark = {MARK: str(tmp_path)}
    run, server = run_processes(mark | {PART: "worker", RUN: "a"}, mark | {PART: "server"})
    if not has_server:
        server.kill()
        server.wait()
    end_all(place)
    assert run.wait(10) == (3 if has_server else -9)
    server.wait(10)


def run_processes(*marks: dict[str, str]) -> list[subprocess.Popen[bytes]]:
    """Start processes that end with status 3 when they are told to end."""
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print(flush=True); time.sleep(60)"
    started = []
    for mark in marks:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **mark},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        started.append(process)
    return started
