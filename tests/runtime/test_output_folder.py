"""A directory of parts: what is read back from it, who holds it, and what is removed from it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, OutputInUse, PlanError
from pipeline.runtime.durable import temporary_name
from pipeline.runtime.ledgers import Ledger
from pipeline.runtime.listing import InputFile
from pipeline.runtime.output_folder import (
    INPUTS,
    PLAN,
    REJECTS,
    SUCCESS,
    SUMMARY,
    OutputFolder,
    claim_folder,
    json_page,
)
from pipeline.runtime.plan import InputTotals, Plan, PlannedFile, WriteOptions, write_listing
from pipeline.runtime.reading import InputFormat, Place, ReadOptions
from pipeline.runtime.sinks import OutputFormat
from pipeline.runtime.stamps import Stamp
from pipeline.runtime.summary import Summary

PLANNED = Plan(
    bundle={"name": "stand-in", "digest": "ab" * 32},
    read=ReadOptions(),
    write=WriteOptions(OutputFormat.JSONL),
    inputs=InputTotals(1, 4, "00"),
)
LEDGER = Ledger(Place(), Place(1, 2, 3, 4), 5, "ab" * 32, Summary(blank_lines=6))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ANY_BYTES = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())
in_one_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    path = tmp_path / "out"
    path.mkdir()
    return OutputFolder(path, lock=-1)


def publish(folder: OutputFolder, number: int = 0, size: int = 5, rejects: bytes = b"") -> None:
    folder.ledger_path(number).write_bytes(rejects + LEDGER.to_line())
    folder.part_path(number, "jsonl").write_bytes(b"x" * size)


# Parts


def test_a_part_is_published_with_its_ledger(folder: OutputFolder) -> None:
    assert folder.find_ledger(0, "jsonl") is None
    publish(folder)
    assert folder.find_ledger(0, "jsonl") == LEDGER
    assert folder.find_ledger(0, "csv") is None
    assert folder.find_ledger(1, "jsonl") is None


@pytest.mark.parametrize(("size", "is_whole"), [(4, False), (5, True), (6, False)])
def test_a_part_of_another_size_is_not_published(folder: OutputFolder, size: int, is_whole: bool) -> None:
    publish(folder, size=size)
    assert (folder.find_ledger(0, "jsonl") is not None) is is_whole


@pytest.mark.parametrize("rejects", [b"", b'{"source": "a"}\n', b'{"source": "a"}\n' * 3], ids=[0, 1, 3])
def test_a_ledger_cut_anywhere_is_none(folder: OutputFolder, rejects: bytes) -> None:
    publish(folder, rejects=rejects)
    content = folder.ledger_path(0).read_bytes()
    for size in reversed(range(len(content))):
        os.truncate(folder.ledger_path(0), size)
        # All but the line end is all that counts.
        assert (folder.find_ledger(0, "jsonl") is None) is (size < len(content) - 1)


@in_one_folder
@given(content=ANY_BYTES)
@example(b"")
@example(b"\n")
@example(b"\x85")
def test_a_ledger_of_anything_is_none(folder: OutputFolder, content: bytes) -> None:
    publish(folder)
    folder.ledger_path(0).write_bytes(content)
    assert folder.find_ledger(0, "jsonl") is None


@pytest.mark.parametrize("count", [0, 1, 2, 5_000])
def test_the_rejects_of_a_part_stand_before_its_last_line(folder: OutputFolder, count: int) -> None:
    lines = [b'{"source": "a", "row": %d}\n' % row for row in range(count)]
    publish(folder, rejects=b"".join(lines))
    assert list(folder.reject_lines(0)) == lines
    assert folder.find_ledger(0, "jsonl") == LEDGER


@pytest.mark.parametrize(
    ("number", "name"), [(0, "part-00000.csv"), (99_999, "part-99999.csv"), (100_000, "part-100000.csv")]
)
def test_parts_are_numbered_from_zero_and_known_as_ours(folder: OutputFolder, number: int, name: str) -> None:
    assert folder.part_path(number, "csv").name == name
    folder.part_path(number, "csv").touch()
    folder.ledger_path(number).touch()
    assert folder.foreign_name() is None


# Plan, listing and summary


def test_a_plan_and_a_listing_come_back(folder: OutputFolder) -> None:
    assert folder.read_plan() is None
    folder.write_plan(PLANNED)
    assert folder.read_plan() == PLANNED.to_record()
    files = [PlannedFile(InputFile(os.fsdecode(b"\xff.txt"), InputFormat.TEXT), Stamp(1, 2))]
    with folder.listing() as stream:
        write_listing(files, stream)
    assert list(folder.planned_files()) == files


READERS: dict[str, tuple[str, Callable[[OutputFolder], object]]] = {
    "plan": (PLAN, OutputFolder.read_plan),
    "listing": (INPUTS, lambda folder: list(folder.planned_files())),
    "summary": (SUMMARY, OutputFolder.read_summary),
}


@pytest.mark.parametrize("what", READERS)
@in_one_folder
@given(content=ANY_BYTES)
@example(b"[" * 50_000)
@example(b'{"parts": "many"}')
@example(b'["a", "odd", null]')
def test_anything_else_in_a_file_of_ours_is_refused_with_a_remedy(
    folder: OutputFolder, what: str, content: bytes
) -> None:
    name, read = READERS[what]
    (folder.path / name).write_bytes(content)
    if what == "listing" and not content:
        assert read(folder) == []
        return
    with pytest.raises(PlanError, match=rf"{name} cannot be read: .*--overwrite"):
        read(folder)


@pytest.mark.parametrize("what", ["listing", "summary"])
def test_a_file_of_ours_that_is_gone_is_told(folder: OutputFolder, what: str) -> None:
    name, read = READERS[what]
    with pytest.raises(PlanError, match=f"{name} is gone.*--overwrite"):
        read(folder)


@pytest.mark.parametrize("what", READERS)
def test_a_disk_that_fails_is_no_reason_to_start_anew(folder: OutputFolder, what: str) -> None:
    name, read = READERS[what]
    (folder.path / name).mkdir()
    with pytest.raises(InputOutputError, match=f"{name} cannot be read: Is a directory"):
        read(folder)


def test_every_byte_of_a_plan_counts(folder: OutputFolder) -> None:
    folder.write_plan(PLANNED)
    content = (folder.path / PLAN).read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        (folder.path / PLAN).write_bytes(changed)
        try:
            found = folder.read_plan()
        except PlanError:
            continue
        assert found == PLANNED.to_record()  # A blank that became another one, say.


# What stands there


def test_a_finished_directory_is_marked_last(folder: OutputFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    replace = os.replace

    def note(old: Path, new: Path) -> None:
        made.append(new.name)
        replace(old, new)

    monkeypatch.setattr(os, "replace", note)
    before, page = folder.is_finished, Summary().to_record() | {"parts": 2}
    folder.finish([b"one\n", b"two\n"], page)
    assert made == [REJECTS, SUMMARY, SUCCESS]
    assert (before, folder.is_finished) == (False, True)
    assert (folder.path / REJECTS).read_bytes() == b"one\ntwo\n"
    assert folder.read_summary() == page
    assert (folder.path / SUMMARY).read_bytes() == json_page(page)
    for _ in range(2):
        folder.unfinish()
        assert not (folder.path / SUCCESS).exists()


def test_a_run_that_breaks_off_while_it_finishes_leaves_no_mark(folder: OutputFolder) -> None:
    def lines() -> Any:
        yield b"one\n"
        raise InputOutputError

    with pytest.raises(InputOutputError):
        folder.finish(lines(), {"parts": 1})
    assert list(folder.path.iterdir()) == []


def test_what_a_run_writes_is_removed_in_an_order_that_is_never_misleading(
    folder: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [PLAN, INPUTS, "part-00000.jsonl", "_part-00000.jsonl", REJECTS, SUMMARY, SUCCESS]
    names.append(temporary_name(folder.path).name)
    for name in names:
        (folder.path / name).touch()
    removed: list[str] = []
    unlink = Path.unlink

    def remove(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", remove)
    folder.clear()
    assert sorted(removed) == sorted(names)
    assert (removed[0], removed[-2:]) == (SUCCESS, [PLAN, INPUTS])
    assert list(folder.path.iterdir()) == []


def test_what_no_run_writes_is_neither_removed_nor_passed_over(folder: OutputFolder) -> None:
    for name in ("notes.txt", "part-1.jsonl", "part-00000.txt", "_SUCCESS.old", ".resenha-x"):
        (folder.path / name).touch()
        assert folder.foreign_name() == name
        folder.clear()
        folder.remove_leftovers()
        assert folder.foreign_name() == name
        (folder.path / name).unlink()
    assert folder.foreign_name() is None


@pytest.mark.parametrize(
    ("name", "is_foreign"),
    [(INPUTS, False), (PLAN, True), ("part-00000.jsonl", True), (REJECTS, True), (SUCCESS, True)],
)
def test_before_a_plan_is_fixed_only_a_listing_is_ours(
    folder: OutputFolder, name: str, is_foreign: bool
) -> None:
    (folder.path / name).touch()
    temporary_name(folder.path).touch()
    assert folder.foreign_name(is_planned=False) == (name if is_foreign else None)
    assert folder.foreign_name() is None


def test_leftovers_go_and_the_rest_stays(folder: OutputFolder) -> None:
    publish(folder)
    for _ in range(3):
        temporary_name(folder.path).write_bytes(b"half")
    folder.remove_leftovers()
    assert sorted(path.name for path in folder.path.iterdir()) == ["_part-00000.jsonl", "part-00000.jsonl"]


def test_a_directory_that_cannot_be_listed_or_emptied_is_named(folder: OutputFolder) -> None:
    (folder.path / SUMMARY).mkdir()
    with pytest.raises(InputOutputError, match=rf"{SUMMARY} cannot be removed: Is a directory"):
        folder.clear()
    gone = OutputFolder(folder.path / "gone", lock=-1)
    with pytest.raises(InputOutputError, match="gone cannot be listed: No such file"):
        gone.foreign_name()
    with pytest.raises(InputOutputError, match="gone cannot be synced: No such file"):
        gone.sync()


# Who holds it


def test_a_directory_is_made_held_and_left(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with claim_folder(path) as folder:
        assert path.is_dir()
        (path / "kept").touch()
        with pytest.raises(OutputInUse, match="out is in use"), claim_folder(path):
            pass
        assert os.fstat(folder.lock)
        assert path.is_dir()
    with claim_folder(path) as again:
        assert again.path == path
    assert (path / "kept").exists()


def test_a_directory_that_was_made_and_stayed_empty_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(ValueError, match="stop"), claim_folder(path):
        raise ValueError("stop")
    assert not path.exists()
    path.mkdir()
    with claim_folder(path):
        pass
    assert path.is_dir()


def test_a_second_run_that_is_refused_takes_nothing_from_the_first(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with claim_folder(path):
        with pytest.raises(OutputInUse), claim_folder(path):
            pass
        assert path.is_dir()


def test_a_directory_that_vanished_between_making_and_locking_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock = tmp_path / "out", fcntl.flock

    def remove_first(descriptor: int, operation: int) -> None:
        path.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with pytest.raises(OutputInUse), claim_folder(path):
        pass


@pytest.mark.parametrize("kind", ["file", "no folder above", "dangling link"])
def test_what_cannot_be_a_directory_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "file":
        path.touch()
    elif kind == "dangling link":
        path.symlink_to("nothing")
    else:
        path = path / "inner"
    with pytest.raises(InputOutputError, match="out.* cannot be"), claim_folder(path):
        pass


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    with claim_folder(tmp_path / "out"), pytest.raises(OutputInUse), claim_folder(tmp_path / "out"):
        pass
    again = os.dup(0)
    os.close(again)
    assert again == lowest
