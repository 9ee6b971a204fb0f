"""The parts of a run over a Dask cluster: the bytes, and what becomes of them when something goes wrong."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from distributed import Client

from flows.cluster import open_cluster
from flows.dask_workers import Job, _scorer_for, hire
from pipeline.errors import InputOutputError, PlanError, ResenhaError, TooManyRejects
from pipeline.runtime.bundle import open_bundle
from pipeline.runtime.durable import is_temporary
from pipeline.runtime.folder_runs import FolderRun, prepare, run_folder
from pipeline.runtime.listing import Inputs
from pipeline.runtime.monitor import Monitor, RejectLimit
from pipeline.runtime.output_folder import claim_folder
from pipeline.runtime.part_runs import PartReader
from pipeline.runtime.part_scorer import Assignment
from pipeline.runtime.plan import InputTotals, Plan, WriteOptions
from pipeline.runtime.reading import InputFormat, Place, ReadOptions
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat
from tests.flows import tampering
from tests.stand_ins import make_bundle

PARTS = 12


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with open_cluster(None, 2) as opened:
        yield opened


@pytest.fixture
def untouched(client: Client) -> Iterator[Client]:
    """The cluster, to be tampered with."""
    yield client
    client.wait_for_workers(2, timeout=30)
    client.run(tampering.leave_alone)


def make_run(folder: Path, output_format: OutputFormat = OutputFormat.JSONL) -> FolderRun:
    """Sixty rows in parts of five, a fifth of them rejects."""
    make_bundle(folder / "bundle")
    (folder / "reviews.txt").write_text("a good film\na bad one\n?!\nnot dull\nthe 3 films\n" * PARTS)
    return plan_run(folder, output_format)


def plan_run(folder: Path, output_format: OutputFormat = OutputFormat.JSONL) -> FolderRun:
    """The run over what lies in a folder already."""
    plan = Plan(
        {"name": "stand-in", "digest": open_bundle(folder / "bundle").digest},
        ReadOptions(InputFormat.LINES),
        WriteOptions(output_format),
        InputTotals(0, 0, ""),
        part_rows=5,
    )
    return FolderRun(Inputs((str(folder / "reviews.txt"),)), plan, folder / "bundle", None)


def finish(run: FolderRun, path: Path, monitor: Monitor | None = None) -> dict[str, Any]:
    scorer = Scorer(open_bundle(run.bundle), threads=1)
    with claim_folder(path) as folder:
        return run_folder(folder, prepare(folder, run), run, scorer, monitor=monitor or Monitor())


def files(path: Path) -> dict[str, bytes]:
    found = {}
    for each in path.iterdir():
        with suppress(FileNotFoundError):  # A draft is gone by now.
            found[each.name] = each.read_bytes()
    return found


def settled(path: Path) -> dict[str, bytes]:
    """What is there when the last worker has seen that the run was stopped: one may just have begun."""
    while any(map(is_temporary, found := files(path))):
        time.sleep(0.01)
    return found


def alone(run: FolderRun, path: Path) -> dict[str, bytes]:
    """What one process makes of it."""
    finish(replace(run, crew=None, workers=1), path)
    return files(path)


@pytest.mark.parametrize("output_format", list(OutputFormat), ids=str)
def test_a_cluster_writes_the_bytes_that_one_process_does(
    client: Client, tmp_path: Path, output_format: OutputFormat
) -> None:
    run, monitor = make_run(tmp_path, output_format), Monitor()
    page = finish(replace(run, crew=hire(client)), tmp_path / "out", monitor)
    assert (page["rows_in"], page["parts"]) == (5 * PARTS, PARTS)
    assert (monitor.rows, monitor.rejected) == (5 * PARTS, PARTS)
    assert files(tmp_path / "out") == alone(run, tmp_path / "alone")


def test_a_worker_that_is_killed_costs_its_part_a_second_try_and_nothing_else(
    untouched: Client, tmp_path: Path
) -> None:
    run, monitor, mark = make_run(tmp_path), Monitor(), tmp_path / "mark"
    untouched.run(tampering.stall_once, 3, mark)
    found: list[bool] = []

    def kill() -> None:
        while not mark.exists():
            time.sleep(0.01)
        found.append(any(is_temporary(each.name) for each in (tmp_path / "out").iterdir()))
        os.kill(int(mark.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    page = finish(replace(run, crew=hire(untouched)), tmp_path / "out", monitor)
    killer.join()
    assert found == [True]  # It was half-way.
    assert (page["rows_in"], monitor.rows) == (5 * PARTS, 5 * PARTS)
    assert files(tmp_path / "out") == alone(run, tmp_path / "alone")


def test_a_part_that_ends_worker_after_worker_ends_the_run(tmp_path: Path) -> None:
    run, mark = make_run(tmp_path), tmp_path / "mark"
    few = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with few, open_cluster(None, 2) as client:
        client.run(tampering.stall_once, 1, mark)

        def kill() -> None:
            while not mark.exists():
                time.sleep(0.01)
            os.kill(int(mark.read_text()), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ResenhaError, match=r"^part-\d+-\w+: every worker .* ended, 1 of them .* is kept"):
            finish(replace(run, crew=hire(client)), tmp_path / "out")
        killer.join()
    assert "_SUCCESS" not in settled(tmp_path / "out")


def test_an_error_in_a_part_is_raised_once_as_it_is_and_what_was_published_is_kept(
    untouched: Client, tmp_path: Path
) -> None:
    run, tries = make_run(tmp_path), tmp_path / "tries"
    untouched.run(tampering.fail_in, 7, tries)
    with pytest.raises(InputOutputError, match=r"^disk of this worker: No space left on device$"):
        finish(replace(run, crew=hire(untouched)), tmp_path / "out")
    assert tries.read_text() == "."
    # It is no failure of Dask's, to be logged with a traceback.
    assert not any(
        "Compute Failed" in line for log in untouched.get_worker_logs().values() for _, line in log
    )
    left = settled(tmp_path / "out")
    assert "part-00007.jsonl" not in left
    # When the failing one was handed out, at most three of the seven before it were not published yet.
    assert len([name for name in left if name.startswith("part-")]) >= 4
    untouched.run(tampering.leave_alone)
    finish(replace(run, crew=hire(untouched), resume=True), tmp_path / "out")
    whole = alone(run, tmp_path / "alone")
    assert files(tmp_path / "out") == whole
    assert left.items() <= whole.items()


def test_an_error_that_nobody_foresaw_is_raised_as_it_is(untouched: Client, tmp_path: Path) -> None:
    untouched.run(tampering.fail_in, 0, tmp_path / "tries", OSError)
    with pytest.raises(OSError, match=r"^disk of this worker: No space left on device$"):
        finish(replace(make_run(tmp_path), crew=hire(untouched)), tmp_path / "out")
    assert (tmp_path / "tries").read_text() == "."


def test_an_input_that_changed_after_it_was_read_is_refused_by_the_worker(
    client: Client, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    with claim_folder(tmp_path / "out") as folder:
        plan = prepare(folder, run)
        places = [(part.number, part.start) for part in PartReader(folder, plan).parts()]
        with (tmp_path / "reviews.txt").open("a") as stream:
            stream.write("one more\n")
        digest = plan.to_record()["digest"]
        assignment = Assignment(str(folder.path), digest, str(run.bundle), plan.bundle["digest"], threads=1)
        has_changed = pytest.raises(PlanError, match=r"reviews\.txt has changed: found .* planned .*")
        with has_changed, hire(client)(assignment, Monitor()) as scorers:
            for place in places:
                scorers.score(*place)
            scorers.finish()
    assert not [each for each in files(tmp_path / "out") if "part" in each]


def test_too_many_rejects_stop_a_run_and_what_its_workers_were_at(untouched: Client, tmp_path: Path) -> None:
    run, mark = make_run(tmp_path), tmp_path / "mark"
    # It stands still until it is told that nobody waits for it any more.
    untouched.run(tampering.stall_once, 0, mark)
    with pytest.raises(TooManyRejects):
        finish(replace(run, crew=hire(untouched)), tmp_path / "out", Monitor(RejectLimit(count=1)))
    assert mark.with_suffix(".ended").exists()
    left = settled(tmp_path / "out")
    assert "part-00000.jsonl" not in left
    assert "_SUCCESS" not in left


def test_a_thread_loads_the_network_once_for_a_run_and_shares_it_with_no_other(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with claim_folder(tmp_path / "out") as folder:
        digest = prepare(folder, run).to_record()["digest"]
    assignment = Assignment(
        str(tmp_path / "out"), digest, str(run.bundle), run.plan.bundle["digest"], threads=2
    )
    first, second = (Job(assignment, number, Place(), str(Path.cwd())) for number in (0, 1))
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        mine = one.submit(_scorer_for, first).result()
        assert one.submit(_scorer_for, second).result() is mine
        assert other.submit(_scorer_for, first).result() is not mine
        anew = second._replace(assignment=replace(assignment, threads=1))
        assert one.submit(_scorer_for, anew).result() is not mine


def test_what_travels_is_small_little_at_a_time_and_holds_no_text(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    futures: list[Any] = []
    in_flight: list[int] = []
    submit = client.submit

    def spy(*arguments: Any, **options: Any) -> Any:
        sent.append(pickle.dumps((arguments, options)))
        futures.append(submit(*arguments, **options))
        in_flight.append(sum(not future.done() for future in futures))
        return futures[-1]

    monkeypatch.setattr(client, "submit", spy)
    finish(replace(make_run(tmp_path), crew=hire(client)), tmp_path / "out")
    assert len(sent) == PARTS
    assert max(map(len, sent)) < 1_000
    assert max(in_flight) <= 4  # Two for each thread.
    assert not any(word in job for job in sent for word in (b"good film", b"a bad", b"dull"))


def test_nothing_listens_or_calls_beyond_this_machine(client: Client) -> None:
    own = psutil.Process()
    processes = [own, *own.children(recursive=True)]
    found = [each for process in processes for each in process.net_connections("inet")]
    listening = [each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN]
    assert len(listening) >= 3  # The scheduler and two workers.
    assert {each.laddr.ip for each in found} == {"127.0.0.1"}
    assert {each.raddr.ip for each in found if each.raddr} == {"127.0.0.1"}


def test_a_cluster_of_ones_own_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("OMP_NUM_THREADS", "PYTHONHASHSEED", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with open_cluster(None, 1) as opened:
        [environment] = opened.run(lambda: dict(os.environ)).values()
        assert environment["OMP_NUM_THREADS"] == "1"
        assert "MALLOC_TRIM_THRESHOLD_" not in environment
        assert [each.name[:13] for each in tmp_path.iterdir()] == ["resenha-dask-"]
        assert opened.nthreads().popitem()[1] == 1
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before
