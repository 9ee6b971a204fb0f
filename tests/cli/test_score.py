"""``resenha score``, from its arguments to its exit status."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import cli
from pipeline.runtime import scorer as scorer_module
from pipeline.runtime.bundle import MODEL
from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.sinks import COLUMNS
from tests.runtime.altered_models import model_with_table_rows, model_with_weight
from tests.stand_ins import WORDS, make_bundle

REVIEWS = ["a good film", "a bad, dull film", "the café", "moving, moving", "not good"]


class Run:
    """What one call of the command line left behind."""

    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status, self.out, self.err = status, out, err.decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.decode().split("\n") if line]


Score = Callable[..., Run]


@pytest.fixture
def score(
    bundle: Path, work: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Score:
    """Call ``resenha score`` here, in the folder ``work``."""

    def call(*arguments: str | Path, stdin: bytes = b"", model: Path = bundle) -> Run:
        stream = io.BufferedReader(io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
        capsysbinary.readouterr()
        status = cli.run(["score", "--bundle", str(model), *map(str, arguments)])
        return Run(status, *capsysbinary.readouterr())

    return call


@pytest.fixture
def reviews(work: Path) -> str:
    """A file of reviews, one a line."""
    (work / "reviews.txt").write_text("\n".join(REVIEWS) + "\n", "utf-8")
    return "reviews.txt"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What comes out where


def test_standard_output_carries_data_alone(score: Score, reviews: str) -> None:
    found = score("--lines", reviews)
    assert found.status == 0
    assert [record["row"] for record in found.records] == [1, 2, 3, 4, 5]
    assert all(tuple(record) == COLUMNS for record in found.records)
    assert "5 rows: 5 scored" in found.err
    assert "bundle: stand-in from sample (synthetic)" in found.err


def test_a_quiet_run_says_nothing(score: Score, reviews: str) -> None:
    assert score("--lines", reviews, "-q").err == ""


def test_a_quiet_run_still_says_why_it_failed(score: Score) -> None:
    assert "nothing.txt is not there" in score("-q", "nothing.txt").err


def test_the_summary_counts_what_was_skipped_cut_and_rejected(score: Score, work: Path) -> None:
    (work / "a.txt").write_bytes(b"good\n\n?!\n" + b"bad " * 50 + b"\n")
    found = score("--lines", "a.txt")
    assert found.status == 3
    for part in (
        "3 rows: 2 scored",
        "1 rejected (no_tokens 1)",
        "1 cut to the bundle's length",
        "blank lines skipped 1",
        "negative 1",
        "positive 1",
    ):
        assert part in found.err


def test_an_output_file_is_whole_and_alone(score: Score, reviews: str, work: Path) -> None:
    found = score("--lines", reviews, "-o", "scores.jsonl")
    assert (found.status, found.out) == (0, b"")
    assert (work / "scores.jsonl").read_bytes() == score("--lines", reviews).out
    assert names_in(work) == [reviews, "scores.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "is_csv"),
    [
        (["-o", "s.csv"], True),
        (["-o", "s.CSV"], True),
        (["-o", "s.jsonl"], False),
        (["-o", "s"], False),
        (["-o", "s.csv", "--output-format", "jsonl"], False),
        (["-o", "s", "--output-format", "csv"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_suffix_says_how_to_write(score: Score, reviews: str, arguments: list[str], is_csv: bool) -> None:
    assert score("--lines", reviews, *arguments).status == 0
    assert Path(arguments[1]).read_text().startswith("source,row" if is_csv else "{") is True


def test_a_header_alone_gives_an_empty_output(score: Score, work: Path) -> None:
    (work / "a.csv").write_text("id,text\n")
    found = score("a.csv")
    assert (found.status, found.out) == (0, b"")


def test_a_header_alone_gives_a_header_alone_as_csv(score: Score, work: Path) -> None:
    (work / "a.csv").write_text("id,text\n")
    found = score("a.csv", "--output-format", "csv")
    assert (found.status, found.out.decode()) == (0, ",".join(COLUMNS) + "\n")


def test_an_empty_standard_input_gives_an_empty_output(score: Score) -> None:
    found = score("-")
    assert (found.status, found.out) == (0, b"")


def test_an_id_that_a_spreadsheet_would_run_is_neutralised(score: Score, work: Path) -> None:
    (work / "a.csv").write_text("id,text\n=1+1,good\n+1,good\n-1,good\n@a,good\nx,good\n")
    found = score("a.csv", "--output-format", "csv")
    rows = list(csv.DictReader(io.StringIO(found.out.decode(), newline="")))
    assert [row["id"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", "x"]
    assert [record["id"] for record in score("a.csv").records] == ["=1+1", "+1", "-1", "@a", "x"]


@pytest.mark.parametrize(
    ("threshold", "label"), [("0", "positive"), ("0.5", "positive"), ("0.51", "negative")]
)
def test_the_threshold_can_be_chosen(score: Score, threshold: str, label: str) -> None:
    assert score("-", "--threshold", threshold, stdin=b"film\n").records[0]["label"] == label


# The same score whatever the way in


def write_inputs(folder: Path) -> dict[str, list[str]]:
    """The same reviews in every format, and the arguments that read each."""
    plain = "\n".join(REVIEWS) + "\n"
    (folder / "l.txt").write_text(plain, "utf-8")
    (folder / "crlf.txt").write_bytes(plain.replace("\n", "\r\n").encode())
    (folder / "cr.txt").write_bytes(plain.rstrip().replace("\n", "\r").encode())
    (folder / "mark.txt").write_bytes(plain.encode("utf-8-sig"))
    (folder / "le.txt").write_bytes(b"\xff\xfe" + plain.encode("utf-16-le"))
    (folder / "be.txt").write_bytes(b"\xfe\xff" + plain.encode("utf-16-be"))
    (folder / "latin.txt").write_bytes(plain.encode("latin-1"))
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t"), ("semicolon.csv", ";")):
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            rows = [[str(number), text] for number, text in enumerate(REVIEWS)]
            csv.writer(stream, delimiter=delimiter).writerows([["key", "text"], *rows])
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in REVIEWS))
    (folder / "folder").mkdir()
    for number, text in enumerate(REVIEWS):
        (folder / "folder" / f"{number}.txt").write_text(text, "utf-8")
    return {
        "CRLF": ["--lines", "crlf.txt"],
        "CR": ["--lines", "cr.txt"],
        "UTF-8 mark": ["--lines", "mark.txt"],
        "UTF-16 LE": ["--lines", "le.txt"],
        "UTF-16 BE": ["--lines", "be.txt"],
        "Latin-1": ["--lines", "latin.txt", "--encoding", "latin-1"],
        "CSV": ["a.csv"],
        "TSV": ["a.tsv"],
        "semicolons": ["semicolon.csv", "--delimiter", ";"],
        "JSON lines": ["a.jsonl"],
        "folder": ["folder"],
        "files": [f"folder/{number}.txt" for number in range(len(REVIEWS))],
    }


def test_every_format_gives_the_same_scores(score: Score, work: Path) -> None:
    ways = write_inputs(work)
    used = ("score", "label", "tokens", "unknown_share", "truncated")

    def scores(*arguments: str) -> list[list[Any]]:
        found = score(*arguments)
        assert found.status == 0, found.err
        return [[record[name] for name in used] for record in found.records]

    expected = scores("--lines", "l.txt")
    assert len(expected) == len(REVIEWS)
    assert {way: scores(*arguments) for way, arguments in ways.items()} == dict.fromkeys(ways, expected)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_batch_size_changes_nothing(
    score: Score, reviews: str, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    expected = score("--lines", reviews).out
    monkeypatch.setattr("pipeline.runtime.batching.WINDOW", batch_size)
    assert score("--lines", reviews).out == expected


def test_a_graph_alone_is_enough(score: Score, reviews: str, bundle: Path) -> None:
    assert score("--lines", reviews, model=bundle / MODEL).out == score("--lines", reviews).out


def test_a_bundle_can_be_named_by_the_environment(
    work: Path,
    bundle: Path,
    reviews: str,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESENHA_BUNDLE", str(bundle))
    assert cli.run(["score", "--lines", reviews]) == 0
    assert capsysbinary.readouterr().out.count(b"\n") == len(REVIEWS)


def test_a_bundle_in_its_usual_place_needs_no_name(
    work: Path, reviews: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    make_bundle(work / "artifacts" / "current")
    assert cli.run(["score", "--lines", reviews]) == 0


# Rejects

MIXED = (
    b'id,text\n1,good\n2\n3,"bad\n4,film\n5,\xff\n6,a\0b\n7,?!\n8,a,b\n9,'
    + b"x" * (MAX_ROW_BYTES + 1)
    + b"\n10,good\n"
)
MIXED_CODES = {
    2: "column_count",
    3: "unclosed_quote",
    5: "invalid_encoding",
    6: "binary",
    7: "no_tokens",
    8: "column_count",
    9: "too_long",
}


def test_each_row_stands_once_in_the_output_or_the_rejects(score: Score, work: Path) -> None:
    (work / "a.csv").write_bytes(MIXED)
    (work / "b.jsonl").write_bytes(
        b'{"text": "good"}\n{\n{"text": 1}\n{"text": "\\ud800"}\n{"text": "bad"}\n'
    )
    found = score("a.csv", "b.jsonl", "--rejects", "rejects.jsonl")
    rejects = [json.loads(line) for line in (work / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert found.status == 3
    assert {each["row"]: each["code"] for each in rejects if each["source"] == "a.csv"} == MIXED_CODES
    places = [(each["source"], each["row"]) for each in [*found.records, *rejects]]
    assert sorted(places) == [("a.csv", n) for n in range(1, 11)] + [("b.jsonl", n) for n in range(1, 6)]
    assert "15 rows: 5 scored · 10 rejected" in found.err


def test_rejects_without_a_file_are_shown(score: Score) -> None:
    found = score("-", stdin=b"good\n?!\n")
    assert found.status == 3
    assert "rejected: - row 2: no_tokens: holds no word" in found.err


def test_only_the_first_rejects_are_shown(score: Score) -> None:
    found = score("-", stdin=b"?!\n" * 1_000)
    assert found.err.count("rejected: - row") == 20
    assert "(--rejects FILE keeps them all)" in found.err
    assert "1,000 rejected (no_tokens 1,000)" in found.err


def test_the_rejects_file_keeps_them_all(score: Score, work: Path) -> None:
    found = score("-", "--rejects", "rejects.jsonl", stdin=b"?!\n" * 1_000)
    assert "rejected: -" not in found.err
    assert (work / "rejects.jsonl").read_bytes().count(b"\n") == 1_000


def test_a_run_without_rejects_leaves_an_empty_rejects_file(score: Score, work: Path) -> None:
    assert score("-", "--rejects", "rejects.jsonl", stdin=b"good\n").status == 0
    assert (work / "rejects.jsonl").read_bytes() == b""


def test_half_of_a_surrogate_pair_crashes_nothing(score: Score, work: Path) -> None:
    (work / "a.jsonl").write_bytes(
        b'{"text": "\\ud800"}\n{"text": "good", "id": "\\udfff"}\n{"text": "good"}\n'
    )
    for arguments in ([], ["--output-format", "csv"], ["--rejects", "rejects.jsonl"]):
        found = score("a.jsonl", *arguments)
        assert found.status == 3
        assert "2 rejected (lone_surrogate 2)" in found.err


def test_a_file_that_cannot_be_opened_costs_itself(
    score: Score, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt"):
        (work / name).write_text("good")
    os_open = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if path == "a.txt":
            raise PermissionError(13, "Permission denied", path)
        return os_open(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    found = score("a.txt", "b.txt")
    assert found.status == 3
    assert [record["source"] for record in found.records] == ["b.txt"]
    assert "rejected: a.txt: unreadable: Permission denied" in found.err


def test_a_score_that_is_no_number_is_a_reject(score: Score, tmp_path: Path) -> None:
    make_bundle(tmp_path / "odd", model=None)
    alone = tmp_path / "odd.onnx"
    alone.write_bytes(model_with_weight("dull", math.nan))
    found = score("-", stdin=b"good\ndull\nbad\n", model=alone)
    assert found.status == 3
    assert [record["row"] for record in found.records] == [1, 3]
    assert "not_finite" in found.err


def test_an_input_named_twice_never_gives_a_row_twice(score: Score, reviews: str) -> None:
    found = score("--lines", reviews, f"./{reviews}", reviews)
    places = [(os.path.normpath(record["source"]), record["row"]) for record in found.records]
    assert len(set(places)) == len(places)


# File names


@pytest.mark.parametrize(
    "name", [b"caf\xe9.txt", b"a\nb.txt", b'"a",b.txt', b"=1+1.txt", b"a\x1b[2J.txt"], ids=repr
)
def test_a_file_of_any_name_is_scored_and_reported(score: Score, work: Path, name: bytes) -> None:
    path = work / os.fsdecode(name)
    path.write_text("good")
    found = score(os.fsdecode(name))
    assert found.status == 0
    assert found.records[0]["source"] == name.decode(errors="backslashreplace")
    path.write_text("?!")
    found = score(os.fsdecode(name))
    assert found.status == 3
    assert "\x1b" not in found.err
    assert all(line.startswith(("bundle:", "rejected:", "1 rows:")) for line in found.err.splitlines())


def test_a_name_with_a_leading_dash_follows_two_dashes(score: Score, work: Path) -> None:
    (work / "-rf.txt").write_text("good")
    assert score("--", "-rf.txt").records[0]["source"] == "-rf.txt"
    assert score("./-rf.txt").status == 0


def test_a_message_escapes_what_could_spoil_a_terminal(score: Score) -> None:
    found = score("\x1b[2J\udcff\n.txt")
    assert found.status == 2
    assert "\x1b" not in found.err
    assert found.err.count("\n") == 1


# Wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing.txt"],
        ["nothing"],
        ["--nonsense", "reviews.txt"],
        ["reviews.txt", "--threshold", "2"],
        ["reviews.txt", "--input-format", "xml"],
        ["reviews.txt", "--output-format", "xml"],
        ["reviews.txt", "--lines", "--input-format", "csv"],
        ["reviews.txt", "--encoding", "nonsense"],
        ["reviews.txt", "--delimiter", "ab"],
        ["-", "-"],
        ["reviews.txt", "-o", "."],
        ["reviews.txt", "-o", "nowhere/folder/"],
        ["--lines", "reviews.txt", "-o", "reviews.txt/"],
        ["reviews.txt", "--resume"],
        ["reviews.txt", "-o", "scores.jsonl", "--workers", "2"],
        ["reviews.txt", "-o", "new/", "--rejects", "rejects.jsonl"],
        ["reviews.txt", "-o", "new/", "--resume", "--overwrite"],
        ["reviews.txt", "-o", "new/", "--shard", "3/2"],
        ["reviews.txt", "-o", "new/", "--max-rejects", "many"],
        ["--lines", "reviews.txt", "-o", "new/", "--keep-columns", "stars"],
        ["reviews.txt", "-o", "new/", "--keep-columns", "label"],
        ["reviews.txt", "-o", "nowhere/scores.jsonl"],
        ["reviews.txt", "--rejects", "."],
        ["reviews.txt", "-o", "same", "--rejects", "./same"],
        ["reviews.txt", "--bundle", "nowhere"],
        ["empty"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_and_nothing_is_written(
    score: Score, reviews: str, work: Path, arguments: list[str]
) -> None:
    (work / "empty").mkdir()
    found = score(*arguments)
    assert found.status == 2
    assert found.out == b""
    assert found.err
    assert "Traceback" not in found.err
    assert names_in(work) == ["empty", reviews]


def test_a_missing_bundle_says_how_to_make_one(
    work: Path, reviews: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.run(["score", "--lines", reviews]) == 2
    assert b"make pipeline" in capsysbinary.readouterr().err


@pytest.mark.parametrize("header", ["id,review", "text,text"], ids=["missing", "twice"])
def test_a_text_column_that_is_not_clear_stops_before_any_scoring(
    score: Score, work: Path, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setattr(scorer_module.Scorer, "score_ids", None)
    (work / "a.csv").write_text("text\ngood\n")
    (work / "b.csv").write_text(f"{header}\n1,good\n")
    found = score("a.csv", "b.csv", "-o", "scores.jsonl")
    assert found.status == 2
    assert header.replace(",", ", ") in found.err
    assert names_in(work) == ["a.csv", "b.csv"]


def test_standard_input_without_its_column_leaves_no_output_file(score: Score, work: Path) -> None:
    found = score("-", "--input-format", "csv", "-o", "scores.jsonl", stdin=b"review\ngood\n")
    assert found.status == 2
    assert names_in(work) == []


@pytest.mark.parametrize("option", ["-o", "--rejects"])
def test_a_file_that_exists_is_kept_unless_told_otherwise(
    score: Score, reviews: str, work: Path, option: str
) -> None:
    (work / "old").write_text("old")
    found = score("--lines", reviews, option, "old")
    assert found.status == 2
    assert "--overwrite" in found.err
    assert (work / "old").read_text() == "old"
    assert score("--lines", reviews, option, "old", "--overwrite").status == 0
    assert (work / "old").read_text() != "old"


@pytest.mark.parametrize("option", ["-o", "--rejects"])
@pytest.mark.parametrize("target", ["reviews.txt", "./reviews.txt", "link.txt", "../here/reviews.txt"])
def test_an_input_is_never_written_over(
    score: Score, reviews: str, work: Path, option: str, target: str
) -> None:
    (work / "link.txt").symlink_to(reviews)
    found = score("--lines", reviews, option, target, "--overwrite", "--output-format", "jsonl")
    assert found.status == 2
    assert "is an input too" in found.err
    assert (work / reviews).read_text("utf-8").splitlines() == REVIEWS


def test_a_file_of_an_input_folder_is_never_written_over(score: Score, work: Path) -> None:
    (work / "folder").mkdir()
    (work / "folder" / "a.txt").write_text("good")
    found = score("folder", "-o", "folder/a.txt", "--overwrite")
    assert (work / "folder" / "a.txt").read_text() == "good"
    assert found.status == 2


def test_a_hard_link_to_an_input_is_never_written_over(score: Score, reviews: str, work: Path) -> None:
    (work / "link.txt").hardlink_to(reviews)
    score("--lines", reviews, "-o", "link.txt", "--overwrite")
    assert (work / reviews).read_text("utf-8").splitlines() == REVIEWS


# Bundles that are refused


@pytest.mark.parametrize("name", ["model.onnx", "golden.jsonl", "README.md", "manifest.json"])
def test_a_flipped_byte_refuses_the_bundle(score: Score, reviews: str, bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    found = score("--lines", reviews)
    assert (found.status, found.out) == (5, b"")
    assert name in found.err


def test_a_file_that_is_no_graph_is_refused(score: Score, reviews: str) -> None:
    found = score("--lines", reviews, model=Path(reviews))
    assert found.status == 5


def test_a_refused_bundle_leaves_no_output_file(score: Score, reviews: str, bundle: Path, work: Path) -> None:
    (bundle / "extra").touch()
    assert score("--lines", reviews, "-o", "scores.jsonl").status == 5
    assert names_in(work) == [reviews]


def test_a_table_smaller_than_the_vocabulary_is_refused(score: Score, tmp_path: Path) -> None:
    alone = tmp_path / "odd.onnx"
    alone.write_bytes(model_with_table_rows(len(WORDS) + 3))
    assert score("-", stdin=WORDS[-1].encode(), model=alone).status == 5


# Disks that fail


@pytest.mark.parametrize("option", ["-o", "--rejects"])
def test_a_failing_sync_is_never_a_success(
    score: Score, reviews: str, work: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    found = score("--lines", reviews, option, "result")
    assert found.status == 6
    assert "result cannot be written: Input/output error" in found.err
    assert names_in(work) == [reviews]


def test_an_output_that_appeared_meanwhile_is_kept(
    score: Score, reviews: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_ids = scorer_module.Scorer.score_ids

    def appear(self: scorer_module.Scorer, token_ids: Any) -> Any:
        (work / "result").write_text("theirs")
        return score_ids(self, token_ids)

    monkeypatch.setattr(scorer_module.Scorer, "score_ids", appear)
    found = score("--lines", reviews, "-o", "result")
    assert found.status == 6
    assert (work / "result").read_text() == "theirs"
    assert names_in(work) == ["result", reviews]


# As a process of its own

PREPARED = {
    "interruptible": "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)",
    "small files": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))",
}


def command(bundle: Path, *arguments: str, prepared: str = "interruptible") -> list[str]:
    code = f"{PREPARED[prepared]}\nfrom pipeline.cli import main\nmain()"
    return [sys.executable, "-c", code, "score", "--bundle", str(bundle), *arguments]


def many_reviews(folder: Path) -> str:
    (folder / "many.txt").write_text("a good film\nbad\n?!\n" * 5_000)
    return "many.txt"


@pytest.mark.parametrize(
    "more", [[], ["--rejects", "rejects.jsonl"], ["-q"]], ids=["plain", "rejects", "quiet"]
)
def test_a_reader_that_leaves_stops_the_run_without_a_traceback(
    bundle: Path, work: Path, more: list[str]
) -> None:
    with subprocess.Popen(
        command(bundle, "--lines", many_reviews(work), *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
        status = process.wait()
    assert json.loads(first)["row"] == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert status == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("more", [[], ["--rejects", "rejects.jsonl"]], ids=["plain", "rejects"])
def test_a_full_disk_behind_standard_output_is_told(bundle: Path, work: Path, more: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run(
            command(bundle, "-q", "--lines", many_reviews(work), *more),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 6
    assert found.stderr == "resenha: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_leaves_no_file_behind(
    bundle: Path, work: Path, number: signal.Signals, status: int
) -> None:
    with subprocess.Popen(
        command(bundle, "-", "-o", "scores.jsonl", "--rejects", "rejects.jsonl"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"a good film\n" * 5_000)
        process.stdin.flush()
        while process.poll() is None and not any(path.stat().st_size for path in work.glob(".resenha-*")):
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == status
    assert b"Traceback" not in err
    assert b"no output file was left half-written" in err
    assert names_in(work) == []


@pytest.mark.parametrize("target", ["-o", "--rejects"])
def test_a_disk_that_is_full_leaves_no_file_and_is_named(bundle: Path, work: Path, target: str) -> None:
    other = {"-o": "--rejects", "--rejects": "-o"}[target]
    (work / "a.txt").write_text(("good\n" if target == "-o" else "?!\n") * 2_000)
    found = subprocess.run(
        command(bundle, "--lines", "a.txt", target, "full", other, "other", prepared="small files"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 6
    assert "resenha: full cannot be written: File too large" in found.stderr
    assert names_in(work) == ["a.txt"]


def test_standard_input_and_output_are_a_pipe(bundle: Path, work: Path) -> None:
    found = subprocess.run(
        command(bundle, "-"), input=b"a good film\r\nbad", capture_output=True, check=False
    )
    assert (found.returncode, found.stdout.count(b"\n")) == (0, 2)
    assert b"Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("closed", "arguments"), [(0, ["-"]), (1, ["--lines", "a.txt"])], ids=["stdin", "stdout"]
)
def test_a_closed_stream_is_told_without_a_traceback(
    bundle: Path, work: Path, closed: int, arguments: list[str]
) -> None:
    (work / "a.txt").write_text("good\n")
    code = f"import os; os.close({closed}); os.execv({sys.executable!r}, {command(bundle, *arguments)!r})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode not in (0, 1)
    assert "Traceback" not in found.stderr


def test_nothing_but_the_self_test_is_kept_of_a_run(bundle: Path, work: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    where = os.environ | {"XDG_CACHE_HOME": str(cache)}
    where.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(command(bundle, "-"), input=b"good", env=where, capture_output=True, check=True)
    assert names_in(cache) == ["resenha"]


def test_the_package_runs_as_a_module(work: Path) -> None:
    found = subprocess.run([sys.executable, "-m", "pipeline", "--help"], capture_output=True, check=True)
    assert found.stdout.startswith(b"Usage: resenha")
    assert found.stderr == b""


def test_a_link_that_runs_in_a_circle_costs_itself(score: Score, work: Path, reviews: str) -> None:
    (work / "loop.txt").symlink_to("loop.txt")
    found = score("loop.txt", reviews)
    assert found.status == 3
    assert len(found.records) == 1
    assert "loop.txt: unreadable" in found.err


def test_entries_of_a_folder_that_are_not_read_are_counted(score: Score, work: Path) -> None:
    (work / "folder" / "inner").mkdir(parents=True)
    for name in ("a.txt", "inner/b.txt", "notes.md"):
        (work / "folder" / name).write_text("good")
    found = score("folder")
    assert (found.status, len(found.records)) == (0, 1)
    assert "entries of folders passed over 2" in found.err


def test_a_folder_is_read_by_line_where_that_was_asked_for(score: Score, work: Path) -> None:
    (work / "folder").mkdir()
    (work / "folder" / "a.txt").write_text("good\nbad\n")
    assert [record["row"] for record in score("--lines", "folder").records] == [1, 2]


def test_an_output_of_no_known_format_is_refused(score: Score, reviews: str, work: Path) -> None:
    assert score("--lines", reviews, "-o", "scores.xlsx").status == 2
    assert score("--lines", reviews, "-o", "scores.xlsx", "--output-format", "csv").status == 0
    assert (work / "scores.xlsx").read_text().startswith("source,row,")
