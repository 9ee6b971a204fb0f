from __future__ import annotations

import numpy as np
import pytest

from benchmarks.memory import LENGTHS, REMEMBERERS, Rememberer, make_rows, to_table, try_to_remember
from benchmarks.pairing import Spread


def test_the_first_word_decides_and_no_other_does() -> None:
    ids, labels = make_rows(2_000, 7, (1, 2))
    assert ids.shape == (2_000, 7)
    assert (ids[:, 0] - 4 == labels).all()
    assert labels.mean() == pytest.approx(0.5, abs=0.05)
    for step in range(1, 7):
        others = ids[:, step]
        assert set(np.unique(others)) == set(range(6, 16))
        shares = [labels[others == each].mean() for each in range(6, 16)]
        assert np.abs(np.array(shares) - 0.5).max() < 0.15


def test_rows_to_judge_are_not_those_that_were_learnt() -> None:
    learnt, judged = make_rows(100, 30, (1, 9_600))[0], make_rows(100, 30, (1, 512))[0]
    assert not {row.tobytes() for row in learnt} & {row.tobytes() for row in judged}


def test_one_seed_that_fails_is_a_failure() -> None:
    who = [Rememberer("gru", "gru")]
    verdicts = [Spread(1, 0.95, 1), Spread(1, 0.94, 1), Spread(0.5, 0.48, 0.52), Spread(0.99, 0.97, 1)]
    found = {(length, who[0]): verdict for length, verdict in zip(LENGTHS, verdicts, strict=True)}
    assert to_table(who, found).rows == [
        [
            "gru",
            "pass 1.00 (0.95 to 1.00)",
            "**fail** 1.00 (0.94 to 1.00)",
            "**fail** 0.50 (0.48 to 0.52)",
            "pass 0.99 (0.97 to 1.00)",
        ]
    ]


def test_every_cell_and_every_remedy_is_tried() -> None:
    assert {each.cell for each in REMEMBERERS} == {"simple", "gru", "lstm", "mingru"}
    assert len(set(REMEMBERERS)) == len({each.name for each in REMEMBERERS}) == len(REMEMBERERS)


def test_a_short_text_is_learnt_and_no_steps_teach_nothing() -> None:
    who = Rememberer("simple", "simple")
    assert try_to_remember(4, who, steps=100).low > 0.95
    assert try_to_remember(4, who, steps=1).median < 0.95
