"""The flow in a process of its own, as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.chain import run_chain
from pipeline.recipe import Recipe
from pipeline.runtime.bundle import read_manifest
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace
from tests.conftest import TAUGHT_RECIPE, TINY_RECIPE

pytestmark = pytest.mark.slow


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    (folder / "prefect").mkdir(exist_ok=True)
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    environment |= variables
    command = [sys.executable, "-m", "flows.build_bundle", *arguments, "--artifacts", str(folder / "flow")]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A shell that runs this in the background has Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )


@pytest.fixture
def recipe_file(recipe: Recipe, tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    return str(tmp_path / "tiny.toml")


def test_the_flow_publishes_what_the_chain_publishes(taught_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TAUGHT_RECIPE)
    process = start(tmp_path, str(tmp_path / "tiny.toml"))
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert out.rstrip().splitlines()[-1].strip().startswith("the reviews: files, UNVERIFIED")
    for stage in (
        "acquire",
        "prepare",
        "teach",
        "pretrain",
        "train",
        "evaluate",
        "export",
        "check_parity",
        "publish",
    ):
        assert f"resenha - {stage}: " in err
    assert "epoch 3/3" in err
    direct = run_chain(Workspace(tmp_path / "direct"), taught_recipe, Sourcing())
    assert read_manifest(tmp_path / "flow/current").digest == direct.published.digest


def test_a_refusal_is_a_message_and_an_exit_status_not_a_traceback(recipe_file: str, tmp_path: Path) -> None:
    text = (
        Path(recipe_file)
        .read_text()
        .replace('negative = "0"', 'negative = "1"')
        .replace('positive = "1"', 'positive = "0"')
    )
    Path(recipe_file).write_text(text + "\n[gates]\nabove_chance = 0.49\n")
    process = start(tmp_path, recipe_file)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 5
    assert "gate above_chance" in err
    assert "Traceback" not in err
    assert not (tmp_path / "flow/current").exists()


def test_a_server_that_is_gone_is_told_by_its_address(recipe_file: str, tmp_path: Path) -> None:
    """As after `make stop`, in a shell that still names it."""
    process = start(tmp_path, recipe_file, PREFECT_API_URL="http://127.0.0.1:9/api")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 2
    assert "no Prefect server answers on http://127.0.0.1:9/api, which PREFECT_API_URL names" in err
    assert "Traceback" not in err


def test_ctrl_c_stops_the_flow_with_a_message(recipe_file: str, tmp_path: Path) -> None:
    text = Path(recipe_file).read_text().replace("epochs = 3", "epochs = 1000")
    Path(recipe_file).write_text(text)
    process = start(tmp_path, recipe_file)
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if "epoch 2/1000" in line:
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    finally:
        # Its temporary server holds the pipes, too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert process.returncode == 130, "".join(lines) + rest
    assert "interrupted in epoch" in rest
    assert "Traceback" not in rest
    # What the next run goes on from is all that is left.
    assert [path.suffix for path in (tmp_path / "flow/runs/tiny/train").iterdir()] == [".unfinished"]
