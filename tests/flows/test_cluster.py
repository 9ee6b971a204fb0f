"""A Dask cluster by its address: who is refused, and what a run leaves there whose process is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from flows import cluster
from flows.cluster import open_cluster
from flows.dask_workers import hire
from pipeline.errors import OutputInUse, PlanError, ResenhaError, UsageError
from pipeline.runtime.durable import is_temporary
from pipeline.runtime.listing import Inputs
from pipeline.runtime.output_folder import PLAN, SUCCESS
from pipeline.runtime.plan_lock import hold_plan_alone
from tests.flows import tampering
from tests.flows.test_dask_workers import alone, files, finish, make_run, settled

ROOT = Path(__file__).parents[2]
_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from flows.cluster import open_cluster
from flows.dask_workers import hire
from tests.flows import tampering
from tests.flows.test_dask_workers import finish, plan_run
scheduler, folder = sys.argv[1], Path(sys.argv[2])
with open_cluster(scheduler, 1) as client:
    client.run(tampering.stall_once, 3, folder / "mark")
    finish(replace(plan_run(folder), crew=hire(client)), folder / "out")
"""


class Remote(NamedTuple):
    """A scheduler and a worker of two threads, as somebody else starts them, in a folder of their own."""

    address: str
    scheduler: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]


@contextmanager
def started(what: str, *arguments: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    place = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments, *place]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(folder)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def scheduler_in(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started("scheduler", "--port", str(port), folder=folder) as process:
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            assert process.poll() is None
            time.sleep(0.02)
        yield f"tcp://127.0.0.1:{port}", process


@contextmanager
def remote_in(folder: Path) -> Iterator[Remote]:
    one = ("--no-nanny", "--nthreads", "2")
    with (
        scheduler_in(folder) as (address, scheduler),
        started("worker", address, *one, folder=folder) as worker,
    ):
        while True:
            with suppress(UsageError), open_cluster(address, 1):
                break
        yield Remote(address, scheduler, worker)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote_in(tmp_path_factory.mktemp("elsewhere")) as opened:
        yield opened


@pytest.fixture
def untouched(remote: Remote) -> Iterator[Remote]:
    """The cluster, to be tampered with."""
    with open_cluster(remote.address, 1) as client:
        yield remote
        client.run(tampering.leave_alone)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def test_a_scheduler_that_runs_already_is_used_by_its_address(remote: Remote, tmp_path: Path) -> None:
    # Two threads of one process, each of which scores on two threads: parts of more than one batch.
    run = make_run(tmp_path)
    run = replace(run, plan=replace(run.plan, part_rows=2_000))
    (tmp_path / "reviews.txt").write_text("a good film\nbad\n" * 20_000)
    with open_cluster(remote.address, 1) as client:
        finish(replace(run, crew=hire(client), threads=2), tmp_path / "out")
    assert files(tmp_path / "out") == alone(run, tmp_path / "alone")
    with open_cluster(remote.address, 1):
        pass  # It goes on.


@contextmanager
def stranger() -> Iterator[str]:
    """Something that answers, but not as a scheduler does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def refusal(address: str, match: str) -> str:
    with pytest.raises(UsageError, match=match) as caught, open_cluster(address, 1):
        pass
    return str(caught.value)


def test_an_address_where_no_scheduler_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWERS_WITHIN", 0.5)
    nobody = r"^no Dask scheduler answers at .*: ."
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        deaf = f"127.0.0.1:{probe.getsockname()[1]}"
        for address in (deaf, "nonsense", "http://127.0.0.1:1", "", "tcp://a\nb:1"):
            assert "\n" not in refusal(address, nobody)
    with stranger() as address:
        refusal(address, nobody)


def test_a_workers_address_is_refused(remote: Remote) -> None:
    with open_cluster(remote.address, 1) as client:
        [worker] = client.nthreads()
    refusal(worker, "is a Dask Worker; name the address of its scheduler")


def test_a_scheduler_without_workers_is_refused(tmp_path: Path) -> None:
    with scheduler_in(tmp_path) as (address, _):
        refusal(address, rf"has no workers; start some with `dask worker {address}`")


def test_workers_with_another_version_are_refused_by_name(untouched: Remote, tmp_path: Path) -> None:
    with open_cluster(untouched.address, 1) as client:
        client.run(tampering.claim_versions, onnxruntime="0.1")
        # It was found fit before, as one that comes later is not looked at.
        with pytest.raises(PlanError, match=r'versions\.onnxruntime is "0\.1", planned was'):
            finish(replace(make_run(tmp_path), crew=hire(client)), tmp_path / "out")
    refusal(untouched.address, r"^tcp://127\.0\.0\.1:\d+ has onnxruntime 0\.1 where [\d.]+ is wanted")


def test_workers_without_this_package_are_refused(untouched: Remote) -> None:
    with open_cluster(untouched.address, 1) as client:
        client.run(tampering.lose_package)
    refusal(untouched.address, r"^tcp:\S+ cannot load resenha \S+: .*flows\.cluster.*; install the same")


def test_relative_names_are_refused_where_they_mean_other_files(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(make_run(tmp_path), inputs=Inputs(("reviews.txt",)))
    monkeypatch.chdir(tmp_path)
    other_files = r"reviews\.txt is a relative name, of .*; this worker runs in"
    with open_cluster(remote.address, 1) as client, pytest.raises(UsageError, match=other_files):
        finish(replace(run, crew=hire(client)), tmp_path / "out")


def test_a_run_whose_process_was_killed_cannot_get_a_part_into_another_one(
    untouched: Remote, tmp_path: Path
) -> None:
    """The worker stands still in the middle of a part while others come and go in the directory."""
    run, out = make_run(tmp_path), tmp_path / "out"
    command = [sys.executable, "-c", _RUN, untouched.address, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        wait_for(tmp_path / "mark")
        os.kill(untouched.worker.pid, signal.SIGSTOP)
        process.kill()
    try:
        other = replace(run, plan=replace(run.plan, part_rows=7))
        with pytest.raises(OutputInUse, match="a worker of an earlier run still writes a part"):
            finish(replace(other, overwrite=True), out)
        finish(replace(run, resume=True), out)
        assert files(out) == alone(run, tmp_path / "alone")
    finally:
        os.kill(untouched.worker.pid, signal.SIGCONT)
    with hold_plan_alone(out / PLAN, patience=60):
        # It was told that nobody waits for the part, or found its draft gone.
        assert files(out) == files(tmp_path / "alone")
    finish(replace(other, overwrite=True), out)
    assert files(out) == alone(other, tmp_path / "other")


def test_a_scheduler_that_dies_ends_the_run_and_what_was_published_is_kept(tmp_path: Path) -> None:
    run, mark, out = make_run(tmp_path), tmp_path / "mark", tmp_path / "out"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with remote_in(elsewhere) as remote, open_cluster(remote.address, 1) as client:
        client.run(tampering.stall_once, 3, mark)

        def kill() -> None:
            wait_for(mark)
            remote.scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(
            ResenhaError, match=r"the Dask scheduler tcp:\S+ is gone; what was published is kept"
        ):
            finish(replace(run, crew=hire(client)), out)
        killer.join()
    left = settled(out)
    assert "part-00000.jsonl" in left
    assert SUCCESS not in left
    finish(replace(run, resume=True), out)
    assert not any(map(is_temporary, files(out)))
    assert files(out) == alone(run, tmp_path / "alone")
