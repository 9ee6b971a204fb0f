"""Runs that end in the middle of a stage: what is done again, whether the bundle is the same, what is left.

The short form ends a run in three of the cells; ``--long`` in every one, and prints the table.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.chain import STAGES
from pipeline.runtime.bundle import read_manifest
from tests.flows.build_service import BuildService, await_that
from tests.flows.stalled_build import GO, STALLED

WAYS = ("exception", "SIGTERM", "kill flow", "kill worker", "kill server")
SHORT = [("train", "kill flow"), ("export", "SIGTERM"), ("evaluate", "kill server")]
RUN = [name for name in STAGES if name not in ("teach", "pretrain", "compare")]
"""Stages of a recipe without a teacher or pretraining, where nobody is asked."""
KEPT = RUN[: RUN.index("publish")]
"""Stages whose finished work is kept."""

pytestmark = pytest.mark.slow


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"stage", "way"} <= set(metafunc.fixturenames):
        cells = [(stage, way) for stage in RUN for way in WAYS]
        chosen = cells if metafunc.config.getoption("--long") else SHORT
        metafunc.parametrize(("stage", "way"), chosen, ids=[f"{stage}, {way}" for stage, way in chosen])


def test_a_run_goes_on_from_the_stage_that_was_not_finished(
    stage: str,
    way: str,
    build_service: BuildService,
    finished: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    artifacts = tmp_path / "artifacts"
    for done in KEPT[: RUN.index(stage)]:
        shutil.copytree(finished / "artifacts/runs/tiny" / done, artifacts / "runs/tiny" / done)
    artifacts.mkdir(exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in artifacts.rglob("stage.json")}
    given = {"recipe": str(finished / "tiny.toml"), "artifacts": str(artifacts)}
    first = build_service.begin("stalled-build/test", **given, stage=stage, how=way)
    await_that((artifacts / STALLED).exists)
    process = int((artifacts / STALLED).read_text())
    if way == "SIGTERM":
        os.kill(process, signal.SIGTERM)
    elif way == "kill flow":
        os.kill(process, signal.SIGKILL)
    elif way.startswith("kill"):
        build_service.kill(way.removeprefix("kill "))
        (artifacts / GO).touch()
    ended = build_service.await_end(first)
    survives = way in ("kill worker", "kill server")
    assert ended == ("COMPLETED" if survives else "FAILED" if way == "exception" else "CRASHED")
    (artifacts / GO).touch()
    between = set(artifacts.rglob("stage.json"))
    assert build_service.await_end(build_service.begin("stalled-build/test", **given)) == "COMPLETED"
    again = [path.parts[-3] for path in set(artifacts.rglob("stage.json")) - between]
    index = RUN.index(stage)
    expected = () if survives or stage not in KEPT else KEPT[index:]
    assert sorted(again) == sorted(expected)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    digest = read_manifest(finished / "artifacts/current").digest
    assert read_manifest(artifacts / "current").digest == digest
    assert not list(artifacts.rglob("*.tmp"))
    assert build_service.unfinished() == 0
    record_property(
        "seen", f"{ended.lower()}; again: {', '.join(sorted(again, key=KEPT.index)) or 'nothing'}"
    )
