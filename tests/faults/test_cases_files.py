"""The file system: names, links, permissions, and what is no file."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cases import case
from tests.faults.command import (
    Rejected,
    Resenha,
    check_account,
    names_below,
    read_folder,
    read_lines,
    read_page,
    run_process,
)
from tests.faults.memory import peak_of

OBEYING = """
import ctypes, os, sys
# Root may open everything; what is started without these two may not. Who is not root has neither.
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
if "OBEYING" not in os.environ:
    os.execve(sys.executable, [sys.executable, "-c", sys.orig_argv[2], *sys.argv[1:]], {**os.environ, "OBEYING": "1"})
"""
"""Lets a process have no more than the permissions of files say."""

Record = Callable[[str, object], None]


@case("File system", "missing input")
@pytest.mark.parametrize("name", ["nothing.txt", "nowhere/a.txt", "*.tsv", "broken\n\x1b[2J.txt"])
@pytest.mark.parametrize("output", ["-", "o.jsonl", "o/"])
def test_what_is_named_and_not_there_stops_before_any_scoring(
    name: str, output: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    ran = resenha("a.txt", name, "-o", output)
    assert (ran.status, ran.out) == (2, b"")
    assert "is not there" in ran.err
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err
    assert names_below(work) == {"a.txt"}


@case("File system", "no permission on one file")
@pytest.mark.parametrize("output", ["o.jsonl", "o/"])
def test_a_file_that_may_not_be_read_costs_itself(
    output: str, bundle: Path, work: Path, record_property: Record
) -> None:
    for name in ("a.txt", "b.txt", "c.csv"):
        (work / name).write_text("text\ngood\n" if name == "c.csv" else "good")
    for name in ("a.txt", "c.csv"):
        (work / name).chmod(0)
    more = [] if output == "o/" else ["--rejects", "r.jsonl"]
    ran = run_process(
        bundle, "a.txt", "b.txt", "c.csv", "-o", output, "--summary", "s.json", *more, prepared=OBEYING
    )
    record_property("seen", ran.seen)
    assert ran.status == 3, ran.err
    scored = read_folder(work / "o") if output == "o/" else read_lines(work / output)
    rejects = read_lines(work / ("o/rejects.jsonl" if output == "o/" else "r.jsonl"))
    expected: dict[tuple[str, int], str | Rejected] = {
        ("a.txt", 0): Rejected("unreadable"), ("b.txt", 1): "good", ("c.csv", 0): Rejected("unreadable"),
    }  # fmt: skip
    check_account(scored, rejects, read_page(work / "s.json"), expected)
    assert {each["message"] for each in rejects} == {"Permission denied"}


@case("Exit statuses", "6")
@pytest.mark.parametrize("output", ["closed/o.jsonl", "closed/o/", "closed/"])
def test_an_output_that_may_not_be_written_is_named(
    output: str, bundle: Path, work: Path, record_property: Record
) -> None:
    (work / "a.txt").write_text("good")
    (work / "closed").mkdir(mode=0o500)
    ran = run_process(bundle, "a.txt", "-o", output, prepared=OBEYING)
    record_property("seen", ran.seen)
    assert ran.status == 6
    assert "closed" in ran.seen
    assert "Permission denied" in ran.seen
    assert "Traceback" not in ran.err
    assert names_below(work) == {"a.txt"}


def make_strange(kind: str, folder: Path) -> str:
    if kind == "device":
        return "/dev/zero"
    path = folder / "strange.txt"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        # A socket's address may have a hundred bytes.
        before = Path.cwd()
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
        os.chdir(before)
    else:
        path.symlink_to("/dev/stdin" if kind == "link to a pipe" else "/dev/tty")
    return path.name


@case("File system", "FIFO, socket, device, directory where a file was named")
@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "link to a pipe"])
@pytest.mark.parametrize("output", ["o.jsonl", "o/"])
def test_what_is_no_file_never_blocks(
    kind: str, output: str, bundle: Path, work: Path, record_property: Record
) -> None:
    """A process, so that one that waits is ended."""
    name = make_strange(kind, work)
    (work / "b.txt").write_text("good")
    reading, writing = os.pipe()
    ran = run_process(bundle, "--lines", name, "b.txt", "-o", output, "--summary", "s.json", stdin=reading)
    os.close(reading)
    os.close(writing)
    record_property("seen", ran.seen)
    assert ran.status == 3, ran.err
    page = read_page(work / "s.json")
    assert (page["rows_in"], page["scored"]) == (2, 1)
    # The system itself refuses to open a socket.
    assert page["rejected"] == {"unreadable" if kind == "socket" else "not_a_file": 1}


@case("File system", "FIFO, socket, device, directory where a file was named")
def test_a_folder_named_like_a_file_is_read_as_one(resenha: Resenha, work: Path) -> None:
    (work / "a.txt" / "b.txt").mkdir(parents=True)
    (work / "a.txt" / "c.txt").write_text("good")
    ran = resenha("a.txt")
    assert ran.status == 3
    assert [each["source"] for each in ran.records] == ["a.txt/c.txt"]
    assert "rejected: a.txt/b.txt: not_a_file: " in ran.err


@case("File system", "symlink loops")
@pytest.mark.parametrize("named", ["folder", "**/*.txt", "folder/**"])
def test_links_that_run_in_circles_end(named: str, resenha: Resenha, work: Path) -> None:
    (work / "folder" / "inner").mkdir(parents=True)
    (work / "folder" / "inner" / "up").symlink_to("..")
    (work / "folder" / "self.txt").symlink_to("self.txt")
    (work / "folder" / "there.txt").symlink_to("back.txt")
    (work / "folder" / "back.txt").symlink_to("there.txt")
    (work / "folder" / "a.txt").write_text("good")
    ran = resenha(named)
    assert ran.status == 3
    assert [each["source"] for each in ran.records] == ["folder/a.txt"]
    assert ran.err.count(": unreadable: Too many levels of symbolic links") == 3


NAMES = [
    pytest.param(b"caf\xe9.txt", "caf\\xe9.txt", marks=case("File system", "file names that are not UTF-8")),
    pytest.param(b"\xff\\x.txt", "\\xff\\\\x.txt", marks=case("File system", "file names that are not UTF-8")),
    *(
        pytest.param(name, name.decode(), marks=case("File system", "file names with line ends, quotes, a leading dash"))
        for name in (b"a\nb.txt", b'"a",\'b\'.txt', b"-rf.txt", b"--output.txt", b"a\r.txt", b" .txt")
    ),
    pytest.param("a\u202etxt.\u2066.txt".encode(), "a\u202etxt.\u2066.txt", marks=case("File system", "file names with line ends, quotes, a leading dash")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"), NAMES, ids=lambda value: repr(value) if isinstance(value, bytes) else ""
)
@pytest.mark.parametrize("how", ["named", "in a folder", "in a list"])
def test_a_file_of_any_name_is_scored_and_told_without_loss(
    name: bytes, shown: str, how: str, resenha: Resenha, work: Path
) -> None:
    (work / "in").mkdir()
    (work / "in" / os.fsdecode(name)).write_text("good")
    (work / "in" / "z.txt").write_text("?!")
    (work / "list").write_bytes(b"in/" + name + b"\0in/z.txt\0")
    arguments: list[str | Path] = {
        "named": ["--", "in/" + os.fsdecode(name), "in/z.txt"],
        "in a folder": ["in"],
        "in a list": ["--files-from", "list"],
    }[how]  # type: ignore[assignment]  # mypy sees object
    if how == "named":
        os.chdir(work / "in")
        arguments = ["--", os.fsdecode(name), "z.txt"]
    prefix = "" if how == "named" else "in/"
    ran = resenha("--rejects", work / "r.jsonl", *arguments)
    assert ran.status == 3
    assert [each["source"] for each in ran.records] == [prefix + shown]
    assert [each["source"] for each in read_lines(work / "r.jsonl")] == [prefix + "z.txt"]
    (work / "in" / os.fsdecode(name)).write_text("?!")
    ran = resenha(*arguments)
    told = ran.err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["bundle", "rejected", "rejected", "2 rows"]
    assert all(character.isprintable() for line in told for character in line)


@case("File system", "a million files in one directory")
def test_the_order_of_a_folder_is_fixed_and_its_size_takes_no_memory(
    is_long: bool, bundle: Path, work: Path, record_property: Record
) -> None:
    count = 1_000_000 if is_long else 20_000
    (work / "many").mkdir()
    (work / "few").mkdir()
    for number in range(count):
        # In an order that is not that of their names.
        path = work / "many" / f"{number * 7919 % count:07}.txt"
        path.write_bytes(b"good" if number % 1_000 else b"?!")
    for number in range(10):
        (work / "few" / f"{number}.txt").write_bytes(b"good")
    ran, peak = peak_of(bundle, "many", "-q", "-o", "o.jsonl", "--summary", "s.json", "--rejects", "r.jsonl")
    _, small = peak_of(bundle, "few", "-q", "-o", "f.jsonl")
    # pytest would keep them for three runs, and take minutes to remove them.
    shutil.rmtree(work / "many")
    record_property("seen", f"peak of {peak >> 20:,} MiB for {count:,} files, {small >> 20:,} MiB for 10")
    assert ran.status == 3
    sources = [each["source"] for each in read_lines(work / "o.jsonl")]
    rejected = [each["source"] for each in read_lines(work / "r.jsonl")]
    assert sorted([*sources, *rejected]) == [f"many/{number:07}.txt" for number in range(count)]
    assert sources == sorted(sources)
    assert rejected == sorted(rejected)
    page = read_page(work / "s.json")
    assert (page["rows_in"], page["scored"]) == (count, count - count // 1_000)
    # What a window of 20,000 rows takes, however many follow it.
    assert peak - small < 64 << 20


@case("File system", "output that exists and is not ours")
@pytest.mark.parametrize("option", ["-o", "--rejects", "--summary"])
def test_a_file_that_is_there_is_kept_unless_told_otherwise(
    option: str, resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    (work / "theirs").write_text("theirs")
    assert resenha("a.txt", option, "theirs", "--overwrite").status == 0
    assert (work / "theirs").read_text() != "theirs"
    (work / "theirs").write_text("theirs")
    ran = resenha("a.txt", option, "theirs")
    assert (ran.status, ran.err) == (2, "resenha: theirs exists (--overwrite replaces it)\n")
    assert (work / "theirs").read_text() == "theirs"


@case("File system", "output that exists and is not ours")
@pytest.mark.parametrize("option", [[], ["--overwrite"], ["--resume"]], ids=str)
@pytest.mark.parametrize("foreign", ["notes.txt", "part-1.jsonl", "folder/part-00000.jsonl", ".hidden"])
def test_a_directory_with_a_foreign_file_is_never_written_into(
    foreign: str, option: list[str], resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    assert resenha("a.txt", "-o", "o/").status == 0
    (work / "o" / foreign).parent.mkdir(exist_ok=True)
    (work / "o" / foreign).write_text("theirs")
    before = {name: (work / name).read_bytes() for name in names_below(work)}
    ran = resenha("a.txt", "-o", "o/", *option)
    assert ran.status == 2
    assert foreign.partition("/")[0] in ran.err
    assert {name: (work / name).read_bytes() for name in names_below(work)} == before


@case("File system", "output that exists and is not ours")
def test_a_run_that_is_there_is_neither_gone_on_with_nor_replaced_unasked(
    resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    assert resenha("a.txt", "-o", "o/").status == 0
    before = {name: (work / name).read_bytes() for name in names_below(work)}
    ran = resenha("a.txt", "-o", "o/", "--threshold", "0.9")
    assert ran.status == 2
    assert "--resume goes on with it, --overwrite starts anew" in ran.err
    assert {name: (work / name).read_bytes() for name in names_below(work)} == before
    assert json.loads(resenha("a.txt", "-o", "o/", "--overwrite", "--dry-run").out)["published_parts"] == 1
