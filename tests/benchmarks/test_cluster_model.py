from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cluster_model import HAND, SCAN, TAIL, WORK, Costs, simulate

seconds = st.floats(0.0, 10.0)


@pytest.mark.parametrize(
    ("costs", "workers", "expected", "bottleneck"),
    [
        (Costs(scan=0.0, hand=0.0, score=1.0, open=0.0), 10, 100.0, WORK),
        (Costs(scan=1.0, hand=0.0, score=1.0, open=0.0), 10, 1_000.0, SCAN),
        (Costs(scan=0.0, hand=50.0, score=0.1, open=0.0), 10, 5_001.0, HAND),
        (Costs(scan=0.0, hand=0.0, score=1.0, open=0.0), 99, 20.0, TAIL),
        (Costs(scan=0.0, hand=0.0, score=0.0, open=3.0), 10, 30.0, WORK),
        (Costs(scan=0.0, hand=0.0, score=1.0, open=0.0), 1_000, 10.0, TAIL),
        # The parent is done with a hundred parts as the last worker begins the last of them.
        (Costs(scan=1.0, hand=0.0, score=10.0, open=0.0), 10, 1_090.0, SCAN),
    ],
)
def test_a_thousand_rows_in_a_hundred_parts(
    costs: Costs, workers: int, expected: float, bottleneck: str
) -> None:
    run = simulate(costs, rows=1_000, part_rows=10, workers=workers)
    assert run.seconds == pytest.approx(expected)
    assert run.bottleneck == bottleneck


@pytest.mark.parametrize(("rows", "expected"), [(9, 9.0), (10, 10.0), (11, 10.0), (20, 10.0), (21, 11.0)])
def test_the_last_part_takes_what_is_left(rows: int, expected: float) -> None:
    costs = Costs(scan=0.0, hand=0.0, score=1.0, open=0.0)
    run = simulate(costs, rows=rows, part_rows=10, workers=2)
    assert run.seconds == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(
    costs=st.builds(Costs, seconds, seconds, st.floats(0.001, 10.0), seconds),
    rows=st.integers(1, 300),
    part_rows=st.integers(1, 40),
    workers=st.integers(1, 12),
)
def test_no_run_beats_the_parent_or_the_workers_or_takes_longer_than_both(
    costs: Costs, rows: int, part_rows: int, workers: int
) -> None:
    run = simulate(costs, rows=rows, part_rows=part_rows, workers=workers)
    parts = math.ceil(rows / part_rows)
    parent, work = rows * costs.scan + parts * costs.hand, rows * costs.score + parts * costs.open
    slack = 1e-9 * (parent + work)
    assert max(parent, work / workers) - slack <= run.seconds <= parent + work + slack
    assert 0 <= run.busy <= 1 + 1e-9
