from __future__ import annotations

from benchmarks.pairing import Rounds
from benchmarks.parallel_training import (
    ALL_THREADS,
    ONE_THREAD,
    SIDE_BY_SIDE,
    lengths_table,
    two_table,
)


def test_cells_are_held_against_the_parallel_one_of_the_same_way() -> None:
    seconds = {
        f"{who} {cell}": [factor * more for more in (0.128, 0.256, 0.128)]
        for who, slower in (("ours", 1), ("plain", 10))
        for cell, factor in (
            ("mingru", slower),
            ("simple", 2 * slower),
            ("gru", 3 * slower),
            ("lstm", 4 * slower),
        )
    }
    ours, plain = lengths_table({50: Rounds(seconds)}).rows
    assert ours == [
        "50 steps, ours",
        *("1.00", "2.00", "3.00", "4.00"),
        *("2.00 (2.00 to 2.00)", "3.00 (3.00 to 3.00)", "4.00 (4.00 to 4.00)"),
    ]
    assert plain[:2] == ["50 steps, plain Keras", "10.0"]
    assert plain[5:] == ours[5:]


def test_speed_ups_are_those_of_the_same_round() -> None:
    rounds = Rounds(
        {ONE_THREAD: [4.0, 9.0, 5.0], ALL_THREADS: [2.0, 3.0, 4.0], SIDE_BY_SIDE: [2.0, 3.0, 4.0]}
    )
    table = two_table({"gru": rounds}, threads=2)
    times = ["5.00 (4.00 to 9.00)", *["3.00 (2.00 to 4.00)"] * 2]
    assert table.rows == [["gru", *times, "2.00 (1.25 to 3.00)", "1.00 (1.00 to 1.00)"]]
    assert "all 2 threads" in table.to_markdown()
