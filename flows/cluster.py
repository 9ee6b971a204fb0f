"""A Dask cluster to work on: one that runs already, or one that this machine starts for a while."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.core import rpc

from pipeline.errors import UsageError
from pipeline.runtime.plan import versions
from pipeline.runtime.rows import printable

_HOST = "127.0.0.1"
_ANSWERS_WITHIN = 10
"""Seconds that a scheduler may take to answer."""
_TRIMMING = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"
"""Has every piece of memory given back to the system at once: a fifth of a worker's time (measured)."""


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
    # Importing it made it tell of every connection.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if scheduler is None:
        with _own_cluster(workers) as client:
            yield client
        return
    with _connect(scheduler) as client:
        if not client.nthreads():
            where = printable(scheduler)
            msg = f"the Dask scheduler {where} has no workers; start some with `dask worker {where}`"
            raise UsageError(msg)
        _check_packages(client)
        yield client


@contextmanager
def _own_cluster(workers: int) -> Iterator[Client]:
    with (
        tempfile.TemporaryDirectory(prefix="resenha-dask-") as scratch,
        dask.config.set({"temporary-directory": scratch, _TRIMMING: None}),
        _own_environment(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=_HOST,
            # There is no dashboard, but a server for it; left alone, it takes a port that another may have.
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": f"{_HOST}:0"},
            # Dask keeps no data here, so its limit would only make workers pause.
            memory_limit=None,
            silence_logs=logging.WARNING,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _own_environment() -> Iterator[None]:
    """Take back what Dask sets in this process's environment for its workers to inherit."""
    names = {*dask.config.get("distributed.nanny.pre-spawn-environ"), "PYTHONHASHSEED"} - os.environ.keys()
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)


def _connect(scheduler: str) -> Client:
    where = printable(scheduler)
    # Not the client itself: where it finds nobody, it goes on trying behind the error that it raises.
    try:
        found = asyncio.run(_ask(scheduler))
        is_scheduler = found["type"] == "Scheduler"
    except Exception as error:  # Whatever answers there may say anything.
        reason = printable(str(error)) or f"nothing within {_ANSWERS_WITHIN} s"
        msg = f"no Dask scheduler answers at {where}: {reason}"
        raise UsageError(msg) from error
    if not is_scheduler:
        msg = f"{where} is a Dask {printable(str(found['type']))}; name the address of its scheduler"
        raise UsageError(msg)
    return Client(scheduler, timeout=_ANSWERS_WITHIN, set_as_default=False)


async def _ask(scheduler: str) -> Any:
    async with asyncio.timeout(_ANSWERS_WITHIN), rpc(scheduler) as asked:
        return await asked.identity()


def _check_packages(client: Client) -> None:
    """Refuse workers that would work otherwise, or not at all, and a scheduler that cannot read jobs."""
    found = client.run(packages, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(packages)
    except Exception as error:  # noqa: BLE001  # It comes as whatever Dask makes of it.
        found["the scheduler"] = error
    for where, theirs in found.items():
        if theirs != packages():
            msg = f"{printable(where)} {_difference(theirs)}; install the same version there"
            raise UsageError(msg)


def packages() -> dict[str, str]:
    """Give the versions of what is at work here; to be loaded, this needs the package itself."""
    return versions()


def _difference(theirs: dict[str, str] | Exception) -> str:
    mine = packages()
    if isinstance(theirs, Exception):
        return f"cannot load resenha {mine['resenha']}: {printable(str(theirs))}"
    unlike = (
        f"{name} {theirs.get(name)} where {mine[name]}" for name in mine if theirs.get(name) != mine[name]
    )
    return f"has {printable(', '.join(unlike))} is wanted"
