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
from typing import Any

from pipeline.errors import ResenhaError
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.reading import Place
from pipeline.runtime.summary import Summary


def main(arguments: list[str]) -> int:
    """Serve until standard input ends; takes an ``Assignment`` as JSON."""
    [assignment] = arguments
    try:
        _serve(PartScorer(Assignment(**json.loads(assignment))), _jobs())
    except ResenhaError as error:
        _say(error=str(error), status=error.exit_status)
        return error.exit_status
    return 0


def _serve(scorer: PartScorer, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    while (job := jobs.get()) is not None:
        number = job["part"]
        scorer.score(number, Place(**job["start"]), _report)
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
