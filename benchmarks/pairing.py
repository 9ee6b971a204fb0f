"""Contenders that take turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

ROUNDS = 5
_PAUSE = 0.02
"""Seconds. The threads of a rival's pool spin for some milliseconds after its work is done."""


@dataclass(frozen=True)
class Spread:
    """A figure measured several times."""

    median: float
    """Or another middle, where whoever measured it says so."""
    low: float
    """The least value."""
    high: float
    """The greatest value."""

    @classmethod
    def over(cls, values: Iterable[float]) -> Spread:
        """Sum up at least one value."""
        known = list(values)
        return cls(statistics.median(known), min(known), max(known))

    @classmethod
    def around_mean(cls, values: Iterable[float]) -> Spread:
        """Sum up at least one value by its mean, as is due to luck that differs from run to run."""
        known = list(values)
        return cls(statistics.fmean(known), min(known), max(known))


@dataclass(frozen=True)
class Rounds:
    """What every contender took in every round."""

    seconds: Mapping[str, Sequence[float]]
    """By contender; the same place in two sequences is the same round."""

    def time(self, name: str, *, scale: float = 1.0) -> Spread:
        """Give a contender's time in seconds, times ``scale``."""
        return Spread.over(scale * taken for taken in self.seconds[name])

    def rate(self, name: str, units: float) -> Spread:
        """Give what a contender does in a second, of the ``units`` that it did in a round."""
        return Spread.over(units / taken for taken in self.seconds[name])

    def ratio(self, slower: str, faster: str, *, scale: float = 1.0) -> Spread:
        """Give how many times longer the first took than the second, round by round, times ``scale``."""
        pairs = zip(self.seconds[slower], self.seconds[faster], strict=True)
        return Spread.over(scale * one / other for one, other in pairs)

    def difference(self, slower: str, faster: str) -> Spread:
        """Give how many seconds longer the first took than the second, round by round."""
        pairs = zip(self.seconds[slower], self.seconds[faster], strict=True)
        return Spread.over(one - other for one, other in pairs)


def take_turns(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
    pause: float = _PAUSE,
) -> Rounds:
    """Time each contender once a round; every other round goes through them in reverse.

    Args:
        contenders: What to run, by name; each has been warmed up by its caller.
        rounds: How often.
        clock: Gives seconds.
        pause: Seconds of rest before each turn.
    """

    def timed(run: Callable[[], Any]) -> float:
        started = clock()
        run()
        return clock() - started

    return ask_in_turns(
        {name: partial(timed, run) for name, run in contenders.items()}, rounds=rounds, pause=pause
    )


def ask_in_turns(
    contenders: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS, pause: float = _PAUSE
) -> Rounds:
    """Let each contender run as ``take_turns`` does; they tell themselves how many seconds they took."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders)
        for name in reversed(order) if number % 2 else order:
            time.sleep(pause)
            seconds[name].append(contenders[name]())
    return Rounds(seconds)
