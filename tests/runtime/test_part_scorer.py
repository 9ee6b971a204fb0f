"""A process that scores a part for a run elsewhere, and what others do in the directory meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.errors import BundleError, OutputInUse, PlanError
from pipeline.runtime import plan as plan_module
from pipeline.runtime.bundle import open_bundle
from pipeline.runtime.durable import is_temporary
from pipeline.runtime.folder_runs import FolderRun, prepare, run_folder
from pipeline.runtime.listing import Inputs
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.output_folder import OutputFolder, claim_folder
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.plan import InputTotals, Plan, WriteOptions
from pipeline.runtime.reading import InputFormat, Place, ReadOptions
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat
from tests.stand_ins import make_bundle

_WORKER = """
import json, sys
from pipeline.errors import ResenhaError
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.reading import Place
scorer = PartScorer(Assignment(**json.loads(sys.argv[1])))
def watch(summary):
    print("half-way", flush=True)
    sys.stdin.readline()
print("ready", flush=True)
sys.stdin.readline()
try:
    summary = scorer.score(0, Place(), watch)
    print(summary.rows_in)
except ResenhaError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def run(tmp_path: Path) -> FolderRun:
    make_bundle(tmp_path / "bundle")
    (tmp_path / "reviews.txt").write_text("a good film\n?!\n" * 10)
    plan = Plan(
        {"name": "stand-in", "digest": open_bundle(tmp_path / "bundle").digest},
        ReadOptions(InputFormat.LINES),
        WriteOptions(OutputFormat.JSONL),
        InputTotals(0, 0, ""),
        part_rows=5,
    )
    return FolderRun(Inputs((str(tmp_path / "reviews.txt"),)), plan, tmp_path / "bundle", None)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def begin(run: FolderRun, out: Path) -> Assignment:
    """Fix the plan, as a process does that is killed right after."""
    with claim_folder(out) as folder:
        digest = prepare(folder, run).to_record()["digest"]
    return Assignment(str(out), digest, str(run.bundle), run.plan.bundle["digest"], threads=1)


def finish(run: FolderRun, out: Path) -> None:
    scorer = Scorer(open_bundle(run.bundle), threads=1)
    with claim_folder(out) as folder:
        run_folder(folder, prepare(folder, run), run, scorer, monitor=Monitor())


def files(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir()}


class Worker:
    """A process that scores part 0, step by step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.read("ready")

    def read(self, expected: str) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert expected in said

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@contextmanager
def worker(assignment: Assignment) -> Iterator[Worker]:
    command = [sys.executable, "-c", _WORKER, json.dumps(asdict(assignment))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def test_a_part_that_is_scored_twice_is_the_same_and_a_draft_that_was_removed_ends_its_worker(
    run: FolderRun, out: Path
) -> None:
    with worker(begin(run, out)) as late, worker(begin(replace(run, resume=True), out)) as slow:
        slow.go_on()
        slow.read("half-way")
        slow.send(signal.SIGSTOP)
        finish(replace(run, resume=True), out)
        whole = files(out)
        assert not any(map(is_temporary, whole))
        late.go_on()
        late.read("half-way")
        late.go_on()
        late.read("5")
        slow.send(signal.SIGCONT)
        slow.go_on()
        slow.read("InputOutputError")
        slow.process.wait()
        assert files(out) == whole


def test_a_worker_that_still_writes_keeps_another_plan_out(run: FolderRun, out: Path) -> None:
    other = replace(run, plan=replace(run.plan, part_rows=7), overwrite=True)
    with worker(begin(run, out)) as slow:
        slow.go_on()
        slow.read("half-way")
        slow.send(signal.SIGSTOP)
        before = files(out)
        with pytest.raises(OutputInUse, match="a worker of an earlier run still writes a part"):
            finish(other, out)
        assert files(out) == before
        slow.send(signal.SIGCONT)
        slow.go_on()
        slow.read("5")
        slow.process.wait()
    finish(other, out)


def test_a_worker_that_begins_after_another_plan_was_made_writes_nothing(run: FolderRun, out: Path) -> None:
    with worker(begin(run, out)) as late:
        finish(replace(run, plan=replace(run.plan, part_rows=7), overwrite=True), out)
        whole = files(out)
        late.go_on()
        late.read("PlanError")
        late.process.wait()
        assert files(out) == whole


def test_another_plan_or_bundle_is_refused_before_anything_is_scored(run: FolderRun, out: Path) -> None:
    assignment = begin(run, out)
    with pytest.raises(PlanError, match="has another plan by now"):
        PartScorer(replace(assignment, plan="0" * 64))
    make_bundle(run.bundle.with_name("other"), accuracy=0.8)
    with pytest.raises(BundleError, match="was planned"):
        PartScorer(replace(assignment, bundle=str(run.bundle.with_name("other"))))
    OutputFolder(out).clear()
    with pytest.raises(PlanError, match="has no plan by now"):
        PartScorer(assignment)


def test_other_versions_of_packages_are_refused(
    run: FolderRun, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = begin(run, out)
    found = plan_module.versions()
    monkeypatch.setattr(plan_module, "versions", lambda **_: found | {"numpy": "0.1"})
    with pytest.raises(PlanError, match=r'versions\.numpy is "0\.1", planned was'):
        PartScorer(assignment)


def test_a_part_beyond_the_last_row_means_that_an_input_has_changed(run: FolderRun, out: Path) -> None:
    scorer = PartScorer(begin(run, out))
    with pytest.raises(PlanError, match="part 4 has no row where the plan has some"):
        scorer.score(4, Place(file=1), lambda _summary: None)
