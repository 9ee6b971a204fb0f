"""How long a run takes on a cluster that nobody has here: a simulation with what was measured.

One process, the parent, reads the inputs from beginning to end only to find where each part begins, and
hands the parts out one by one; a worker scores one part after another. So there are four costs::

    scan    seconds a row that the parent reads past
    hand    seconds a part of parent and scheduler: to hand it out, take its counts, add up its ledger
    score   seconds a row of a worker, its own reading included
    open    seconds a part of a worker: open the plan, sync and rename the two files

With p rows a part, R rows and W workers, the parent needs R (scan + hand / p) seconds by itself, and the
workers R (score + open / p) / W among them. The longer of the two is the least that a run can take, and
more workers than (score + open / p) / (scan + hand / p) do not shorten it. What comes on top is the time
until the parent has come to a part for each worker, W p scan, and that of the last part, p score; and a
parent that is ahead waits, since no more than so many parts are in flight. That is what is simulated: the
parent's clock, part by part, against a worker each time that one is free.

Left out: disks and networks that all workers share, workers of unlike speed, and for the scheduler of
another machine that it works beside the parent (``hand`` is the sum of both).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

_IN_FLIGHT_PER_WORKER = 2
_ABOUT = 1.1
"""So many times the least is still about the least."""
SCAN, HAND, WORK, TAIL = "the parent's reading", "handing out", "the workers", "too few parts"


@dataclass(frozen=True)
class Costs:
    """What was measured; seconds."""

    scan: float
    """A row."""
    hand: float
    """A part."""
    score: float
    """A row."""
    open: float
    """A part."""


@dataclass(frozen=True)
class Simulated:
    """What came out."""

    seconds: float
    busy: float
    """Share of the workers' time in which they worked."""
    bottleneck: str
    """What the time would not have been shorter without."""


def simulate(costs: Costs, *, rows: int, part_rows: int, workers: int) -> Simulated:
    """Play a run through.

    Args:
        costs: What was measured.
        rows: Of the inputs.
        part_rows: Rows a part.
        workers: Processes of one thread each.
    """
    parts = math.ceil(rows / part_rows)
    free = [0.0] * workers
    in_flight: list[float] = []
    clock = 0.0
    for number in range(parts):
        if len(in_flight) >= _IN_FLIGHT_PER_WORKER * workers:
            clock = max(clock, heapq.heappop(in_flight))
        clock += costs.hand
        size = min(part_rows, rows - number * part_rows)
        end = max(clock, heapq.heappop(free)) + costs.open + size * costs.score
        heapq.heappush(free, end)
        heapq.heappush(in_flight, end)
        # The next part is found behind this one.
        clock += size * costs.scan
    seconds = max(clock, *free)
    work = rows * costs.score + parts * costs.open
    waves = math.ceil(parts / workers) * (min(part_rows, rows) * costs.score + costs.open)
    needed = [
        (rows * costs.scan, SCAN),
        (parts * costs.hand, HAND),
        (waves, WORK if waves <= _ABOUT * work / workers else TAIL),
    ]
    _, bottleneck = max(needed, key=lambda each: each[0])
    return Simulated(seconds, work / workers / seconds, bottleneck)
