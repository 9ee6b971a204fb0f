"""The flow score-reviews on a real server: the command's bytes, whatever happens on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.filters import ArtifactFilter

from flows.processes import started_by
from pipeline.cli import run
from tests.flows.build_service import BuildService, await_that

pytestmark = pytest.mark.slow
DEPLOYMENT = "score-reviews/nightly"


def write_rows(path: Path, count: int) -> Path:
    """Write rows that can be scored, and one in a hundred that holds no word."""
    words = ("good moving film", "bad dull story", "the actor was warm", "slow and cold", "?!")
    lines = (
        f"r{n},{words[4 if n % 100 == 99 else n % 4]} {n if n % 100 != 99 else ''}" for n in range(count)
    )
    path.write_text("\n".join(["id,text", *lines]) + "\n")
    return path


def content_of(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def given(finished: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "inputs": [str(write_rows(tmp_path / "in.csv", 500))],
        "artifacts": str(tmp_path / "artifacts"),
        "bundle": str(finished / "artifacts/current"),
        "part_rows": 50,
    }


def score_directly(given: Mapping[str, Any], output: Path) -> None:
    options = ["--bundle", given["bundle"], "--part-rows", str(given["part_rows"]), "--quiet"]
    assert run(["score", *given["inputs"], "-o", f"{output}/", *options]) == 3


def test_the_directory_is_the_commands_byte_for_byte(
    given: dict[str, Any], build_service: BuildService, tmp_path: Path
) -> None:
    first = build_service.begin(DEPLOYMENT, **given)
    assert build_service.await_end(first) == "COMPLETED"
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    output = tmp_path / "artifacts/scores" / day
    score_directly(given, tmp_path / "direct")
    assert len(list(output.glob("part-*.jsonl"))) == 10
    assert content_of(output) == content_of(tmp_path / "direct")
    assert build_service.client.read_flow_run(first).name == f"{given['inputs'][0]} to {output}"
    chosen = ArtifactFilter.model_validate({"key": {"any_": [f"scores-{day}"]}})
    [page] = build_service.client.read_artifacts(artifact_filter=chosen)
    assert "500 rows: 495 scored · 5 rejected (no_tokens 5)" in str(page.data)
    assert "| score | 495 |" in str(page.data)
    # Once more: there is nothing left to do, and nothing wrong.
    assert build_service.await_end(build_service.begin(DEPLOYMENT, **given)) == "COMPLETED"


def test_a_killed_run_is_gone_on_with(
    given: dict[str, Any], build_service: BuildService, tmp_path: Path
) -> None:
    write_rows(Path(given["inputs"][0]), 300_000)
    given |= {"part_rows": 5_000, "output": str(tmp_path / "scores")}
    first = build_service.begin(DEPLOYMENT, **given)
    await_that(lambda: len(list((tmp_path / "scores").glob("part-*.jsonl"))) > 3)
    for process in started_by(build_service.place.home, ["run"]):
        with suppress(ProcessLookupError):
            os.kill(process.number, signal.SIGKILL)
    assert build_service.await_end(first) == "CRASHED"
    assert not (tmp_path / "scores/_SUCCESS").exists()
    assert build_service.await_end(build_service.begin(DEPLOYMENT, **given)) == "COMPLETED"
    score_directly(given, tmp_path / "direct")
    assert content_of(tmp_path / "scores") == content_of(tmp_path / "direct")
    assert build_service.unfinished() == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"inputs": ["nowhere/*.csv"]},
            "UsageError: nowhere/*.csv is not there, and as a pattern it fits nothing",
        ),
        ({"bundle": "nowhere"}, "UsageError: there is no bundle at nowhere: check the path"),
        ({"max_rejects": "many"}, "UsageError: 'many' is no limit for rejects"),
        ({"max_rejects": 2}, "TooManyRejects: stopped"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "UsageError: no Dask scheduler answers at tcp://127.0.0.1:1"),
    ],
    ids=["inputs", "bundle", "limit", "rejects", "scheduler"],
)
def test_a_refusal_is_the_commands_and_fails_the_run(
    wrong: dict[str, Any], words: str, given: dict[str, Any], build_service: BuildService
) -> None:
    refused = build_service.begin(DEPLOYMENT, **{**given, **wrong})
    assert build_service.await_end(refused) == "FAILED"
    assert (build_service.state_of(refused).message or "").startswith(words)
