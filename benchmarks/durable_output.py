"""Contest: a directory that survives a crash, against plain standard output."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.killed_runs import measure_killed_runs
from benchmarks.machine import is_installed
from benchmarks.pairing import ROUNDS, Rounds, take_turns
from benchmarks.processes import Finished, run_process
from benchmarks.review_files import write_reviews
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from benchmarks.targets import Figure
from pipeline.errors import ResenhaError

_ROWS, _BROKEN_EVERY = 200_000, 100
_INFORMATION_ROUNDS = 3
_FINISHED, _SOME_REJECTED = 0, 3
_PLAIN, _DIRECTORY = "`score reviews.csv > file`", "`score reviews.csv -o out/`"
_WITH_REJECTS = f"{_DIRECTORY}, 1 % of the rows broken"


@dataclass(frozen=True)
class Side:
    """One way to score a file."""

    name: str
    source: Path
    rival: str
    """The side that its speed is held against."""
    options: tuple[str, ...] = ()
    to_directory: bool = True
    rows: int = _ROWS
    """Of the file."""
    rejected: int = 0
    """Those of them that cannot be scored."""


class Turns:
    """Runs a side in a process of its own, and is the clock that counts the seconds of processes alone."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self._command = [
            sys.executable,
            "-m",
            "pipeline",
            "score",
            "--bundle",
            str(setting.bundle),
            "--quiet",
        ]
        self._folder = folder
        self._threads = setting.threads
        self._seconds = 0.0
        self.written: dict[str, int] = {}
        """Bytes of the output, by side."""
        self.peak: dict[str, int] = {}
        """The most memory that a process held, by side."""

    def __call__(self) -> float:
        """Give the seconds that all processes took until now."""
        return self._seconds

    def run(self, side: Side) -> None:
        """Score a file anew and see to it that every row came out.

        Raises:
            ResenhaError: If the run failed or a row is missing.
        """
        file, directory = self._folder / "out.jsonl", self._folder / "out"
        file.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        # What another has left to be written is not to be waited for in this turn.
        os.sync()
        finished = self._start(side, None if side.to_directory else file, directory)
        self._seconds += finished.seconds
        self.peak[side.name] = max(finished.peak_bytes, self.peak.get(side.name, 0))
        self.written[side.name] = size_of(directory if side.to_directory else file)
        scored, rejected = _counts(directory) if side.to_directory else (_line_count(file), side.rejected)
        if (scored, rejected) != (side.rows - side.rejected, side.rejected):
            msg = f"{side.name}: {scored:,} rows scored and {rejected:,} rejected, of {side.rows:,}"
            raise ResenhaError(msg)

    def _start(self, side: Side, output: Path | None, directory: Path) -> Finished:
        threads = () if "--threads" in side.options else ("--threads", str(self._threads))
        target = ("-o", f"{directory}/") if side.to_directory else ()
        command = [*self._command, str(side.source), *target, *side.options, *threads]
        return run_process(command, output=output, allowed=[_SOME_REJECTED if side.rejected else _FINISHED])


def measure(setting: Setting) -> Section:
    """Score the same rows to standard output and into a directory, then, if it may be long, kill runs."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        section = _against_plain(setting, Path(folder))
    if not setting.is_long:
        return section
    more = measure_killed_runs(setting)
    return Section([*section.tables, *more.tables], {**section.figures, **more.figures})


def _against_plain(setting: Setting, folder: Path) -> Section:
    texts = [review.text for review in setting.test]
    whole, broken = folder / "reviews.csv", folder / "broken.csv"
    write_reviews(whole, texts, _ROWS)
    rejected = write_reviews(broken, texts, _ROWS, broken_every=_BROKEN_EVERY)
    sides = [
        Side(_PLAIN, whole, _PLAIN, to_directory=False),
        Side(_DIRECTORY, whole, _PLAIN),
        Side(_WITH_REJECTS, broken, _PLAIN, rejected=rejected),
        Side(f"{_DIRECTORY} --workers 2 --threads 1", whole, _PLAIN, ("--workers", "2", "--threads", "1")),
    ]
    turns = Turns(setting, folder)
    rounds = _take_turns(turns, sides, ROUNDS)
    rows = _rows(turns, rounds, sides)
    others = _other_formats(folder, whole)
    rows += _rows(turns, _take_turns(turns, others, _INFORMATION_ROUNDS), others)
    if not is_installed("pyarrow"):
        rows.append(["Parquet", *["not installed"] * 5])
    head = ["command", "seconds", "reviews/s", "share of plain speed", "MB written", "peak memory, MB"]
    notes = [
        f"{_ROWS:,} rows, the test reviews over and over, the start of the process included",
        f"{setting.threads} threads where no other number is named; files and directories on one disk",
        "a directory: parts of 100,000 rows, ledgers, histograms, every file synced, the counts checked",
        f"other formats: {_INFORMATION_ROUNDS} rounds, each against the same file to standard output",
    ]
    figures = {
        Figure.DURABLE_SPEED: rounds.ratio(_PLAIN, _DIRECTORY),
        Figure.DURABLE_SPEED_WITH_REJECTS: rounds.ratio(_PLAIN, _WITH_REJECTS),
    }
    return Section([Table("A directory against standard output", head, rows, notes)], figures)


def _other_formats(folder: Path, whole: Path) -> list[Side]:
    """Write the same rows in other formats; each is scored both ways."""
    packed = folder / "reviews.csv.gz"
    with whole.open("rb") as read, gzip.open(packed, "wb", compresslevel=6) as written:
        shutil.copyfileobj(read, written, 1 << 20)
    plain = "`score reviews.csv.gz > file`"
    sides = [
        Side(plain, packed, plain, to_directory=False),
        Side("`score reviews.csv.gz -o out/`", packed, plain),
    ]
    if is_installed("pyarrow"):
        from pyarrow import csv, parquet

        table = folder / "reviews.parquet"
        options = csv.ParseOptions(newlines_in_values=True)
        parquet.write_table(csv.read_csv(whole, parse_options=options), table)
        plain, as_parquet = "`score reviews.parquet > file`", ("--output-format", "parquet")
        sides += [
            Side(plain, table, plain, to_directory=False),
            Side("`score reviews.parquet -o out/ --output-format parquet`", table, plain, as_parquet),
        ]
    return sides


def _take_turns(turns: Turns, sides: Sequence[Side], rounds: int) -> Rounds:
    # The first reading of the file, and of the program, is nobody's.
    turns.run(sides[0])
    return take_turns({side.name: partial(turns.run, side) for side in sides}, rounds=rounds, clock=turns)


def _rows(turns: Turns, rounds: Rounds, sides: Sequence[Side]) -> list[list[str]]:
    return [
        [
            side.name,
            spread_text(rounds.time(side.name)),
            spread_text(rounds.rate(side.name, side.rows)),
            "" if side.rival == side.name else spread_text(rounds.ratio(side.rival, side.name)),
            number_text(turns.written[side.name] / 1e6),
            number_text(turns.peak[side.name] / 1e6),
        ]
        for side in sides
    ]


def size_of(path: Path) -> int:
    """Give the bytes of a file, or of all the files of a folder."""
    return sum(each.stat().st_size for each in (path.iterdir() if path.is_dir() else [path]))


def _counts(directory: Path) -> tuple[int, int]:
    page = json.loads((directory / "_summary.json").read_bytes())
    return page["scored"], sum(page["rejected"].values())


def _line_count(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(1 for _ in stream)
