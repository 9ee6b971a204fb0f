from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.judging import Judged
from benchmarks.pairing import Spread
from benchmarks.recipes import figures_of, takers
from benchmarks.targets import Figure
from pipeline.recipe import shipped_recipes

ONE = Spread(1, 1, 1)
JUDGED = Judged(
    "3",
    Spread(0.91, 0.9, 0.92),
    1000,
    Spread(0.014, 0.01, 0.02),
    Spread(444, 443, 445),
    Spread(600, 540, 660),
    None,
    Spread(6000, 5900, 6100),
    is_calibrated=True,
)


def test_every_recipe_learns_from_reviews_that_bring_what_it_asks_for() -> None:
    for corpus in ("aclimdb", "sample"):
        assert takers(corpus) == (shipped_recipes(), [])


def test_a_recipe_that_needs_more_than_the_reviews_hold_is_named() -> None:
    names, notes = takers("imdb")
    assert {"quick", "seed"} <= set(names)
    assert "small" not in names
    assert "recipe `small` is left out: it learns from `aclimdb`, and these are `imdb`" in notes
    assert len(names) + len(notes) == len(shipped_recipes())


def test_the_targets_get_what_was_measured_of_their_recipes() -> None:
    figures = figures_of({"best": JUDGED, "small": JUDGED}, {})
    assert figures[Figure.SMALL_ACCURACY] == figures[Figure.BEST_ACCURACY] == JUDGED.accuracy
    assert figures[Figure.BEST_TRAINING] == Spread(10, 9, 11)
    assert figures[Figure.BEST_SPEED].median == 6000


@pytest.mark.parametrize("name", ["small", "best"])
def test_a_recipe_that_is_not_there_has_no_figure(name: str) -> None:
    figures = figures_of({"quick": replace(JUDGED, is_calibrated=False)}, {})
    assert not any(f"`{name}`" in figure for figure in figures)
    assert Figure.CALIBRATION not in figures


def test_the_worst_recipe_stands_for_all() -> None:
    worse = replace(JUDGED, calibration=Spread(0.03, 0.01, 0.05))
    other = replace(worse, calibration=Spread(0.2, 0.1, 0.3), is_calibrated=False)
    ratios = {"small": Spread(3.0, 3.0, 3.0), "quick": Spread(2.5, 2.5, 2.5)}
    figures = figures_of({"small": JUDGED, "best": worse, "quick": other}, ratios)
    assert figures[Figure.CALIBRATION] == worse.calibration
    assert figures[Figure.RECIPE_OVER_PLAIN].median == 2.5
