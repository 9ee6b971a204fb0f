"""Compressed and columnar inputs."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.faults.cases import case
from tests.faults.command import Rejected, Resenha, Scene, names_below, run_process
from tests.faults.memory import GIGABYTE, peak_of
from tests.light_environment import make_light_environment

ROWS = b"".join(b"good film %d\n" % number for number in range(2_000))
WHOLE = gzip.compress(ROWS, mtime=0)
BESIDE = {"b.txt.gz": gzip.compress(b"good")}
"""Another file, which has to be scored whatever is wrong with the first."""


def table(**columns: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def file_reject(name: str, content: bytes, code: str) -> Scene:
    return Scene({(name, 0): Rejected(code), ("b.txt.gz", 1): "good"}, {name: content, **BESIDE})


PARQUET = table(text=["good", "bad"])
SCENES = [
    ("truncated .gz", "in the middle", file_reject("a.csv.gz", WHOLE[: len(WHOLE) // 2], "corrupted")),
    ("truncated .gz", "its last byte", file_reject("a.jsonl.gz", WHOLE[:-1], "corrupted")),
    ("truncated .gz", "behind its magic", file_reject("a.txt.gz", WHOLE[:3], "corrupted")),
    ("corrupted .gz", "its data", file_reject("a.txt.gz", flipped(WHOLE, len(WHOLE) // 2), "corrupted")),
    ("corrupted .gz", "its checksum", file_reject("a.txt.gz", flipped(WHOLE, len(WHOLE) - 7), "corrupted")),
    ("corrupted .gz", "text behind it", file_reject("a.txt.gz", WHOLE + b"good\n", "corrupted")),
    ("compression is recognised by content, not by name", "compressed without .gz", Scene(
        {("a.txt", 1): "a good film"}, {"a.txt": gzip.compress(b"a good film")})),
    ("compression is recognised by content, not by name", ".gz that is plain", Scene(
        {("a.csv.gz", 1): "bad", ("b.txt.gz", 1): "film"}, {"a.csv.gz": b"text\nbad\n", "b.txt.gz": b"film"})),
    ("compression is recognised by content, not by name", "standard input", Scene(
        {("-", 1): "good", ("-", 2): "bad"}, stdin=gzip.compress(b"good\n") + gzip.compress(b"bad\n"))),
    ("Parquet without a footer", "cut off", file_reject("a.parquet", PARQUET[:-8], "corrupted")),
    ("Parquet without a footer", "something else", file_reject("a.parquet", b"good film\n" * 10, "corrupted")),
    ("Parquet without a footer", "empty", file_reject("a.parquet", b"", "corrupted")),
    ("Parquet with nulls", "between others", Scene(
        {("a.parquet", 1): "good", ("a.parquet", 2): Rejected("text_not_string"), ("a.parquet", 3): "bad"},
        {"a.parquet": table(text=["good", None, "bad"])})),
    ("Parquet with zero rows", "with its column", Scene(
        {}, {"a.parquet": table(text=pa.array([], pa.string()))})),
]  # fmt: skip


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, id=f"{words}: {kind}", marks=case("Compressed and columnar", words))
        for words, kind, scene in SCENES
    ],
)
def test_a_file_is_read_by_its_content_or_costs_itself(scene: Scene, resenha: Resenha, work: Path) -> None:
    scene.play(resenha, work)


@case("Compressed and columnar", "truncated .gz")
@pytest.mark.parametrize("place", [*range(2, 8), len(WHOLE) - 9, len(WHOLE) - 8, len(WHOLE) - 4])
def test_wherever_it_is_cut_no_row_of_it_is_scored(place: int, resenha: Resenha, work: Path) -> None:
    """Three bytes tell gzip; two are no text either. One is: a control character, and no format's mark."""
    (work / "a.txt.gz").write_bytes(WHOLE[:place])
    ran = resenha("a.txt.gz", "--lines")
    assert (ran.status, ran.out) == (3, b"")
    assert "rejected: a.txt.gz" in ran.err


def write_bomb(path: Path, size: int) -> int:
    """Write gzip data of a line without end, 1000:1; give its bytes."""
    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    with path.open("wb") as stream:
        for _ in range(size >> 20):
            stream.write(packer.compress(piece))
        stream.write(packer.flush())
    return path.stat().st_size


@case("Compressed and columnar", "a bomb (1000:1)")
@case("Promises", "P5 bounded memory")
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_bomb_costs_itself_and_neither_memory_nor_disk(
    way: str, is_long: bool, bundle: Path, work: Path, record_property: Callable[[str, object], None]
) -> None:
    size = write_bomb(work / "a.txt.gz", GIGABYTE if is_long else 128 << 20)
    assert (GIGABYTE if is_long else 128 << 20) / size > 1_000
    (work / "b.txt").write_text("good")
    before = names_below(work.parent)
    with (work / "a.txt.gz").open("rb") as stdin:
        first = "-" if way == "standard input" else "a.txt.gz"
        ran, peak = peak_of(bundle, first, "b.txt", "--lines", stdin=stdin)
    record_property("seen", ran.seen)
    assert ran.status == 3
    assert [each["source"] for each in ran.records] == ["b.txt"]
    assert "above 700:1 it is taken for a bomb, not for text" in ran.err
    _, small = peak_of(bundle, "b.txt")
    assert peak - small < 24 << 20
    assert names_below(work.parent) == before


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        pytest.param(
            {"review": ["good"], "id": ["1"]},
            "a.parquet has no column 'text'; its columns are: review, id (--text-column names the one to use)",
            marks=case("Compressed and columnar", "Parquet with a missing text column"),
            id="missing",
        ),
        pytest.param(
            {"text": [1.5]},
            "a.parquet: column 'text' holds double, not strings (--text-column names the one to use)",
            marks=case("Compressed and columnar", "Parquet with a wrongly typed text column"),
            id="numbers",
        ),
        pytest.param(
            {"text": [["good"]]},
            "a.parquet: column 'text' holds list<element: string>, not strings",
            marks=case("Compressed and columnar", "Parquet with a wrongly typed text column"),
            id="lists",
        ),
    ],
)
def test_a_text_column_of_parquet_that_is_not_clear_stops_before_any_scoring(
    columns: dict[str, Any], told: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.parquet").write_bytes(table(**columns))
    ran = resenha("a.parquet", "-o", "o.jsonl")
    assert ran.status == 2
    assert told in ran.err
    assert names_below(work) == {"a.parquet"}


@case("Compressed and columnar", "Parquet support not installed")
@pytest.mark.parametrize("arguments", [["a.parquet"], ["a.txt", "-o", "o.parquet"], ["a.txt", "-o", "o/", "--output-format", "parquet"]], ids=" ".join)  # fmt: skip
def test_without_the_extra_parquet_is_refused_by_its_name(
    arguments: list[str], bundle: Path, work: Path, record_property: Callable[[str, object], None]
) -> None:
    (work / "a.parquet").write_bytes(PARQUET)
    (work / "a.txt").write_text("good")
    before = names_below(work)
    ran = run_process(bundle, *arguments, prepared="import sys; sys.modules['pyarrow'] = None")
    record_property("seen", ran.seen)
    assert ran.status == 2
    assert "Parquet needs the package 'pyarrow': pip install '.[parquet]'" in ran.err
    assert "Traceback" not in ran.err
    assert names_below(work) == before


@case("Compressed and columnar", "Parquet support not installed")
def test_in_the_light_install_all_other_formats_still_work(
    bundle: Path, work: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    program = make_light_environment(tmp_path / "light") / "resenha"
    files = {
        "a.txt": b"good", "b.txt.gz": gzip.compress(b"good"), "a.csv": b"text\ngood\n", "a.tsv": b"id\ttext\n1\tgood\n",
        "a.jsonl": b'{"text": "good"}\n',
    }  # fmt: skip
    for name, content in files.items():
        (work / name).write_bytes(content)
    command = [str(program), "score", "-b", str(bundle)]
    for output in ("o.jsonl", "o.csv", "o/"):
        found = subprocess.run([*command, *files, "-o", output], capture_output=True, text=True, check=False)
        assert (found.returncode, "5 scored" in found.stderr) == (0, True), found.stderr
    assert [json.loads(line)["source"] for line in (work / "o.jsonl").read_text().splitlines()] == [*files]
    (work / "a.parquet").write_bytes(PARQUET)
    found = subprocess.run([*command, "a.parquet"], capture_output=True, text=True, check=False)
    record_property("seen", found.stderr)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.count("\n") == 1
