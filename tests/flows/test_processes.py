from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from flows.processes import MARK, PART, RUN, Process, end, read_listing, runs_with_a_process, started_by

Start = subprocess.Popen[bytes]
SLEEPER = "import time; print(flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def start(code: str = SLEEPER, **marks: str) -> Start:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **marks},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, Start]]:
    """A server, a worker and a run of one service, and the server of another one."""
    mark = {MARK: str(tmp_path)}
    processes = {
        "server": start(**mark, **{PART: "server"}),
        "worker": start(**mark, **{PART: "worker"}),
        "run": start(**mark, **{PART: "worker", RUN: str(uuid4())}),
        "other": start(**{MARK: str(tmp_path / "other"), PART: "server"}),
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_processes_are_known_by_the_service_and_the_part(started: dict[str, Start], tmp_path: Path) -> None:
    for part in ("server", "worker", "run"):
        assert [found.number for found in started_by(tmp_path, [part])] == [started[part].pid]
    assert len(started_by(tmp_path, ["server", "worker", "run"])) == 3


def test_only_the_named_parts_end(started: dict[str, Start], tmp_path: Path) -> None:
    end(tmp_path, "server", "run", patience=30)
    assert started["server"].wait(5) == -15
    assert started["run"].wait(5) == -15
    assert started["worker"].poll() is None
    assert started["other"].poll() is None


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = start(DEAF, **{MARK: str(tmp_path), PART: "server"})
    end(tmp_path, "server", patience=0.2)
    assert deaf.wait(5) == -9
    assert deaf.stdout is not None
    deaf.stdout.close()


def test_one_that_is_halted_ends(started: dict[str, Start], tmp_path: Path) -> None:
    started["worker"].send_signal(19)
    end(tmp_path, "worker", patience=30)
    assert started["worker"].wait(5) == -15


def test_a_run_lives_while_its_first_process_does(tmp_path: Path) -> None:
    run = str(uuid4())
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; print(flush=True); time.sleep(60)'])"
    first = subprocess.Popen(
        [sys.executable, "-c", child],
        env={**os.environ, MARK: str(tmp_path), RUN: run},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert first.stdout is not None
    first.stdout.readline()
    first.stdout.close()
    assert run in runs_with_a_process()
    first.kill()
    first.wait()
    assert run not in runs_with_a_process()
    assert len(started_by(tmp_path, ["run"])) == 1
    end(tmp_path, "run", patience=30)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc shows an empty environment")
def test_a_program_that_is_just_beginning_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a program and the next one in the same process the environment is empty for a moment."""
    mark = {MARK: str(tmp_path), PART: "server"}
    code = f"import os, sys; print(flush=True); input(); os.execve(sys.executable, [sys.executable, '-c', {SLEEPER!r}], {mark!r})"
    beginning = subprocess.Popen(
        [sys.executable, "-c", code], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    told, tells = beginning.stdin, beginning.stdout
    assert told is not None
    assert tells is not None
    tells.readline()

    def go_on(seconds: float) -> None:
        if seconds and not told.closed:
            told.write(b"\n")
            told.close()
            tells.readline()

    monkeypatch.setattr("flows.processes.time.sleep", go_on)
    found = [found.number for found in started_by(tmp_path, ["server"])]
    beginning.kill()
    beginning.wait()
    tells.close()
    assert found == [beginning.pid]


def test_a_process_that_is_gone_leads_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not Process(gone.pid, None, "", None).leads


def test_the_listing_of_macos_is_read() -> None:
    listing = (
        "  PID COMMAND\n"
        "    1 /sbin/launchd\n"
        f"  501 /usr/bin/python -m prefect server start SHELL=/bin/zsh {MARK}=/Users/me/my work/prefect {PART}=server HOME=/Users/me\n"
        f"  502 python -m prefect.engine {PART}=worker {MARK}=/Users/me/my work/prefect {RUN}=3f0c\n"
        "  503 grep RESENHA\n"
    )
    assert list(read_listing(listing)) == [
        (1, {}),
        (501, {MARK: "/Users/me/my work/prefect", PART: "server"}),
        (502, {MARK: "/Users/me/my work/prefect", PART: "worker", RUN: "3f0c"}),
        (503, {}),
    ]


def test_what_ends_meanwhile_is_no_trouble(tmp_path: Path) -> None:
    short = [start("print(flush=True)", **{MARK: str(tmp_path), PART: "server"}) for _ in range(3)]
    end(tmp_path, "server", patience=30)
    for process in short:
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
