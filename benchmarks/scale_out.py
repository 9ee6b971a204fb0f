"""Contest: the same parts over a Dask cluster of this machine, against processes of ``resenha score``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.cluster_model import Costs, simulate
from benchmarks.dask_run import DaskRun
from benchmarks.killed_runs import unlike_files
from benchmarks.pairing import Rounds, Spread, take_turns
from benchmarks.processes import run_process
from benchmarks.review_files import write_reviews
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from pipeline.errors import ResenhaError
from pipeline.runtime.listing import Inputs
from pipeline.runtime.reading import ReadOptions
from pipeline.runtime.sources import read_rows

_ROWS, _LONG_ROWS, _PARTS = 100_000, 1_000_000, 20
_ROUNDS = 3
_WORKERS = (1, 2)
_SMALL_ROWS, _FEW, _MANY = 2_000, 2, 400
"""So many rows in few parts and in many: the difference is what parts cost by themselves."""
_CLUSTER, _CLUSTER_ROWS = 100, 10**9
_RUNS = 10
_PART_SIZES = (10**4, 10**5, 10**6, 10**7)


class Turns:
    """Scores one file in many ways, in processes whose seconds it adds up, and compares what comes out."""

    def __init__(self, setting: Setting, folder: Path, rows: int) -> None:
        self._folder = folder
        self._seconds = 0.0
        self.rows = rows
        self.source = folder / "reviews.csv"
        write_reviews(self.source, [review.text for review in setting.test], rows)
        self._run = DaskRun(str(self.source), "", str(setting.bundle), 1, rows // _PARTS)
        self.ready: list[float] = []
        """Seconds until a cluster was there."""
        self.compared = 0
        """Directories that were found equal to the first one."""

    def __call__(self) -> float:
        """Give the seconds that all processes took until now."""
        return self._seconds

    def score(self, workers: int, *, with_dask: bool, is_to_kill: bool = False) -> None:
        """Fill a directory.

        Raises:
            ResenhaError: If it holds other bytes than the first one.
        """
        first, output = self._folder / "first", self._folder / "next"
        run = replace(self._run, workers=workers, is_to_kill=is_to_kill)
        if not first.exists():
            self._start(replace(run, output=str(first)), with_dask=with_dask)
            return
        self._start(replace(run, output=str(output)), with_dask=with_dask)
        unlike = unlike_files(first, output)
        if unlike:
            msg = f"{run}: {unlike} files differ from those of the first run"
            raise ResenhaError(msg)
        self.compared += 1

    def _start(self, run: DaskRun, *, with_dask: bool) -> float:
        shutil.rmtree(run.output, ignore_errors=True)
        # What another has left to be written is not to be waited for in this turn.
        os.sync()
        plain = [sys.executable, "-m", "pipeline", "score", *run.options()]
        seconds = run_process(run.command() if with_dask else plain).seconds
        self._seconds += seconds
        if with_dask:
            self.ready.append(json.loads(run.costs.read_text())["ready"])
        return seconds

    def costs(self, score: float) -> Costs:
        """Measure what parts cost by themselves, and reading.

        Args:
            score: Seconds a row, of one process.
        """
        taken = {}
        for parts in (_FEW, _MANY):
            output = str(self._folder / f"{parts}-parts")
            run = replace(self._run, output=output, part_rows=_SMALL_ROWS // parts, limit=_SMALL_ROWS)
            seconds = self._start(run, with_dask=True)
            told = json.loads(run.costs.read_text())
            taken[parts] = seconds - told["ready"], told["processor"]
        (few, spent_few), (many, spent_many) = taken[_FEW], taken[_MANY]
        started = time.process_time()
        deque(read_rows(Inputs((str(self.source),)), ReadOptions()), maxlen=0)
        scan = (time.process_time() - started) / self.rows
        hand = (spent_many - spent_few) / (_MANY - _FEW)
        return Costs(scan=scan, hand=hand, score=score, open=(many - few) / (_MANY - _FEW))


def measure(setting: Setting) -> Section:
    """Score a file by processes and over a cluster, in turns, then once with a worker killed."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        turns = Turns(setting, Path(folder), _LONG_ROWS if setting.is_long else _ROWS)
        turns.score(1, with_dask=False)
        contenders = {
            _name(workers, with_dask): partial(turns.score, workers, with_dask=with_dask)
            for workers in _WORKERS
            for with_dask in (False, True)
        }
        rounds = take_turns(contenders, rounds=_ROUNDS, clock=turns)
        started = turns()
        turns.score(max(_WORKERS), with_dask=True, is_to_kill=True)
        killed = turns() - started
        costs = turns.costs(rounds.time(_name(1, False)).median / turns.rows)
    return Section([_measured(turns, rounds, killed), _foreseen(costs)])


def _name(workers: int, with_dask: bool) -> str:
    return f"Dask, {workers} of 1 thread" if with_dask else f"`score --workers {workers} --threads 1`"


def _measured(turns: Turns, rounds: Rounds, killed: float) -> Table:
    rows = []
    for workers in _WORKERS:
        plain, over_dask = _name(workers, False), _name(workers, True)
        lost = rounds.ratio(over_dask, plain)
        rows += [
            [plain, spread_text(rounds.time(plain)), spread_text(rounds.rate(plain, turns.rows)), ""],
            [
                over_dask,
                spread_text(rounds.time(over_dask)),
                spread_text(rounds.rate(over_dask, turns.rows)),
                spread_text(Spread(*(100 * (1 - 1 / each) for each in (lost.median, lost.low, lost.high)))),
            ],
        ]
    rows.append([f"{over_dask}, one killed", number_text(killed), number_text(turns.rows / killed), ""])
    notes = [
        f"{turns.rows:,} rows in {_PARTS} parts, {_ROUNDS} rounds, each process from its start to its end",
        f"a cluster is there after {spread_text(Spread.over(turns.ready), ' s')}",
        f"{turns.compared} directories compared by SHA-256 with the first one: all equal",
        "one killed: a worker gets SIGKILL when three tenths are scored; its parts are scored again",
    ]
    return Table("Over a Dask cluster", ["way", "seconds", "reviews/s", "lost to Dask, %"], rows, notes)


def _foreseen(costs: Costs) -> Table:
    rows = []
    for part_rows in _PART_SIZES:
        run = simulate(costs, rows=_CLUSTER_ROWS, part_rows=part_rows, workers=_CLUSTER)
        one = part_rows * costs.score + costs.open
        rows.append(
            [
                f"{part_rows:,}",
                f"{_CLUSTER_ROWS // part_rows:,}",
                number_text(run.seconds),
                f"{run.busy:.0%}",
                run.bottleneck,
                number_text(one),
            ]
        )
    apart = simulate(costs, rows=_CLUSTER_ROWS // _RUNS, part_rows=10**5, workers=_CLUSTER // _RUNS)
    per_row = f"reads a row in {1e6 * costs.scan:.1f} µs, a worker scores one in {1e6 * costs.score:.0f} µs"
    per_part = f"parent and scheduler {1e3 * costs.hand:.1f} ms, a worker {1e3 * costs.open:.0f} ms"
    notes = [
        f"simulated, see benchmarks/cluster_model.py: {_CLUSTER_ROWS:,} rows, {_CLUSTER} workers of 1 thread",
        f"measured here: the parent {per_row}; a part costs {per_part}",
        f"one parent's reading keeps no more than {costs.score / costs.scan:.0f} workers busy",
        f"{_RUNS} runs at once, each of a share of the files and workers: {number_text(apart.seconds)} s",
        "--shard helps nothing where reading is what takes the time: each shard reads past all rows",
    ]
    head = [
        "rows a part", "parts", "seconds", "workers busy", "what takes the time", "seconds that a kill costs",
    ]  # fmt: skip
    return Table("A hundred workers, as far as can be foreseen", head, rows, notes)
