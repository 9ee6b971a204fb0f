from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.chain import call_stage, run_chain
from pipeline.graphs.quantized import store_weights
from pipeline.recipe import Recipe
from pipeline.reports import Prepared, Trained
from pipeline.stages.acquire import Sourcing
from pipeline.tuning.candidates import bundle_kilobytes, right_reviews, train_candidate
from pipeline.workspace import Done, Workspace


class Watching:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def begin_epoch(self, number: int) -> None:
        pass

    def end_batch(self, loss: float) -> None:
        pass

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        self.epochs.append(number)


def prepare(workspace: Workspace, recipe: Recipe) -> Done[Prepared]:
    acquired = call_stage("acquire", workspace, recipe, Sourcing())
    prepared: Done[Prepared] = call_stage("prepare", workspace, recipe, acquired)
    return prepared


def trained_in(workspace: Workspace, recipe: Recipe) -> tuple[Done[Prepared], Done[Trained], Watching]:
    prepared, watching = prepare(workspace, recipe), Watching()
    return prepared, train_candidate(call_stage, workspace, recipe, prepared, watching), watching


def changed(recipe: Recipe, room: str, **settings: Any) -> Recipe:
    return recipe.model_copy(update={room: getattr(recipe, room).model_copy(update=settings)})


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_bundle_weighs_what_was_foretold(weights: str, workspace: Workspace, recipe: Recipe) -> None:
    limits = {"max_quantization_loss": 1.0, "max_quantization_changes": 1.0}
    recipe = changed(changed(recipe, "export", weights=weights), "gates", **limits)
    recipe = changed(changed(recipe, "network", embedding_size=96), "text", num_words=400)
    foretold = bundle_kilobytes(recipe, prepare(workspace, recipe))
    bundle = Path(run_chain(workspace, recipe, Sourcing()).published.bundle)
    weighed = sum(path.stat().st_size for path in bundle.iterdir()) / 1000
    # A small one's manifest is shorter than that of most; what is foretold is never too little.
    assert weighed <= foretold <= weighed + 4


def test_the_reviews_that_are_right_are_those_of_the_training(workspace: Workspace, recipe: Recipe) -> None:
    prepared, trained, watching = trained_in(workspace, changed(recipe, "training", epochs=2))
    right = right_reviews(recipe, prepared, trained)
    assert right.shape == (80,)
    assert right.mean() == pytest.approx(trained.report.validation_accuracy)
    assert watching.epochs == [1, 2]
    again = train_candidate(call_stage, workspace, changed(recipe, "training", epochs=2), prepared, watching)
    assert again.was_done
    assert watching.epochs == [1, 2]


def test_a_network_is_judged_as_it_would_be_shipped(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = changed(recipe, "training", epochs=2)
    prepared, trained, _ = trained_in(workspace, recipe)
    whole = right_reviews(recipe, prepared, trained)
    stored = []

    def lose_all(weights: Any, storage: Any) -> dict[str, Any]:
        stored.append(storage)
        return store_weights({name: values * 0 for name, values in weights.items()}, storage)

    monkeypatch.setattr("pipeline.graphs.lean.store_weights", lose_all)
    blind = right_reviews(changed(recipe, "export", weights="int8"), prepared, trained)
    assert stored == ["int8"]
    assert blind.mean() < whole.mean()
