"""Scores the parts of a run over a Dask cluster.

One process finds where each part begins and hands the parts out, a few more than the cluster has threads;
what travels is paths, a place and some counts. A part that is lost with its worker is scored again by
another, which publishes the same bytes. An error of the pipeline's own is raised where the parts are handed
out; it is a worker's answer, so that Dask neither logs it nor tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import secrets
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.core import rpc

from pipeline.errors import InterruptedRun, ResenhaError, UsageError
from pipeline.runtime.folder_runs import Crew
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.opening import STDIN
from pipeline.runtime.output_folder import PLAN, OutputFolder
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.plan import versions
from pipeline.runtime.plan_lock import hold_plan_alone
from pipeline.runtime.reading import Place
from pipeline.runtime.rows import printable
from pipeline.runtime.summary import Summary

_HOST = "127.0.0.1"
_ANSWERS_WITHIN = 10
"""Seconds that a scheduler may take to answer."""
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
        # Whoever waited for the part has given up, or is gone.
        task = worker.state.tasks.get(key)
        if task is not None and task.state == "cancelled":
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
                threads = self._client.scheduler_info(n_workers=0)["total_threads"]
                self._places = max(1, _JOBS_PER_THREAD * threads)
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
                f"{error.task}: {error.allowed_failures + 1} workers ended one after the other while they"
                " scored it (out of memory, perhaps); what was published is kept"
            )
            raise ResenhaError(msg) from error
        except (OSError, CancelledError) as error:
            where = self._client.scheduler.address if self._client.scheduler else "?"
            msg = f"the Dask scheduler {where} is gone; what was published is kept, run it again: {error}"
            raise ResenhaError(msg) from error


def hire(client: Client) -> Crew:
    """Give what calls the workers of a cluster together for a run."""
    return partial(DaskWorkers, client)


@contextmanager
def open_cluster(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Give the client of a Dask cluster.

    Args:
        scheduler: Address of a scheduler that runs; where None, a cluster is started on this machine,
            for this block, and nobody outside this machine can reach it.
        workers: Processes of the cluster that is started, of one thread each.

    Raises:
        UsageError: If no scheduler answers there, it has no workers, or they have other packages.
    """
    with ExitStack() as stack:
        if scheduler is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="resenha-dask-"))
            cluster = stack.enter_context(_start_cluster(workers, scratch))
            yield stack.enter_context(Client(cluster, set_as_default=False))
        else:
            client = stack.enter_context(_connect(scheduler))
            _check_packages(client)
            yield client


def _start_cluster(workers: int, scratch: str) -> LocalCluster:
    nowhere_else = f"{_HOST}:0"
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host=_HOST,
        # There is no dashboard, and yet a server of its own for it: without an address, on every interface.
        dashboard_address=None,
        scheduler_kwargs={"dashboard": False, "dashboard_address": nowhere_else},
        worker_dashboard_address=nowhere_else,
        # Dask keeps no data here, so its limit would only make workers pause.
        memory_limit=None,
        local_directory=scratch,
        silence_logs=logging.WARNING,
    )


def _connect(scheduler: str) -> Client:
    where = printable(scheduler)
    # Not the client itself: where it finds nobody, it goes on trying behind the error that it raises.
    try:
        found = asyncio.run(_ask(scheduler))
        is_scheduler = found["type"] == "Scheduler"
    except Exception as error:  # noqa: BLE001  # Whatever answers there may say anything.
        reason = printable(str(error)) or f"nothing within {_ANSWERS_WITHIN} s"
        msg = f"no Dask scheduler answers at {where}: {reason}"
        raise UsageError(msg) from error
    if not is_scheduler:
        msg = f"{where} is a Dask {printable(str(found['type']))}; name the address of its scheduler"
        raise UsageError(msg)
    if not found["total_threads"]:
        msg = f"the Dask scheduler {where} has no workers; start some with `dask worker {where}`"
        raise UsageError(msg)
    return Client(scheduler, timeout=_ANSWERS_WITHIN, set_as_default=False)


async def _ask(scheduler: str) -> Any:
    async with asyncio.timeout(_ANSWERS_WITHIN), rpc(scheduler) as asked:
        return await asked.identity(n_workers=0)


def _check_packages(client: Client) -> None:
    """Refuse workers that would score otherwise, or not at all, and a scheduler that cannot read their jobs."""
    found = client.run(packages, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(packages)
    except Exception as error:  # It comes as whatever Dask makes of it.
        found["the scheduler"] = error
    for where, theirs in found.items():
        if theirs != packages():
            msg = f"{printable(where)} {_difference(theirs)}; install the same version there"
            raise UsageError(msg)


def packages() -> dict[str, str]:
    """Give the versions of what scores here; to be loaded, this needs the package itself."""
    return versions()


def _difference(theirs: dict[str, str] | Exception) -> str:
    mine = packages()
    if isinstance(theirs, Exception):
        return f"cannot load resenha {mine['resenha']}: {printable(str(theirs))}"
    unlike = (
        f"{name} {theirs.get(name)} where {mine[name]}" for name in mine if theirs.get(name) != mine[name]
    )
    return f"has {printable(', '.join(unlike))} is wanted"
