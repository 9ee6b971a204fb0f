"""Options of ``resenha score`` that no case of the contract names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import progress
from tests.faults.command import (
    Resenha,
    Run,
    names_below,
    read_csv,
    read_folder,
    read_lines,
    read_page,
)

SECRET = "zyzzyva"
"""A word that stands in reviews alone."""


def output_of(work: Path, output: str, ran: Run) -> list[dict[str, Any]]:
    if output == "-":
        return ran.records
    if output.endswith("/"):
        return read_folder(work / output)
    if output.endswith(".parquet"):
        return list(pq.read_table(work / output).to_pylist())
    return read_csv(work / output) if output.endswith(".csv") else read_lines(work / output)


OUTPUTS = ["-", "o.jsonl", "o.csv", "o.parquet", "o/"]


# Columns that are kept


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_columns_are_kept_under_the_names_that_were_asked_for(
    name: str, output: str, resenha: Resenha, work: Path
) -> None:
    rows = [{"text": "good", "stars": "5", "=x": "=1+1"}, {"text": "bad", "stars": "1", "=x": 'a,"b"'}]
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), work / name)
    elif name == "a.jsonl":
        (work / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "a.csv":
        (work / name).write_text('text,stars,=x\ngood,5,=1+1\nbad,1,"a,""b"""\n')
    else:
        (work / name).write_text('text\tstars\t=x\ngood\t5\t=1+1\nbad\t1\t"a,""b"""\n')
    ran = resenha(name, "-o", output, "--keep-columns", "stars=points,text=review,=x=formula")
    assert ran.status == 2, "a name before = is needed"
    ran = resenha(name, "-o", output, "--keep-columns", "stars=points,text=review")
    assert ran.status == 0, ran.err
    found = output_of(work, output, ran)
    assert [[*each][-2:] for each in found] == [["points", "review"]] * 2
    assert [(each["points"], each["review"]) for each in found] == [("5", "good"), ("1", "bad")]


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("stars,stars", "names 'stars' twice"),
        ("stars,", "names nothing"),
        ("=stars", "names nothing"),
        ("score", "the output has a column 'score' already; write score=another_name"),
        ("stars=label", "the output has a column 'label' already"),
        ("stars=a,text=a", "the output has a column 'a' already"),
        ("nothing", "a.csv has no column 'nothing'; its columns are: text, stars"),
    ],
)
def test_columns_that_cannot_be_kept_stop_before_any_scoring(
    kept: str, told: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.csv").write_text("text,stars\ngood,5\n")
    ran = resenha("a.csv", "-o", "o/", "--keep-columns", kept)
    assert ran.status == 2
    assert told in ran.err
    assert names_below(work) == {"a.csv"}


def test_a_kept_formula_is_neutralised_in_csv_and_a_number_stays_one(resenha: Resenha, work: Path) -> None:
    values: list[object] = ["=1+1", "@a", "-2", "+3.5", "-2e5", "-", "+a", -7, None, True, ["=1"], "plain"]
    (work / "a.jsonl").write_text(
        "".join(json.dumps({"text": "good", "x": value}) + "\n" for value in values)
    )
    assert resenha("a.jsonl", "-o", "o.csv", "--keep-columns", "x").status == 0
    assert [row["x"] for row in read_csv(work / "o.csv")] == [
        "'=1+1", "'@a", "-2", "+3.5", "-2e5", "'-", "'+a", "-7", "", "true", '["=1"]', "plain",
    ]  # fmt: skip
    assert [each["x"] for each in resenha("a.jsonl", "--keep-columns", "x").records] == values


@pytest.mark.parametrize("option", ["--id-column", "--text-column"])
def test_columns_have_the_names_that_are_given(option: str, resenha: Resenha, work: Path) -> None:
    (work / "a.csv").write_text("key,review\nk1,good\n")
    ran = resenha("a.csv", "--id-column", "key", "--text-column", "review")
    assert [(each["id"], each["label"]) for each in ran.records] == [("k1", "positive")]
    ran = resenha("a.csv", "--text-column", "review", option, "nothing")
    assert ran.status == 2
    assert f"no column 'nothing'; its columns are: key, review ({option} names the one to use)" in ran.err


# Which inputs


@pytest.mark.parametrize("way", ["lines", "CRLF", "NUL", "standard input", "with names"])
@pytest.mark.parametrize("output", ["-", "o/"])
def test_a_list_of_inputs_is_read_in_its_order(way: str, output: str, resenha: Resenha, work: Path) -> None:
    names = ["b.txt", "c d.txt", "a.txt"]
    for name in names:
        (work / name).write_text("good")
    end = {"NUL": "\0", "CRLF": "\r\n"}.get(way, "\n")
    listed = end.join(names[1:] if way == "with names" else names).encode()
    (work / "list").write_bytes(listed)
    named = ["b.txt"] if way == "with names" else []
    given = "-" if way == "standard input" else "list"
    ran = resenha("--files-from", given, "-o", output, *named, stdin=listed)
    if way == "standard input":
        # A pipe that can be read only once; the list is needed more often than that.
        assert ran.status == 0
    assert [each["source"] for each in output_of(work, output, ran)] == names


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "list lists no input"),
        (b"nothing.txt\n", "nothing.txt (line 1 of list) is not there"),
        (b"a.txt\n./a.txt\n", "twice"),
        (b"a.txt\n\n-\n", "standard input"),
    ],
)
def test_a_list_that_names_what_cannot_be_read_says_where(
    content: bytes, told: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    (work / "list").write_bytes(content)
    ran = resenha("--files-from", "list", "-o", "o/", stdin=b"good\n")
    if content.endswith(b"-\n"):
        assert ran.status == 0
        assert [each["source"] for each in read_folder(work / "o")] == ["a.txt", "-"]
        return
    assert ran.status == 2
    assert told in ran.err
    assert names_below(work) == {"a.txt", "list"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "in/c.csv", "in/deep/d.csv"]),
        ("in/*/[c-e].csv", ["in/deep/d.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
    ],
)
def test_a_quoted_pattern_is_every_name_that_fits_in_a_fixed_order(
    pattern: str, expected: list[str], resenha: Resenha, work: Path
) -> None:
    (work / "in/deep").mkdir(parents=True)
    for name in ("b.csv", "in/deep/d.csv", "a.csv", "in/c.csv", ".hidden.csv"):
        (work / name).write_text("text\ngood\n")
    assert [each["source"] for each in resenha(pattern).records] == expected


@pytest.mark.parametrize(("threshold", "label"), [("0", "positive"), ("0.88", "positive"), ("0.89", "negative"), ("1", "negative")])  # fmt: skip
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_threshold_decides_the_label_in_every_way_out(
    threshold: str, label: str, output: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    ran = resenha("a.txt", "--threshold", threshold, "-o", output)
    assert [each["label"] for each in output_of(work, output, ran)] == [label]


# What is told, and where


def test_every_way_out_holds_the_same_rows(resenha: Resenha, work: Path) -> None:
    (work / "a.csv").write_text("id,text\n1,good\n2,?!\n3,bad film\n,xyzzy\n")
    found = {}
    for output in OUTPUTS:
        ran = resenha("a.csv", "-o", output)
        assert ran.status == 3
        found[output] = [
            {**each, "id": each["id"] or "", "score": round(each["score"], 6)}
            for each in output_of(work, output, ran)
        ]
    assert len(found["-"]) == 3
    assert all(rows == found["-"] for rows in found.values())


@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_a_quiet_run_says_nothing_and_its_status_all(output: str, resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text("good\n?!\n")
    ran = resenha("--lines", "a.txt", "-q", "-o", output, "--progress", "plain")
    assert (ran.status, ran.err) == (3, "")


@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_plain_progress_is_lines_on_standard_error(
    output: str, resenha: Resenha, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    (work / "a.txt").write_text(f"{SECRET}\n?!\n" * 500)
    ran = resenha("--lines", "a.txt", "-o", output, "--progress", "plain")
    lines = re.findall(r"^progress: ([\d,]+) rows · ([\d,]+) rejected · [\d,]+/s.*$", ran.err, re.MULTILINE)
    assert lines
    assert lines[-1] == ("1,000", "500")
    assert "\r" not in ran.err
    assert b"progress" not in ran.out


@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_a_dry_run_writes_nothing(output: str, resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text(SECRET)
    ran = resenha("a.txt", "-o", output, "--dry-run", "--summary", "s.json")
    told = json.loads(ran.out)
    assert ran.status == 0
    assert told["plan"]["inputs"]["files"] == 1
    assert SECRET not in ran.out.decode() + ran.err
    assert names_below(work) == {"a.txt"}
    assert not (work / "o").exists()
    assert resenha("nothing.txt", "-o", output, "--dry-run").status == 2


@pytest.mark.parametrize("part_rows", ["1", "2", "7"])
def test_shards_are_a_partition(part_rows: str, resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text("".join(f"good {n}\n" if n % 3 else "?!\n" for n in range(10)))
    seen: list[int] = []
    total = 0
    for shard in ("1/3", "2/3", "3/3"):
        folder = f"o{shard[0]}"
        ran = resenha("--lines", "a.txt", "-o", f"{folder}/", "--shard", shard, "--part-rows", part_rows)
        assert ran.status in (0, 3)
        page = read_page(work / folder / "_summary.json")
        rejects = read_lines(work / folder / "rejects.jsonl")
        rows = [each["row"] for each in [*read_folder(work / folder), *rejects]]
        assert page["rows_in"] == page["scored"] + sum(page["rejected"].values()) == len(rows)
        seen, total = seen + rows, total + page["rows_in"]
    assert (sorted(seen), total) == ([*range(1, 11)], 10)


def test_messages_escape_what_hides_or_reorders(resenha: Resenha, work: Path) -> None:
    """In names of files, of columns, and of outputs."""
    strange = "a\u202e\u2066\x1b[2J\u200bb"
    (work / f"{strange}.csv").write_text(f"{strange},id\ngood,1\n")
    (work / f"{strange}.txt").write_text("?!")
    calls = [
        [f"{strange}.csv"],
        [f"{strange}.txt"],
        [f"{strange}.txt", "-o", f"{strange}/o.csv"],
        [f"{strange}.txt", "-o", f"{strange}.txt", "--overwrite"],
        [f"{strange}.csv", "--text-column", strange, "--keep-columns", f"id={strange},{strange}={strange}"],
        [f"{strange}.txt", "--shard", strange, "-o", "o/"],
        [f"{strange}.txt", "--max-rejects", strange],
        [f"{strange}.txt", "--encoding", strange],
        [f"{strange}.txt", "--summary", f"{strange}.txt"],
        [strange],
        ["--files-from", strange],
    ]
    for arguments in calls:
        ran = resenha(*arguments)
        assert ran.status in (2, 3), arguments
        hidden = [each for each in ran.err if not (each.isprintable() or each == "\n")]
        assert not hidden, (arguments, ran.err)
