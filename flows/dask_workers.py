"""Scores the parts of a run over a Dask cluster.

One process finds where each part begins and hands the parts out, a few more than the cluster has threads;
what travels is paths, a place and some counts. A part that is lost with its worker is scored again by
another, which publishes the same bytes. An error of the pipeline's own is raised where the parts are handed
out; it is a worker's answer, so that Dask neither logs it nor tries again.

Dask is spoken to directly, from one Prefect task: as Prefect tasks of their own, by prefect-dask, parts took
94 to 143 ms more each on two cores, against 0 to 4 ms (200 parts of 50 rows), and about all of it in the one
server, which so takes no more than ten parts a second however many workers there are. Its workers import
Prefect, which made the shortest run 18 s long instead of 5 s, and nothing bounds how many parts are in
flight, or how many finished ones are scored again because the worker that held their counts was killed.
"""

from __future__ import annotations

import os
import queue
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from distributed import Client, Future, KilledWorker, Status, get_worker
from distributed.comm import CommClosedError

from pipeline.errors import InterruptedRun, ResenhaError, UsageError
from pipeline.runtime.folder_runs import Crew
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.opening import STDIN
from pipeline.runtime.output_folder import PLAN, OutputFolder
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.plan_lock import hold_plan_alone
from pipeline.runtime.reading import Place
from pipeline.runtime.rows import printable
from pipeline.runtime.summary import Summary

_STOPS_WITHIN = 10.0
"""Seconds that workers may take to see that a run was stopped; they look after each window of rows."""
_JOBS_PER_THREAD = 2
"""One that is scored and one that waits, so that no thread does."""
_kept = threading.local()
"""What a worker's thread has loaded, for the next part of the same run."""


class Job(NamedTuple):
    """One part for a worker to score."""

    assignment: Assignment
    number: int
    start: Place
    base: str
    """The folder that relative names of inputs start from."""


def score_job(job: Job) -> tuple[int, int] | ResenhaError:
    """Score a part in a worker's process, and give its rows and the rejects among them."""
    worker: Any = get_worker()
    key = worker.get_current_task()

    def watch(_summary: Summary) -> None:
        # Whoever waited for the part has given up, or is gone; or the scheduler is.
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled" or worker.status in (Status.closing, Status.closed):
            msg = f"nobody waits for part {job.number} any more"
            raise InterruptedRun(msg)

    try:
        summary = _scorer_for(job).score(job.number, job.start, watch)
    except ResenhaError as error:
        return error
    return summary.rows_in, summary.rejected.total()


def _scorer_for(job: Job) -> PartScorer:
    """Give this thread's scorer: what scores on several threads by itself is not to be shared by two."""
    if getattr(_kept, "assignment", None) != job.assignment:
        scorer = PartScorer(job.assignment)
        _check_names(scorer.folder, job.base)
        _kept.scorer, _kept.assignment = scorer, job.assignment
    kept: PartScorer = _kept.scorer
    return kept


def _check_names(folder: OutputFolder, base: str) -> None:
    """Refuse names of inputs that mean other files here than where the run was started."""
    if base == os.getcwd():  # noqa: PTH109 - as it was sent
        return
    for planned in folder.planned_files():
        name = planned.file.name
        if name != STDIN and not Path(name).is_absolute():
            msg = (
                f"{printable(name)} is a relative name, of {printable(base)}; this worker runs in"
                f" {printable(os.getcwd())}: name inputs by absolute paths, or start workers there"  # noqa: PTH109
            )
            raise UsageError(msg)


class DaskWorkers:
    """The workers of a cluster, handed parts as they get free; to be used as a context.

    Args:
        client: Of the cluster.
        assignment: What the workers are told.
        monitor: Told of every part that is published.
    """

    def __init__(self, client: Client, assignment: Assignment, monitor: Monitor) -> None:
        self._client = client
        self._assignment = assignment
        self._monitor = monitor
        self._base = os.getcwd()  # noqa: PTH109 - to be sent
        self._run = secrets.token_hex(4)
        self._pending: set[Future] = set()
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._places = 0
        """Parts that may be in flight; workers come and go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._pending:
            return
        # What is not done by now is not wanted any more. A worker that is gone, or stands still, is let be.
        with suppress(OSError, CancelledError, ResenhaError):
            self._client.cancel(list(self._pending), force=True)
            with hold_plan_alone(self._folder.path / PLAN, patience=_STOPS_WITHIN):
                pass

    @property
    def _folder(self) -> OutputFolder:
        return OutputFolder(Path(self._assignment.folder))

    def score(self, number: int, start: Place) -> None:
        """Hand a part out, once there is a place for it.

        Raises:
            ResenhaError: If a part has failed meanwhile, or the scheduler is gone.
        """
        with self._naming_the_scheduler():
            if len(self._pending) >= self._places:
                self._places = max(1, _JOBS_PER_THREAD * sum(self._client.nthreads().values()))
                self._wait(self._places - 1)
            job = Job(self._assignment, number, start, self._base)
            future = self._client.submit(score_job, job, key=f"part-{number:05}-{self._run}", pure=False)
            self._pending.add(future)
            future.add_done_callback(self._done.put)

    def finish(self) -> None:
        """Wait until every part that was handed out is published; raises as ``score`` does."""
        with self._naming_the_scheduler():
            self._wait(0)
        # What workers that were killed have left.
        self._folder.remove_leftovers()

    def _wait(self, most: int) -> None:
        """Wait until at most so many parts are in flight."""
        while len(self._pending) > most:
            future = self._done.get()
            self._pending.remove(future)
            outcome = future.result()
            if isinstance(outcome, ResenhaError):
                raise outcome
            self._monitor.add(*outcome)

    @contextmanager
    def _naming_the_scheduler(self) -> Iterator[None]:
        try:
            yield
        except KilledWorker as error:
            msg = (
                f"{error.task}: every worker that it was given to ended, {error.allowed_failures + 1} of them"
                " (out of memory, perhaps); what was published is kept"
            )
            raise ResenhaError(msg) from error
        except (OSError, CancelledError) as error:
            is_gone = isinstance(error, CommClosedError | CancelledError)
            if not is_gone and self._client.status == "running":
                raise  # What a part has raised.
            where = self._client.scheduler.address if self._client.scheduler else "?"
            msg = f"the Dask scheduler {where} is gone; what was published is kept, run it again: {error}"
            raise ResenhaError(msg) from error


def hire(client: Client) -> Crew:
    """Give what calls the workers of a cluster together for a run."""
    return partial(DaskWorkers, client)
