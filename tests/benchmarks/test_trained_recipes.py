from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import trained_recipes
from benchmarks.trained_recipes import SEEDS, TrainedRecipe, _run, train_seeds, with_seed
from pipeline.chain import Bundled
from pipeline.errors import GateError, ResenhaError
from pipeline.recipe import load_recipe
from pipeline.reports import Acquired, Trained
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Done

QUICK = load_recipe("quick")
ACQUIRED = Acquired("sample", "synthetic", {}, 2, 2, brings_words=False)
TRAINED = Trained(8, 8, 0.9, {}, seconds_per_epoch=10.0)
REFUSED = "refused, nothing was published:\n    gate above_chance: 0.5"


class Chain:
    """Stands in for the chain: calls its stages, of which training may have been done before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = {"acquire": 1.0, "prepare": 2.0, "teach": 90.0, "train": 100.0}
        self.was_done = False

    def call_stage(self, name: str, *_arguments: Any) -> Done[Any]:
        report = {"acquire": ACQUIRED, "train": TRAINED}.get(name)
        digests = {Acquired.TRAIN: "1", Acquired.TEST: "2", "other": "3"}
        folder = self.folder / "runs" / "quick" / name / "key"
        return Done(name, folder, report, digests, self.seconds[name], was_done=self.was_done)

    def run_to_bundle(self, *_arguments: Any, run: Any) -> Bundled:
        for name in self.seconds:
            run(name)
        raise GateError(REFUSED)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    chain = Chain(tmp_path)
    for name in ("call_stage", "run_to_bundle"):
        monkeypatch.setattr(trained_recipes, name, getattr(chain, name))
    return chain


def test_learning_is_everything_from_texts_to_the_network(chain: Chain) -> None:
    found = _run(chain.folder, QUICK, Sourcing())
    assert found.seconds == {"prepare": 2.0, "teach": 90.0, "train": 100.0}
    assert found.digests == {Acquired.TRAIN: "1", Acquired.TEST: "2"}
    assert found.refused == REFUSED


def test_a_training_that_went_on_after_a_kill_counts_all_its_epochs(chain: Chain) -> None:
    chain.seconds["train"] = 25.0
    assert _run(chain.folder, QUICK, Sourcing()).seconds["train"] == 80.0


def test_the_peak_is_that_of_the_process_which_trained(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_recipes, "own_peak_bytes", lambda: 111)
    assert _run(chain.folder, QUICK, Sourcing()).peak_bytes == 111
    monkeypatch.setattr(trained_recipes, "own_peak_bytes", lambda: 222)
    chain.was_done = True
    assert _run(chain.folder, QUICK, Sourcing()).peak_bytes == 111


def test_a_peak_that_was_never_written_is_not_made_up(chain: Chain) -> None:
    chain.was_done = True
    assert _run(chain.folder, QUICK, Sourcing()).peak_bytes is None


def test_a_seed_that_a_gate_refused_is_noted_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = TrainedRecipe({}, {}, {}, None, bundle="bundle")

    def train(_folder: Path, _recipe: str, seed: int, _sourcing: Sourcing) -> TrainedRecipe:
        return replace(good, refused=REFUSED) if seed == 2 else good

    monkeypatch.setattr(trained_recipes, "train_recipe", train)
    told: list[str] = []
    published, notes = train_seeds(tmp_path, "folder/mine.toml", Sourcing(), told.append)
    assert published == [good] * (len(SEEDS) - 1)
    assert notes == [
        "`mine`, seed 2, is not in the figures, refused, nothing was published: gate above_chance: 0.5"
    ]
    assert told == [f"mine, seed {seed} of {SEEDS[-1]}" for seed in SEEDS]


def test_seeds_differ_in_nothing_else() -> None:
    other = with_seed(QUICK, 7)
    assert other.training.seed == 7
    assert with_seed(other, QUICK.training.seed) == QUICK


def test_what_goes_wrong_in_the_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResenhaError, match="there is no recipe 'nosuch'"):
        trained_recipes.train_recipe(tmp_path, "nosuch", 1, Sourcing("sample"))
    assert not list(tmp_path.iterdir())
