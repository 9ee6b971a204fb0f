"""A run of the deployment, as people see it: by the command's exit status and in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import Artifact

from pipeline.runtime.bundle import read_manifest
from tests.flows.build_service import BuildService

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="module")
def built(build_service: BuildService, finished: Path, artifacts: Path) -> subprocess.CompletedProcess[str]:
    """A watched run of build-bundle in a workspace of its own."""
    given = {"recipe": finished / "tiny.toml", "artifacts": artifacts}
    options = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    return build_service.prefect("deployment", "run", "build-bundle/local", *options, "--watch")


def artifact(service: BuildService, key: str) -> Artifact:
    chosen = ArtifactFilter.model_validate({"key": {"any_": [key]}})
    return max(service.client.read_artifacts(artifact_filter=chosen), key=lambda each: str(each.created))


def dom_of(address: str, profile: Path) -> str:
    """Let a browser load a page, run what is in it, and give what came of that."""
    assert BROWSER
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--virtual-time-budget=20000", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_watched_run_ends_with_status_0_and_the_bundle_of_the_chain(
    built: subprocess.CompletedProcess[str], finished: Path, artifacts: Path
) -> None:
    assert built.returncode == 0, built.stdout + built.stderr
    assert "tiny on its corpus" in built.stdout
    assert read_manifest(artifacts / "current").digest == read_manifest(finished / "artifacts/current").digest


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tiny-data", "| Reviews | 400 | 120 |"),
        ("tiny-evaluation", "![Learning curve and calibration](data:image/png;base64,"),
        ("tiny-parity", "| largest difference of two scores |"),
        ("tiny-gates", "| not_worse | yes |"),
        ("tiny-bundle", "Digest `"),
    ],
)
def test_a_page_has_its_key_and_its_content(
    key: str, words: str, built: subprocess.CompletedProcess[str], build_service: BuildService
) -> None:
    assert words in str(artifact(build_service, key).data)


def test_the_bar_of_training_is_full_at_the_end(
    built: subprocess.CompletedProcess[str], build_service: BuildService
) -> None:
    assert artifact(build_service, "tiny-training").data == 100.0


@pytest.mark.skipif(not BROWSER, reason="NOT RUN: no Chromium is there to open a page with")
def test_the_parity_table_is_found_in_a_browser(
    built: subprocess.CompletedProcess[str], build_service: BuildService, tmp_path: Path
) -> None:
    page = artifact(build_service, "tiny-parity")
    run = dom_of(f"{build_service.place.address}/runs/flow-run/{page.flow_run_id}", tmp_path)
    assert "tiny on its corpus" in run
    assert "Completed" in run
    shown = dom_of(f"{build_service.place.address}/artifacts/artifact/{page.id}", tmp_path)
    rows = re.findall(r"<tr.*?</tr>", shown, re.DOTALL)
    assert any("largest difference of two scores" in row for row in rows)


def test_a_failed_run_ends_the_watch_with_status_1_and_says_why(
    build_service: BuildService, tmp_path: Path
) -> None:
    options = ["-p", "recipe=sead", "-p", f"artifacts={tmp_path}", "--watch"]
    ended = build_service.prefect("deployment", "run", "build-bundle/local", *options)
    assert ended.returncode == 1
    (run,) = re.findall(r"UUID: (\S+)", ended.stdout)
    state = build_service.state_of(UUID(run))
    assert (
        state.message
        == "RecipeError: there is no recipe 'sead'; shipped are best, quick, seed, small, or name a .toml file"
    )
