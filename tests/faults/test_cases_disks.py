"""Disks that are full, or fail to sync."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cases import case
from tests.faults.command import Resenha, content_of, names_below, run_process

Record = Callable[[str, object], None]
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


@pytest.mark.parametrize(
    ("full", "texts", "rows", "part_rows"),
    [
        pytest.param("part-00001.jsonl", ["good"], 400, 200, marks=case("Process and disk", "disk full on a part")),
        pytest.param("_part-00001.jsonl", ["?!"], 400, 200, marks=case("Process and disk", "disk full on the rejects")),
        pytest.param("rejects.jsonl", ["good", "?!"], 200, 20, marks=case("Process and disk", "disk full on the rejects")),
        pytest.param("_summary.json", ["good"], 20, 10, marks=case("Process and disk", "disk full on the summary")),
    ],
)  # fmt: skip
def test_a_directory_on_a_full_disk_keeps_what_was_published_and_is_gone_on_with(
    full: str, texts: list[str], rows: int, part_rows: int, resenha: Resenha, bundle: Path, work: Path,
    record_property: Record,
) -> None:  # fmt: skip
    """No file may become as large as the one that has to fail; whatever comes before it is smaller."""
    (work / "a.txt").write_text("".join(f"{texts[number % len(texts)]}\n" for number in range(rows)))
    arguments = ["--lines", "a.txt", "-o", "o/", "--part-rows", str(part_rows), "-q"]
    resenha(*arguments)
    whole = content_of(work / "o")
    (work / "o").rename(work / "whole")
    ran = run_process(bundle, *arguments, prepared=SMALL_FILES.format(len(whole[full]) - 1))
    record_property("seen", ran.seen)
    assert (ran.status, ran.err) == (6, f"resenha: o/{full} cannot be written: File too large\n")
    left = content_of(work / "o")
    assert left == {name: whole[name] for name in left}
    assert "_SUCCESS" not in left
    assert resenha(*arguments, "--resume").status in (0, 3)
    assert content_of(work / "o") == whole


@pytest.mark.parametrize(
    ("option", "text"),
    [
        pytest.param("-o", "good", marks=case("Process and disk", "disk full on a part")),
        pytest.param("--rejects", "?!", marks=case("Process and disk", "disk full on the rejects")),
        pytest.param("--summary", "good", marks=case("Process and disk", "disk full on the summary")),
    ],
)
def test_a_file_on_a_full_disk_is_named_and_not_there(
    option: str, text: str, bundle: Path, work: Path, record_property: Record
) -> None:
    others = {"-o": "other", "--rejects": "rejects", "--summary": "page"}
    rows, limit = {"-o": (2_000, 9_000), "--rejects": (2_000, 9_000), "--summary": (2, 500)}[option]
    (work / "a.txt").write_text(f"{text}\n" * rows)
    del others[option]
    more = [each for pair in others.items() for each in pair] if option != "--summary" else ["-o", "other"]
    ran = run_process(
        bundle, "--lines", "a.txt", "-q", option, "full", *more, prepared=SMALL_FILES.format(limit)
    )
    record_property("seen", ran.seen)
    assert (ran.status, ran.err) == (6, "resenha: full cannot be written: File too large\n")
    assert names_below(work) == {"a.txt", *(["other"] if option == "--summary" else [])}


@case("Process and disk", "disk full on stdout (/dev/full)")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("output_format", "rows"),
    [("jsonl", 1), ("csv", 1), ("parquet", 1), ("jsonl", 20_000), ("parquet", 20_000)],
)
def test_a_full_disk_behind_standard_output_is_told(
    output_format: str, rows: int, bundle: Path, work: Path, record_property: Record
) -> None:
    (work / "a.txt").write_text("good\n" * rows)
    with Path("/dev/full").open("wb") as full:
        ran = run_process(
            bundle, "--lines", "a.txt", "--output-format", output_format, "--summary", "s.json", stdout=full
        )
    record_property("seen", ran.seen)
    assert ran.status == 6
    assert "resenha: standard output cannot be written: No space left on device\n" in ran.err
    assert "Traceback" not in ran.err
    assert "Exception ignored" not in ran.err
    assert names_below(work) == {"a.txt"}


@case("Process and disk", "a failing fsync")
@case("Promises", "P4 durable")
@pytest.mark.parametrize("output", ["o.csv", "o/"])
def test_whichever_sync_fails_it_is_told_and_the_run_can_be_made_again(
    output: str, resenha: Resenha, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "a.csv").write_text("text\n" + "good film\n?!\nbad\n" * 33)
    arguments = [
        "a.csv",
        "-o",
        output,
        *(["--part-rows", "60"] if output == "o/" else ["--rejects", "r.jsonl"]),
    ]
    assert resenha(*arguments, "--summary", "s.json").status == 3
    calls, fsync = 0, os.fsync

    def count(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", count)
        assert resenha(*arguments, "--overwrite", "--summary", "s.json").status == 3
    whole = {name: (work / name).read_bytes() for name in names_below(work) - {"s.json"}}
    for failing in range(calls):
        left = failing

        def fail(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(5, "Input/output error")
            fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            ran = resenha(*arguments, "--overwrite", "--summary", "s.json")
        assert ran.status == 6, f"sync {failing + 1} of {calls}: {ran.err}"
        assert "Input/output error" in ran.seen
        assert not [name for name in names_below(work) if name.endswith(".tmp")]
    assert calls >= (12 if output == "o/" else 6)
    assert resenha(*arguments, "--overwrite", "--summary", "s.json").status == 3
    assert {name: (work / name).read_bytes() for name in names_below(work) - {"s.json"}} == whole
