from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.pairing import Spread, ask_in_turns, take_turns


class MadeUpClock:
    """Stands still but for what a contender says its turn takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)

        def run() -> None:
            self.turns.append(name)
            self.now += next(left)

        return run


@pytest.mark.parametrize(
    ("names", "rounds", "turns"),
    [
        ("ab", 1, "ab"),
        ("ab", 2, "abba"),
        ("ab", 5, "abbaabbaab"),
        ("abc", 3, "abccbaabc"),
    ],
)
def test_every_other_round_goes_in_reverse(names: str, rounds: int, turns: str) -> None:
    clock = MadeUpClock()
    contenders = {name: clock.contender(name, [1.0] * rounds) for name in names}
    take_turns(contenders, rounds=rounds, clock=clock, pause=0)
    assert "".join(clock.turns) == turns


def test_each_gets_its_own_seconds_round_by_round() -> None:
    clock = MadeUpClock()
    slow, fast = [4.0, 8.0, 6.0, 9.0, 40.0], [2.0, 2.0, 3.0, 1.0, 20.0]
    contenders = {"slow": clock.contender("slow", slow), "fast": clock.contender("fast", fast)}
    rounds = take_turns(contenders, rounds=5, clock=clock, pause=0)
    assert rounds.seconds == {"slow": slow, "fast": fast}
    assert rounds.time("slow", scale=1e3) == Spread(8_000, 4_000, 40_000)
    assert rounds.rate("fast", units=60) == Spread(30, 3, 60)
    # Round by round: the last one, when the machine was busy, says 2 like the first and the third.
    assert rounds.ratio("slow", "fast") == Spread(2, 2, 9)
    assert rounds.ratio("fast", "slow") == Spread(0.5, 1 / 9, 0.5)
    assert rounds.ratio("slow", "fast", scale=0.5) == Spread(1, 1, 4.5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], Spread(3, 3, 3)), ([4.0, 1.0], Spread(2.5, 1, 4)), ([9.0, 1.0, 2.0], Spread(2, 1, 9))],
)
def test_a_spread_is_median_and_extremes(values: list[float], expected: Spread) -> None:
    assert Spread.over(values) == expected


def test_contenders_that_time_themselves_are_asked_in_the_same_turns() -> None:
    order: list[str] = []

    def tell(name: str) -> float:
        order.append(name)
        return float(len(order))

    rounds = ask_in_turns({name: partial(tell, name) for name in "ab"}, rounds=3, pause=0)
    assert "".join(order) == "abbaab"
    assert rounds.seconds == {"a": [1, 4, 5], "b": [2, 3, 6]}
