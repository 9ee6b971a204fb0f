"""What may never be told, and what may not be left behind."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import progress
from tests.faults.command import (
    Resenha,
    names_below,
    run_process,
)

SECRET = "zyzzyva"
"""A word that stands in reviews alone."""


def plant(work: Path) -> list[str]:
    """Inputs of every format in which each review, good or bad, holds the secret."""
    word = SECRET.encode()
    contents = {
        "a.csv": b"id,text\n1," + word + b'\n2\n3,"' + word + b"\n4," + word + b" \xff\n5," + word + b"\0\n6,"
        + word + b",more " + word + b'\n7,"' + word + b'" ' + word + b"\n8," + word * 200_000 + b"\n",
        "b.jsonl": b'{"text": "' + word + b'"}\n{"text": "' + word + b"\n" + word + b'\n{"text": ["' + word
        + b'"]}\n{"text": "' + word + b' \\ud800"}\n["' + word + b'"]\n"' + word + b'"\n{"text": "' + word
        + b'", "text": 1}\n',
        "c.txt": word + b"\0",
        "d.txt.gz": gzip.compress(word)[:-2],
        "e.parquet": word * 100,
        "f/x.txt": word + b"\xff",
        "g.jsonl": b'[{"text": "' + word + b'"},\n{"text": "' + word + b'"}]\n',
    }  # fmt: skip
    for name, content in contents.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [SECRET, None]}), stream)
    (work / "h.parquet").write_bytes(stream.getvalue())
    return [*(name for name in contents if "/" not in name), "f", "h.parquet"]


@pytest.mark.parametrize("output", ["-", "o.csv", "o.parquet", "o/"])
@pytest.mark.parametrize("more", [[], ["--encoding", "utf-16"], ["--encoding", "ascii"]], ids=["plain", "UTF-16", "ASCII"])  # fmt: skip
def test_no_word_of_a_review_stands_anywhere(
    output: str, more: list[str], resenha: Resenha, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in messages, rejects, plans, ledgers, summaries, nor in the rows themselves, unless it was kept."""
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    inputs = plant(work)
    planted = names_below(work)
    if more:
        # What has a header cannot be read in another encoding than its own.
        inputs = [name for name in inputs if not name.endswith(("csv", "parquet"))]
    options = [
        "--summary",
        "s.json",
        "--progress",
        "plain",
        "--part-rows" if output == "o/" else "--rejects",
        "3",
    ]
    ran = resenha(*inputs, "-o", output, *options, *more)
    assert ran.status == 3, ran.err
    written = names_below(work) - planted
    assert written
    told = {name: (work / name).read_bytes() for name in written} | {
        "standard error": ran.err.encode(),
        "-": ran.out,
    }
    assert [name for name, content in told.items() if SECRET[:5].encode() in content] == []
    told_again = resenha(*inputs, *more)
    assert SECRET[:5] not in told_again.err
    assert SECRET[:5] not in told_again.out.decode()


def test_the_secret_would_be_found_where_it_stands(resenha: Resenha, work: Path) -> None:
    plant(work)
    ran = resenha("a.csv", "--keep-columns", "text=review")
    assert SECRET in ran.out.decode()
    assert SECRET not in ran.err


@pytest.mark.parametrize("header", ["a film " * 10_000 + SECRET, f"a film so {'very ' * 6}{SECRET}", "a,b," * 50 + SECRET])  # fmt: skip
def test_a_review_where_a_header_was_to_be_is_told_only_in_part(
    header: str, resenha: Resenha, work: Path
) -> None:
    """To name the columns that were found is promised; to print a file is not."""
    (work / "a.csv").write_text(f"{header}\n")
    ran = resenha("a.csv")
    assert ran.status == 2
    assert SECRET not in ran.err
    assert len(ran.err) < 1_000


# What a run leaves beside its output


@pytest.mark.parametrize("output", ["-", "o/"])
@pytest.mark.parametrize("end", ["well", "with rejects", "too many rejects", "wrong column"])
def test_no_temporary_file_is_left(
    end: str, output: str, bundle: Path, work: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:  # fmt: skip
    """Neither beside the output nor in the folder for such files; ONNX Runtime would leave some, too."""
    content = {"well": "text\ngood\n", "wrong column": "review\ngood\n"}.get(end, "text\ngood\n?!\n")
    (work / "a.csv").write_text(content)
    for name in ("temporary", "home"):
        (tmp_path / name).mkdir()
    more = ["--max-rejects", "0"] if end == "too many rejects" else []
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "HOME": str(tmp_path / "home")}
    for name in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"):
        environment.pop(name, None)
    ran = run_process(bundle, "a.csv", "-o", output, *more, env=environment)
    record_property("seen", ran.seen)
    assert ran.status == {"well": 0, "with rejects": 3, "too many rejects": 4, "wrong column": 2}[end]
    assert not names_below(tmp_path / "temporary")
    kept = [name.partition("/")[0] for name in names_below(tmp_path / "home" / ".cache")]
    assert [*(tmp_path / "home").iterdir()] == ([tmp_path / "home" / ".cache"] if kept else [])
    assert kept == ([] if end == "wrong column" else ["resenha"])
    assert not [name for name in names_below(work) if name.endswith(".tmp")]
