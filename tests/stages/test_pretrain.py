"""A recipe with pretraining: what it reads, and that training begins with what it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.errors import InterruptedRun, RecipeError
from pipeline.network_shape import weight_names
from pipeline.networks.recurrent import load_arrays
from pipeline.recipe import Recipe
from pipeline.reports import Prepared, Pretrained
from pipeline.stages import pretrain as stage
from pipeline.stages.acquire import Sourcing, acquire
from pipeline.stages.prepare import prepare
from pipeline.stages.pretrain import pretrain
from pipeline.stages.train import train
from pipeline.workspace import Done, Workspace


@pytest.fixture
def alone(taught_recipe: Recipe) -> Recipe:
    """A recipe with pretraining and without a teacher."""
    return taught_recipe.model_copy(update={"teacher": None})


def prepared_of(workspace: Workspace, recipe: Recipe) -> Done[Prepared]:
    return prepare(workspace, recipe, acquire(workspace, recipe, Sourcing()))


def test_reviews_with_and_without_labels_are_read(workspace: Workspace, alone: Recipe) -> None:
    prepared = prepared_of(workspace, alone)
    report = pretrain(workspace, alone, prepared).report
    assert report.reviews == prepared.report.reviews["train"] + prepared.report.reviews["unlabelled"]
    assert report.surprise < report.surprise_at_first


def test_a_teacher_that_wants_no_unlabelled_reviews_speaks_for_both(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    assert taught_recipe.teacher is not None
    teacher = taught_recipe.teacher.model_copy(update={"unlabelled": False})
    recipe = taught_recipe.model_copy(update={"teacher": teacher})
    prepared = prepared_of(workspace, recipe)
    assert pretrain(workspace, recipe, prepared).report.reviews == prepared.report.reviews["train"]


def test_training_begins_with_what_was_learnt(
    workspace: Workspace, alone: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    class Begun(Exception):
        """Nothing more is needed."""

    def fit(model: Any, *_others: Any, **_watched: Any) -> Any:
        begun.extend(model.get_weights())
        raise Begun

    monkeypatch.setattr("pipeline.stages.train.fit_network", fit)
    prepared = prepared_of(workspace, alone)
    pretrained = pretrain(workspace, alone, prepared)
    with pytest.raises(Begun):
        train(workspace, alone, prepared, None, pretrained)
    learnt = load_arrays(pretrained[Pretrained.WEIGHTS])
    assert {"embedding", "forward_1_kernel"} <= set(learnt)
    for name, weight in zip(weight_names(alone.network), begun, strict=True):
        if name in learnt:
            np.testing.assert_array_equal(weight, learnt[name])


def test_it_is_done_once_and_again_for_another_seed(workspace: Workspace, alone: Recipe) -> None:
    prepared = prepared_of(workspace, alone)
    first, again = (pretrain(workspace, alone, prepared) for _ in range(2))
    assert (first.was_done, again.was_done) == (False, True)
    training = alone.training.model_copy(update={"seed": 77})
    other = pretrain(workspace, alone.model_copy(update={"training": training}), prepared)
    assert other.digests != first.digests


def test_ctrl_c_says_that_it_starts_again(
    workspace: Workspace, alone: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: Any, **_others: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "pretrain_network", interrupt)
    with pytest.raises(InterruptedRun, match="pretraining was interrupted. The same command starts it again"):
        pretrain(workspace, alone, prepared_of(workspace, alone))


def test_a_recipe_that_does_not_ask_for_it_is_refused(workspace: Workspace, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"add a table \[pretraining\]"):
        pretrain(workspace, recipe, prepared_of(workspace, recipe))
