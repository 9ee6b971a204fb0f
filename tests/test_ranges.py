from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from pipeline.errors import RecipeError
from pipeline.ranges import DEFAULT_RANGES, Choices, Interval, read_ranges, setting, with_settings
from pipeline.recipe import load_recipe, parse_recipe, shipped_recipes
from tests.conftest import TINY_RECIPE

TINY = parse_recipe("tiny", TINY_RECIPE)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"network.unit" = [1]', r"network.unit is not a setting \(did you mean network.units\?\)"),
        ('"nonsense" = [1]', "nonsense is not a setting"),
        ('"teacher.units" = [1]', "teacher.units is not a setting"),
        ('"network" = [1]', 'network is a table: write a setting of it in quotation marks, as "network.…" = …'),
        ("network.units = [1]", "network is a table"),
        ('"network.units" = [8, 2000]', "network.units holds 2000: input should be less than or equal to 1024"),
        ('"network.cell" = ["gru", "rnn"]', "network.cell holds 'rnn': input should be 'simple', 'gru'"),
        ('"network.units" = [8.5]', "network.units holds 8.5: input should be a valid integer"),
        ('"network.units" = []', "network.units is empty"),
        ('"network.units" = 8', r"network.units is 8: wanted \[a, b, …\] or { from = a, to = b"),
        ('"network.units" = { from = 8 }', "network.units is {'from': 8}: wanted"),
        ('"network.units" = { from = 8, to = 9, step = 1 }', "wanted"),
        ('"network.units" = { from = 8, to = 8 }', "network.units is empty: from 8 has to be below to 8"),
        ('"network.units" = { from = 0, to = 8 }', "network.units holds 0: input should be greater than or equal to 1"),
        ('"network.units" = { from = 4, to = 8.5 }', "network.units holds 8.5: input should be a valid integer"),
        ('"network.units" = { from = 4, to = 8, scale = "lin" }', "network.units has the scale 'lin': wanted 'linear' or 'log'"),
        ('"network.masked" = { from = false, to = true }', "network.masked goes from False on: from and to are for numbers"),
        ('"network.cell" = { from = "gru", to = "lstm" }', "network.cell goes from 'gru' on"),
        ('"training.order_seed" = { from = 0, to = 8, scale = "log" }', "decides which reviews candidates are judged on"),
        ('"training.seed" = { from = 0, to = 8, scale = "log" }', "training.seed begins at 0: on the scale 'log' it has"),
        ('"training.order" = ["as_given"]', "decides which reviews candidates are judged on"),
        ('"training.validation_split" = [0.1]', "training.validation_split cannot be searched over"),
        ('"corpus.duplicates" = ["remove"]', "corpus.duplicates cannot be searched over: corpus decides which reviews there are"),
        ('"evaluation.threshold" = [0.4]', "has no part in the validation accuracy"),
        ('"gates.above_chance" = [0.1]', "has no part in the validation accuracy"),
        ('"name" = ["a"]', "name cannot be searched over"),
    ],
)  # fmt: skip
def test_a_range_that_cannot_be_used_is_named_when_the_recipe_is_loaded(line: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"recipe tiny: ranges: .*{message}"):
        parse_recipe("tiny", f"{TINY_RECIPE}\n[ranges]\n{line}\n")


def test_every_range_that_cannot_be_used_is_named_at_once() -> None:
    lines = '"network.units" = [0]\n"training.epochs" = []\n"network.cell" = ["gru"]\n'
    with pytest.raises(RecipeError, match=r"ranges: network\.units holds 0: .*; ranges: training\.epochs is"):
        parse_recipe("tiny", f"{TINY_RECIPE}\n[ranges]\n{lines}")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("network.units", [16, 32], Choices((16, 32))),
        ("network.masked", [True, False], Choices((True, False))),
        ("training.learning_rate", [1, 0.5], Choices((1.0, 0.5))),
        ("network.units", {"from": 8, "to": 64, "scale": "log"}, Interval(8, 64, is_log=True)),
        ("training.learning_rate", {"from": 0.001, "to": 1}, Interval(0.001, 1.0, is_log=False)),
        ("training.seed", {"from": 0, "to": 9, "scale": "linear"}, Interval(0, 9, is_log=False)),
    ],
)
def test_a_range_has_the_type_of_its_setting(name: str, content: Any, found: Any) -> None:
    assert read_ranges(TINY, {name: content}) == {name: found}
    ends = [*vars(read_ranges(TINY, {name: content})[name]).values()]
    assert [type(end) for end in ends] == [type(end) for end in vars(found).values()]


@pytest.mark.parametrize(
    ("value", "is_within"), [(7, False), (8, True), (64, True), (65, False), (None, False), ("8", False)]
)
def test_an_interval_holds_its_ends(value: object, is_within: bool) -> None:
    assert (value in Interval(8, 64, is_log=False)) == is_within


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_default_ranges_are_for_every_shipped_recipe(name: str) -> None:
    assert set(read_ranges(load_recipe(name), DEFAULT_RANGES)) == set(DEFAULT_RANGES)


def test_a_value_that_only_goes_with_other_settings_is_taken() -> None:
    recipe = parse_recipe("tiny", f'{TINY_RECIPE}\n[export]\nweights = "int4"\n')
    assert read_ranges(recipe, {"network.embedding_size": [3, 4]})
    with pytest.raises(ValueError, match="network.embedding_size 3 has to be even"):
        with_settings(recipe, {"network.embedding_size": 3})


def test_ranges_are_no_part_of_a_bundles_record_or_of_a_candidate() -> None:
    recipe = parse_recipe("tiny", f'{TINY_RECIPE}\n[ranges]\n"network.units" = [2, 8]\n')
    assert recipe.to_record() == TINY.to_record()
    assert with_settings(recipe, {"network.units": 4}) == TINY
    assert with_settings(recipe, {"network.units": 8}).network.units == 8


class Heads(BaseModel):
    sizes: list[int] = [1]


class Teacher(BaseModel):
    model_config = ConfigDict(strict=True)

    weight: float = 0.5
    heads: Heads = Heads()


class Later(BaseModel):
    """A recipe with tables that this project does not have."""

    ranges: dict[str, Any] = {}
    teacher: Teacher = Teacher()


def test_settings_that_come_later_need_nothing_here() -> None:
    later = Later()
    given = {"teacher.weight": {"from": 0, "to": 1}, "teacher.heads.sizes": [[1], [2, 3]]}
    assert read_ranges(later, given) == {
        "teacher.weight": Interval(0.0, 1.0, is_log=False),
        "teacher.heads.sizes": Choices(([1], [2, 3])),
    }
    changed = with_settings(later, {"teacher.heads.sizes": [2, 3], "teacher.weight": 0.25})
    assert changed == Later(teacher=Teacher(weight=0.25, heads=Heads(sizes=[2, 3])))
    assert setting(changed, "teacher.heads.sizes") == [2, 3]
