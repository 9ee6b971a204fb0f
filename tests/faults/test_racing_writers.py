"""Several runs that begin at one moment and want one new directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.faults.cases import case
from tests.faults.material import Material, snapshot
from tests.faults.starting import Launcher

_WRITERS = 8
_SCORED, _EXISTS, _IN_USE = 3, 2, 7


@pytest.fixture
def writers(
    launchers: list[Launcher], run_environment: dict[str, str], tmp_path: Path
) -> Iterator[list[Launcher]]:
    """As many launchers as runs are to race."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(Launcher(tmp_path / f"writer-{number}", run_environment)))
            for number in range(_WRITERS)
        ]


@case("Promises", "P10 one writer")
@case("Exit statuses", "7")
def test_one_of_eight_writers_wins(
    writers: list[Launcher],
    material: Material,
    tmp_path: Path,
    whole: dict[str, bytes],
    is_long: bool,
    figures: list[str],
) -> None:
    rounds, seen = 50 if is_long else 3, Counter[int]()
    for number in range(rounds):
        out = tmp_path / f"out-{number}"
        runs = [each.prepare(material.arguments(out), material.folder) for each in writers]
        for run in runs:
            run.go()
        ended = [run.wait() for run in runs]
        statuses = Counter(each.status for each in ended)
        assert statuses[_SCORED] == 1, (number, [(each.status, each.err) for each in ended])
        assert statuses[_EXISTS] + statuses[_IN_USE] == _WRITERS - 1, [each.err for each in ended]
        assert snapshot(out) == whole
        seen += statuses
    figures.append(
        f"{_WRITERS} writers at once: one winner in {rounds}/{rounds} rounds; in use {seen[_IN_USE]}, "
        f"finished already {seen[_EXISTS]}"
    )
