"""The promises on rows, files, memory and streams, each by runs of its own."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime.lines import MAX_ROW_BYTES
from tests.faults.cases import case
from tests.faults.command import (
    PATIENCE,
    Outcome,
    Place,
    Rejected,
    Resenha,
    Scene,
    check_account,
    command,
    read_folder,
    read_lines,
    read_page,
    run_process,
)
from tests.faults.memory import peak_of

Record = Callable[[str, object], None]

POISON: dict[str, bytes] = {
    "a.csv": b'id,text\n1,good\n2\n3,"bad\n4,film\n5,\xff\n6,a\0b\n7,?!\n8,a,b\n9,' + b"x" * (MAX_ROW_BYTES + 1)
    + b"\n10,good\n",
    "b.jsonl": b'{"text": "good"}\n{\n{"text": 1}\n{"text": "\\ud800"}\n\n{"text": "bad"}\n',
    "c.txt": b"\x89PNG\0",
    "d.csv.gz": gzip.compress(b"text\ngood\n")[:-3],
    "e.parquet": b"PAR1",
    "f/1.txt": b"good",
    "f/2.txt": b"?!",
    "f/notes.md": b"",
    "g.tsv": b'id\ttext\n1\tmoving "film"\n',
}  # fmt: skip
FATE: dict[Place, Outcome] = {
    ("a.csv", 1): "good", ("a.csv", 2): Rejected("column_count", 3), ("a.csv", 3): Rejected("unclosed_quote", 4),
    ("a.csv", 4): "film", ("a.csv", 5): Rejected("invalid_encoding", 6, 33), ("a.csv", 6): Rejected("binary", 7),
    ("a.csv", 7): Rejected("no_tokens", 8), ("a.csv", 8): Rejected("column_count", 9),
    ("a.csv", 9): Rejected("too_long", 10), ("a.csv", 10): "good",
    ("b.jsonl", 1): "good", ("b.jsonl", 2): Rejected("bad_json", 2), ("b.jsonl", 3): Rejected("text_not_string", 3),
    ("b.jsonl", 4): Rejected("lone_surrogate", 4), ("b.jsonl", 5): "bad",
    ("c.txt", 1): Rejected("binary", 1), ("d.csv.gz", 0): Rejected("corrupted"), ("e.parquet", 0): Rejected("corrupted"),
    ("f/1.txt", 1): "good", ("f/2.txt", 1): Rejected("no_tokens", 1), ("g.tsv", 1): 'moving "film"',
}  # fmt: skip


@pytest.fixture
def poison(work: Path) -> list[str]:
    """Inputs of every format, most of them with something wrong."""
    for name, content in POISON.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)
    return ["a.csv", "b.jsonl", "c.txt", "d.csv.gz", "e.parquet", "f", "g.tsv"]


@case("Promises", "P1 conservation")
@case("Promises", "P6 no poison row")
@case("Promises", "P7 loud")
@case("Exit statuses", "3")
@pytest.mark.parametrize(
    ("part_rows", "workers"),
    [("1", "1"), ("2", "1"), ("2", "3"), ("4", "1"), ("20", "1"), ("21", "1"), ("21", "3"), ("22", "1")],
)
def test_each_row_stands_once_and_each_is_counted_however_the_run_is_cut(
    part_rows: str, workers: str, resenha: Resenha, work: Path, poison: list[str]
) -> None:
    ran = resenha(*poison, "-o", "o/", "--part-rows", part_rows, "--workers", workers, "--summary", "s.json")
    assert ran.status == 3
    page = read_page(work / "s.json")
    check_account(read_folder(work / "o"), read_lines(work / "o/rejects.jsonl"), page, FATE)
    assert (page["blank_lines"], page["passed_over"], page["parts"]) == (1, 1, -(-21 // int(part_rows)))
    own = read_page(work / "o/_summary.json")
    assert {key: page[key] for key in own} == own
    for told in (
        "21 rows: 7 scored · 14 rejected (",
        "blank lines skipped 1",
        "entries of folders passed over 1",
    ):
        assert told in ran.err


@case("Promises", "P1 conservation")
@case("Promises", "P6 no poison row")
def test_each_row_stands_once_in_every_way_out(resenha: Resenha, work: Path, poison: list[str]) -> None:
    files = {name: content for name, content in POISON.items() if "/" not in name}
    fate = {place: outcome for place, outcome in FATE.items() if "/" not in place[0]}
    Scene(fate, files, counted={"blank_lines": 1, "passed_over": 0}).play(resenha, work)


@case("Promises", "P7 loud")
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
def test_rows_behind_a_limit_are_not_read_and_nothing_else_is_left_out(
    limit: int, resenha: Resenha, work: Path
) -> None:
    """The one way to leave rows out, and it was asked for."""
    (work / "a.txt").write_text("good\n?!\nbad\nfilm\nmoving\n")
    scored = [row for row in (1, 3, 4, 5) if row <= limit]
    ran = resenha("--lines", "a.txt", "--limit", str(limit), "--summary", "s.json")
    assert [each["row"] for each in ran.records] == scored
    resenha("--lines", "a.txt", "--limit", str(limit), "-o", "o/", "--part-rows", "2")
    assert [each["row"] for each in read_folder(work / "o")] == scored
    for page in (read_page(work / "s.json"), read_page(work / "o/_summary.json")):
        assert (page["rows_in"], page["scored"]) == (min(limit, 5), len(scored))
    assert ran.status == (3 if limit > 1 else 0)


# What a reader of files sees


@case("Promises", "P3 atomic")
@case("Promises", "P4 durable")
@pytest.mark.parametrize("output", ["o.csv", "o/"])
def test_a_final_name_is_given_to_what_is_whole_and_synced_and_the_mark_comes_last(
    output: str, resenha: Resenha, work: Path, poison: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a name appears, its content is the last one, on the disk already; its folder is synced after."""
    events: list[tuple[str, str]] = []
    contents: dict[str, bytes] = {}
    fsync, replace, link = os.fsync, os.replace, os.link

    def note_sync(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def note_name(give: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def named(temporary: Any, path: Any) -> None:
            if ".resenha-" in str(temporary):
                path = Path(path).absolute()
                assert ("sync", str(Path(temporary).absolute())) in events
                assert not path.exists()
                events.append(("name", str(path)))
                contents[str(path)] = Path(temporary).read_bytes()
            give(temporary, path)

        return named

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_name(replace))
    monkeypatch.setattr(os, "link", note_name(link))
    assert resenha(*poison, "-o", output, "--part-rows" if output == "o/" else "--rejects", "5").status == 3
    named = [name for event, name in events if event == "name"]
    assert len(named) == (2 + 2 * 5 + 3 if output == "o/" else 2)
    assert {name: Path(name).read_bytes() for name in named} == contents
    # The mark's own sync is of no use to what it vouches for.
    end = events.index(("name", named[-1])) if output == "o/" else len(events)
    for name in named[:-1] if output == "o/" else named:
        assert ("sync", str(Path(name).parent)) in events[events.index(("name", name)) : end]
    if output == "o/":
        assert Path(named[-1]).name == "_SUCCESS"
        assert events[-1] == ("sync", str(work / "o"))
        assert ("sync", str(work)) in events
    assert {Path(name).name for name in named} <= {path.name for path in work.rglob("*")}


# Memory


@case("Promises", "P5 bounded memory")
@pytest.mark.parametrize("output", ["o.csv", "o/"])
def test_memory_does_not_grow_with_rows(
    output: str, is_long: bool, bundle: Path, work: Path, record_property: Record
) -> None:
    def peak(rows: int) -> int:
        with (work / f"{rows}.csv").open("w") as stream:
            stream.write("id,text\n")
            stream.writelines(
                f"{number},good film {number}\n" if number % 5 else "?!\n" for number in range(rows)
            )
        arguments = [f"{rows}.csv", "-q", "-o", f"{rows}{output}", "--threads", "2"]
        ran, found = peak_of(bundle, *arguments, *(["--part-rows", "20000"] if output == "o/" else []))
        assert ran.status == 3
        return found

    few, many = peak(40_000), peak(2_000_000 if is_long else 120_000)
    record_property("seen", f"peak of {many >> 20:,} MiB, with few rows {few >> 20:,} MiB")
    assert many - few < 24 << 20


# Streaming


@case("Promises", "P8 streaming")
@case("Exit statuses", "130/143")
@pytest.mark.parametrize("output_format", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_stream_that_is_stopped_is_an_exact_prefix_of_whole_lines(
    output_format: str, number: signal.Signals, status: int, bundle: Path, work: Path, record_property: Record
) -> None:
    # A pipe holds 64 KiB: what is written fits, what comes back does not.
    rows = b"".join(b"good film %d\n" % row for row in range(6_000))
    prepared = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    arguments = ["-", "--output-format", output_format]
    whole = run_process(bundle, *arguments, input=rows).out
    with subprocess.Popen(
        command(bundle, *arguments, prepared=prepared),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(rows[: len(rows) // 2])
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(number)
        rest, err = process.communicate(timeout=PATIENCE)
    record_property("seen", err.decode().splitlines()[-1])
    assert process.returncode == status
    out = first + rest
    assert out.endswith(b"\n")
    assert whole.startswith(out)
    assert out != whole


@case("Promises", "P8 streaming")
def test_a_stream_cannot_be_gone_on_with(resenha: Resenha) -> None:
    ran = resenha("-", "--resume", stdin=b"good\n")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err == "resenha: --resume is for a directory of parts; name one with -o, ending in /\n"


@case("Promises", "P8 streaming")
@case("Promises", "P9 no silent mixing")
@case("Exit statuses", "8")
def test_standard_input_into_a_directory_cannot_be_read_a_second_time(resenha: Resenha, work: Path) -> None:
    assert resenha("-", "-o", "o/", stdin=b"good\n").status == 0
    (work / "o/_SUCCESS").unlink()
    ran = resenha("-", "-o", "o/", "--resume", stdin=b"good\n")
    assert ran.status == 8
    assert "standard input cannot be read a second time" in ran.err
