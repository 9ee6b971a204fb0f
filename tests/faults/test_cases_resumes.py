"""Directories that one run holds, and that no other run than theirs goes on with."""

from __future__ import annotations

import os
import subprocess
import time
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.runtime.output_folder import claim_folder
from tests.faults.cases import case
from tests.faults.command import (
    PATIENCE,
    Resenha,
    command,
    content_of,
)


@case("Promises", "P10 one writer")
@case("Exit statuses", "7")
@pytest.mark.parametrize("option", [[], ["--resume"], ["--overwrite"]], ids=["plain", "resume", "overwrite"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(
    option: list[str], workers: str, resenha: Resenha, bundle: Path, work: Path
) -> None:
    (work / "a.txt").write_text("good\n")
    # The first run takes minutes: each part is synced.
    (work / "many.txt").write_text("good\n" * 50_000)
    first = command(bundle, "--lines", "many.txt", "-o", "o/", "-q", "--part-rows", "1", "--workers", workers)
    with subprocess.Popen(first) as process:
        while process.poll() is None and not (work / "o/part-00000.jsonl").exists():
            time.sleep(0.01)
        ran = resenha("a.txt", "-o", "o/", *option)
        is_kept = (work / "o/part-00000.jsonl").exists()
        process.kill()
    assert ran.status == 7
    assert ran.err.splitlines()[-1] == (
        "resenha: o is in use: another run writes there; wait, or name another directory"
    )
    assert is_kept
    # Workers hold the lock, too, and end with the process that started them.
    until = time.monotonic() + PATIENCE
    while resenha("a.txt", "-o", "o/", "--overwrite").status == 7 and time.monotonic() < until:
        time.sleep(0.05)
    assert (work / "o/_SUCCESS").exists()
    assert resenha("a.txt", "-o", "o/", "--resume").status == 0


@case("Promises", "P10 one writer")
def test_a_directory_is_free_again_once_a_run_has_ended(resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text("good\n")
    for _ in range(2):
        assert resenha("a.txt", "-o", "o/", "--overwrite").status == 0
    with claim_folder(work / "o"):
        assert resenha("a.txt", "-o", "o/", "--overwrite").status == 7
    assert resenha("a.txt", "-o", "o/", "--overwrite").status == 0


# Nothing is mixed


RESUMED_OTHERWISE: dict[str, tuple[list[str], str]] = {
    "threshold": (["--threshold", "0.9"], "write.threshold is 0.9, planned was null"),
    "limit": (["--limit", "2"], "limit is 2, planned was null"),
    "part rows": (["--part-rows", "3"], "part_rows is 3, planned was 2"),
    "format": (["--output-format", "csv"], 'write.output_format is "csv", planned was "jsonl"'),
    "kept columns": (["--keep-columns", "id=key"], 'read.keep_columns is ["id"], planned was []'),
    "id column": (["--id-column", "text"], 'read.id_column is "text", planned was null'),
    "text column": (["--text-column", "id"], 'read.text_column is "id", planned was "text"'),
    "delimiter": (["--delimiter", ","], 'read.delimiter is ",", planned was null'),
    "encoding": (["--encoding", "latin-1"], 'read.encoding is "latin-1", planned was null'),
    "input format": (["--input-format", "csv"], 'read.input_format is "csv", planned was null'),
    "shard": (["--shard", "1/2"], "shard is [1, 2], planned was [1, 1]"),
    "input check": (["--input-check", "sha256"], 'check is "sha256", planned was "stat"'),
    "more inputs": (["b.csv"], "b.csv was not planned"),
}


@pytest.fixture
def begun(resenha: Resenha, work: Path) -> dict[str, bytes]:
    """A directory in which a run has published the first of two parts, and its content."""
    for name in ("a.csv", "b.csv"):
        (work / name).write_text("id,text\n1,good\n2,bad\n3,film\n")
    assert resenha("a.csv", "-o", "o/", "--part-rows", "2").status == 0
    for name in ("_SUCCESS", "_summary.json", "rejects.jsonl", "part-00001.jsonl", "_part-00001.jsonl"):
        (work / "o" / name).unlink()
    return content_of(work / "o")


@case("Promises", "P9 no silent mixing")
@case("Exit statuses", "8")
@pytest.mark.parametrize(("options", "told"), RESUMED_OTHERWISE.values(), ids=[*RESUMED_OTHERWISE])
def test_a_run_is_gone_on_with_as_it_was_planned_or_not_at_all(
    options: list[str], told: str, resenha: Resenha, work: Path, begun: dict[str, bytes]
) -> None:
    ran = resenha("a.csv", "-o", "o/", "--part-rows", "2", "--resume", *options)
    assert ran.status == 8, ran.err
    assert told in ran.err
    assert "put it back, name another directory, or start anew with --overwrite" in ran.err
    assert content_of(work / "o") == begun
    assert resenha("a.csv", "-o", "o/", "--part-rows", "2", "--resume").status == 0


@case("Promises", "P9 no silent mixing")
@pytest.mark.parametrize("check", ["stat", "sha256"])
@pytest.mark.parametrize("change", ["touched", "byte", "longer", "gone", "swapped"])
def test_an_input_that_has_changed_is_told_apart_as_was_asked_for(
    check: str, change: str, resenha: Resenha, work: Path
) -> None:
    """By size and date, or by content: then a file that was merely touched is the same."""
    for name in ("a.csv", "b.csv"):
        (work / name).write_text("id,text\n1,good\n2,bad\n3,film\n")
    inputs = ["a.csv", "b.csv"]
    arguments = ["-o", "o/", "--part-rows", "2", "--input-check", check]
    assert resenha(*inputs, *arguments).status == 0
    (work / "o/_SUCCESS").unlink()
    content = (work / "b.csv").read_bytes()
    if change == "touched":
        os.utime(work / "b.csv", (1, 1))
    elif change == "byte":
        (work / "b.csv").write_bytes(content.replace(b"bad", b"bat"))
        os.utime(work / "b.csv", (1, 1))
    elif change == "longer":
        (work / "b.csv").write_bytes(content + b"4,good\n")
    elif change == "gone":
        (work / "b.csv").rename(work / "c.csv")
        inputs = ["a.csv"]
    else:
        inputs.reverse()
    ran = resenha(*inputs, *arguments, "--resume")
    if (check, change) == ("sha256", "touched"):
        assert ran.status == 0
    else:
        assert ran.status == 8, ran.err
        assert "b.csv" in ran.err
        assert not (work / "o/_SUCCESS").exists()


@case("Promises", "P9 no silent mixing")
@pytest.mark.parametrize("package", ["numpy", "onnxruntime", "resenha"])
def test_other_versions_never_go_on_with_a_run(
    package: str, resenha: Resenha, work: Path, begun: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == package else known(name))
    ran = resenha("a.csv", "-o", "o/", "--part-rows", "2", "--resume")
    assert ran.status == 8
    assert f'versions.{package} is "0.0.1", planned was' in ran.err


@case("Promises", "P9 no silent mixing")
def test_another_bundle_never_goes_on_with_a_run(
    resenha: Resenha, work: Path, begun: dict[str, bytes], tmp_path: Path
) -> None:
    from tests.stand_ins import make_bundle

    make_bundle(tmp_path / "other", accuracy=0.8)
    ran = resenha("a.csv", "-o", "o/", "--part-rows", "2", "--resume", model=tmp_path / "other")
    assert ran.status == 8
    assert "bundle.digest is" in ran.err
    assert content_of(work / "o") == begun
