"""The time that a search may take, over every run of the same command."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_BEAT = 5.0
"""Seconds between two notes of what was spent: what a kill can lose."""


@dataclass
class Budget:
    """Seconds on the wall's clock, counted on from what earlier runs have spent."""

    seconds: float
    """What may be spent in all."""
    spent_before: float
    started: float
    """When this run began, by ``now``."""
    note: Callable[[float], None]
    """Keeps what was spent, where a run that comes after a kill finds it."""
    now: Callable[[], float] = time.monotonic
    _noted: float = field(default=0.0, init=False)

    @property
    def spent(self) -> float:
        """Seconds spent so far."""
        return self.spent_before + self.now() - self.started

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 once it is overrun."""
        return self.seconds - self.spent

    def settle(self) -> None:
        """Keep what was spent."""
        self._noted = self.now()
        self.note(self.spent)

    def beat(self) -> None:
        """Keep what was spent, if the last time was some seconds ago."""
        if self.now() - self._noted >= _BEAT:
            self.settle()
