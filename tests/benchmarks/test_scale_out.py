from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import dask_run, scale_out
from benchmarks.dask_run import DaskRun
from benchmarks.processes import Finished
from benchmarks.scale_out import Turns, measure
from pipeline.errors import ResenhaError
from tests.stand_ins import make_bundle


class MadeUpRuns:
    """Stands in for processes: a row takes a hundredth of a second, a part of a cluster's a tenth more."""

    def __init__(self, content: str = "same") -> None:
        self.content = content
        self.runs: list[DaskRun] = []

    def __call__(self, command: Sequence[str]) -> Finished:
        is_over_dask = "benchmarks.dask_run" in command
        output = command[-1] if is_over_dask else command[command.index("-o") + 1]
        run = DaskRun(**json.loads(output)) if is_over_dask else DaskRun("", output.rstrip("/"), "", 0, 1)
        self.runs.append(run)
        # What an earlier turn has written is gone.
        Path(run.output).mkdir()
        (Path(run.output) / "part").write_text(self.content)
        rows = run.limit or 100
        if is_over_dask:
            run.costs.write_text(json.dumps({"ready": 1.0, "processor": 0.02 * rows / run.part_rows}))
            return Finished(1.0 + 0.01 * rows + 0.1 * rows / run.part_rows, 0)
        return Finished(0.01 * rows, 0)


@pytest.fixture
def setting(tmp_path: Path) -> Any:
    make_bundle(tmp_path / "bundle")
    reviews = [SimpleNamespace(text=text) for text in ("a good film", "a bad one")]
    return SimpleNamespace(folder=tmp_path / "runs", test=reviews, bundle=tmp_path / "bundle", is_long=False)


def test_every_way_is_compared_and_what_parts_cost_is_told_apart(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_out, "_ROWS", 100)
    runs = MadeUpRuns()
    monkeypatch.setattr(scale_out, "run_process", runs)
    measured, foreseen = (table.to_markdown() for table in measure(setting).tables)
    assert [run.is_to_kill for run in runs.runs].count(True) == 1
    assert "13 directories compared by SHA-256 with the first one: all equal" in measured
    assert "a part costs parent and scheduler 20.0 ms, a worker 100 ms" in foreseen
    assert "a worker scores one in 10000 µs" in foreseen


def test_other_bytes_end_the_contest(setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = MadeUpRuns()
    monkeypatch.setattr(scale_out, "run_process", runs)
    turns = Turns(setting, tmp_path, 20)
    turns.score(1, with_dask=False)
    turns.score(1, with_dask=True)
    runs.content = "other"
    with pytest.raises(ResenhaError, match="1 files differ from those of the first run"):
        turns.score(2, with_dask=True)


@pytest.mark.slow
def test_a_run_over_dask_survives_its_killer(
    setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    kill = os.kill

    def spy(process: int, number: int) -> None:
        killed.append(number)
        kill(process, number)

    monkeypatch.setattr(os, "kill", spy)
    turns = Turns(setting, tmp_path, 400)
    run = DaskRun(str(turns.source), str(tmp_path / "out"), str(setting.bundle), 2, 20, is_to_kill=True)
    dask_run.main(run)
    assert killed == [signal.SIGKILL]
    assert (tmp_path / "out" / "_SUCCESS").exists()
    assert set(json.loads(run.costs.read_text())) == {"ready", "processor"}
