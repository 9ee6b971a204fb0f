"""Scores mutants through the real path and holds what comes out against a plain reading of them."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from pipeline.errors import UsageError
from pipeline.runtime.drift import compare, tell
from pipeline.runtime.file_rows import FileReader
from pipeline.runtime.jobs import score_rows
from pipeline.runtime.listing import InputFile, Inputs, list_files, open_inputs
from pipeline.runtime.reading import InputFormat, Place, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, Row, printable
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import COLUMNS, OutputFormat, open_sink, reject_line
from pipeline.runtime.sources import check_inputs, read_rows
from pipeline.runtime.summary_reading import merge_works, read_works
from tests.faults.mutants import LISTED, gz_format, mutant
from tests.faults.plain_reading import BrokenError, plain_bytes, plain_paths, plain_rows
from tests.stand_ins import make_scorer

GROUP = 50
"""Mutants that are files of one run: a broken one must not cost another."""
_ENCODINGS = (None, None, None, "latin-1", "cp1252", "utf-16", "utf-8")
_OUTPUTS = (OutputFormat.JSONL, OutputFormat.CSV)


@dataclass
class Tally:
    """What became of some mutants."""

    mutants: int = 0
    refused: int = 0
    """Mutants that were refused as a whole, with a reason that may be given for them."""
    crashes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    rows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    """By code."""

    def add(self, other: Tally) -> None:
        """Add another tally."""
        self.mutants += other.mutants
        self.refused += other.refused
        self.rows += other.rows
        self.crashes += other.crashes
        self.violations += other.violations
        self.rejects += other.rejects


class Fuzzer:
    """Tries mutants, as files of a folder, which becomes the working one.

    Args:
        folder: Empty.
        note: Told the number of each mutant before it is tried.
    """

    def __init__(self, folder: Path, note: Callable[[int], object] = lambda _number: None) -> None:
        self._folder = folder
        self._note = note
        self._scorer: Scorer = make_scorer()
        self.tally = Tally()
        os.chdir(folder)
        for name, content in LISTED.items():
            path = folder / os.fsdecode(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def run(self, kind: str, numbers: range) -> Tally:
        """Try some mutants of a kind."""
        groups = [numbers[first : first + GROUP] for first in range(0, len(numbers), GROUP)]
        for group in groups if kind not in ("list", "summary") else [[number] for number in numbers]:
            self.tally.mutants += len(group)
            if not self._caught(kind, group) and len(group) > 1:
                # Each by itself says which one it was; together they may still be needed.
                before = len(self.tally.crashes) + len(self.tally.violations)
                for number in group:
                    self._caught(kind, [number])
                if len(self.tally.crashes) + len(self.tally.violations) == before:
                    self.tally.violations.append(f"{kind} {group[0]} to {group[-1]}, only together")
        return self.tally

    def _caught(self, kind: str, numbers: Sequence[int]) -> bool:
        """Try a group; whatever is wrong with one is tallied, but not with several."""
        try:
            self.check(kind, numbers)
        except Exception as error:  # noqa: BLE001  # Any is what is looked for.
            what = error
        else:
            return True
        found = self.tally.violations if isinstance(what, AssertionError) else self.tally.crashes
        if len(numbers) == 1:
            where = " < ".join(
                f"{each.name}:{each.lineno}" for each in traceback.extract_tb(what.__traceback__)[:-4:-1]
            )
            found.append(f"{kind} {numbers[0]}: {type(what).__name__}: {str(what)[:300]} ({where})")
        return False

    def check(self, kind: str, numbers: Sequence[int]) -> None:
        """Try mutants together.

        Raises:
            AssertionError: If a promise is broken.
        """
        if kind == "summary":
            self._check_summary(numbers[0])
        elif kind == "list":
            self._check_list(numbers[0])
        else:
            self._check_files(kind, numbers)

    def _check_files(self, kind: str, numbers: Sequence[int]) -> None:
        chosen, options = (
            gz_format(numbers[0]) if kind == "gz" else InputFormat(kind),
            _options(kind, numbers[0]),
        )
        options = replace(options, input_format=chosen)
        wanted: dict[str, int] = {}
        for number in numbers:
            self._note(number)
            content = mutant(kind, number)
            name = f"m{number % GROUP}"
            Path(name).write_bytes(content)
            try:
                check_inputs(Inputs((name,)), options)
            except UsageError as refusal:
                assert chosen in (InputFormat.CSV, InputFormat.TSV, InputFormat.PARQUET), (
                    "only a header can be refused"
                )
                _check_message(str(refusal))
                self.tally.refused += 1
                continue
            found = _read_twice(InputFile(name, chosen), options, random.Random(number))
            _check_reading(name, found, content, options)
            wanted[name] = len(found) - (found[-1].row == 0 if found else 0)
        rows = read_rows(Inputs(tuple(wanted)), options)
        self._score(rows, options.keep_columns, wanted, _OUTPUTS[numbers[0] // GROUP % 2])

    def _score(
        self,
        rows: Iterable[Row | Reject],
        kept: tuple[str, ...],
        wanted: dict[str, int] | None,
        written: OutputFormat,
    ) -> None:
        """Score rows, and hold output and rejects against the number of rows wanted of each source."""
        out, rejects = io.BytesIO(), io.BytesIO()
        sink = open_sink(out, written, kept)
        summary = score_rows(rows, self._scorer, sink, lambda reject: rejects.write(reject_line(reject)))
        sink.close()
        scored = _parsed(out.getvalue().decode(), written, [*COLUMNS, *kept])
        rejected = [json.loads(line) for line in rejects.getvalue().decode().split("\n")[:-1]]
        for each in rejected:
            assert set(each) == {"source", "row", "code", "message", "line", "offset"}
            _check_message(each["message"])
        assert len(scored) == summary.scored
        assert summary.rows_in == summary.scored + summary.rejected.total() == len(scored) + len(rejected)
        assert summary.rejected == Counter(each["code"] for each in rejected)
        numbers: dict[str, list[int]] = {}
        for source, row in [*scored, *((each["source"], each["row"]) for each in rejected)]:
            numbers.setdefault(source, []).append(row)
        for source, found in numbers.items():
            rows_of_file = sorted(filter(None, found))
            assert rows_of_file == list(range(1, len(rows_of_file) + 1)), f"rows of {source}: {found}"
            assert found.count(0) <= 1
            assert wanted is None or len(rows_of_file) == wanted[source]
        assert scored == sorted(scored, key=lambda each: list(numbers).index(each[0])) or wanted is None
        self.tally.rows += summary.rows_in
        self.tally.rejects += summary.rejected

    def _check_list(self, number: int) -> None:
        self._note(number)
        content = mutant("list", number)
        Path("list").write_bytes(content)
        plain = list(plain_paths(content))
        with mock.patch.object(
            sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(b"good\n?!")))
        ):
            try:
                with open_inputs((), "list") as inputs:
                    assert inputs.files_from is not None
                    with suppress(UsageError):  # Of an empty list; below it has to come again.
                        found = [os.fsencode(path) for _, path in inputs.files_from.paths()]
                        assert found == plain
                    check_inputs(inputs, ReadOptions())
                    listed = [file.name for file in list_files(inputs, ReadOptions(), ReadTally())]
                    if all(map(os.path.isfile, plain)):
                        assert [os.fsencode(name) for name in listed] == plain
                    self._score(read_rows(inputs, ReadOptions()), (), None, _OUTPUTS[number % 2])
            except UsageError as refusal:
                _check_message(str(refusal))
                self.tally.refused += 1

    def _check_summary(self, number: int) -> None:
        self._note(number)
        content = mutant("summary", number)
        Path("summary").write_bytes(content)
        try:
            work = merge_works(read_works(["summary"]))
        except UsageError as refusal:
            _check_message(str(refusal))
            self.tally.refused += 1
            return
        record = json.loads(plain_bytes(content, None))
        counts = [sum(each["counts"]) for each in record["histograms"].values()]
        assert counts == [record["scored"]] * len(counts)
        assert (work.scored, work.rows_in) == (record["scored"], record["rows_in"])
        assert work.scored <= work.rows_in
        if work.reference is not None:
            drifts = compare(work.reference, work.histograms)
            _check_message(tell(drifts))
            json.dumps([asdict(each) for each in drifts], allow_nan=False)


def _options(kind: str, number: int) -> ReadOptions:
    """Choose how a group is read: every option has its turn."""
    source = random.Random(f"options {kind} {number // GROUP}")
    chosen = gz_format(number) if kind == "gz" else InputFormat(kind)
    has_columns = chosen not in (InputFormat.TEXT, InputFormat.LINES)
    is_parquet = chosen is InputFormat.PARQUET
    return ReadOptions(
        encoding=None if is_parquet else source.choice(_ENCODINGS),
        keep_columns=("more",) if has_columns and source.random() < 0.4 else (),
    )


def _read_twice(file: InputFile, options: ReadOptions, source: random.Random) -> list[Row | Reject]:
    """Read a file, and once more from a random place in it: that has to give the same rest."""
    place, found, places = Place(), [], []
    for item in FileReader(file, options, ReadTally(), place).rows():
        found.append(item)
        places.append(replace(place))
    assert place == Place(file=1)
    if found:
        behind = source.randrange(len(found))
        # Behind the last row there is only the next file.
        again = (
            [] if places[behind].file else list(FileReader(file, options, ReadTally(), places[behind]).rows())
        )
        assert again == found[behind + 1 :], f"reading on behind row {behind + 1} gives another rest"
    return found


def _check_reading(name: str, found: list[Row | Reject], content: bytes, options: ReadOptions) -> None:
    rows = [each for each in found if each.row]
    assert [each.row for each in rows] == list(range(1, len(rows) + 1))
    assert len(found) - len(rows) <= 1
    assert all(each.source == name for each in found)
    assert options.input_format is not None
    try:
        wanted = plain_rows(content, options.input_format, options)
    except BrokenError:
        assert isinstance(found[-1], Reject)
        assert found[-1].code in ("corrupted", "invalid_encoding", "too_long")
        return
    is_gzip = content.startswith(b"\x1f\x8b\x08")
    if wanted is None or (is_gzip and [each.row for each in found] == [0] and _is_odd_gzip(content)):
        return
    assert [each.text if isinstance(each, Row) else None for each in found] == wanted


def _is_odd_gzip(content: bytes) -> bool:
    """Tell of data which Python's gzip reads and zlib does not: flags that it passes over, in any member."""
    return bool(content[3] & 0xE2) or content.count(b"\x1f\x8b") > 1


def _parsed(text: str, written: OutputFormat, columns: list[str]) -> list[tuple[str, int]]:
    """Give source and row of every line of an output, each with exactly its columns."""
    if written is OutputFormat.JSONL:
        assert text.endswith("\n") or not text
        records = [json.loads(line) for line in text.split("\n")[:-1]]
        assert all(list(record) == columns for record in records)
    else:
        header, *cells = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert header == columns
        assert all(len(row) == len(columns) for row in cells)
        # An apostrophe stands before what a spreadsheet would run.
        records = [dict(zip(columns, (row[0].removeprefix("'"), *row[1:]), strict=True)) for row in cells]
    assert all(0 <= float(record["score"]) <= 1 for record in records)
    return [(record["source"], int(record["row"])) for record in records]


def _check_message(message: str) -> None:
    assert message
    assert message == printable(message), "a message could hide or reorder what stands around it"
