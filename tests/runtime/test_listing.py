"""Which files are read, in a fixed order, and what is refused before any is."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.listing import InputFile, check_files, is_input, list_files, open_inputs
from pipeline.runtime.reading import InputFormat, ReadOptions, ReadTally
from tests.runtime.test_folders import shuffle_folders


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(*names: str | bytes) -> None:
    for name in map(os.fsdecode, names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def listing(
    *names: str,
    files_from: str | None = None,
    tally: ReadTally | None = None,
    chosen: InputFormat | None = None,
) -> list[InputFile]:
    """What is read, after the check that comes before it."""
    options = ReadOptions(input_format=chosen)
    with open_inputs(names, files_from) as inputs:
        check_files(inputs, options)
        return list(list_files(inputs, options, tally or ReadTally()))


def names_of(found: list[InputFile]) -> list[str]:
    return [file.name for file in found]


def write_list(*names: str, name: str = "list", end: str = "\n") -> str:
    Path(name).write_bytes(b"".join(os.fsencode(each + end) for each in names))
    return name


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))


# Order


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_the_names_then_that_of_the_list(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    fill(
        "z.csv",
        "f/b.txt",
        "f/a.txt",
        "f/B.txt.gz",
        "f/no.csv",
        "p2.csv",
        "p1.csv",
        "pé.csv",
        "m.tsv",
        "g/x.txt",
    )
    shuffle_folders(monkeypatch, seed)
    listed = write_list("m.tsv", "p?.csv", "g")
    tally = ReadTally()
    assert names_of(listing("z.csv", "f", "-", files_from=listed, tally=tally)) == [
        "z.csv", "f/B.txt.gz", "f/a.txt", "f/b.txt", "-", "m.tsv", "p1.csv", "p2.csv", "pé.csv", "g/x.txt",
    ]  # fmt: skip
    assert tally.passed_over == 1


def test_files_are_listed_as_they_are_asked_for() -> None:
    fill("a.txt")
    options = ReadOptions()
    with open_inputs(["a.txt"], write_list("f")) as inputs:
        found = list_files(inputs, options, ReadTally())
        assert next(found).name == "a.txt"
        fill("f/b.txt")
        assert next(found).name == "f/b.txt"


@pytest.mark.parametrize("end", ["\n", "\0"], ids=["lines", "NUL"])
def test_names_of_any_kind_survive_a_list(end: str) -> None:
    names = [b"caf\xe9.txt", b'"a",b.txt', b"-rf.txt", b"=1+1.txt", b" .txt", b"a\x1b[2J.txt", b"a\rb.txt"]
    names += [b"a\nb.txt", b"\n.txt"] if end == "\0" else []
    fill(*names)
    listed = write_list(*map(os.fsdecode, names), end=end)
    assert list(map(os.fsencode, names_of(listing(files_from=listed)))) == names


def test_matches_that_are_folders_are_folders() -> None:
    fill("f1/b.txt", "f1/a.txt", "f2/c.txt", "f1/no.csv")
    tally = ReadTally()
    assert names_of(listing("f*", tally=tally)) == ["f1/a.txt", "f1/b.txt", "f2/c.txt"]
    assert tally.passed_over == 1


def test_a_name_with_wildcards_that_is_there_is_no_pattern() -> None:
    fill("[a].txt", "a.txt", "*.txt")
    assert names_of(listing("[a].txt", "*.txt")) == ["[a].txt", "*.txt"]


# Formats


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", InputFormat.TEXT),
        ("a.csv", InputFormat.CSV),
        ("a.tsv", InputFormat.TSV),
        ("a.jsonl", InputFormat.JSONL),
        ("a.ndjson", InputFormat.JSONL),
        ("a.parquet", InputFormat.PARQUET),
        ("a.CSV", InputFormat.CSV),
        ("a.txt.gz", InputFormat.TEXT),
        ("a.csv.gz", InputFormat.CSV),
        ("a.Jsonl.GZ", InputFormat.JSONL),
        ("a.gz.csv", InputFormat.CSV),
    ],
)
def test_the_suffix_says_how_a_file_is_read(name: str, expected: InputFormat) -> None:
    fill(name)
    assert listing(name) == [InputFile(name, expected)]
    assert listing(name, chosen=InputFormat.LINES) == [InputFile(name, InputFormat.LINES)]


@pytest.mark.parametrize("name", ["a", "a.pdf", "csv", ".csv", "a.gz", ".csv.gz", "csv.gz", "a.csv.gz.gz"])
def test_a_file_of_no_known_format_is_refused_until_it_is_named(name: str) -> None:
    fill(name)
    known = r"\.txt, \.csv, \.tsv, \.jsonl, \.ndjson, \.parquet"
    with pytest.raises(UsageError, match=f"{known}.*--input-format"):
        listing(name)
    assert listing(name, chosen=InputFormat.CSV) == [InputFile(name, InputFormat.CSV)]


def test_reviews_of_a_folder_are_text_unless_something_else_is_said() -> None:
    fill("f/a.txt", "f/b.txt.gz")
    assert {file.input_format for file in listing("f")} == {InputFormat.TEXT}
    assert {file.input_format for file in listing("f", chosen=InputFormat.LINES)} == {InputFormat.LINES}


def test_standard_input_is_lines_unless_something_else_is_said() -> None:
    assert listing("-") == [InputFile("-", InputFormat.LINES)]
    assert listing("-", chosen=InputFormat.CSV) == [InputFile("-", InputFormat.CSV)]


# What is refused


@pytest.mark.parametrize("name", ["nothing", "nothing.csv", "no/thing.txt", "x" * 5_000, "", "a.txt/"])
def test_an_input_that_is_not_there_is_refused(name: str) -> None:
    fill("a.txt")
    with pytest.raises(UsageError, match="is not there"):
        listing(name)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nothing.txt", r"nothing\.txt \(line 3 of list\) is not there"),
        ("no*.txt", r"no\*\.txt \(line 3 of list\) is not there, and as a pattern it fits nothing"),
        ("a.pdf", r"a\.pdf \(line 3 of list\) has no suffix of a known format"),
        ("empty", r"empty \(line 3 of list\) holds no \.txt or \.txt\.gz files"),
        ("x\x1bc.txt", r"x\\u001bc\.txt \(line 3 of list\) is not there"),
    ],
    ids=["missing", "no match", "no format", "empty folder", "unsafe to print"],
)
def test_what_is_wrong_in_a_list_is_refused_with_its_line(line: str, why: str) -> None:
    fill("a.txt", "a.pdf")
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=why):
        listing(files_from=write_list("a.txt", "", line))


def test_a_match_that_is_refused_is_named_with_its_pattern() -> None:
    fill("a.txt", "a.pdf")
    with pytest.raises(UsageError, match=r"a\.pdf \(fits a\.\*\) has no suffix"):
        listing("a.*")
    assert len(listing("a.*", chosen=InputFormat.LINES)) == 2


def test_a_folder_without_reviews_is_refused() -> None:
    fill("f/a.csv", "f/inside/a.txt")
    with pytest.raises(UsageError, match=r"f holds no \.txt or \.txt\.gz files"):
        listing("f")
    assert names_of(listing("f/a.csv")) == ["f/a.csv"]


def test_nothing_named_is_refused() -> None:
    with pytest.raises(UsageError, match="no input is named"):
        listing()


def test_a_list_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing, which has to list inputs, is not there"):
        listing(files_from="nothing")


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["a.txt"], ["./a.txt"]),
        (["*.txt"], ["a.txt"]),
        (["f"], ["f/*.txt"]),
        (["f/x.txt"], ["f"]),
        ([], ["a.txt", "b.txt", "a.txt"]),
        ([], ["*.txt", "[ab].txt"]),
        (["-"], ["-"]),
        (["**/x.txt"], ["f"]),
    ],
    ids=repr,
)
def test_an_input_named_twice_is_refused_however_it_was_named(names: list[str], lines: list[str]) -> None:
    fill("a.txt", "b.txt", "f/x.txt")
    with pytest.raises(UsageError, match=r"named twice.*scored twice") as refusal:
        listing(*names, files_from=write_list(*lines))
    assert " of list)" in str(refusal.value)


def test_a_folder_that_cannot_be_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    fill("f/a.txt")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputOutputError, match="f cannot be listed: Permission denied"):
        listing("f")


# What each file has to say for itself


def test_the_header_of_each_named_file_is_checked() -> None:
    fill("a.csv", "b.tsv", "p1.csv", "p2.csv", "f/a.txt", "l.jsonl")
    seen: list[InputFile] = []
    with open_inputs(["a.csv", "f", "p*.csv", "-"], write_list("b.tsv", "l.jsonl")) as inputs:
        check_files(inputs, ReadOptions(), seen.append)
    assert seen == [
        InputFile("a.csv", InputFormat.CSV),
        InputFile("p1.csv", InputFormat.CSV),
        InputFile("p2.csv", InputFormat.CSV),
        InputFile("b.tsv", InputFormat.TSV),
        InputFile("l.jsonl", InputFormat.JSONL),
    ]


def test_what_a_header_is_refused_for_passes_through() -> None:
    def refuse(_file: InputFile) -> None:
        raise UsageError("no column")

    fill("a.csv")
    with open_inputs(["a.csv"]) as inputs, pytest.raises(UsageError, match="no column"):
        check_files(inputs, ReadOptions(), refuse)


@pytest.mark.parametrize("kind", ["fifo", "link to nothing", "circle"])
def test_what_is_there_but_cannot_be_read_has_its_turn(kind: str) -> None:
    if kind == "fifo":
        os.mkfifo("a.txt")
    else:
        Path("a.txt").symlink_to("nothing" if kind == "link to nothing" else "a.txt")
    assert names_of(listing("a.txt")) == names_of(listing("*.txt")) == ["a.txt"]


# Standard input


def test_a_list_can_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    fill("a.txt", "b.txt", "c.txt")
    pipe_in(monkeypatch, b"b.txt\na.txt\n")
    assert names_of(listing("c.txt", files_from="-")) == ["c.txt", "b.txt", "a.txt"]


def test_standard_input_cannot_be_a_list_and_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    fill("a.txt")
    with pytest.raises(UsageError, match="standard input is named as an input and as the list"):
        listing("-", files_from="-")
    pipe_in(monkeypatch, b"a.txt\n-\n")
    with pytest.raises(UsageError, match=r"- \(line 2 of standard input\) cannot be an input"):
        listing(files_from="-")


def test_standard_input_can_be_named_in_a_list() -> None:
    assert names_of(listing(files_from=write_list("-"))) == ["-"]


# What is to be written


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.csv", True),
        ("./f/../a.csv", True),
        ("link.csv", True),
        ("f/new.txt", True),
        ("f/new.txt.gz", True),
        ("f/new.csv", False),
        ("g/listed.csv", True),
        ("g/new.txt", False),
        ("p1.csv", True),
        ("p.csv", False),
        ("new.csv", False),
    ],
)
def test_a_file_to_be_written_is_no_input(target: str, expected: bool) -> None:
    fill("a.csv", "f/a.txt", "g/listed.csv", "p1.csv")
    Path("link.csv").symlink_to("a.csv")
    with open_inputs(["a.csv", "f", "p?.csv", "-"], write_list("g/listed.csv")) as inputs:
        assert is_input(inputs, target) is expected
