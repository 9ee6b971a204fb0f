"""A run into an output directory: made or gone on with, part by part, and finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import ResenhaError, UsageError
from pipeline.runtime.listing import Inputs, list_files
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.opening import STDIN
from pipeline.runtime.output_folder import OutputFolder
from pipeline.runtime.part_runs import PartReader, add_up, score_part
from pipeline.runtime.part_scorer import Assignment
from pipeline.runtime.plan import (
    WHOLE,
    Plan,
    PlannedFile,
    check_listing,
    check_plan,
    stamp_files,
    write_listing,
)
from pipeline.runtime.reading import Place, ReadTally
from pipeline.runtime.rows import printable
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.summary import Summary, summary_record
from pipeline.runtime.workers import Workers


class PartScorers(Protocol):
    """Those who score parts side by side, wherever they are."""

    def score(self, number: int, start: Place) -> None:
        """Hand a part out, once one is free for it; raises what has failed meanwhile."""

    def finish(self) -> None:
        """Wait until every part that was handed out is published; raises as ``score`` does."""


Crew = Callable[[Assignment, Monitor], AbstractContextManager[PartScorers]]
"""Calls scorers of parts together for one run; what they do is told to the monitor."""


@dataclass(frozen=True)
class FolderRun:
    """What is to become of a directory; the plan still lacks its inputs' totals."""

    inputs: Inputs
    plan: Plan
    bundle: Path
    reference: dict[str, Any] | None
    """Histograms that the bundle carries."""
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    threads: int = 1
    """Of each worker."""
    crew: Crew | None = None
    """Scores the parts; where None, as many processes of this machine as there are workers do."""

    @property
    def is_shared(self) -> bool:
        """Whether more than this process reads the inputs."""
        return self.crew is not None or self.workers > 1 or self.plan.shard != WHOLE


def prepare(folder: OutputFolder, run: FolderRun) -> Plan:
    """Fix the plan of a new run, or see to it that the one that is there is the same.

    Raises:
        UsageError: If the directory holds something else, or a run that was not to be gone on with.
        PlanError: If the run that is to go on is another one.
    """
    foreign = folder.foreign_name()
    if foreign is not None:
        msg = f"{folder.shown} holds {printable(foreign)}, which no run has written; name an empty directory"
        raise UsageError(msg)
    planned = folder.read_plan() if not run.overwrite else None
    if planned is None:
        unplanned = folder.foreign_name(is_planned=run.overwrite)
        if unplanned is not None:
            msg = f"{folder.shown} holds {printable(unplanned)} and no plan; --overwrite removes it"
            raise UsageError(msg)
        return _make_plan(folder, run)
    if not run.resume:
        msg = f"{folder.shown} holds a run already: --resume goes on with it, --overwrite starts anew"
        raise UsageError(msg)
    check_plan(planned, run.plan.to_record())
    check_listing(folder.planned_files(), _found(run, ReadTally()))
    folder.remove_leftovers()
    return Plan.from_record(planned)


def _make_plan(folder: OutputFolder, run: FolderRun) -> Plan:
    folder.clear()
    tally = ReadTally()
    with folder.listing() as stream:
        totals = write_listing(_found(run, tally), stream)
    plan = replace(run.plan, inputs=replace(totals, passed_over=tally.passed_over))
    folder.write_plan(plan)
    return plan


def _found(run: FolderRun, tally: ReadTally) -> Iterator[PlannedFile]:
    for planned in stamp_files(list_files(run.inputs, run.plan.read, tally), run.plan.check):
        if planned.file.name == STDIN and run.is_shared:
            msg = (
                "standard input can be read by one process only: leave out --workers and --shard,"
                " or name a file where a cluster scores"
            )
            raise UsageError(msg)
        yield planned


def run_folder(
    folder: OutputFolder,
    plan: Plan,
    run: FolderRun,
    scorer: Scorer,
    *,
    monitor: Monitor,
    follow: Callable[[PartReader], object] = lambda _reader: None,
) -> dict[str, Any]:
    """Score what is not published yet, and finish.

    Args:
        folder: Held by this run.
        plan: Its plan, from ``prepare``.
        run: What was asked for.
        scorer: Cuts batches as the plan says.
        monitor: Told of every row, those that were published before included.
        follow: Given the reader, to look how far it has come.

    Returns:
        The record of the summary, as it stands in the directory.
    """
    if folder.is_finished:
        folder.sync()  # Which the run that finished may not have come to.
        page = folder.read_summary()
        if all(folder.find_ledger(each, plan.write.output_format) for each in _own(plan, page["parts"])):
            return page
        folder.unfinish()
    reader = PartReader(folder, plan)
    follow(reader)
    parts = reader.parts(lambda ledger: _count(monitor, ledger.summary))
    try:
        if run.crew is None and run.workers == 1:
            for part in parts:
                score_part(folder, plan, scorer, reader, part, monitor.follow())
        else:
            with _call_together(folder, plan, run, monitor) as scorers:
                for part in parts:
                    scorers.score(part.number, part.start)
                scorers.finish()
    except BaseException:
        # What a worker that was stopped has left; that the run was stopped is the news.
        with suppress(ResenhaError):
            folder.remove_leftovers()
        raise
    monitor.check_end()
    return _finish(folder, plan, reader, run.reference)


def _call_together(
    folder: OutputFolder, plan: Plan, run: FolderRun, monitor: Monitor
) -> AbstractContextManager[PartScorers]:
    assignment = Assignment(
        # Absolute: they may be at work in another folder.
        folder=str(folder.path.absolute()),
        plan=plan.to_record()["digest"],
        bundle=str(run.bundle.absolute()),
        bundle_digest=plan.bundle["digest"],
        threads=run.threads,
    )
    if run.crew is not None:
        return run.crew(assignment, monitor)
    return Workers(folder, assignment, count=run.workers, monitor=monitor)


def describe(run: FolderRun) -> dict[str, Any]:
    """Give the plan of a run, as JSON can hold it, without doing any of it."""
    tally = ReadTally()
    with Path(os.devnull).open("wb") as nowhere:
        totals = write_listing(_found(run, tally), nowhere)
    return replace(run.plan, inputs=replace(totals, passed_over=tally.passed_over)).to_record()


def describe_published(path: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what of a plan, given as its record, is published in a directory."""
    suffix = plan["write"]["output_format"]
    published = len(list(path.glob(f"part-*.{suffix}"))) if path.is_dir() else 0
    found = OutputFolder(path).read_plan() if published else None
    is_same = found is not None and found["digest"] == plan["digest"]
    return {"published_parts": published, "published_by_this_plan": is_same}


def _count(monitor: Monitor, summary: Summary) -> None:
    monitor.add(summary.rows_in, summary.rejected.total(), is_new=False)


def _finish(
    folder: OutputFolder, plan: Plan, reader: PartReader, reference: dict[str, Any] | None
) -> dict[str, Any]:
    summary = add_up(folder, plan, reader.count)
    if plan.shard.number == 1:
        # What belongs to no part is counted by one shard.
        summary.blank_lines += reader.tail
        summary.passed_over = plan.inputs.passed_over
    record = plan.to_record()
    about = {
        "plan": record["digest"],
        "parts": reader.count,
        "shard": str(plan.shard),
        "versions": record["versions"],
    }
    page = summary_record(summary, plan.bundle, reference, about)
    lines = (line for number in _own(plan, reader.count) for line in folder.reject_lines(number))
    folder.finish(lines, page)
    return page


def _own(plan: Plan, count: int) -> Iterator[int]:
    """Yield the numbers of this shard's parts."""
    return filter(plan.shard.owns, range(count))
