"""An output, a rejects file and a summary, each whole under its name or not there, whatever fails."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.runtime.durable import is_temporary
from tests.faults.harmless import is_harmless
from tests.faults.killed import KILLED
from tests.faults.material import Material, snapshot
from tests.faults.starting import Launcher, across
from tests.faults.tracing import Call, faulty, traced, why_not_traced

_SCORED, _FAILED, _TERMINATED = 3, 6, 143


def arguments(material: Material, home: Path, *more: str) -> list[str]:
    return [
        *material.command("-o", str(home / "scores.csv"), "--rejects", str(home / "rejects.jsonl"), *more),
        *("--summary", str(home / "summary.json")),
    ]


@pytest.fixture(scope="module")
def uninterrupted(
    launchers: list[Launcher], material: Material, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], list[Call]]:
    """What a run leaves, and its calls on that."""
    if reason := why_not_traced():
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("files") / "home"
    home.mkdir()
    ended, calls = traced(launchers[0].prepare(arguments(material, home), material.folder), home)
    assert (ended.status, ended.err) == (_SCORED, "")
    return without_time(snapshot(home)), calls


def without_time(found: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what a summary says of the time that a run took; half of a summary is an error."""
    if "summary.json" in found:
        page = json.loads(found["summary.json"])
        kept = {key: value for key, value in page.items() if key not in ("seconds", "reviews_per_second")}
        found = found | {"summary.json": json.dumps(kept).encode()}
    return found


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("error=EIO", _FAILED),
        ("error=ENOSPC", _FAILED),
        ("signal=TERM", _TERMINATED),
        ("signal=KILL", KILLED),
    ],
    ids=["EIO", "ENOSPC", "TERM", "KILL"],
)
def test_every_name_is_whole_or_not_there(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    uninterrupted: tuple[dict[str, bytes], list[Call]],
    is_long: bool,
    figures: list[str],
    fault: str,
    expected: int,
) -> None:
    whole, calls = uninterrupted
    if fault != "error=EIO":
        calls = [call for call in calls if call.has_effect]
    chosen = calls if is_long else [call for call in calls if call.name in ("write", "fsync", "link")][::2]

    def meet(launcher: Launcher, call: Call) -> int:
        home = tmp_path / f"{call.name}-{call.number}"
        home.mkdir()
        ended = faulty(launcher.prepare(arguments(material, home), material.folder), home, call, fault)
        found = without_time(snapshot(home))
        final = {name: content for name, content in found.items() if not is_temporary(name)}
        where = f"{call} with {fault}: {ended}"
        assert {name: whole[name] for name in final} == final, where
        assert "Traceback" not in ended.err, where
        assert ended.status in (expected, _SCORED), where
        if ended.status == _SCORED:
            assert final == whole, where
            assert fault == "signal=TERM" or is_harmless(call), where
        if ended.status == _FAILED:
            assert str(home) in ended.err, where
        if expected != KILLED and call.name != "unlink":
            assert final == found, where
        again = launcher.run(arguments(material, home, "--overwrite"), material.folder)
        assert again.status == _SCORED, where
        return ended.status

    statuses = Counter(across(launchers, chosen, meet))
    figures.append(
        f"{fault} at a call on single files: {len(chosen)}/{len(calls)} whole or not there, "
        + ", ".join(f"status {status} ×{count}" for status, count in sorted(statuses.items()))
    )
