"""Runs into a directory that are killed, and gone on with: the end is that of an uninterrupted run."""

from __future__ import annotations

from pathlib import Path

from tests.faults.material import Material, snapshot
from tests.faults.reading import assert_readable
from tests.faults.starting import Launcher, across
from tests.faults.tracing import Call, faulty

_WITHOUT_EFFECT = ("newfstatat", "lseek", "ioctl", "read", "getdents64")
"""Calls that change nothing: to be killed before one is to be killed before the next that does."""


def test_a_run_killed_anywhere_is_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    is_long: bool,
    figures: list[str],
) -> None:
    calls = [call for call in output_calls if call.name not in _WITHOUT_EFFECT]
    chosen = calls if is_long else calls[3::12]

    def kill(launcher: Launcher, call: Call) -> None:
        home = tmp_path / f"{call.name}-{call.number}"
        home.mkdir()
        out = home / "out"
        ended = faulty(launcher.prepare(material.arguments(out), material.folder), home, call, "signal=KILL")
        assert ended.status == -9
        assert_readable(snapshot(out), whole)
        resumed = launcher.run(material.arguments(out, "--resume"), material.folder)
        assert (resumed.status, resumed.err) == (3, ""), call
        assert snapshot(out) == whole, call

    across(launchers, chosen, kill)
    figures.append(f"killed before a call on the output, gone on with: {len(chosen)}/{len(calls)} identical")
