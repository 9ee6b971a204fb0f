from __future__ import annotations

import pytest

from benchmarks.pairing import Spread
from benchmarks.targets import TARGETS, Figure, Target, judge

FLOOR = Target(Figure.SIMPLE_OVER_PLAIN, 6, "×", is_floor=True)
CEILING = Target(Figure.FLOAT_SIZE, 1500, " KB", is_floor=False)


@pytest.mark.parametrize(
    ("target", "median", "verdict"),
    [
        (FLOOR, 5.99, "**no**"),
        (FLOOR, 6.0, "yes"),
        (FLOOR, 6.01, "yes"),
        (CEILING, 1499, "yes"),
        (CEILING, 1500, "yes"),
        (CEILING, 1501, "**no**"),
        (FLOOR, float("nan"), "**no**"),
        (CEILING, float("nan"), "**no**"),
    ],
)
def test_the_median_is_held_against_the_limit(target: Target, median: float, verdict: str) -> None:
    assert judge(target, {target.figure: Spread(median, median - 1, median + 1)})[-1] == verdict


def test_a_verdict_shows_what_was_measured() -> None:
    figures = {FLOOR.figure: Spread(6.126, 5.5, 7.891), CEILING.figure: Spread(1415.2, 1415.2, 1415.2)}
    assert judge(FLOOR, figures)[1:] == ("≥ 6×", "6.13× (5.5 to 7.89)", "yes")
    assert judge(CEILING, figures)[1:] == ("≤ 1,500 KB", "1,415 KB", "yes")


def test_what_falls_just_short_does_not_read_as_if_it_had_not() -> None:
    share = Target(Figure.SMALL_ACCURACY, 0.905, "", is_floor=True)
    assert judge(share, {share.figure: Spread(0.90491, 0.90491, 0.90491)})[2:] == ("0.9049", "**no**")


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert judge(FLOOR, {})[2:] == ("not measured", "–")


def test_every_figure_has_one_target() -> None:
    assert sorted(target.figure for target in TARGETS) == sorted(Figure)
