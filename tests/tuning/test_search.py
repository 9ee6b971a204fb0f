"""The search with stand-ins for the stages and for the clock: an epoch takes what it is said to take."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InterruptedRun, UsageError
from pipeline.metrics import paired_interval
from pipeline.networks.fitting import Watcher
from pipeline.ranges import DEFAULT_RANGES
from pipeline.recipe import Recipe, parse_recipe
from pipeline.reports import Acquired, Prepared, Trained
from pipeline.stages.acquire import Sourcing
from pipeline.tuning import search as searching
from pipeline.tuning.result import Searched
from pipeline.tuning.search import Limits, search
from pipeline.tuning.study import Outcome
from pipeline.workspace import Done, Workspace
from tests.conftest import TINY_RECIPE

BATCHES, REVIEWS = 4, 200
RANGES = '[ranges]\n"network.units" = { from = 2, to = 40 }\n"training.learning_rate" = { from = 0.001, to = 0.1, scale = "log" }\n'


@dataclass
class World:
    """Stages that take their time by the clock of the test, and what was asked of them."""

    workspace: Workspace
    recipe: Recipe
    now: float = 0.0
    epoch_seconds: Callable[[Recipe], float] = lambda _recipe: 10.0
    accuracy: Callable[[Recipe, int], float] = lambda recipe, _epoch: 0.5 + recipe.network.units / 100
    kilobytes: Callable[[Recipe], float] = lambda recipe: 100.0 + recipe.network.units
    batches: int = 0
    killed_at: int = -1
    """The batch in which the process dies."""
    begun: list[Recipe] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    """Epochs that the stage train has kept of a training that was ended."""

    def run(self, name: str, *arguments: Any, **options: Any) -> Any:
        return getattr(self, name)(*arguments[1:], **options)

    def acquire(self, _recipe: Recipe, _sourcing: Sourcing) -> Done[Acquired]:
        report = Acquired("files", "unverified", {}, 1000, 100, brings_words=False)
        return Done("acquire", Path(), report, {"train.jsonl": "0" * 64}, 0.0, was_done=True)

    def prepare(self, _recipe: Recipe, _acquired: Done[Acquired]) -> Done[Prepared]:
        self.now += 1
        report = Prepared({"validation": REVIEWS}, 36, {})
        return Done("prepare", Path(), report, {}, 0.0, was_done=True)

    def train(
        self, recipe: Recipe, _prepared: Done[Prepared], *others: object, watcher: Watcher
    ) -> Done[Trained]:
        assert others == (None, None)
        self.begun.append(recipe)
        seconds, epochs, key = self.epoch_seconds(recipe), recipe.training.epochs, str(recipe)
        for epoch in range(self.kept.get(key, 0) + 1, epochs + 1):
            watcher.begin_epoch(epoch)
            for _ in range(BATCHES):
                self.now += seconds / BATCHES
                self.batches += 1
                if self.batches == self.killed_at:
                    raise InterruptedRun
                watcher.end_batch(0.5)
            self.kept[key] = epoch
            watcher.end_epoch(epoch, {"val_accuracy": self.accuracy(recipe, epoch)}, seconds)
        history = {"val_accuracy": [self.accuracy(recipe, epoch + 1) for epoch in range(epochs)]}
        report = Trained(epochs, epochs, history["val_accuracy"][-1], history, seconds)
        return Done("train", Path(), report, {}, 0.0, was_done=False)

    def right(self, recipe: Recipe, _prepared: object, _trained: object) -> np.ndarray:
        self.now += 1
        return np.arange(REVIEWS) < REVIEWS * self.accuracy(recipe, recipe.training.epochs)

    def search(self, seconds: float, kilobytes: float | None = None, **changes: Any) -> Searched:
        limits = Limits(seconds, kilobytes)
        recipe = self.recipe.model_copy(update=changes)
        return search(
            self.workspace, recipe, Sourcing(), limits, started=self.now, run=self.run, now=self.clock
        )

    def clock(self) -> float:
        return self.now


@pytest.fixture
def world(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(workspace, parse_recipe("tiny", TINY_RECIPE + RANGES))
    monkeypatch.setattr(searching, "bundle_kilobytes", lambda recipe, _prepared: made.kilobytes(recipe))
    monkeypatch.setattr(searching, "right_reviews", made.right)
    return made


def anew(world: World, name: str) -> World:
    """Give the same world with nothing done in it."""
    root = world.workspace.root.with_name(name)
    return replace(world, workspace=Workspace(root), now=0.0, batches=0, killed_at=-1, begun=[], kept={})


# What is tried


def test_the_recipe_as_it_stands_comes_first_and_the_best_is_chosen(world: World) -> None:
    found = world.search(400)
    assert world.begun[0] == world.recipe.model_copy(update={"ranges": {}})
    assert found.default.settings == {"network.units": 4, "training.learning_rate": 0.02}
    assert found.default.accuracy == pytest.approx(0.54)
    assert len(found.tried) > 5
    assert found.best.accuracy == max(each.accuracy or 0 for each in found.tried) > 0.6
    assert found.best.settings["network.units"] == max(recipe.network.units for recipe in world.begun)


def test_without_ranges_the_default_ones_are_searched(world: World) -> None:
    found = world.search(100, ranges={})
    assert set(found.default.settings) == set(DEFAULT_RANGES)


def test_of_equal_candidates_the_smallest_is_the_best(world: World) -> None:
    world.accuracy = lambda _recipe, _epoch: 0.8
    found = world.search(400)
    sizes = [each.kilobytes for each in found.tried if each.outcome is Outcome.TRAINED]
    assert found.best.kilobytes == min(size for size in sizes if size is not None)


def test_a_bundle_that_would_be_too_large_is_not_trained(world: World) -> None:
    found = world.search(600, 120)
    left_out = [each for each in found.tried if each.outcome is Outcome.LEFT_OUT]
    assert left_out
    assert all((each.kilobytes or 0) > 120 and each.note == "over 120 KB" for each in left_out)
    assert all(world.kilobytes(recipe) <= 120 for recipe in world.begun)
    assert (found.best.kilobytes or 0) <= 120


def test_the_recipe_as_it_stands_is_trained_whatever_its_size_but_not_chosen(world: World) -> None:
    world.accuracy = lambda recipe, _epoch: 0.9 - recipe.network.units / 100
    found = world.search(250, 103.5)
    assert found.tried[0].note == "over 103.5 KB"
    assert found.default.accuracy is not None
    assert found.best.settings["network.units"] < 4
    world.kilobytes = lambda _recipe: 500
    with pytest.raises(UsageError, match=r"none was trained whose bundle has at most 99 KB .*--kilobytes"):
        world.search(40, 99).best  # noqa: B018


def test_a_candidate_whose_settings_do_not_go_together_is_left_out(world: World) -> None:
    ranges = {"network.embedding_size": [4, 5]}
    export = world.recipe.export.model_copy(update={"weights": "int4"})
    found = world.search(300, ranges=ranges, export=export)
    [left_out] = [each for each in found.tried if each.outcome is Outcome.LEFT_OUT]
    assert "network.embedding_size 5 has to be even" in left_out.note
    assert found.ending == "the ranges hold nothing new any more"


def test_one_that_does_worse_than_the_median_is_stopped_after_an_epoch_and_its_time_counts(
    world: World,
) -> None:
    training = world.recipe.training.model_copy(update={"epochs": 6})
    found = world.search(700, training=training)
    stopped = [each for each in found.tried if each.outcome is Outcome.STOPPED]
    assert len(stopped) >= 3
    assert stopped[0].number > 3
    assert {each.seconds for each in stopped} == {21.0}
    assert all("after epoch 2 of 6, at 0." in each.note for each in stopped)
    assert found.spent == pytest.approx(sum(each.seconds for each in found.tried), abs=1)


def test_the_epochs_of_a_training_that_was_done_before_count_for_the_median(world: World) -> None:
    six = world.recipe.training.model_copy(update={"epochs": 6})
    world.accuracy = lambda _recipe, _epoch: 0.8
    world.search(300, training=six)
    known = [recipe.network.units for recipe in world.begun]
    world.accuracy = lambda recipe, _epoch: 0.8 if recipe.network.units in known else 0.6
    # Another study of the same candidates: no watcher is told of the first ones.
    found = world.search(500, 1000, training=six)
    assert [each.outcome for each in found.tried[: len(known)]] == [Outcome.TRAINED] * len(known)
    assert Outcome.STOPPED in {each.outcome for each in found.tried[len(known) :]}


# Time


@pytest.mark.parametrize("seconds", [45, 100, 333, 500])
def test_it_ends_in_time_and_begins_nothing_that_would_not(world: World, seconds: float) -> None:
    world.accuracy = lambda _recipe, _epoch: 0.8
    found = world.search(seconds)
    assert world.now <= seconds
    assert found.spent == world.now
    # Three epochs, and a second each to prepare and to judge; nobody was stopped on the way.
    assert world.now == 32 * len(found.tried) > seconds - 32
    assert len(world.begun) == len(found.tried)
    assert "the next candidate would take about 32 s" in found.ending


def test_a_candidate_that_turns_out_slow_is_stopped_once_that_is_known(world: World) -> None:
    world.epoch_seconds = lambda recipe: 10.0 if recipe.network.units == 4 else 40.0
    found = world.search(150)
    assert world.now == 32 + 1 + 2 * 40
    assert [each.number for each in found.tried] == [1]
    assert found.ending == (
        "candidate 2, epoch 2 of 3: 41 s more are needed, 37 s are left; with more minutes it goes on from there"
    )


def test_one_that_would_overrun_is_stopped_at_the_next_batch(world: World) -> None:
    world.epoch_seconds = lambda recipe: 10.0 if recipe.network.units == 4 else 400.0
    found = world.search(150)
    assert world.now == 32 + 1 + 2 * 100
    assert "candidate 2, epoch 1 of 3: the time is used up" in found.ending
    world = anew(world, "again")
    with pytest.raises(
        UsageError, match=r"could not be trained in time .*epoch 2 of 3.*more --minutes goes on"
    ):
        world.search(15).default  # noqa: B018
    assert world.now == 16


def test_a_longer_training_is_expected_to_take_longer(world: World) -> None:
    found = world.search(100, ranges={"training.epochs": [30]})
    assert "the next candidate would take about 320 s" in found.ending
    assert len(world.begun) == 1


# Going on


def settings_of(found: Searched) -> list[tuple[Any, ...]]:
    return [(each.number, each.settings, each.outcome, each.accuracy) for each in found.tried]


def test_one_that_is_killed_goes_on_to_the_same_end_within_the_same_time(world: World) -> None:
    few = {"network.units": [2, 4, 8, 16], "training.learning_rate": [0.02, 0.05]}
    whole = world.search(900, ranges=few)
    killed, runs = anew(world, "killed"), 1
    while True:
        killed.killed_at = killed.batches + 17
        try:
            found = killed.search(900, ranges=few)
        except InterruptedRun:
            runs += 1
        else:
            break
    assert runs > 5
    assert len(whole.tried) == 8
    assert settings_of(found) == settings_of(whole)
    # One that was cut in two is begun twice, and does again no more than the epoch that was cut.
    assert len(killed.begun) == len(world.begun) + runs - 1
    assert world.batches < killed.batches < world.batches + runs * BATCHES
    assert found.spent == killed.now


def test_with_more_time_it_goes_further_and_with_no_more_it_does_nothing(world: World) -> None:
    world.search(200)
    before, begun = world.now, len(world.begun)
    again = world.search(200)
    assert (world.now, len(world.begun)) == (before, begun)
    further = world.search(400)
    assert settings_of(further)[: len(again.tried)] == settings_of(again)
    assert settings_of(further) == settings_of(anew(world, "whole").search(400))


def test_one_that_time_ran_out_for_goes_on_with_more(world: World) -> None:
    world.epoch_seconds = lambda recipe: 10.0 if recipe.network.units == 4 else 40.0
    world.search(150)
    cut = world.begun[-1]
    found = world.search(300)
    assert world.begun[2] == cut
    assert found.tried[1].settings["network.units"] == cut.network.units
    assert found.tried[1].seconds == 1 + 40 + 1


def test_what_an_earlier_run_told_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.search(65)
    # What was told of it, if another test left the log open.
    caplog.clear()
    with caplog.at_level(logging.INFO, "resenha.tune"):
        world.search(130)
    assert caplog.messages[0] == "the search goes on after candidate 2, 1.1 of 2.16667 minutes are used"
    assert caplog.messages[1].startswith("candidate 3: validation accuracy 0.")
    assert " · 32.0 s · network.units " in caplog.messages[1]


@pytest.mark.parametrize("change", ["ranges", "recipe", "kilobytes", "reviews", "code"])
def test_what_a_study_is_for_decides_whether_it_goes_on(
    change: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.search(65)
    if change == "reviews":
        acquire = world.acquire
        other = {"train.jsonl": "1" * 64}
        monkeypatch.setattr(world, "acquire", lambda *given: replace(acquire(*given), digests=other))
    if change == "code":
        monkeypatch.setattr(searching, "code_of", lambda module: {"code": {module: "changed"}})
    ranges = {"network.units": [2, 4]} if change == "ranges" else world.recipe.ranges
    gates = (
        world.recipe.gates.model_copy(update={"above_chance": 0.1})
        if change == "recipe"
        else world.recipe.gates
    )
    found = world.search(65, 1000 if change == "kilobytes" else None, ranges=ranges, gates=gates)
    # What had its turn in the other study has it here anew, and the stage train finds it done.
    assert found.spent < 65
    assert len(world.begun) > 2


# What is told


def test_a_candidates_line_says_what_differs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "resenha.tune"):
        world.search(100, 120)
    assert (
        caplog.messages[0]
        == "candidate 1: validation accuracy 0.5400 · 104 KB · 32.0 s · the recipe as it stands"
    )
    assert any("left out (over 120 KB) · 1" in message for message in caplog.messages)


def test_the_summary_has_the_recipe_beside_the_best_and_the_paired_difference(world: World) -> None:
    found = world.search(400)
    best = found.best
    only_best = round(REVIEWS * (best.accuracy or 0)) - 108
    text = found.summary()
    low, _ = paired_interval(only_best, 0, REVIEWS, comparisons=len(found.tried) - 1)
    assert f"(95 % interval {low:+.4f} to " in text
    assert f"right where the other errs 0              {only_best}\n" in text
    assert f"difference                 {only_best / REVIEWS:+.4f} (95 % interval " in text
    assert f"for a choice among {len(found.tried) - 1})" in text
    assert "within noise" not in text
    assert f"network.units              4              {best.settings['network.units']}\n" in text
    assert "Chosen on these very reviews" in text


def test_a_difference_within_noise_is_warned_of_on_the_screen_and_in_the_file(world: World) -> None:
    world.accuracy = lambda recipe, _epoch: 0.8 + recipe.network.units / 2000
    found = world.search(200)
    assert found.best is not found.default
    for text in (found.summary(), found.to_toml()):
        assert "WARNING: the difference is within noise" in text


def test_if_nothing_is_better_that_is_told(world: World) -> None:
    world.accuracy = lambda recipe, _epoch: 0.9 if recipe.network.units == 4 else 0.6
    found = world.search(200)
    assert found.best is found.default
    for text in (found.summary(), found.to_toml()):
        assert "Nothing that was tried is better than the recipe as it stands." in text
        assert "difference" not in text.lower()


def test_the_tuned_recipe_is_complete_and_says_where_it_came_from(world: World, tmp_path: Path) -> None:
    corpus = world.recipe.corpus.model_copy(
        update={"train": "here/train.csv", "positive": 'so "good"\t\x7fé👍'}
    )
    found = world.search(200, corpus=corpus)
    text = found.to_toml()
    assert text.startswith("# Made by `resenha tune` from the recipe tiny, in ")
    assert (
        f"# The best of {len(found.tried)} candidates on 200 validation reviews of files (unverified):\n"
        in text
    )
    tuned = parse_recipe("tuned", text)
    assert (
        tomllib.loads(text)["network"]["units"] == tuned.network.units == found.best.settings["network.units"]
    )
    assert tuned.training.learning_rate == found.best.settings["training.learning_rate"]
    assert tuned.corpus == corpus.model_copy(
        update={"train": str(Path("here/train.csv").absolute()), "test": str(Path("test.csv").absolute())}
    )
    rest = {
        "name": "tiny",
        "corpus": world.recipe.corpus,
        "network": world.recipe.network,
        "training": world.recipe.training,
    }
    assert tuned.model_copy(update=rest) == world.recipe.model_copy(update={"ranges": {}})
