"""The README's commands are run, in their order, as a newcomer would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.recipe import shipped_recipes
from tests.light_environment import make_light_environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
MADE_BEFORE = {"python3 -m venv light", "light/bin/pip install ."}
"""An environment with just the declared packages stands in for these two, which need a package index."""
NOT_HERE = {"make test"}
"""This very run."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files, with the environment that this test runs in."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    for stamp in ("python", "pipeline", "development"):
        (folder / f".venv/{stamp}.stamp").touch()
    labels = ("bad", "good")
    words = ("dull", "moving")
    rows = [f"{words[n % 2]} {words[n % 2]} film {n} {words[n % 2]},{labels[n % 2]}" for n in range(3_000)]
    (folder / "my-reviews.csv").write_text("\n".join(["text,label", *rows]))
    recipe, ranges = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (folder / "my-reviews.toml").write_text(recipe + ranges)
    make_light_environment(folder / "light")
    return folder


@pytest.mark.slow
def test_every_command_of_the_readme_works(clone: Path) -> None:
    assert len(COMMANDS) >= 8
    environment = {**os.environ, "PYTHONPATH": str(clone), "PREFECT_HOME": str(clone / "artifacts/prefect")}
    environment["PORT"] = str(free_port())
    for written in COMMANDS:
        command = written.replace("4200", environment["PORT"]).replace("--minutes 10", "--minutes 0.5")
        if command in MADE_BEFORE | NOT_HERE:
            continue
        if command.startswith("export "):
            environment |= dict(word.split("=", 1) for word in shlex.split(command)[1:])
        result = subprocess.run(
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        # One of the four rows is empty on purpose: it is rejected, and the exit status says so.
        is_rejecting = re.search("resenha (score reviews.csv|merge)", command)
        assert result.returncode == (3 if is_rejecting else 0), (command, result.stderr)
        if "score reviews.csv" in command:
            assert "3 scored · 1 rejected (no_tokens 1)" in result.stderr
    assert len((clone / "scores.jsonl").read_text().splitlines()) == 3
    assert len((clone / "nightly.jsonl").read_text().splitlines()) == 3
    assert (clone / "artifacts/bundles/my-reviews").is_dir()


def test_the_commands_that_are_not_run_here_stand_in_the_readme() -> None:
    assert set(COMMANDS) >= MADE_BEFORE | NOT_HERE


def test_recipes_and_targets_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"RECIPE=(\w+)(?![\w.-])", README):
        assert name in shipped_recipes()
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in re.findall(r"`(make [^`]*)`", README):
        for target in [word for word in shlex.split(line)[1:] if "=" not in word]:
            assert f"\n{target}:" in makefile


def test_the_readme_is_filled_in() -> None:
    assert "@@" not in README
