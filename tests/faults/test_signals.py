"""Runs that are asked to stop: at once, with nothing half-written, to be gone on with."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.runtime.durable import is_temporary
from tests.faults.material import MANY, Material, snapshot
from tests.faults.reading import assert_readable
from tests.faults.starting import Ended, Launcher, Run, across, wait_for, wait_until_gone, workers_of
from tests.faults.tracing import Call, faulty
from tests.runtime.altered_models import altered
from tests.stand_ins import make_bundle

_SCORED = 3
_STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}
_LONGEST = 2.0
"""Seconds to the end of a run that is asked to stop."""


def test_a_run_asked_to_stop_at_any_call_leaves_nothing_half_written(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    is_long: bool,
    figures: list[str],
) -> None:
    # A file is made by one call, and known to be made only some calls later.
    calls = [call for call in output_calls if call.has_effect or call.paths[-1].endswith(".tmp")]
    chosen = calls if is_long else calls[4::24]

    def stop(launcher: Launcher, call: Call) -> int:
        home = tmp_path / f"{call.name}-{call.number}"
        home.mkdir()
        arguments = material.arguments(home / "out")
        ended = faulty(launcher.prepare(arguments, material.folder), home, call, "signal=TERM")
        assert ended.status in (_STATUS[signal.SIGTERM], _SCORED), (call, ended)
        assert_stopped(ended, home / "out", whole)
        again = launcher.run([*arguments, "--resume"], material.folder)
        assert (again.status, again.err) == (_SCORED, ""), call
        assert snapshot(home / "out") == whole, call
        return ended.status

    statuses = Counter(across(launchers, chosen, stop))
    figures.append(
        f"SIGTERM at a call on the output: {len(chosen)}/{len(calls)} with no file half-written, "
        f"{statuses[_SCORED]} of them had all done"
    )


@pytest.mark.parametrize("number", _STATUS, ids=["TERM", "INT"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_asked_to_stop_can_be_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    measured: tuple[dict[str, bytes], float],
    is_long: bool,
    figures: list[str],
    number: signal.Signals,
    workers: int,
) -> None:
    whole, seconds = measured
    rounds = 12 if is_long else 2

    def stop(launcher: Launcher, count: int) -> tuple[int, float]:
        out, delay = tmp_path / str(count), seconds * random.Random(count).random()
        arguments = material.many(out, "--workers", str(workers))
        run = launcher.prepare(arguments, material.folder).go()
        # Before there is anything to be left half-written, a signal may end it as it ends any program.
        wait_for(out.exists)
        processes = workers_of(run) if workers > 1 else []
        time.sleep(delay)
        ended, waited = stopped(run, number)
        assert ended.status in (_STATUS[number], _SCORED, -number), ended
        # Once all is done a signal may end it as it ends any program.
        assert ended.status == _STATUS[number] or snapshot(out) == whole
        assert_stopped(ended, out, whole)
        wait_until_gone(processes)
        again = launcher.run([*arguments, "--resume"], material.folder)
        assert (again.status, again.err) == (_SCORED, "")
        assert snapshot(out) == whole
        return ended.status, waited

    statuses, waits = zip(*across(launchers, range(rounds), stop), strict=True)
    figures.append(
        f"{number.name} to {workers} worker(s): {rounds}/{rounds} same bytes at the end, "
        f"{Counter(statuses)[_STATUS[number]]} in time, stopped after {max(waits):.2f} s at most"
    )
    if is_long:
        assert max(waits) < _LONGEST


def stopped(run: Run, number: signal.Signals) -> tuple[Ended, float]:
    """Send a signal, SIGINT as a terminal does to all that it runs, and wait for the end."""
    began = time.monotonic()
    if number is signal.SIGINT:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, number)
    else:
        run.send(number)
    return run.wait(), time.monotonic() - began


def assert_stopped(ended: Ended, out: Path, whole: dict[str, bytes]) -> None:
    assert "Traceback" not in ended.err, ended.err
    assert ended.err.count("\n") <= 1, ended.err
    found = snapshot(out)
    assert not any(map(is_temporary, found))
    assert_readable(found, whole)


@pytest.fixture(scope="module")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that takes a while for every batch, however small it is."""

    def slow_down(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.initializer.append(numpy_helper.from_array(np.zeros((1500, 1500), np.float32), "nothing"))
        graph.node[1].output[0] = "quick"
        before = [f"much-{step}" for step in range(5)]
        nodes = [
            helper.make_node("ReduceSum", ["quick"], ["all"], keepdims=0),
            helper.make_node("Add", ["nothing", "all"], [before[0]]),
            *(
                helper.make_node("MatMul", [last, "nothing"], [following])
                for last, following in pairwise(before)
            ),
            helper.make_node("ReduceSum", [before[-1]], ["zero"], keepdims=0),
            helper.make_node("Add", ["quick", "zero"], ["sum"]),
        ]
        sigmoid = graph.node.pop()
        graph.node.extend([*nodes, sigmoid])

    folder = tmp_path_factory.mktemp("slow") / "bundle"
    make_bundle(folder, model=altered(slow_down))
    return folder


@pytest.mark.parametrize("number", _STATUS, ids=["TERM", "INT"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stops_within_a_batch(
    launcher: Launcher,
    material: Material,
    slow_bundle: Path,
    tmp_path: Path,
    is_long: bool,
    figures: list[str],
    number: signal.Signals,
    workers: int,
) -> None:
    slow, out = Material(slow_bundle, material.folder), tmp_path / "out"
    # Parts of so many batches that none is done before the next seconds are over.
    parts = ("-o", f"{out}/", "--part-rows", str(MANY // 2), "--workers", str(workers))
    run = launcher.prepare(slow.command(*parts, inputs="many.csv many.jsonl.gz"), slow.folder).go()
    # The first part has been begun, or two at once.
    wait_for((out / "_plan.json").exists)
    wait_for(lambda: len(list(out.glob(".resenha-*"))) == 2 * workers)
    ended, waited = stopped(run, number)
    assert ended.status == _STATUS[number], ended
    assert_stopped(ended, out, snapshot(out))
    assert not list(out.glob("part-*"))
    figures.append(
        f"{number.name} while a batch is scored by {workers} worker(s): stopped after {waited:.2f} s"
    )
    if is_long:
        assert waited < _LONGEST
