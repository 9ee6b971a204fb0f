from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import durable_output
from benchmarks.durable_output import Side, Turns, size_of
from benchmarks.pairing import take_turns
from benchmarks.processes import Finished
from pipeline.errors import ResenhaError


class MadeUpScore:
    """Stands in for processes: scores so many rows in so many seconds each."""

    def __init__(self, *, seconds: float = 2.0, scored: int = 3, rejected: int = 0) -> None:
        self.seconds, self.scored, self.rejected = seconds, scored, rejected
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str], *, output: Path | None, allowed: Sequence[int]) -> Finished:
        self.commands.append(list(command))
        assert (3 in allowed) == bool(self.rejected)
        if output:
            output.write_text("{}\n" * self.scored)
        else:
            folder = Path(command[command.index("-o") + 1])
            # What an earlier turn has written is gone.
            folder.mkdir()
            page = {"scored": self.scored, "rejected": {"no_tokens": self.rejected}}
            (folder / "_summary.json").write_text(json.dumps(page))
        return Finished(self.seconds, 100 * len(self.commands))


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    setting: Any = SimpleNamespace(bundle=Path("bundle"), threads=2)
    return Turns(setting, tmp_path)


PLAIN = Side("plain", Path("in.csv"), "plain", to_directory=False, rows=3)
DIRECTORY = Side("directory", Path("in.csv"), "plain", rows=3)


@pytest.mark.parametrize("side", [PLAIN, DIRECTORY], ids=["plain", "directory"])
@pytest.mark.parametrize("scored", [0, 2, 3, 4])
def test_a_side_that_loses_or_doubles_a_row_has_no_figures(
    turns: Turns, monkeypatch: pytest.MonkeyPatch, side: Side, scored: int
) -> None:
    monkeypatch.setattr(durable_output, "run_process", MadeUpScore(scored=scored))
    if scored == 3:
        turns.run(side)
    else:
        with pytest.raises(ResenhaError, match=f"{scored} rows scored and 0 rejected, of 3"):
            turns.run(side)


@pytest.mark.parametrize(("rejected", "is_right"), [(0, False), (1, True), (2, False)])
def test_a_directory_has_to_hold_the_rejects(
    turns: Turns, monkeypatch: pytest.MonkeyPatch, rejected: int, is_right: bool
) -> None:
    monkeypatch.setattr(durable_output, "run_process", MadeUpScore(scored=2, rejected=max(1, rejected)))
    side = Side("directory", Path("in.csv"), "plain", rows=3, rejected=1)
    monkeypatch.setattr(durable_output, "_counts", lambda _folder: (2, rejected))
    if is_right:
        turns.run(side)
    else:
        with pytest.raises(ResenhaError, match=f"2 rows scored and {rejected} rejected, of 3"):
            turns.run(side)


def test_only_the_seconds_of_processes_count(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_output, "run_process", MadeUpScore(seconds=2.5))
    rounds = take_turns(
        {side.name: partial(turns.run, side) for side in (PLAIN, DIRECTORY)},
        rounds=3,
        clock=turns,
        pause=0,
    )
    assert rounds.seconds == {"plain": [2.5] * 3, "directory": [2.5] * 3}
    assert turns.peak == {"plain": 500, "directory": 600}
    assert turns.written["plain"] == len("{}\n" * 3)
    assert turns.written["directory"] > 0


def test_threads_are_named_once(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = MadeUpScore()
    monkeypatch.setattr(durable_output, "run_process", made_up)
    turns.run(DIRECTORY)
    turns.run(Side("workers", Path("in.csv"), "plain", ("--workers", "2", "--threads", "1"), rows=3))
    given = [
        [command[at + 1] for at, each in enumerate(command) if each == "--threads"]
        for command in made_up.commands
    ]
    assert given == [["2"], ["1"]]


def test_sizes_are_those_of_files_and_of_folders(tmp_path: Path) -> None:
    for name, size in (("a", 3), ("b", 0), ("c", 5)):
        (tmp_path / name).write_bytes(bytes(size))
    assert size_of(tmp_path / "c") == 5
    assert size_of(tmp_path) == 8
