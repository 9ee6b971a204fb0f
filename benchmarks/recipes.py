"""Contest: every shipped recipe, with three seeds, beside other ways that learn from the same reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import numpy as np

from benchmarks import ours
from benchmarks.judging import Judged, judge_ways, judged_table, recipe_way, rival_ways
from benchmarks.onnx_rivals import best_way
from benchmarks.pairing import Spread, take_turns
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, spread_text
from benchmarks.targets import Figure
from benchmarks.trained_recipes import TrainedRecipe, train_seeds
from pipeline.errors import ResenhaError
from pipeline.recipe import FULL_STORAGE, load_recipe, shipped_recipes
from pipeline.reports import Exported
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import Scorer

_BATCHES = (32, 256, 1024)
_REVIEWS = 1_024
"""Of the comparison of graphs."""
_GRAPHS_HEAD = (
    "recipe|graph|plain tf2onnx graph|ours|ours × plain|difference as float32|difference as published"
).split("|")


@dataclass(frozen=True)
class _Graphs:
    """One recipe's graphs over the same reviews."""

    cells: list[str]
    ratio: Spread


def measure(setting: Setting) -> Section:
    """Train what is not trained yet, judge all on the test reviews, and compare each recipe's graphs."""
    names, notes = takers(setting.corpus)
    sourcing = replace(setting.sourcing, corpus=setting.corpus)
    trained = {}
    for name in names:
        published, refused = train_seeds(setting.folder / "recipes", name, sourcing, _tell)
        notes += refused
        for each in published:
            _check_reviews(name, each, setting)
        if published:
            trained[name] = published
    ways = {name: recipe_way(name, each, setting.threads) for name, each in trained.items()}
    rivals = rival_ways(setting.school, _tell)
    by_title = judge_ways([*ways.values(), *rivals], setting.test)
    judged = {name: by_title[way.name] for name, way in ways.items()}
    notes = [
        f"{len(setting.train):,} training reviews, of which recipes hold some back for validation",
        *notes,
    ]
    graphs = {name: _compare_graphs(name, each[0], setting) for name, each in trained.items()}
    tables = [judged_table("Recipes", by_title, setting.test, notes), _graphs_table(graphs, setting)]
    return Section(tables, figures_of(judged, {name: each.ratio for name, each in graphs.items()}))


def takers(corpus: str) -> tuple[list[str], list[str]]:
    """Name the shipped recipes that can learn from a corpus, and say why others can't."""
    names, notes = [], []
    for name in shipped_recipes():
        wanted = load_recipe(name).corpus.name
        # The sample makes up whatever is asked for; of the two archives, only one has reviews without labels.
        if wanted == "auto" or corpus in (wanted, "sample"):
            names.append(name)
        else:
            notes.append(f"recipe `{name}` is left out: it learns from `{wanted}`, and these are `{corpus}`")
    return names, notes


def _check_reviews(name: str, trained: TrainedRecipe, setting: Setting) -> None:
    if trained.digests != setting.digests:
        msg = f"recipe {name} was trained and tested on other reviews than the rivals: {trained.files}"
        raise ResenhaError(msg)


def _tell(what: str) -> None:
    click.echo(f"recipes: {what}", err=True)


def _compare_graphs(name: str, trained: TrainedRecipe, setting: Setting) -> _Graphs:
    _tell(f"{name}: its graphs")
    texts = setting.some_test_texts(_REVIEWS)
    files = trained.graphs or {}
    scorer = Scorer.load(Path(trained.bundle), threads=setting.threads)
    full = ours.make_scorer(Path(files[FULL_STORAGE]).read_bytes(), threads=setting.threads)
    encoded = scorer.tokenizer.encode_batch(texts)
    rows = pad_batch(encoded, np.arange(len(texts)), width=scorer.facts.text_rule.max_length)
    plain = best_way(
        Path(files[Exported.PLAIN]).read_bytes(), rows, batches=_BATCHES, threads=setting.threads
    )
    expected = plain.score().copy()
    differences = [float(np.abs(each.score_batch(encoded) - expected).max()) for each in (full, scorer)]
    rounds = take_turns({"plain": plain.score, "ours": partial(scorer.score_batch, encoded)})
    ratio = rounds.ratio("plain", "ours")
    cells = [
        f"`{name}`",
        trained.form,
        f"{spread_text(rounds.rate('plain', len(texts)))} [{plain.name}]",
        spread_text(rounds.rate("ours", len(texts))),
        spread_text(ratio, "×"),
        *(f"{each:.1e}" for each in differences),
    ]
    return _Graphs(cells, ratio)


def _graphs_table(graphs: Mapping[str, _Graphs], setting: Setting) -> Table:
    notes = [
        f"ids→score, reviews/s, of the first seed; {setting.threads} threads each; {_REVIEWS:,} test reviews",
        "plain: tf2onnx's, of the same trained network; in brackets its best batch, sessions × threads",
        "differences: the largest of a score from the plain graph's, before and after storage",
    ]
    title = "Shipped recipes: the lean graph beside the plain one"
    return Table(title, _GRAPHS_HEAD, [each.cells for each in graphs.values()], notes)


def figures_of(judged: Mapping[str, Judged], ratios: Mapping[str, Spread]) -> dict[Figure, Spread]:
    """Give what the targets speak of, as far as there are such recipes.

    Args:
        judged: Shipped recipes, by their names.
        ratios: How many times faster than the plain graph each of them is.
    """
    figures: dict[Figure, Spread] = {}
    if small := judged.get("small"):
        figures |= {Figure.SMALL_ACCURACY: small.accuracy, Figure.SMALL_BUNDLE: small.kilobytes}
    if best := judged.get("best"):
        minutes = Spread(best.seconds.median / 60, best.seconds.low / 60, best.seconds.high / 60)
        figures |= {
            Figure.BEST_ACCURACY: best.accuracy,
            Figure.BEST_BUNDLE: best.kilobytes,
            Figure.BEST_SPEED: best.rate,
            Figure.BEST_TRAINING: minutes,
        }
    if errors := [each.calibration for each in judged.values() if each.is_calibrated]:
        figures[Figure.CALIBRATION] = max(errors, key=lambda error: error.median)
    if ratios:
        figures[Figure.RECIPE_OVER_PLAIN] = min(ratios.values(), key=lambda ratio: ratio.median)
    return figures
