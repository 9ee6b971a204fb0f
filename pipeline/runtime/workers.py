"""Several processes that score the parts of one plan side by side."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any, Self

from pipeline.errors import BundleError, InputOutputError, PlanError, ResenhaError, UsageError
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.output_folder import OutputFolder
from pipeline.runtime.part_scorer import Assignment
from pipeline.runtime.reading import Place

_POLL = 0.2
"""Seconds after which a signal is answered at the latest while parts are being scored."""
_ERRORS = {error.exit_status: error for error in (BundleError, InputOutputError, PlanError, UsageError)}


class Workers:
    """Processes that are handed parts as they get free; to be used as a context.

    Args:
        folder: Held by this run; the processes inherit the lock.
        assignment: What they are told.
        count: How many processes.
        monitor: Told what they report.
    """

    def __init__(self, folder: OutputFolder, assignment: Assignment, *, count: int, monitor: Monitor) -> None:
        command = [
            # -P: no module out of the folder that this runs in.
            *(sys.executable, "-P", "-m", "pipeline.runtime.part_worker"),
            json.dumps(asdict(assignment)),
        ]
        self._count = count
        self._monitor = monitor
        self._pending: set[Future[None]] = set()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="resenha-worker")
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._processes = [
            subprocess.Popen(  # noqa: S603  # This program itself.
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[folder.lock],
                process_group=0,  # A terminal's Ctrl-C is for this process, which then ends them.
            )
            for _ in range(count)
        ]
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        # What is not done by now is not wanted any more; what a killed one leaves is removed later.
        for process in self._processes:
            process.kill()
        self._pool.shutdown()
        for process in self._processes:
            process.communicate()

    def score(self, number: int, start: Place) -> None:
        """Hand a part out, once a process is free for it.

        Raises:
            ResenhaError: If a process has failed meanwhile.
        """
        self._wait(self._count - 1)
        self._pending.add(self._pool.submit(self._score, number, start))

    def finish(self) -> None:
        """Wait until every part that was handed out is published; raises as ``score`` does."""
        self._wait(0)

    def _wait(self, most: int) -> None:
        """Wait until at most so many parts are being scored."""
        while len(self._pending) > most:
            done, self._pending = wait(self._pending, _POLL, FIRST_COMPLETED)
            for each in done:
                each.result()

    def _score(self, number: int, start: Place) -> None:
        process = self._idle.get()
        job = json.dumps({"part": number, "start": asdict(start)}).encode() + b"\n"
        rows = rejected = 0
        for message in _converse(process, job):
            if "part" in message:
                self._idle.put(process)
                return
            if "error" in message:
                raise _ERRORS.get(message["status"], ResenhaError)(message["error"])
            self._monitor.add(message["rows"] - rows, message["rejected"] - rejected)
            rows, rejected = message["rows"], message["rejected"]
        msg = (
            f"a worker process {_end_of(process)} while it scored part {number}; --resume goes on from there"
        )
        raise ResenhaError(msg)


def _converse(process: subprocess.Popen[bytes], job: bytes) -> Any:
    """Tell a process its job, and yield what it says until it says no more."""
    if process.stdin is None or process.stdout is None:
        return
    try:
        process.stdin.write(job)
        process.stdin.flush()
    except BrokenPipeError:
        pass  # It may have said why before it ended.
    for line in process.stdout:
        yield json.loads(line)


def _end_of(process: subprocess.Popen[bytes]) -> str:
    status = process.wait()
    if status < 0:
        return f"was ended by {signal.Signals(-status).name} (out of memory, perhaps)"
    return f"ended with status {status}"
