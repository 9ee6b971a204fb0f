"""Runs into a directory that are killed, and gone on with: the end is that of an uninterrupted run."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.cases import case
from tests.faults.killed import KILLED, kill_at
from tests.faults.material import Material, snapshot
from tests.faults.reading import assert_readable
from tests.faults.starting import Launcher, across
from tests.faults.tracing import Call, met_by

_SCORED, _REFUSED = 3, 8


@case("Process and disk", "kill -9 at any point")
@case("Promises", "P2 exactly once")
def test_a_run_killed_before_any_call_is_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    is_long: bool,
    figures: list[str],
) -> None:
    # To be killed before one without effect is to be killed before the next that has some.
    calls = [call for call in output_calls if call.has_effect]
    chosen = calls if is_long else calls[3::12]

    def kill(launcher: Launcher, call: Call) -> None:
        out = kill_at(launcher, material, tmp_path, call)
        assert_readable(snapshot(out), whole)
        ended = launcher.run(material.arguments(out, "--resume"), material.folder)
        assert (ended.status, ended.err) == (_SCORED, ""), call
        assert snapshot(out) == whole, call

    across(launchers, chosen, kill)
    figures.append(f"killed before a call on the output: {len(chosen)}/{len(calls)} gone on with, same bytes")


def test_a_run_killed_twice_is_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    is_long: bool,
    figures: list[str],
) -> None:
    calls = [call for call in output_calls if call.has_effect]
    chosen = calls[::3] if is_long else calls[10::40]

    def kill_twice(launcher: Launcher, numbered: tuple[int, Call]) -> int:
        number, call = numbered
        out = kill_at(launcher, material, tmp_path, call)
        again = launcher.prepare(material.arguments(out, "--resume"), material.folder)
        # Every rename is one of the output: there is nothing else that a run renames.
        status = met_by(again, tmp_path / f"{number}.trace", ("rename", 1 + number % 4), "signal=KILL").status
        assert status in (KILLED, _SCORED)
        assert_readable(snapshot(out), whole)
        ended = launcher.run(material.arguments(out, "--resume"), material.folder)
        assert (ended.status, ended.err) == (_SCORED, ""), call
        assert snapshot(out) == whole, call
        return status

    statuses = Counter(across(launchers, list(enumerate(chosen)), kill_twice))
    assert statuses[KILLED]
    figures.append(f"killed, and killed again when gone on with: {statuses[KILLED]} same bytes at the end")


@pytest.mark.usefixtures("output_calls")
def test_starting_anew_that_is_killed_mixes_nothing(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    is_long: bool,
    figures: list[str],
) -> None:
    old = material.arguments(tmp_path / "old", part_rows=7)
    assert launchers[0].run(old, material.folder).status == _SCORED
    before = snapshot(tmp_path / "old")
    chosen = range(1, len(before) + 1) if is_long else (1, 2, len(before))

    def kill(launcher: Launcher, number: int) -> None:
        home = tmp_path / str(number)
        home.mkdir()
        out = home / "out"
        shutil.copytree(tmp_path / "old", out)
        anew = material.arguments(out, "--overwrite")
        run = launcher.prepare(anew, material.folder)
        assert met_by(run, tmp_path / f"{number}.trace", ("unlink", number), "signal=KILL").status == KILLED
        found = snapshot(out)
        assert number == 1 or "_SUCCESS" not in found
        assert_readable(found, before)
        # Until its plan is gone, which goes after all its parts, it is the old run that can be gone on with.
        resumed = launcher.run(material.arguments(out, "--resume"), material.folder)
        is_old = "_plan.json" in found
        assert (resumed.status, snapshot(out)) == ((_REFUSED, found) if is_old else (_SCORED, whole))
        assert launcher.run(anew, material.folder).status == _SCORED
        assert snapshot(out) == whole

    across(launchers, chosen, kill)
    figures.append(
        f"killed before a removal of --overwrite: {len(chosen)}/{len(before)} started anew, same bytes"
    )


@pytest.mark.parametrize(
    "changed",
    [("--threshold", "0.25"), ("--limit", "20"), ("--output-format", "csv"), ("--text-column", "id")],
    ids=lambda changed: changed[0],
)
def test_a_killed_run_is_not_gone_on_with_as_another(
    launcher: Launcher,
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    changed: tuple[str, str],
) -> None:
    call = next(each for each in output_calls if each.name == "rename" and "/part-00001" in each.shown)
    out = kill_at(launcher, material, tmp_path, call)
    found = snapshot(out)
    refused = launcher.run(material.arguments(out, "--resume", *changed), material.folder)
    assert refused.status == _REFUSED, refused
    assert snapshot(out) == found
    assert launcher.run(material.arguments(out, "--resume"), material.folder).status == _SCORED
    assert snapshot(out) == whole
