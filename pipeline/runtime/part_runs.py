"""Scores one part after another, each from where the one before it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, BinaryIO

from pipeline.errors import PlanError
from pipeline.runtime.durable import draft
from pipeline.runtime.jobs import score_rows
from pipeline.runtime.ledgers import Ledger
from pipeline.runtime.output_folder import OutputFolder
from pipeline.runtime.plan import Plan, PlannedFile
from pipeline.runtime.reading import Place, ReadTally
from pipeline.runtime.rows import Reject, Row
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import open_sink, reject_line
from pipeline.runtime.sources import read_files
from pipeline.runtime.summary import Summary


@dataclass(frozen=True)
class Part:
    """A slice of the rows of a plan that is to be scored."""

    number: int
    start: Place
    rows: Iterable[Row | Reject]
    """To be used up before the next part is asked for, or left: then they are only read."""
    blank_lines: int
    """How many had been skipped before the part began."""


class PartReader:
    """Finds out where each part of a plan begins, and reads the rows of those that are not published.

    Args:
        folder: Holds the plan's listing and what is published.
        plan: Says how many rows a part takes.
        place: Where to begin; the beginning where None.
    """

    def __init__(self, folder: OutputFolder, plan: Plan, place: Place | None = None) -> None:
        self._folder = folder
        self._plan = plan
        self.tally = ReadTally()
        self.count = 0
        """Parts of the plan, once all were given."""
        self.rows = 0
        """Rows of this shard's parts that lie behind, but for those that this process has scored."""
        self.tail = 0
        """Blank lines behind the last part, once all parts were given."""
        self._go_to(place or Place())

    def _go_to(self, place: Place) -> None:
        self.place = replace(place)
        self._rows = read_files(self._sized_files(), self._plan.read, self.tally, self.place)

    def _sized_files(self) -> Iterator[PlannedFile]:
        self._behind = self._size = 0
        for planned in self._folder.planned_files():
            self._behind += self._size
            self._size = planned.stamp.size if planned.stamp else 0
            yield planned
        self._behind, self._size = self._behind + self._size, 0

    @property
    def bytes_read(self) -> int:
        """Bytes of the inputs that lie behind, about: what is compressed counts when it is read whole."""
        return self._behind + min(self.place.offset, self._size)

    def parts(self, published: Callable[[Ledger], object] = lambda _ledger: None) -> Iterator[Part]:
        """Yield each part that is this shard's and is not published; ``published`` is shown the others."""
        plan, number = self._plan, 0
        while rows := plan.rows_of_part(number):
            if ledger := self._folder.find_ledger(number, plan.write.output_format):
                published(ledger)
                self.rows += ledger.summary.rows_in
                self._go_to(ledger.end)
            else:
                part = self.part(number, rows)
                if part is None:
                    break
                if plan.shard.owns(number):
                    yield part
                # What other shards or processes score is only read, to know where the next one begins.
                rows = sum(1 for _ in part.rows)
                self.rows += rows if plan.shard.owns(number) else 0
            number += 1
        self.count = number

    def part(self, number: int, rows: int) -> Part | None:
        """Give the part that begins here; None where no row is left for it, unless it is the first."""
        start, blank_lines = replace(self.place), self.tally.blank_lines
        first = list(islice(self._rows, 1))
        if not first and number:
            self.tail = self.tally.blank_lines - blank_lines
            return None
        return Part(number, start, chain(first, islice(self._rows, rows - 1)), blank_lines)


def score_part(
    folder: OutputFolder,
    plan: Plan,
    scorer: Scorer,
    reader: PartReader,
    part: Part,
    watch: Callable[[Summary], object],
) -> Summary:
    """Score one part and publish it: its ledger first, then the part, each by one rename.

    Returns:
        Its counts.

    Raises:
        InputOutputError: If something cannot be written; the part is not published then, or whole.
    """
    path = folder.part_path(part.number, plan.write.output_format)
    with draft(folder.ledger_path(part.number)) as ledger, draft(path) as written:
        stream: Any = _Digested(written.stream)
        sink = open_sink(stream, plan.write.output_format, plan.write.kept_as)
        summary = score_rows(
            part.rows,
            scorer,
            sink,
            lambda reject: ledger.stream.write(reject_line(reject)),
            watch=watch,
        )
        sink.close()
        summary.blank_lines = reader.tally.blank_lines - part.blank_lines
        closing = Ledger(part.start, replace(reader.place), stream.size, stream.sha256, summary)
        ledger.stream.write(closing.to_line())
        ledger.publish()
        written.publish()
    folder.sync()
    return summary


class _Digested:
    """Passes bytes on to a stream and keeps their number and SHA-256."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        self.size += len(content)
        return self._stream.write(content)

    def flush(self) -> None:
        self._stream.flush()


def add_up(folder: OutputFolder, plan: Plan, count: int) -> Summary:
    """Add up the ledgers of this shard's parts, seeing to it that each goes on where the last ended.

    Raises:
        PlanError: If one is not there, or rows are missing or double between two.
    """
    total, before = Summary(), None
    for number in range(count):
        if not plan.shard.owns(number):
            continue
        ledger = folder.find_ledger(number, plan.write.output_format)
        if ledger is None:
            name = folder.part_path(number, plan.write.output_format).name
            msg = f"{folder.shown}: {name} is gone, or not what was published; --resume scores it again"
            raise PlanError(msg)
        if plan.shard.of == 1 and ledger.start != (before or Place()):
            msg = f"part {number} does not begin where the one before it ended; start anew with --overwrite"
            raise PlanError(msg)
        before = ledger.end
        total.merge(ledger.summary)
    total.check_conservation()
    return total
