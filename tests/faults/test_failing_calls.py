"""System calls on a directory output that fail: told, nothing that was published is lost, gone on with."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipeline.runtime.durable import is_temporary
from tests.faults.harmless import is_harmless
from tests.faults.material import Material, snapshot
from tests.faults.reading import assert_readable
from tests.faults.starting import Launcher, across
from tests.faults.tracing import OUTPUT, Call, faulty

_FAILED, _SCORED = 6, 3
_WEIGHTIEST = ("write", "fsync", "rename", "flock", "read")


def test_a_failing_call_is_told_and_the_run_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    output_calls: list[Call],
    is_long: bool,
    figures: list[str],
) -> None:
    cases = [(call, "EIO") for call in output_calls]
    cases += [(call, "ENOSPC") for call in output_calls if call.has_effect]
    chosen = cases if is_long else weightiest(cases)

    def fail(launcher: Launcher, case: tuple[Call, str]) -> int:
        call, fault = case
        home = tmp_path / f"{call.name}-{call.number}-{fault}"
        home.mkdir()
        out = home / "out"
        ended = faulty(
            launcher.prepare(material.arguments(out), material.folder), home, call, f"error={fault}"
        )
        found = snapshot(out)
        where = f"{call} with {fault}: {ended}"
        assert_readable(found, whole)
        assert "Traceback" not in ended.err, where
        if ended.status == _SCORED:
            assert is_harmless(call), where
            assert found == whole, where
        else:
            assert ended.status == _FAILED, where
            assert str(home) in ended.err, where
            assert ended.err.count("\n") == 1, where
            assert not any(map(is_temporary, found)), where
        resumed = launcher.run(material.arguments(out, "--resume"), material.folder)
        assert (resumed.status, resumed.err) == (_SCORED, ""), where
        assert snapshot(out) == whole, where
        return ended.status

    statuses = across(launchers, chosen, fail)
    figures.append(
        f"calls on the output that fail: {len(chosen)}/{len(cases)} told, gone on with to the same bytes"
    )
    figures.extend(table(chosen, statuses))


def weightiest(cases: Sequence[tuple[Call, str]]) -> list[tuple[Call, str]]:
    """Give one case of every kind of call that most depends on."""
    one_of_each = {kind_of(call): (call, fault) for call, fault in cases}
    return [case for case in one_of_each.values() if case[0].name in _WEIGHTIEST]


def kind_of(call: Call) -> str:
    path = re.sub("[0-9]{5}", "N", call.paths[-1].removeprefix(f"{OUTPUT}/"))
    is_to_read = "O_RDONLY" in call.shown or call.name in ("read", "lseek", "ioctl")
    return f"{call.deed} {path}{' to read' if is_to_read and call.name == 'openat' else ''}"


def table(chosen: Sequence[tuple[Call, str]], statuses: Sequence[int]) -> list[str]:
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for (call, _), status in zip(chosen, statuses, strict=True):
        counts[kind_of(call)][status] += 1
    return [
        f"  {kind:44} " + "  ".join(f"status {status} ×{count}" for status, count in sorted(found.items()))
        for kind, found in sorted(counts.items())
    ]
