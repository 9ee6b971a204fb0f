"""Five million rows into a directory, once in one go and once killed again and again: what is lost?"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pairing import Spread
from benchmarks.processes import Finished, run_process
from benchmarks.review_files import short_texts, write_reviews
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, number_text
from benchmarks.targets import Figure
from pipeline.runtime.durable import sha256_of

_ROWS, _BROKEN_EVERY = 5_000_000, 1_000
_FEWEST_WORDS, _MOST_WORDS = 40, 60
_KILLS, _SEED = 20, 1
_SOME_REJECTED = 3
_SCORED = re.compile(rb'^\{"source": "[^"]*", "row": ([0-9]+), .*\}\n', re.MULTILINE)
_BLOCK = 1 << 22


@dataclass(frozen=True)
class RowCheck:
    """What stands in a directory of the rows of one file that was scored."""

    scored: int
    rejected: int
    missing: int
    """Rows that stand nowhere."""
    extra: int
    """Lines that are no row of the file, or one that stands somewhere already."""


@dataclass
class _Runs:
    """The processes that it took to fill one directory."""

    pieces: list[Finished] = field(default_factory=list)
    published: list[int] = field(default_factory=list)
    """Parts that stood when a process was killed."""

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)

    @property
    def peak(self) -> float:
        """Megabytes."""
        return max(piece.peak_bytes for piece in self.pieces) / 1e6


def measure_killed_runs(setting: Setting) -> Section:
    """Fill a directory in one go and another one with SIGKILL on the way, and compare them."""
    texts = short_texts([review.text for review in setting.test], fewest=_FEWEST_WORDS, most=_MOST_WORDS)
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        source, whole, killed = (Path(folder) / name for name in ("reviews.csv", "whole", "killed"))
        write_reviews(source, texts, _ROWS, broken_every=_BROKEN_EVERY)
        size = source.stat().st_size
        command = [sys.executable, "-m", "pipeline", "score", str(source), "--quiet"]
        command += ["--bundle", str(setting.bundle), "--threads", str(setting.threads)]
        unbroken = _Runs([_start([*command, "-o", f"{whole}/"])])
        parts = _parts_in(whole)
        broken = _run_and_kill([*command, "-o", f"{killed}/"], killed, unbroken.seconds, parts)
        started = time.perf_counter()
        unlike = unlike_files(whole, killed)
        checks = [check_rows(each, _ROWS) for each in (whole, killed)]
        checked = time.perf_counter() - started
    notes = [
        f"{_ROWS:,} rows, {size / 1e9:.2f} GB: cuts of test reviews, {_FEWEST_WORDS} to {_MOST_WORDS} words",
        f"one row in {_BROKEN_EVERY:,} broken; {setting.threads} threads; parts of 100,000 rows, {parts}",
        f"SIGKILL at {_KILLS} moments, one in each twentieth of the first run's time (seed {_SEED})",
        f"parts that stood at each kill, of {parts}: {' '.join(map(str, broken.published))}",
        f"every file compared by SHA-256, every line looked at, in {checked:.0f} s",
    ]
    table = _table((unbroken, broken), checks, unlike, notes)
    return Section([table], _figures(unbroken, broken, checks, unlike))


def kill_moments(seconds: float) -> list[float]:
    """Draw one moment from each of equal stretches of a time."""
    source = random.Random(_SEED)
    return [seconds * (number + source.random()) / _KILLS for number in range(_KILLS)]


def _run_and_kill(command: list[str], folder: Path, seconds: float, parts: int) -> _Runs:
    """Kill a run at moments of one that took so many seconds for so many parts; let the last one end."""
    runs, published = _Runs(), 0
    for moment in kill_moments(seconds):
        # What a killed process leaves is less than it had done: the next one is given time for that, too.
        kill_after = max(0.0, moment - seconds * published / parts)
        runs.pieces.append(_start(command, resume=bool(runs.pieces), kill_after=kill_after))
        if not runs.pieces[-1].was_killed:
            return runs
        published = _parts_in(folder)
        runs.published.append(published)
    runs.pieces.append(_start(command, resume=True))
    return runs


def _start(command: list[str], *, resume: bool = False, kill_after: float | None = None) -> Finished:
    more = ["--resume"] if resume else []
    return run_process([*command, *more], kill_after=kill_after, allowed=[_SOME_REJECTED])


def _parts_in(folder: Path) -> int:
    return len(list(folder.glob("part-*")))


def unlike_files(one: Path, other: Path) -> int:
    """Count the names that stand in one of two folders only, or with another content."""
    mine, theirs = ({each.name: sha256_of(each) for each in folder.iterdir()} for folder in (one, other))
    return sum(mine.get(name) != theirs.get(name) for name in mine.keys() | theirs.keys())


def check_rows(folder: Path, count: int) -> RowCheck:
    """Look at every line of a directory's parts and rejects, in memory of a byte a row.

    Args:
        folder: Of parts of JSON lines, all of one source.
        count: Rows of the source, numbered from 1.
    """
    seen = np.zeros(count + 1, dtype=np.uint8)
    scored = rejected = extra = 0
    for path in sorted(folder.glob("part-*.jsonl")):
        for rows, lines in _rows_of_blocks(path):
            scored += lines
            extra += lines - len(rows) + _tick_off(seen, rows)
    with (folder / "rejects.jsonl").open("rb") as stream:
        for line in stream:
            rejected += 1
            extra += _tick_off(seen, np.array([json.loads(line)["row"]]))
    missing = count - int(np.count_nonzero(seen[1:]))
    return RowCheck(scored, rejected, missing, extra)


def _tick_off(seen: NDArray[np.uint8], rows: NDArray[np.int64]) -> int:
    """Mark rows as seen; give how many of them had been, or are none."""
    is_row = (rows >= 1) & (rows < len(seen))
    known = np.unique(rows[is_row])
    new = known[seen[known] == 0]
    seen[new] = 1
    return len(rows) - len(new)


def _rows_of_blocks(path: Path) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield the row numbers of whole lines, many at a time, and how many lines these are."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            block += stream.readline()
            yield np.array(_SCORED.findall(block), dtype=np.int64), block.count(b"\n")


def _figures(unbroken: _Runs, broken: _Runs, checks: list[RowCheck], unlike: int) -> dict[Figure, Spread]:
    figures = {Figure.DURABLE_PEAK_MEMORY: Spread.over([max(unbroken.peak, broken.peak)])}
    # A run that was quicker than the first one may be done before it was killed often enough.
    if len(broken.published) == _KILLS:
        figures[Figure.DAMAGED_ROWS] = Spread.over([sum(check.missing + check.extra for check in checks)])
        figures[Figure.DAMAGED_FILES] = Spread.over([unlike])
    return figures


def _table(runs: tuple[_Runs, _Runs], checks: list[RowCheck], unlike: int, notes: list[str]) -> Table:
    names = "in one go", f"killed {len(runs[1].published)} times"
    rows = [
        [
            name,
            f"{len(each.pieces)}",
            number_text(each.seconds),
            "" if each is runs[0] else number_text(each.seconds / runs[0].seconds),
            number_text(each.peak),
            f"{check.scored:,} + {check.rejected:,}",
            f"{check.missing:,}",
            f"{check.extra:,}",
            "" if each is runs[0] else f"{unlike:,}",
        ]
        for name, each, check in zip(names, runs, checks, strict=True)
    ]
    head = [
        "run", "processes", "seconds", "× one go", "peak memory of a process, MB", "scored + rejected",
        "rows lost", "rows doubled", "files that differ",
    ]  # fmt: skip
    return Table("Killed and resumed", head, rows, notes)
