"""A plan comes back as it was, and whatever differs from it is refused by its name."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.runtime.listing import InputFile
from pipeline.runtime.plan import (
    WHOLE,
    InputTotals,
    Plan,
    PlannedFile,
    Shard,
    WriteOptions,
    check_listing,
    check_plan,
    stamp_files,
    write_listing,
)
from pipeline.runtime.reading import InputFormat, ReadOptions
from pipeline.runtime.sinks import OutputFormat
from pipeline.runtime.stamps import InputCheck, Stamp

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name).map(os.fsdecode)
COUNTS = st.integers(0, 1 << 62)
PLANS = st.builds(
    Plan,
    bundle=st.fixed_dictionaries({"name": TEXT, "digest": TEXT}),
    read=st.builds(
        ReadOptions,
        input_format=st.none() | st.sampled_from(InputFormat),
        text_column=TEXT,
        id_column=st.none() | TEXT,
        delimiter=st.none() | TEXT,
        encoding=st.none() | TEXT,
        keep_columns=st.lists(TEXT, max_size=2).map(tuple),
    ),
    write=st.builds(
        WriteOptions,
        output_format=st.sampled_from(OutputFormat),
        kept_as=st.lists(TEXT, max_size=2).map(tuple),
        threshold=st.none() | st.floats(0, 1),
    ),
    inputs=st.builds(InputTotals, files=COUNTS, bytes=COUNTS, sha256=TEXT, passed_over=COUNTS),
    check=st.sampled_from(InputCheck),
    part_rows=st.integers(1, 1 << 40),
    limit=st.none() | COUNTS,
    shard=st.builds(Shard, st.integers(1, 9), st.integers(9, 99)),
)
STAMPS = st.none() | st.builds(Stamp, COUNTS, COUNTS | st.text("0123456789abcdef", min_size=64, max_size=64))
PLANNED = st.builds(PlannedFile, st.builds(InputFile, NAMES, st.sampled_from(InputFormat)), STAMPS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def make_plan(**options: Any) -> Plan:
    given_options: dict[str, Any] = {
        "bundle": {"name": "stand-in", "digest": "ab" * 32},
        "read": ReadOptions(),
        "write": WriteOptions(OutputFormat.JSONL),
        "inputs": InputTotals(1, 4, "00"),
    }
    return Plan(**given_options | options)


# Parts


@pytest.mark.parametrize(
    ("limit", "rows"),
    [
        (None, [3, 3, 3]),
        (0, [0, 0, 0]),
        (2, [2, 0, 0]),
        (3, [3, 0, 0]),
        (4, [3, 1, 0]),
        (6, [3, 3, 0]),
        (7, [3, 3, 1]),
    ],
)
def test_parts_take_their_rows_up_to_the_limit(limit: int | None, rows: list[int]) -> None:
    plan = make_plan(part_rows=3, limit=limit)
    assert [plan.rows_of_part(number) for number in range(3)] == rows


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shards_share_all_parts_out(of: int) -> None:
    shards = [Shard(number, of) for number in range(1, of + 1)]
    assert all(sum(shard.owns(part) for shard in shards) == 1 for part in range(20))
    assert shards[0].owns(0)
    assert (str(shards[-1]), str(WHOLE)) == (f"{of}/{of}", "1/1")


# Plans as records


@given(PLANS)
def test_a_plan_comes_back_from_json(plan: Plan) -> None:
    record = plan.to_record()
    assert json.loads(json.dumps(record)) == record
    assert Plan.from_record(record) == plan
    assert Plan.from_record(record).to_record() == record


def test_shards_of_one_plan_share_its_digest() -> None:
    digests = {
        shard: make_plan(shard=Shard(*shard)).to_record()["digest"] for shard in ((1, 1), (1, 2), (2, 2))
    }
    assert len(set(digests.values())) == 1
    assert make_plan(part_rows=7).to_record()["digest"] not in digests.values()


@given(JSON)
def test_anything_else_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="not a plan|plan version"):
        Plan.from_record(record)


@given(key=st.sampled_from(list(make_plan().to_record())), value=JSON)
@example("shard", [0, 1])
@example("shard", [2, 1])
@example("shard", ["1", 2])
@example("shard", {"number": 1, "of": 2})
@example("part_rows", 7)
def test_a_record_with_anything_else_in_a_place_is_refused(key: str, value: Any) -> None:
    record = make_plan().to_record()
    try:
        plan = Plan.from_record(record | {key: value})
    except ValueError:
        assert value != record[key]
    else:
        assert value == record[key] or (key == "shard" and 1 <= plan.shard.number <= plan.shard.of)


def test_a_plan_of_another_version_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match="plan version 2, this program reads 1"):
        Plan.from_record(make_plan().to_record() | {"plan_version": 2})


# What differs


CHANGES: dict[str, Plan] = {
    "bundle.name": make_plan(bundle={"name": "newer", "digest": "ab" * 32}),
    "bundle.digest": make_plan(bundle={"name": "stand-in", "digest": "cd" * 32}),
    "read.input_format": make_plan(read=ReadOptions(input_format=InputFormat.LINES)),
    "read.text_column": make_plan(read=ReadOptions(text_column="review")),
    "read.id_column": make_plan(read=ReadOptions(id_column="key")),
    "read.delimiter": make_plan(read=ReadOptions(delimiter=";")),
    "read.encoding": make_plan(read=ReadOptions(encoding="latin-1")),
    "read.keep_columns": make_plan(read=ReadOptions(keep_columns=("stars",))),
    "write.output_format": make_plan(write=WriteOptions(OutputFormat.CSV)),
    "write.kept_as": make_plan(write=WriteOptions(OutputFormat.JSONL, ("stars",))),
    "write.threshold": make_plan(write=WriteOptions(OutputFormat.JSONL, (), 0.5)),
    "check": make_plan(check=InputCheck.SHA256),
    "part_rows": make_plan(part_rows=7),
    "limit": make_plan(limit=0),
    "shard": make_plan(shard=Shard(1, 2)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_from_a_plan_is_named(name: str) -> None:
    with pytest.raises(PlanError, match=rf"{name} is .*, planned was .*--overwrite"):
        check_plan(make_plan().to_record(), CHANGES[name].to_record())


def test_every_field_of_a_plan_has_its_change() -> None:
    names = {
        f"{key}.{inner}" if isinstance(value, dict) else key
        for key, value in make_plan().to_record().items()
        for inner in (value if isinstance(value, dict) else [""])
        if key not in ("inputs", "digest", "versions", "plan_version")
    }
    assert names == set(CHANGES)


def test_another_version_of_a_package_is_named() -> None:
    record = make_plan().to_record()
    other = record | {"versions": record["versions"] | {"numpy": "1.0"}}
    with pytest.raises(PlanError, match=r"versions\.numpy is \".*\", planned was \"1\.0\""):
        check_plan(other, record)


def test_a_plan_differs_from_itself_in_nothing_and_inputs_are_compared_elsewhere() -> None:
    check_plan(make_plan().to_record(), make_plan(inputs=InputTotals(9, 9, "ff")).to_record())


def test_what_a_message_shows_of_a_plan_is_printable() -> None:
    with pytest.raises(PlanError) as refusal:
        check_plan(
            make_plan(read=ReadOptions(text_column="a\x1b[2J\u202e")).to_record(), make_plan().to_record()
        )
    assert "\x1b" not in str(refusal.value)
    assert "\u202e" not in str(refusal.value)


# Listings


@given(st.lists(PLANNED, max_size=4))
def test_a_listing_comes_back_line_by_line(files: list[PlannedFile]) -> None:
    stream = io.BytesIO()
    totals = write_listing(files, stream)
    lines = stream.getvalue().splitlines(keepends=True)
    assert [PlannedFile.from_line(line) for line in lines] == files
    assert totals.files == len(files)
    assert totals.bytes == sum(each.stamp.size for each in files if each.stamp)
    is_readable = all(each.file.name != "-" for each in files)
    if is_readable:
        check_listing(map(PlannedFile.from_line, lines), files)


@pytest.mark.parametrize("name", [b"caf\xe9.txt", b"a\nb.txt", b'"a",b.txt', b"\xed\xa0\x80", "é".encode()])
def test_a_name_of_any_bytes_comes_back_on_one_line(name: bytes) -> None:
    planned = PlannedFile(InputFile(os.fsdecode(name), InputFormat.TEXT), Stamp(1, 2))
    line = planned.to_line()
    assert (line.count(b"\n"), line.isascii()) == (1, True)
    assert os.fsencode(PlannedFile.from_line(line).file.name) == name


@given(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 50_000)
@example(b'["a", "odd", null]')
@example(b'["a", "text", [1, 2, 3]]')
@example(b'["a", "text", 7]')
def test_a_line_of_anything_is_a_file_or_refused(line: bytes) -> None:
    try:
        found = PlannedFile.from_line(line)
    except (ValueError, TypeError, RecursionError):
        return
    assert isinstance(found.file.input_format, InputFormat)


A, B = (PlannedFile(InputFile(f"{name}.txt", InputFormat.TEXT), Stamp(4, 7)) for name in "ab")


@pytest.mark.parametrize(
    ("planned", "found", "told"),
    [
        ([A], [A, B], "b.txt was not planned"),
        ([A, B], [A], "b.txt is planned and not there any more"),
        ([], [A], "a.txt was not planned"),
        ([A, B], [B, A], r"a.txt \(text\) is planned where b.txt \(text\) comes now"),
        (
            [A],
            [A._replace(file=replace(A.file, input_format=InputFormat.LINES))],
            r"a.txt \(text\) is planned where a.txt \(lines\)",
        ),
        ([A], [A._replace(stamp=Stamp(5, 7))], r"a.txt: found 5 bytes, .*; planned 4 bytes, "),
        ([A], [A._replace(stamp=Stamp(4, 8))], r"a.txt: found 4 bytes, .*; planned 4 bytes, "),
        ([A], [A._replace(stamp=None)], "a.txt: found nothing that can be read; planned 4 bytes"),
        ([A._replace(stamp=None)], [A], "a.txt: found 4 bytes, .*; planned nothing"),
    ],
    ids=["more", "fewer", "first", "order", "format", "size", "time", "unreadable", "readable"],
)
def test_the_first_input_that_differs_is_named(
    planned: list[PlannedFile], found: list[PlannedFile], told: str
) -> None:
    with pytest.raises(PlanError, match=told + ".*; put it back, .*--overwrite"):
        check_listing(planned, found)


def test_standard_input_cannot_be_read_again() -> None:
    [stdin] = stamp_files([InputFile("-", InputFormat.LINES)], InputCheck.STAT)
    assert stdin.stamp is None
    with pytest.raises(PlanError, match="standard input cannot be read a second time"):
        check_listing([stdin], [stdin])


def test_files_are_stamped_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("good")
    files = [InputFile(str(path), InputFormat.TEXT), InputFile(str(tmp_path / "b.txt"), InputFormat.TEXT)]
    for check, kind in ((InputCheck.STAT, int), (InputCheck.SHA256, str)):
        found, missing = stamp_files(files, check)
        assert found.stamp is not None
        assert (found.stamp.size, type(found.stamp.mark)) == (4, kind)
        assert missing.stamp is None
