"""Runs that end in the middle of a stage: what is done again, whether the bundle is the same, what is left.

The short form ends a run in three of the cells; ``--long`` in every one, and prints the table.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State

from flows.installation import Installation
from flows.processes import started_by
from pipeline.chain import STAGES, run_chain
from pipeline.recipe import parse_recipe
from pipeline.runtime.bundle import read_manifest
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace
from tests.conftest import TINY_RECIPE, write_tiny_corpus
from tests.flows.stalled_build import GO, STALLED

ROOT = Path(__file__).parents[2]
WAYS = ("exception", "SIGTERM", "kill flow", "kill worker", "kill server")
SHORT = [("train", "kill flow"), ("export", "SIGTERM"), ("evaluate", "kill server")]
KEPT = STAGES[: STAGES.index("publish")]
"""Stages whose finished work is kept."""

pytestmark = pytest.mark.slow


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"stage", "way"} <= set(metafunc.fixturenames):
        cells = [(stage, way) for stage in STAGES for way in WAYS]
        chosen = cells if metafunc.config.getoption("--long") else SHORT
        metafunc.parametrize(("stage", "way"), chosen, ids=[f"{stage}, {way}" for stage, way in chosen])


class Service:
    """A server and a worker of this test's own, with the stalled flow deployed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.place = Installation.under(folder, port)
        self.command("start")
        self.client = SyncPrefectClient(f"{self.place.address}/api").__enter__()
        self._deploy(folder)
        self.deployment = self.client.read_deployment_by_name("stalled-build/test").id

    def command(self, verb: str) -> None:
        artifacts = str(self.place.home.parent)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "flows.service",
                verb,
                "--artifacts",
                artifacts,
                "--port",
                str(self.place.port),
            ],
            check=True,
            capture_output=True,
            cwd=ROOT,
        )

    def _deploy(self, folder: Path) -> None:
        page = {
            "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            "deployments": [
                {
                    "name": "test",
                    "entrypoint": "tests.flows.stalled_build.stalled_build",
                    "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
                    "work_pool": {"name": "resenha", "job_variables": {"working_dir": str(ROOT)}},
                }
            ],
        }
        (folder / "prefect.yaml").write_text(json.dumps(page))
        command = ["--no-prompt", "deploy", "--all", "--prefect-file", str(folder / "prefect.yaml")]
        subprocess.run(
            [sys.executable, "-m", "prefect", *command],
            cwd=ROOT,
            env=self.place.environment("deploy"),
            check=True,
            capture_output=True,
        )

    def begin(self, **parameters: str) -> UUID:
        return self.client.create_flow_run_from_deployment(self.deployment, parameters=parameters).id

    def state_of(self, run: UUID) -> State[Any]:
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def await_end(self, run: UUID) -> str:
        await_that(lambda: self.state_of(run).is_final())
        return self.state_of(run).type.value

    def unfinished(self) -> int:
        states = ["RUNNING", "PENDING", "CANCELLING", "SCHEDULED"]
        chosen = FlowRunFilter.model_validate({"state": {"type": {"any_": states}}})
        return len(self.client.read_flow_runs(flow_run_filter=chosen))

    def kill(self, part: str) -> None:
        (process,) = started_by(self.place.home, [part])
        os.kill(process.number, signal.SIGKILL)
        await_that(
            lambda: [one.number for one in started_by(self.place.home, [part])] not in ([], [process.number])
        )
        await_that(self.place.answers)


def await_that(holds: Callable[[], Any], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass  # The server is away, and comes back.
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the chain, in a process of its own."""
    folder = tmp_path_factory.mktemp("finished")
    write_tiny_corpus(folder)
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    recipe = parse_recipe("tiny", TINY_RECIPE, folder=folder)
    run_chain(Workspace(folder / "artifacts"), recipe, Sourcing())
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, unused_port: int) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"), unused_port)
    try:
        yield service
    finally:
        service.client.__exit__(None, None, None)
        service.command("stop")


@pytest.fixture(scope="module")
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_run_goes_on_from_the_stage_that_was_not_finished(
    stage: str,
    way: str,
    service: Service,
    finished: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    artifacts = tmp_path / "artifacts"
    for done in KEPT[: STAGES.index(stage)]:
        shutil.copytree(finished / "artifacts/runs/tiny" / done, artifacts / "runs/tiny" / done)
    artifacts.mkdir(exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in artifacts.rglob("stage.json")}
    given = {"recipe": str(finished / "tiny.toml"), "artifacts": str(artifacts)}
    first = service.begin(**given, stage=stage, how=way)
    await_that((artifacts / STALLED).exists)
    process = int((artifacts / STALLED).read_text())
    if way == "SIGTERM":
        os.kill(process, signal.SIGTERM)
    elif way == "kill flow":
        os.kill(process, signal.SIGKILL)
    elif way.startswith("kill"):
        service.kill(way.removeprefix("kill "))
        (artifacts / GO).touch()
    ended = service.await_end(first)
    survives = way in ("kill worker", "kill server")
    assert ended == ("COMPLETED" if survives else "FAILED" if way == "exception" else "CRASHED")
    (artifacts / GO).touch()
    between = set(artifacts.rglob("stage.json"))
    assert service.await_end(service.begin(**given)) == "COMPLETED"
    again = [path.parts[-3] for path in set(artifacts.rglob("stage.json")) - between]
    index = STAGES.index(stage)
    expected = () if survives or stage not in KEPT else KEPT[index:]
    assert sorted(again) == sorted(expected)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    digest = read_manifest(finished / "artifacts/current").digest
    assert read_manifest(artifacts / "current").digest == digest
    assert not list(artifacts.rglob("*.tmp"))
    assert service.unfinished() == 0
    record_property(
        "seen", f"{ended.lower()}; again: {', '.join(sorted(again, key=KEPT.index)) or 'nothing'}"
    )
