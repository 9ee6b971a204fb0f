from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import killed_runs
from benchmarks.killed_runs import RowCheck, check_rows, kill_moments, unlike_files
from benchmarks.processes import Finished


def line(row: int) -> str:
    return json.dumps({"source": "a.csv", "row": row, "id": "x", "label": 'row": 9, '}) + "\n"


def write_folder(folder: Path, parts: list[list[int]], rejects: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(parts):
        (folder / f"part-{number:05}.jsonl").write_text("".join(map(line, rows)))
    (folder / "rejects.jsonl").write_text("".join(map(line, rejects)))
    return folder


@pytest.mark.parametrize(
    ("parts", "rejects", "expected"),
    [
        pytest.param([[1, 2], [4, 5]], [3], RowCheck(4, 1, 0, 0), id="every row once"),
        pytest.param([[1, 2], [5]], [3], RowCheck(3, 1, 1, 0), id="one lost"),
        pytest.param([[1, 2], [4]], [3], RowCheck(3, 1, 1, 0), id="the last one lost"),
        pytest.param([[1, 2, 2], [4, 5]], [3], RowCheck(5, 1, 0, 1), id="one twice in a part"),
        pytest.param([[1, 2], [2, 4, 5]], [3], RowCheck(5, 1, 0, 1), id="one in two parts"),
        pytest.param([[1, 2], [3, 4, 5]], [3], RowCheck(5, 1, 0, 1), id="one scored and rejected"),
        pytest.param([[1, 2], [4, 5]], [3, 3], RowCheck(4, 2, 0, 1), id="one rejected twice"),
        pytest.param([[1, 2], [4, 5, 6]], [3], RowCheck(5, 1, 0, 1), id="one that is not in the file"),
        pytest.param([[0, 1, 2], [4, 5]], [3], RowCheck(5, 1, 0, 1), id="row 0"),
    ],
)
def test_rows_are_counted(
    tmp_path: Path, parts: list[list[int]], rejects: list[int], expected: RowCheck
) -> None:
    assert check_rows(write_folder(tmp_path / "out", parts, rejects), 5) == expected


@pytest.mark.parametrize("damage", ['{"source": "a.csv", "row": 2, "id\n', "\n", "x\n"])
def test_a_line_that_is_no_row_is_told(tmp_path: Path, damage: str) -> None:
    folder = write_folder(tmp_path / "out", [[1, 2]], [])
    with (folder / "part-00000.jsonl").open("a") as stream:
        stream.write(damage)
    assert check_rows(folder, 2) == RowCheck(3, 0, 0, 1)


def test_a_line_that_breaks_off_is_a_row_lost(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out", [[1, 2]], [])
    part = folder / "part-00000.jsonl"
    part.write_text(part.read_text()[:-1])
    assert check_rows(folder, 2).missing == 1


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"a": "1", "b": "2"}, 0),
        ({"a": "1", "b": "3"}, 1),
        ({"a": "1"}, 1),
        ({"a": "1", "b": "2", "c": ""}, 1),
        ({"c": "1"}, 3),
    ],
)
def test_files_are_compared_by_name_and_content(tmp_path: Path, other: dict[str, str], expected: int) -> None:
    for folder, files in (("one", {"a": "1", "b": "2"}), ("other", other)):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_text(content)
    assert unlike_files(tmp_path / "one", tmp_path / "other") == expected


@given(st.floats(0.1, 1e4))
def test_a_run_is_killed_once_in_every_twentieth_of_its_time(seconds: float) -> None:
    moments = kill_moments(seconds)
    assert [int(20 * moment / seconds) for moment in moments] == list(range(20))
    assert moments == kill_moments(seconds)


def test_kills_go_on_from_what_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def run(command: Sequence[str], *, kill_after: float | None, allowed: Sequence[int]) -> Finished:
        assert ("--resume" in command) == bool(pauses)
        pauses.append(-1 if kill_after is None else kill_after)
        if len(pauses) <= 10:
            (tmp_path / f"part-{len(pauses):05}.jsonl").touch()
        return Finished(1.0, 1, was_killed=kill_after is not None)

    monkeypatch.setattr(killed_runs, "run_process", run)
    runs = killed_runs._run_and_kill(["score"], tmp_path, 200.0, 20)
    assert runs.published == [1, 2, 3, 4, 5, 6, 7, 8, 9, *[10] * 11]
    assert len(runs.pieces) == 21
    stood = [0, *runs.published[:-1]]
    expected = [moment - 10 * parts for moment, parts in zip(kill_moments(200.0), stood, strict=True)]
    assert pauses == [*map(pytest.approx, expected), -1]


def test_a_run_that_is_done_too_early_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed_runs, "run_process", lambda *_, **__: Finished(1.0, 1))
    runs = killed_runs._run_and_kill(["score"], tmp_path, 200.0, 20)
    assert (len(runs.pieces), runs.published) == (1, [])
