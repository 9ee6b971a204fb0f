"""The flow build-bundle, made to stand still in the middle of one stage, for tests of what ends it there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow

import pipeline.chain
import pipeline.workspace
from flows import stage_tasks
from flows.build_bundle import build_bundle

STALLED, GO = "stalled", "go"
"""Files in the artifacts: written by the flow when it stands still, and by the test when it may go on."""


@flow(name="stalled-build", persist_result=False)
def stalled_build(recipe: str, artifacts: Path, stage: str = "", how: str = "") -> Any:
    """Build a bundle; in the middle of ``stage`` raise an exception, or stand still until told to go on."""

    def stall() -> None:
        (artifacts / STALLED).write_text(str(os.getpid()))
        if how == "exception":
            msg = "planted"
            raise RuntimeError(msg)
        while not (artifacts / GO).exists():
            time.sleep(0.05)

    if stage:
        _stall_in(stage, stall)
    return build_bundle.fn(recipe=recipe, artifacts=artifacts)


def _stall_in(stage: str, stall: Callable[[], None]) -> None:
    do, call = pipeline.workspace._do, pipeline.chain.call_stage

    def do_half(work: Any, final: Path, name: str, report_type: Any) -> Any:
        def half(folder: Path) -> Any:
            report = work(folder)
            if name == stage:
                stall()
            return report

        return do(half, final, name, report_type)

    def call_half(name: str, *arguments: Any) -> Any:
        result = call(name, *arguments)
        # These keep no work of their own; what they did stands, and nobody was told.
        if name == stage in ("publish", "promote"):
            stall()
        return result

    pipeline.workspace._do = do_half  # type: ignore[assignment]
    stage_tasks.call_stage = call_half  # type: ignore[attr-defined]
