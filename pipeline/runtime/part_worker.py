"""A process that scores parts of a plan, told which by the process that started it.

It reads a line of JSON per part from standard input and answers on standard output. It holds the
directory's lock as long as it lives, and it does not outlive the process that tells it what to do.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

from pipeline.errors import BundleError, PlanError, ResenhaError
from pipeline.runtime.bundle import open_bundle
from pipeline.runtime.output_folder import OutputFolder
from pipeline.runtime.part_runs import PartReader, score_part
from pipeline.runtime.plan import BATCH_SHARES, Plan
from pipeline.runtime.reading import Place
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.summary import Summary


def main(arguments: list[str]) -> int:
    """Serve until standard input ends: directory, lock's descriptor, bundle, digest, threads."""
    path, lock, bundle, digest, threads = arguments
    try:
        folder = OutputFolder(Path(path), int(lock))
        record = folder.read_plan()
        if record is None:
            msg = f"{folder.shown} has no plan"
            raise PlanError(msg)
        plan = Plan.from_record(record)
        opened = open_bundle(Path(bundle))
        if opened.digest != digest:
            msg = f"the bundle has the digest {opened.digest[:12]}…, {digest[:12]}… was planned"
            raise BundleError(msg)
        scorer = Scorer(opened, threads=int(threads), threshold=plan.write.threshold, shares=BATCH_SHARES)
        _serve(folder, plan, scorer, _jobs())
    except ResenhaError as error:
        _say(error=str(error), status=error.exit_status)
        return error.exit_status
    return 0


def _serve(folder: OutputFolder, plan: Plan, scorer: Scorer, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    while (job := jobs.get()) is not None:
        number = job["part"]
        reader = PartReader(folder, plan, Place(**job["start"]))
        part = reader.part(number, plan.rows_of_part(number))
        if part is None:
            msg = f"part {number} has no row where the plan has some; an input has changed"
            raise PlanError(msg)
        score_part(folder, plan, scorer, reader, part, _report)
        _say(part=number)


def _report(summary: Summary) -> None:
    _say(rows=summary.rows_in, rejected=summary.rejected.total())


def _jobs() -> queue.SimpleQueue[Any]:
    """Take jobs as they come, on a thread of their own, and end this process where no more can."""
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take() -> None:
        # Without a buffer: its lock, held while this waits, would abort the interpreter at its end.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                jobs.put(json.loads(line))
        # Whoever gave the jobs is gone, or wants no more of what has begun.
        os._exit(0)

    threading.Thread(target=take, daemon=True).start()
    return jobs


def _say(**message: object) -> None:
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # As above: nobody is left who could be told.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
