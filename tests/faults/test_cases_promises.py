"""The promises, each by a run of its own, and the exit statuses that no case has brought up."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.output_folder import claim_folder
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
    names_below,
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


# One writer


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
    return {path.name: path.read_bytes() for path in (work / "o").iterdir()}


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
    assert {path.name: path.read_bytes() for path in (work / "o").iterdir()} == begun
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
    assert {path.name: path.read_bytes() for path in (work / "o").iterdir()} == begun


# Exit statuses


@case("Exit statuses", "0")
def test_all_scored_is_status_0_and_a_summary(resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text("good\nbad\n")
    ran = resenha("--lines", "a.txt", "--summary", "s.json")
    assert (ran.status, len(ran.records)) == (0, 2)
    page = json.loads((work / "s.json").read_text())
    assert (page["rows_in"], page["scored"], page["rejected"]) == (2, 2, {})


@case("Exit statuses", "2")
@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing.txt"], ["--nonsense"], ["a.txt", "--resume"], ["a.txt", "--max-rejects", "-1"],
     ["a.txt", "--max-rejects", "101%"], ["a.txt", "--max-rejects", "nan%"], ["a.txt", "-b", "nowhere"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_status_2_and_nothing_is_written(
    arguments: list[str], resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    ran = resenha(*arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert names_below(work) == {"a.txt"}


LIMITS = [
    pytest.param("0", 1, 10, id="none allowed"),
    pytest.param("1", 2, 10, id="a number, one too many"),
    pytest.param("10%", 2, 10, id="a share of few rows"),
    pytest.param("10%", 141, 1_400, id="a share of many rows"),
]


@case("Exit statuses", "4")
@pytest.mark.parametrize(("limit", "rejects", "rows"), LIMITS)
@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_one_reject_more_than_allowed_stops_the_run(
    limit: str, rejects: int, rows: int, output: str, resenha: Resenha, work: Path
) -> None:
    # A share is looked at from the thousandth row on: rejects at the beginning would count for more.
    (work / "a.txt").write_text("good\n" * (rows - rejects) + "?!\n" * rejects)
    (work / "b.txt").write_text("good\n" * (rows - rejects + 1) + "?!\n" * (rejects - 1))
    ran = resenha("--lines", "a.txt", "-o", output, "--max-rejects", limit, "--summary", "s.json")
    assert ran.status == 4
    assert "(--max-rejects)" in ran.err
    assert not (work / "s.json").exists()
    assert not [name for name in names_below(work) if name.endswith(".tmp")]
    assert output == "o/" or not (work / output).exists()
    assert resenha("--lines", "b.txt", "-o", "other/", "--max-rejects", limit).status == (
        3 if rejects > 1 else 0
    )


@case("Exit statuses", "4")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_published_before_too_many_rejects_stays_and_is_gone_on_with(
    workers: str, resenha: Resenha, work: Path
) -> None:
    """The limit is none of what decides the output's bytes."""
    with (work / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([["good"]] * 10), *([["?!"]] * 10), *([["bad"]] * 10)])
    arguments = ["a.csv", "--part-rows", "5", "--workers", workers]
    assert resenha(*arguments, "-o", "whole/").status == 3
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "3").status == 4
    published = {path.name: path.read_bytes() for path in (work / "o").glob("part-*")}
    assert workers == "2" or len(published) >= 2
    assert not (work / "o/_SUCCESS").exists()
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "3", "--resume").status == 4
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "10", "--resume").status == 3
    whole, found = (
        {path.name: path.read_bytes() for path in (work / name).iterdir()} for name in ("whole", "o")
    )
    assert found == whole
    assert published.items() <= found.items()
