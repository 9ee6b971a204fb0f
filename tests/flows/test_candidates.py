"""Several recipes and seeds over a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import candidates
from flows.candidates import Candidate, choose_candidate
from flows.cluster import open_cluster
from pipeline.chain import run_chain
from pipeline.errors import RecipeError
from pipeline.recipe import Recipe
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace
from tests.conftest import TINY_RECIPE


def test_a_seed_takes_the_place_of_the_recipes_own(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    name = str(tmp_path / "tiny.toml")
    assert Candidate(name).read().training.seed == 1
    seeded = Candidate(name, 7).read()
    assert seeded.training.seed == 7
    assert seeded.model_copy(update={"training": Candidate(name).read().training}) == Candidate(name).read()
    with pytest.raises(RecipeError):
        Candidate("sead", 1).read()


@pytest.mark.slow
def test_the_chain_goes_on_with_what_the_workers_trained(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[dict[str, Any]] = []
    monkeypatch.setattr(candidates, "keep", lambda _create, **content: pages.append(content))
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    # One epoch is too little: whatever the seeds, the others win.
    (tmp_path / "short.toml").write_text(TINY_RECIPE.replace("epochs = 3", "epochs = 1"))
    names = [str(tmp_path / f"{name}.toml") for name in ("short", "tiny")]
    wanted = [Candidate(name, seed) for name in names for seed in (1, 2)]
    shown: list[float] = []
    with open_cluster(None, 2) as client:
        best = choose_candidate(client, tmp_path / "artifacts", wanted, Sourcing(), shown.append)
    assert best in wanted[2:]
    assert shown == [0.25, 0.5, 0.75, 1.0]
    assert pages[0]["key"] == "candidates"
    assert pages[0]["markdown"].count("| chosen |") == 1
    outcome = run_chain(Workspace(tmp_path / "artifacts"), best.read(), Sourcing())
    assert [step.name for step in outcome.steps if step.was_done] == ["acquire", "prepare", "train"]
    alone = run_chain(Workspace(tmp_path / "alone"), best.read(), Sourcing())
    assert outcome.published.digest == alone.published.digest


@pytest.mark.slow
def test_reviews_that_are_not_there_are_told_as_the_stage_tells_it(recipe: Recipe, tmp_path: Path) -> None:
    from pipeline.errors import ResenhaError

    (tmp_path / "tiny.toml").write_text(TINY_RECIPE.replace("train.csv", "nowhere.csv"))
    wanted = [Candidate(str(tmp_path / "tiny.toml"), seed) for seed in (1, 2)]
    with open_cluster(None, 1) as client, pytest.raises(ResenhaError, match=r"nowhere\.csv"):
        choose_candidate(client, tmp_path / "artifacts", wanted, Sourcing(), lambda _share: None)
