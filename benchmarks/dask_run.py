"""``python -m benchmarks.dask_run``: a run of ``resenha score`` over a Dask cluster of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed import Client

from flows.cluster import open_cluster
from flows.dask_workers import hire
from pipeline.cli.score import score
from pipeline.cli.score_run import open_run

_KILLED_AT = 0.3
"""Share of the inputs that is scored when a worker is killed."""


@dataclass(frozen=True)
class DaskRun:
    """What is to be scored."""

    source: str
    output: str
    bundle: str
    workers: int
    part_rows: int
    limit: int | None = None
    is_to_kill: bool = False
    """Whether a worker gets SIGKILL on the way."""

    def command(self) -> list[str]:
        """Give what runs this in a process of its own."""
        return [sys.executable, "-m", "benchmarks.dask_run", json.dumps(asdict(self))]

    @property
    def costs(self) -> Path:
        """The file that tells afterwards what it took, beside the directory."""
        return Path(f"{self.output}.json")

    def options(self) -> list[str]:
        """Give the arguments of ``resenha score`` that say the same, but for who scores."""
        limit = [] if self.limit is None else ["--limit", str(self.limit)]
        return [
            *(self.source, "-o", f"{self.output}/", "--bundle", self.bundle, "--quiet", "--threads", "1"),
            *("--part-rows", str(self.part_rows), "--workers", str(self.workers), *limit),
        ]


def main(run: DaskRun) -> None:
    """Score, and tell the seconds until the cluster was there, and the processor time of this process."""
    started, spent = time.perf_counter(), time.process_time()
    given = score.make_context("score", run.options()).params
    with open_cluster(None, run.workers) as client:
        ready = time.perf_counter() - started
        show = _killer(client) if run.is_to_kill else lambda *_told: None
        with open_run(given.pop("inputs"), given) as opened:
            opened.score_in_parts(crew=hire(client), show=show)
    told = {"ready": ready, "processor": time.process_time() - spent}
    run.costs.write_text(json.dumps(told))


def _killer(client: Client) -> Callable[[int, int, float | None], None]:
    victims = sorted(client.run(os.getpid).values())[:1]

    def watch(_rows: int, _rejected: int, share: float | None) -> None:
        if victims and share and share >= _KILLED_AT:
            os.kill(victims.pop(), signal.SIGKILL)

    return watch


if __name__ == "__main__":
    main(DaskRun(**json.loads(sys.argv[1])))
