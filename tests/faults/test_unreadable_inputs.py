"""Inputs whose disk fails while they are read: each costs itself, not the run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.material import Material, snapshot
from tests.faults.starting import Launcher, across
from tests.faults.tracing import OUTPUT, Call, faulty, traced, why_not_traced

_SCORED = 3


def lines(found: dict[str, bytes], pattern: str) -> list[dict[str, Any]]:
    names = sorted(name for name in found if name.startswith(pattern))
    return [json.loads(line) for name in names for line in found[name].splitlines()]


def test_a_failing_read_costs_that_file(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    is_long: bool,
    figures: list[str],
) -> None:
    if reason := why_not_traced():
        pytest.skip(reason)
    reference = launchers[0].prepare(material.arguments(tmp_path / "reference"), material.folder)
    _, calls = traced(reference, material.folder, log=tmp_path / "log")
    reads = [call for call in calls if call.name in ("read", "openat") and Path(call.paths[-1]).suffix]
    chosen = reads if is_long else reads[1::10]

    def fail(launcher: Launcher, call: Call) -> str:
        out = tmp_path / f"{call.name}-{call.number}"
        run = launcher.prepare(material.arguments(out), material.folder)
        ended = faulty(run, material.folder, call, "error=EIO", log=tmp_path / f"{out.name}.trace")
        where = f"{call}: {ended}"
        assert (ended.status, ended.err) == (_SCORED, ""), where
        found = snapshot(out)
        rows, rejects = lines(found, "part-"), lines(found, "rejects")
        summary = json.loads(found["_summary.json"])
        assert len(rows) == summary["scored"], where
        assert len(rows) + len(rejects) == summary["rows_in"], where
        lost = call.paths[-1].removeprefix(f"{OUTPUT}/")
        unreadable = [each for each in rejects if each["code"] == "unreadable"]
        assert [each["source"] for each in unreadable] in ([lost], []), where
        # What has another source is as it was; what fails before anything is planned may be read later.
        assert without(rows, lost) == without(lines(whole, "part-"), lost), where
        assert unreadable or found == whole, where
        return "lost" if unreadable else "read later"

    outcomes = Counter(across(launchers, chosen, fail))
    assert outcomes["lost"]
    figures.append(
        f"EIO at an input: {len(chosen)}/{len(reads)} with status {_SCORED}, "
        + ", ".join(f"{outcome} ×{count}" for outcome, count in outcomes.items())
    )


def without(rows: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["source"] != source]
