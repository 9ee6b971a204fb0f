"""``resenha tune`` on a tiny corpus, with real trainings."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import run
from pipeline.recipe import Recipe, load_recipe
from tests.conftest import TINY_RECIPE

RANGES = """
[ranges]
"network.units" = [2, 4]
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(recipe: Recipe, tmp_path: Path) -> Path:
    """A folder with the tiny recipe, with ranges, and its reviews."""
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE.replace("epochs = 3", "epochs = 2") + RANGES)
    return tmp_path


def tune(place: Path, *options: str) -> list[str]:
    return ["tune", str(place / "tiny.toml"), "--artifacts", str(place / "artifacts"), *options]


def candidates(text: str) -> list[str]:
    return re.findall(r"candidate \d+: .*", text)


@pytest.mark.slow
def test_the_tuned_recipe_trains_to_the_network_that_was_found(place: Path) -> None:
    """In a process of its own: that of the tests has Optuna's and TensorFlow's logs in its hands."""
    options = tune(place, "--minutes", "60", "-o", str(place / "tuned.toml"))
    command = [sys.executable, "-m", "pipeline", *options]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    told = candidates(ended.stderr)
    assert len(told) == 2
    assert told[0].endswith("the recipe as it stands")
    # A line for each candidate, with the time before it, and the summary: nothing of Optuna's, no epochs.
    assert [line[9:] for line in lines[: len(told)]] == told
    assert lines[len(told)] == ""
    assert "as it stands   best (candidate " in lines[len(told) + 1]
    tuned = load_recipe(str(place / "tuned.toml"))
    assert tuned.network.units in (2, 4)
    assert run(["train", str(place / "tuned.toml"), "--artifacts", str(place / "artifacts")]) == 0
    [found] = (place / "artifacts/runs/tuned/train").glob("*/weights.npz")
    candidates_of = (place / "artifacts/runs/tiny/train").glob("*/weights.npz")
    assert [same(path, found) for path in candidates_of].count(True) == 1


def same(one: Path, other: Path) -> bool:
    with np.load(one) as left, np.load(other) as right:
        return all(np.array_equal(left[name], right[name]) for name in left.files)


READERS = """
import json, sys
from pathlib import Path
from pipeline.chain import call_stage
from pipeline.recipe import load_recipe
from pipeline.stages.acquire import Sourcing
from pipeline.tuning import search as searching
from pipeline.workspace import Workspace
import time

artifacts, recipe = Path(sys.argv[1]), load_recipe(sys.argv[2])
stage, readers, asked = "the search", {}, []

def run(name, *arguments, **options):
    global stage
    stage = name
    asked.append(name)
    try:
        return call_stage(name, *arguments, **options)
    finally:
        stage = "the search"

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(str(artifacts)):
        readers.setdefault(Path(arguments[0]).name, []).append(stage)

sys.addaudithook(watch)
limits = searching.Limits(3600, None)
found = searching.search(Workspace(artifacts), recipe, Sourcing(), limits, started=time.monotonic(), run=run)
found.to_toml(), found.summary()
names = {name: sorted(set(stages)) for name, stages in readers.items()}
print(json.dumps([len(found.tried), sorted(set(asked)), names]))
"""


@pytest.mark.slow
def test_a_search_reads_no_test_review(place: Path) -> None:
    """The stages that make the test split, before any training, are all that touch it."""
    command = [sys.executable, "-c", READERS, str(place / "artifacts"), str(place / "tiny.toml")]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    count, asked, readers = json.loads(ended.stdout.splitlines()[-1])
    assert (count, asked) == (2, ["acquire", "prepare", "train"])
    assert readers["validation.npz"] == ["prepare", "the search", "train"]
    assert readers["train.npz"] == ["prepare", "train"]
    for name in ("test.jsonl", "test.npz", "test_reviews.jsonl"):
        assert set(readers[name]) <= {"acquire", "prepare"}


KILL = """
import os, signal, sys
from pipeline.cli import main
from pipeline.tuning import budget, search

budget._BEAT = 0.0
at, batches = int(sys.argv[1]), []
end_batch = search._Watch.end_batch

def die(watch, loss):
    end_batch(watch, loss)
    batches.append(loss)
    if len(batches) == at:
        os.kill(os.getpid(), signal.SIGKILL)

search._Watch.end_batch = die
main(sys.argv[2:])
"""


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on_with_what_is_left(place: Path) -> None:
    options = tune(place, "--minutes", "60", "-o", str(place / "tuned.toml"))
    killed = subprocess.run(
        [sys.executable, "-c", KILL, "46", *options], check=False, capture_output=True, text=True
    )
    # An epoch has 10 batches to learn from and 3 to judge: in the second one of the second candidate.
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(candidates(killed.stderr)) == 1
    assert not (place / "tuned.toml").exists()
    [unfinished] = (place / "artifacts/runs/tiny/train").glob(".*.unfinished/fitting.npz")
    key = unfinished.parent.name.split(".")[1]
    command = [sys.executable, "-m", "pipeline", *options]
    err = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert re.search("the search goes on after candidate 1, \\S+ of 60 minutes are used", err.splitlines()[0])
    assert [line.partition(":")[0] for line in candidates(err)] == ["candidate 2"]
    stamp = json.loads((place / f"artifacts/runs/tiny/train/{key}/stage.json").read_text())
    assert len(stamp["report"]["history"]["val_accuracy"]) == 2
    assert load_recipe(str(place / "tuned.toml"))
    [journal] = (place / "artifacts/runs/tiny/tune").glob("*/study.jsonl")
    noted = [float(found) for found in re.findall(r'"user_attr":{"seconds":([^}]*)}', journal.read_text())]
    assert 0 < noted[0] < noted[-1]
    assert noted == sorted(noted)


def test_too_little_time_for_the_recipe_as_it_stands_says_what_to_do(place: Path, capsys: Capture) -> None:
    assert run(tune(place, "--minutes", "0.001")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "the recipe as it stands could not be trained in time" in err.splitlines()[-1]
    assert "with more --minutes goes on" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-o", "tiny.toml"), "tiny.toml exists (--overwrite replaces it)"),
        (("-o", "Tuned.toml"), "the recipe's file name 'Tuned.toml' names folders"),
        (("-o", "tuned.json"), "'tuned.json' is no name for a recipe's file: it has to end in .toml"),
        (("-o", "nowhere/tuned.toml"), "nowhere/tuned.toml lies in a folder that is not there"),
        (("--minutes", "0"), "0.0 is not in the range x>0"),
        (("--kilobytes", "-1"), "-1.0 is not in the range x>0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    options: tuple[str, str], says: str, place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert run(tune(place, *options)) == 2
    assert says in capsys.readouterr().err
    assert not (place / "artifacts").exists()


@pytest.mark.parametrize("package", ["pydantic", "optuna", "keras"])
def test_without_the_extra_tune_says_so_in_one_line(package: str, tmp_path: Path) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from pipeline.cli import run; sys.exit(run(['tune', 'quick', '--corpus', 'sample', '--artifacts', {str(tmp_path)!r}]))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        f"resenha: training needs the package {package!r}: pip install '.[train]' in the project's folder\n"
    )
    assert list(tmp_path.iterdir()) == []
