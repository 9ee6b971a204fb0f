"""Processes that score parts side by side, and what becomes of a run when one of them fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from pipeline.errors import BundleError, OutputInUse, ResenhaError, TooManyRejects, UsageError
from pipeline.runtime.bundle import open_bundle
from pipeline.runtime.folder_runs import FolderRun, prepare, run_folder
from pipeline.runtime.listing import Inputs
from pipeline.runtime.monitor import Monitor, RejectLimit
from pipeline.runtime.output_folder import OutputFolder, claim_folder
from pipeline.runtime.part_scorer import Assignment
from pipeline.runtime.plan import InputTotals, Plan, WriteOptions
from pipeline.runtime.reading import InputFormat, Place, ReadOptions
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat
from pipeline.runtime.workers import Workers
from tests.stand_ins import make_bundle


@pytest.fixture
def run(tmp_path: Path) -> FolderRun:
    """Forty rows in parts of five, by two processes."""
    make_bundle(tmp_path / "bundle")
    reviews = tmp_path / "reviews.txt"
    reviews.write_text("a good film\n?!\n" * 20)
    plan = Plan(
        {"name": "stand-in", "digest": open_bundle(tmp_path / "bundle").digest},
        ReadOptions(InputFormat.LINES),
        WriteOptions(OutputFormat.JSONL),
        InputTotals(0, 0, ""),
        part_rows=5,
    )
    return FolderRun(Inputs((str(reviews),)), plan, tmp_path / "bundle", None, workers=2)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OutputFolder]:
    with claim_folder(tmp_path / "out") as claimed:
        yield claimed


def scorer_of(run: FolderRun) -> Scorer:
    return Scorer(open_bundle(run.bundle), threads=1)


def assign(run: FolderRun, folder: OutputFolder) -> Assignment:
    plan = folder.read_plan()
    assert plan is not None
    return Assignment(str(folder.path), plan["digest"], str(run.bundle), plan["bundle"]["digest"], threads=1)


def score_first_part(workers: Workers) -> None:
    workers.score(0, Place())
    workers.finish()


def test_every_part_is_scored_once_and_told(run: FolderRun, folder: OutputFolder) -> None:
    monitor = Monitor()
    page = run_folder(folder, prepare(folder, run), run, scorer_of(run), monitor=monitor)
    assert (page["rows_in"], page["scored"], page["parts"]) == (40, 20, 8)
    assert (monitor.rows, monitor.rejected) == (40, 20)
    assert folder.is_finished


def test_too_many_rejects_stop_every_process(run: FolderRun, folder: OutputFolder) -> None:
    plan, monitor = prepare(folder, run), Monitor(RejectLimit(count=3))
    with pytest.raises(TooManyRejects):
        run_folder(folder, plan, run, scorer_of(run), monitor=monitor)
    assert not folder.is_finished
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


def test_a_bundle_that_was_exchanged_meanwhile_is_refused_by_the_worker(
    run: FolderRun, folder: OutputFolder
) -> None:
    prepare(folder, run)
    make_bundle(run.bundle.with_name("other"), accuracy=0.8)
    assignment = replace(assign(run, folder), bundle=str(run.bundle.with_name("other")))
    workers = Workers(folder, assignment, count=1, monitor=Monitor())
    with workers, pytest.raises(BundleError, match="was planned"):
        score_first_part(workers)


def test_a_worker_that_is_killed_ends_the_run_with_a_remedy(run: FolderRun, folder: OutputFolder) -> None:
    prepare(folder, run)
    workers = Workers(folder, assign(run, folder), count=1, monitor=Monitor())
    [process] = workers._processes
    os.kill(process.pid, signal.SIGKILL)
    with workers, pytest.raises(ResenhaError, match="was ended by SIGKILL.*--resume"):
        score_first_part(workers)


def test_workers_hold_the_directory_and_end_with_who_started_them(run: FolderRun, tmp_path: Path) -> None:
    claimed = claim_folder(tmp_path / "out")
    folder = claimed.__enter__()
    prepare(folder, run)
    with Workers(folder, assign(run, folder), count=1, monitor=Monitor()) as workers:
        # What the kernel does first where the process that started them is killed.
        claimed.__exit__(None, None, None)
        with pytest.raises(OutputInUse), claim_folder(tmp_path / "out"):
            pass
        [process] = workers._processes
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        with claim_folder(tmp_path / "out"):
            pass
        process.stdin = None


class Nobody:
    """A crew that scores nothing, and keeps what it was told."""

    def __init__(self, assignment: Assignment, monitor: Monitor) -> None:
        self.assignment = assignment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def score(self, number: int, start: Place) -> None:
        msg = f"part {number} of {self.assignment}"
        raise ResenhaError(msg)

    def finish(self) -> None: ...


def test_a_crew_is_told_absolute_paths(
    run: FolderRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = replace(run, crew=Nobody, bundle=Path("bundle"), workers=1)
    told = f"part 0 of .*folder='{tmp_path}/out'.*bundle='{tmp_path}/bundle'"
    with claim_folder(Path("out")) as folder, pytest.raises(ResenhaError, match=told):
        run_folder(folder, prepare(folder, run), run, scorer_of(run), monitor=Monitor())


@pytest.mark.parametrize("more", [{"crew": Nobody}, {"workers": 2}], ids=["a crew", "two workers"])
def test_standard_input_is_refused_where_more_than_one_process_reads(
    run: FolderRun, folder: OutputFolder, more: dict[str, Any]
) -> None:
    run = replace(run, inputs=Inputs(("-",)), **({"workers": 1} | more))
    with pytest.raises(UsageError, match="standard input can be read by one process only"):
        prepare(folder, run)
