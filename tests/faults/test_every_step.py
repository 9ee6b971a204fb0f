"""A run into a directory that is killed, or loses power, at each of its steps in turn."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest

from pipeline.runtime.durable import is_temporary
from pipeline.runtime.plan import Shard
from pipeline.runtime.sinks import OutputFormat
from tests.faults.directory_runs import Choice, check_reference, contents, score_into, write_inputs
from tests.faults.killing import Watch, watched

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="looks at descriptors, as Linux shows them"
)

SMALL = Choice(("a.csv",), part_rows=4)
OTHER = Choice(("b.jsonl", "c.txt"), OutputFormat.CSV, part_rows=3, shard=Shard(1, 2))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a directory may be made, beside the inputs, in which a test works."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    write_inputs(tmp_path / "in")
    # What is watched never reaches the disk; the rest need not wait for it.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return tmp_path / "out"


@pytest.fixture(params=["kill", "power loss"])
def ends(request: pytest.FixtureRequest, is_long: bool) -> list[int | None]:
    """None: the machine goes on; a number: power loss, as chance has it."""
    if request.param == "kill":
        return [None]
    return list(range(8 if is_long else 1))


def whole(out: Path, choice: Choice) -> dict[str, bytes]:
    reference = out.with_name("reference")
    score_into(reference, choice)
    found = contents(reference)
    shutil.rmtree(reference)
    check_reference(found, choice)
    return found


def killed_at_each_step(
    out: Path, choice: Choice, ends: list[int | None], before: Choice | None = None
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield, for each step, what stands in the directory once a run was killed there."""
    for end in ends:
        for stop_at in count():
            shutil.rmtree(out, ignore_errors=True)
            if before:
                score_into(out, before)
            with watched(out, out.with_name("stash"), stop_at) as watch:
                score_into(out, choice, overwrite=before is not None)
            if not watch.is_dead:
                break
            if end is not None:
                watch.lose_power(random.Random(f"{end} {stop_at}"))
            yield stop_at, {name: each for name, each in contents(out).items() if not is_temporary(name)}


def is_sound(found: dict[str, bytes], wanted: dict[str, bytes]) -> bool:
    """Tell whether all that stands there is whole, and all of it there if it is marked so."""
    return found.items() <= wanted.items() and ("_SUCCESS" not in found or found == wanted)


@pytest.mark.parametrize("choice", [SMALL, OTHER], ids=["two parts", "a shard"])
def test_a_run_that_was_killed_anywhere_is_gone_on_with(
    out: Path, choice: Choice, ends: list[int | None]
) -> None:
    wanted = whole(out, choice)
    steps = 0
    for steps, found in killed_at_each_step(out, choice, ends):
        assert is_sound(found, wanted), f"after step {steps}"
        score_into(out, choice, resume=True)
        assert contents(out) == wanted, f"gone on with after step {steps}"
    assert steps > 40


def test_a_run_that_was_killed_in_place_of_another_leaves_one_of_both(
    out: Path, ends: list[int | None]
) -> None:
    old, new = whole(out, OTHER), whole(out, SMALL)
    for step, found in killed_at_each_step(out, SMALL, ends, before=OTHER):
        assert is_sound(found, old) or is_sound(found, new), f"after step {step}"
        is_old = found.get("_plan.json") == old["_plan.json"]
        score_into(out, OTHER if is_old else SMALL, resume=True)
        assert contents(out) == (old if is_old else new), f"gone on with after step {step}"


def test_going_on_can_be_killed_anywhere_too(out: Path, ends: list[int | None]) -> None:
    wanted = whole(out, SMALL)
    score_into(out, SMALL)
    for end, stop_at in product(ends, range(40)):
        (out / "part-00001.jsonl").unlink(missing_ok=True)
        (out / ".resenha-00.tmp").touch()
        with watched(out, out.with_name("stash"), stop_at) as watch:
            score_into(out, SMALL, resume=True)
        if watch.is_dead and end is not None:
            watch.lose_power(random.Random(f"{end} {stop_at}"))
        score_into(out, SMALL, resume=True)
        assert contents(out) == wanted, f"gone on with after step {stop_at}"
    assert not watch.is_dead


def test_a_watch_sees_every_name_that_is_made(out: Path) -> None:
    """Else a step could be missed, and a crash there."""
    with watched(out, out.with_name("stash")) as watch:
        score_into(out, SMALL)
    made = {step.rpartition("/")[2] for step in watch.steps if step.startswith("replace")}
    assert made == set(contents(out))
    assert [step.split()[0] for step in watch.steps[:4]] == ["mkdir", "open", "unlink", "fsync"]


def test_a_killed_run_changes_nothing_more(out: Path) -> None:
    def names(watch: Watch) -> list[str]:
        return [step.split()[0] for step in watch.steps]

    with watched(out, out.with_name("stash")) as watch:
        score_into(out, SMALL)
    stop_at = names(watch).index("create") + 1
    shutil.rmtree(out)
    with watched(out, out.with_name("stash"), stop_at) as watch:
        score_into(out, SMALL)
    assert watch.is_dead
    assert len(watch.steps) == stop_at
    [left] = contents(out)
    assert is_temporary(left)
