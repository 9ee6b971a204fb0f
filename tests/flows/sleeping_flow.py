"""A flow that only takes time, for tests of what becomes of a flow's process."""

from __future__ import annotations

import time

from prefect import flow, task

from flows.attendance import attend


@task(persist_result=False)
def sleep(seconds: float) -> None:
    """Take some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.1)


@flow(name="sleeping", persist_result=False)
def sleeping(seconds: float = 0.0, attends: bool = True) -> None:
    """Sleep in a task, attended or not."""
    if attends:
        attend()
    sleep(seconds)
