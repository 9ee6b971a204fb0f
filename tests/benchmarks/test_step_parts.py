from __future__ import annotations

import re

import pytest

from benchmarks.pairing import Rounds
from benchmarks.step_parts import ELSE, PARTS, WHOLE, split_step, to_table

ROUNDS = Rounds(
    {
        "whole": [0.100, 0.130, 0.110],
        "walk": [0.060, 0.071, 0.065],
        "bare walk": [0.050, 0.052, 0.054],
        "optimizer": [0.010, 0.012, 0.020],
    }
)


def test_the_parts_of_a_round_add_up_to_its_step() -> None:
    found = split_step(ROUNDS).seconds
    for number, whole in enumerate((0.100, 0.130, 0.110)):
        assert sum(found[part][number] for part in (*PARTS, ELSE)) == pytest.approx(whole)
    assert found["input projection"] == pytest.approx([0.010, 0.019, 0.011])
    assert found["recurrence"] == [0.050, 0.052, 0.054]
    assert found[ELSE] == pytest.approx([0.030, 0.047, 0.025])


def test_the_medians_that_are_printed_add_up_too() -> None:
    twice = Rounds({name: [2 * each for each in seconds] for name, seconds in ROUNDS.seconds.items()})
    table = to_table("gru", {"plain": twice, "ours": ROUNDS})
    for column in (1, 2):
        medians = {row[0]: float(re.match(r"[-\d.]+", row[column])[0]) for row in table.rows}  # type: ignore[index]
        assert sum(medians[part] for part in (*PARTS, ELSE)) == pytest.approx(medians[WHOLE], abs=0.1)
    assert table.rows[-1] == [WHOLE, "220 (200 to 260)", "110 (100 to 130)", "110 (100 to 130)"]
