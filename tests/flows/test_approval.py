"""A run that asks a person before it promotes, on a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows.processes import MARK
from pipeline.promotion import PROMOTED, read_history, switch
from pipeline.runtime.bundle import open_bundle
from pipeline.workspace import Workspace
from tests.conftest import TINY_RECIPE
from tests.flows.build_service import BuildService, await_that
from tests.stand_ins import make_bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def given(finished: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe whose bundle is another one than the promoted one, and a workspace of its own."""
    shutil.copytree(finished / "artifacts", tmp_path / "artifacts", symlinks=True)
    # Beside the reviews, so that only the gates differ.
    (finished / "asked.toml").write_text(TINY_RECIPE + "\n[gates]\nabove_chance = 0.04\n")
    return {
        "recipe": str(finished / "asked.toml"),
        "artifacts": str(tmp_path / "artifacts"),
        "approval": True,
    }


def asked(service: BuildService, run: UUID) -> None:
    await_that(lambda: service.state_of(run).is_paused())


def answer(service: BuildService, run: UUID, decision: str) -> None:
    service.client.resume_flow_run(run, run_input={"decision": decision, "reason": "looked at it"})


def test_a_run_waits_for_a_word_and_asks_again_where_something_else_was_promoted(
    given: dict[str, Any], build_service: BuildService
) -> None:
    workspace = Workspace(Path(given["artifacts"]))
    before = os.readlink(workspace.current)
    run = build_service.begin("build-bundle/local", **given)
    asked(build_service, run)
    assert os.readlink(workspace.current) == before
    # It holds no slot while it waits: another run comes through, and promotes nothing.
    other = build_service.begin("build-bundle/local", recipe="sead", artifacts=given["artifacts"])
    assert build_service.await_end(other) == "FAILED"
    meanwhile = workspace.bundles / "stand-in" / "meanwhile"
    manifest = make_bundle(meanwhile, accuracy=0.5)
    switch(workspace, meanwhile, manifest, PROMOTED)
    answer(build_service, run, "promote")
    await_that(lambda: not build_service.state_of(run).is_paused())
    asked(build_service, run)
    assert open_bundle(workspace.current).digest == manifest.digest
    answer(build_service, run, "promote")
    assert build_service.await_end(run) == "COMPLETED"
    assert read_history(workspace)[-1]["replaced"] == manifest.digest
    assert open_bundle(workspace.current).digest == read_history(workspace)[-1]["digest"]


def test_a_person_may_keep_the_present_one(given: dict[str, Any], build_service: BuildService) -> None:
    workspace = Workspace(Path(given["artifacts"]))
    before = os.readlink(workspace.current)
    run = build_service.begin("build-bundle/local", **given)
    asked(build_service, run)
    answer(build_service, run, "keep the present one")
    assert build_service.await_end(run) == "FAILED"
    told = build_service.state_of(run).message
    assert told == "GateError: not promoted: a person decided to keep the present one: looked at it"
    assert os.readlink(workspace.current) == before


def test_without_a_deployment_nobody_could_take_the_run_up_again(
    given: dict[str, Any], build_service: BuildService
) -> None:
    program = (
        "import sys; from pathlib import Path; from flows.build_bundle import build_bundle\n"
        "build_bundle(recipe=sys.argv[1], artifacts=Path(sys.argv[2]), approval=True)"
    )
    command = [sys.executable, "-c", program, given["recipe"], given["artifacts"]]
    environment = {
        name: value for name, value in build_service.place.environment("test").items() if name != MARK
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "approval needs a run of a deployment" in ended.stderr
