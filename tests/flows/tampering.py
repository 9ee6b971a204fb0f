"""What tests do to a Dask worker from inside: it stands still, or fails, in the middle of one part."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows import cluster
from pipeline.errors import InputOutputError
from pipeline.runtime import plan
from pipeline.runtime.part_scorer import PartScorer
from pipeline.runtime.reading import Place
from pipeline.runtime.summary import Summary

_score = PartScorer.score
_versions = plan.versions


def stall_once(which: int, mark: Path) -> None:
    """Let whoever scores a part first write its process number to ``mark``, and stand still half-way.

    Parts behind it wait until it does. ``mark.ended`` is there when it stands still no more.
    """

    def score(self: PartScorer, number: int, start: Place, watch: Callable[[Summary], object]) -> Summary:
        def watch_and_stall(summary: Summary) -> None:
            if number == which and not mark.exists():
                _stall(mark, lambda: watch(summary))
            watch(summary)

        while number > which and not mark.exists():
            time.sleep(0.01)
        return _score(self, number, start, watch_and_stall)

    PartScorer.score = score  # type: ignore[method-assign]


def _stall(mark: Path, look: Callable[[], object]) -> None:
    draft = mark.with_suffix(".draft")
    draft.write_text(str(os.getpid()))
    draft.rename(mark)
    try:
        while mark.exists():
            time.sleep(0.3)  # As long as a window of rows may take.
            look()
    finally:
        mark.with_suffix(".ended").touch()


def fail_in(which: int, tries: Path, error: type[Exception] = InputOutputError) -> None:
    """Let every try of a part leave a byte in ``tries`` and fail like a disk."""

    def score(self: PartScorer, number: int, start: Place, watch: Callable[[Summary], object]) -> Summary:
        if number == which:
            with tries.open("a") as stream:
                stream.write(".")
            msg = "disk of this worker: No space left on device"
            raise error(msg)
        return _score(self, number, start, watch)

    PartScorer.score = score  # type: ignore[method-assign]


def claim_versions(**claimed: str) -> None:
    """Let a worker take itself for one with other versions."""
    for module in (cluster, plan):
        vars(module)["versions"] = lambda **options: _versions(**options) | claimed


def lose_package() -> None:
    """Let a worker be one where the package is not installed."""
    sys.modules["flows.cluster"] = None  # type: ignore[assignment]  # what import takes for missing


def leave_alone() -> None:
    """Take back what was done."""
    PartScorer.score = _score  # type: ignore[method-assign]
    for module in (cluster, plan):
        vars(module)["versions"] = _versions
    sys.modules["flows.cluster"] = cluster
