"""What would be left after a loss of power: only what was synced counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

import pytest

from tests.faults.killed import kill_at
from tests.faults.material import Material
from tests.faults.starting import Launcher
from tests.faults.tracing import OUTPUT, Call, traced

_DESCRIPTOR = re.compile(r"<(/[^>]*)>")
_NAME = re.compile(r'"(/[^"]*)"')


class LosesPower(AssertionError):
    """Something was relied on that a loss of power could take back."""


def check_order(calls: Sequence[Call], names: Collection[str] = ()) -> None:
    """Follow the calls on an output, and see to it that nothing is relied on before it is synced.

    Args:
        calls: All of them.
        names: Paths that an earlier run has given, and not synced.
    """
    contents: set[str] = set()
    names = set(names)
    for call in calls:
        paths = paths_of(call)
        if call.name == "write" or "O_CREAT" in call.line:
            contents.add(paths[-1])
        elif call.name == "mkdir":
            names.add(paths[0])
        elif call.name == "fsync":
            contents.discard(paths[0])
            names = {each for each in names if str(PurePath(each).parent) != paths[0]}
        elif call.name == "rename":
            source, target = paths
            check_rename(source, target, contents, names)
            names.add(target)
    if names:
        msg = f"the run ended before the names {sorted(names)} were synced"
        raise LosesPower(msg)


def paths_of(call: Call) -> list[str]:
    """Give the descriptor's path, where there is one, then those that are given by name."""
    arguments = call.line.rpartition(" = ")[0].replace("AT_FDCWD<", "")
    return [*_DESCRIPTOR.findall(arguments), *_NAME.findall(arguments)]


def check_rename(source: str, target: str, contents: set[str], names: set[str]) -> None:
    if source in contents:
        msg = f"{target} got its name before its content was synced"
        raise LosesPower(msg)
    if target.endswith("_SUCCESS") and names:
        msg = f"the directory was called whole before the names {sorted(names)} were synced"
        raise LosesPower(msg)


def test_nothing_is_relied_on_before_it_is_synced(output_calls: list[Call]) -> None:
    check_order(output_calls)


@pytest.mark.parametrize("path", ["out/.tmp", "out", ""], ids=["file", "output", "folder around it"])
def test_every_sync_is_needed(output_calls: list[Call], path: str) -> None:
    about = f"{OUTPUT}/{path}".rstrip("/")
    calls = [call for call in output_calls if not (call.name == "fsync" and call.paths == [about])]
    assert len(calls) < len(output_calls)
    with pytest.raises(LosesPower):
        check_order(calls)


@pytest.mark.parametrize("after", ["mkdir", "rename"])
def test_what_a_killed_run_did_not_sync_the_next_one_does(
    launcher: Launcher, material: Material, tmp_path: Path, output_calls: list[Call], after: str
) -> None:
    last = max(number for number, call in enumerate(output_calls) if call.name == after)
    call = next(each for each in output_calls[last:] if each.name == "fsync")
    out = kill_at(launcher, material, tmp_path, call)
    names = [str(path) for path in (out, *out.iterdir())]
    again = launcher.prepare(material.arguments(out, "--resume"), material.folder)
    ended, calls = traced(again, out.parent)
    assert ended.status == 3
    check_order(calls, names)
