from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.recipe import load_recipe, parse_recipe, shipped_recipes
from tests.conftest import TAUGHT_RECIPE, TINY_RECIPE


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_loads(name: str) -> None:
    assert load_recipe(name).name == name


def test_seed_is_the_notebooks_recipe_number_for_number() -> None:
    recipe = load_recipe("seed")
    assert (recipe.text.num_words, recipe.text.max_length) == (10_000, 500)
    assert (recipe.network.embedding_size, recipe.network.cell, recipe.network.units) == (32, "simple", 32)
    training = recipe.training
    assert (training.optimizer, training.learning_rate, training.epochs) == ("rmsprop", 0.001, 10)
    assert (training.batch_size, training.validation_split) == (128, 0.2)
    assert (training.order, training.order_seed, training.keep) == ("shuffled", 113, "last")
    assert recipe.evaluation.threshold == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epoch = 3", r"training.epoch is not a setting \(did you mean epochs\?\)"),
        ("epochs = 3", "", "training.epochs is missing"),
        ("epochs = 3", "epochs = 0", "training.epochs is 0: .*greater than or equal to 1"),
        ("epochs = 3", "epochs = 3.5", "training.epochs is 3.5: .*valid integer"),
        ("epochs = 3", "epochs = '3'", "training.epochs is '3': .*valid integer"),
        ("learning_rate = 0.02", "learning_rate = nan", "training.learning_rate is nan"),
        ("epochs = 3", "epochs = 3\nngrams_apart = true", "training.ngrams_apart needs network.ngrams"),
        ("learning_rate = 0.02", "clip_norm = 0", "training.clip_norm is 0: .*greater than 0"),
        ('cell = "simple"', 'cell = "transformer"', "network.cell is 'transformer'"),
        ("units = 4", "units = 4\npooling = 'least'", "network.pooling.0 is 'least'"),
        ("units = 4", "units = 4\npooling = []", "network.pooling is .*at least 1 item"),
        ("units = 4", "units = 4\npooling = ['max', 'max']", "network.pooling names a kind twice: max, max"),
        ("units = 4", "units = 4\npooling = 'attention'", "'attention' need network.masked = true"),
        ("units = 4", "units = 4\nlayers = 2", "network.layers above 1 .* need network.masked = true"),
        ("units = 4", "units = 4\nngrams = { longest = 2, buckets = 100 }", "ngrams.buckets is 100: .*multiple of 64"),
        ("units = 4", "units = 4\nngrams = { longst = 2, buckets = 64 }", r"longst is not a setting \(did you mean longest\?\)"),
        ("[network]", "[newtork]", r"newtork is not a setting \(did you mean network\?\)"),
        ('positive = "1"', 'positive = "0"', "corpus.negative and corpus.positive are both '0'"),
        ('train = "train.csv"', "", "corpus.train is missing"),
        ('name = "files"', 'name = "imdb"', "corpus.train is for the corpus 'files'"),
        ("[text]", "[text", "recipe tiny is not TOML"),
        ('name = "files"\ntrain = "train.csv"', 'name = "imdb"\nunlabelled = "u.csv"', "corpus.unlabelled is for the corpus 'files'"),
        ("[text]", "[teacher]\nngram = 2\n[text]", r"teacher.ngram is not a setting \(did you mean ngrams\?\)"),
        ("[text]", "[teacher]\nngrams = 5\n[text]", "teacher.ngrams is 5: .*less than or equal to 4"),
        ("[text]", "[teacher]\nfolds = 1\n[text]", "teacher.folds is 1: .*greater than or equal to 2"),
        ("[text]", "[teacher]\nshare = 1.5\n[text]", "teacher.share is 1.5: .*less than or equal to 1"),
        ("[text]", "[teacher]\ntemperature = 0.0\n[text]", "teacher.temperature is 0.0: .*greater than 0"),
        ("[text]", "[teacher]\nunlabelled = 1\n[text]", "teacher.unlabelled is 1: .*valid boolean"),
        ("description", "name = 'other'\ndescription", "leave the key out"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(old: str, new: str, message: str) -> None:
    assert old in TINY_RECIPE
    with pytest.raises(RecipeError, match=message):
        parse_recipe("tiny", TINY_RECIPE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("written", "found"), [("'max'", ["max"]), ("['max', 'last']", ["max", "last"])], ids=["one", "two"]
)
def test_one_pooling_may_stand_without_a_list(written: str, found: list[str]) -> None:
    recipe = parse_recipe("tiny", TINY_RECIPE.replace("units = 4", f"units = 4\npooling = {written}"))
    assert recipe.network.pooling == found


def test_every_problem_is_named_at_once() -> None:
    broken = TINY_RECIPE.replace("epochs = 3", "epochs = 0").replace("units = 4", "units = 0")
    with pytest.raises(RecipeError, match=r"network\.units.*; .*training\.epochs"):
        parse_recipe("tiny", broken)


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(RecipeError, match="shipped are best, quick, seed, small"):
        load_recipe("sead")


@pytest.mark.parametrize(
    ("table", "wants"),
    [("", False), ("\n[teacher]\n", True), ("\n[teacher]\nunlabelled = false\n", False)],
)
def test_unlabelled_reviews_are_wanted_by_a_teacher_alone(table: str, wants: bool) -> None:
    assert parse_recipe("tiny", TINY_RECIPE + table).wants_unlabelled == wants


def test_a_users_paths_are_taken_from_the_recipes_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TAUGHT_RECIPE)
    corpus = load_recipe(str(tmp_path / "mine.toml")).corpus
    assert corpus.train == str(tmp_path / "train.csv")
    assert corpus.unlabelled == str(tmp_path / "unlabelled.csv")


def test_a_record_of_a_recipe_tells_nothing_of_the_users_folders(tmp_path: Path) -> None:
    record = parse_recipe("tiny", TAUGHT_RECIPE, folder=tmp_path).to_record()
    assert record["corpus"]["train"] == "train.csv"
    assert record["corpus"]["unlabelled"] == "unlabelled.csv"
    assert str(tmp_path) not in str(record)


@pytest.mark.parametrize("name", ["No Spaces.toml", "..toml", "É.toml"])
def test_a_recipes_name_has_to_be_fit_for_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names folders"):
        load_recipe(str(tmp_path / name))
