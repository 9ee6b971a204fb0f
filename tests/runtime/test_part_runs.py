"""Parts of a plan: where each begins and ends, whoever scores it and wherever a run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, PlanError, TooManyRejects
from pipeline.runtime.bundle import MODEL, Bundle
from pipeline.runtime.ledgers import Ledger
from pipeline.runtime.listing import InputFile
from pipeline.runtime.monitor import Monitor, RejectLimit
from pipeline.runtime.output_folder import OutputFolder
from pipeline.runtime.part_runs import PartReader, add_up, score_part
from pipeline.runtime.plan import (
    BATCH_SHARES,
    WHOLE,
    Plan,
    Shard,
    WriteOptions,
    stamp_files,
    write_listing,
)
from pipeline.runtime.reading import InputFormat, Place, ReadOptions
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat
from pipeline.runtime.stamps import InputCheck
from tests.stand_ins import make_model

CSV = b'id,text\n\n1,good\n2\n3,"bad\nfilm"\n\n4,?!\n5,dull\n\n'
"""Five rows, two of them rejects, and three blank lines."""


def scorer(threads: int = 1) -> Scorer:
    bundle = Bundle(Path("stand-in"), {MODEL: make_model()}, None)
    return Scorer(bundle, threads=threads, shares=BATCH_SHARES)


SCORER = scorer()


def planned(
    tmp_path: Path,
    part_rows: int,
    contents: Sequence[bytes] = (CSV,),
    *,
    name: str = "out",
    limit: int | None = None,
    shard: Shard = WHOLE,
    output_format: OutputFormat = OutputFormat.JSONL,
) -> tuple[OutputFolder, Plan]:
    """Make a directory with a listing, and a plan of it."""
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.csv"
        if not path.exists():
            path.write_bytes(content)
        files.append(InputFile(str(path), InputFormat.CSV))
    folder = OutputFolder(tmp_path / name, lock=-1)
    folder.path.mkdir()
    with folder.listing() as stream:
        totals = write_listing(stamp_files(files, InputCheck.STAT), stream)
    write = WriteOptions(output_format)
    bundle = {"name": "stand-in", "digest": "ab" * 32}
    return folder, Plan(bundle, ReadOptions(), write, totals, part_rows=part_rows, limit=limit, shard=shard)


def score(
    folder: OutputFolder, plan: Plan, by: Scorer = SCORER, monitor: Monitor | None = None
) -> PartReader:
    reader, monitor = PartReader(folder, plan), monitor or Monitor()
    for part in reader.parts():
        score_part(folder, plan, by, reader, part, monitor.follow())
    return reader


def contents(folder: OutputFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def rows(folder: OutputFolder, number: int) -> list[int]:
    """Rows of a part, scored or not."""
    found = [json.loads(line)["row"] for line in folder.part_path(number, "jsonl").read_bytes().splitlines()]
    return sorted(found + [json.loads(line)["row"] for line in folder.reject_lines(number)])


# Where parts begin and end


@pytest.mark.parametrize(
    ("part_rows", "parts"),
    [
        (1, [[1], [2], [3], [4], [5]]),
        (2, [[1, 2], [3, 4], [5]]),
        (4, [[1, 2, 3, 4], [5]]),
        (5, [[1, 2, 3, 4, 5]]),
        (6, [[1, 2, 3, 4, 5]]),
    ],
)
def test_each_part_takes_its_rows(tmp_path: Path, part_rows: int, parts: list[list[int]]) -> None:
    folder, plan = planned(tmp_path, part_rows)
    reader = score(folder, plan)
    assert reader.count == len(parts)
    assert [rows(folder, number) for number in range(len(parts))] == parts
    total = add_up(folder, plan, reader.count)
    assert (total.rows_in, total.scored, total.rejected.total()) == (5, 3, 2)
    assert total.blank_lines + reader.tail == 3


@pytest.mark.parametrize(
    ("limit", "parts"),
    [
        (0, []),
        (1, [[1]]),
        (2, [[1, 2]]),
        (3, [[1, 2], [3]]),
        (5, [[1, 2], [3, 4], [5]]),
        (9, [[1, 2], [3, 4], [5]]),
    ],
)
def test_a_limit_ends_the_last_part(tmp_path: Path, limit: int, parts: list[list[int]]) -> None:
    folder, plan = planned(tmp_path, 2, limit=limit)
    reader = score(folder, plan)
    assert [rows(folder, number) for number in range(reader.count)] == parts


@pytest.mark.parametrize(
    "inputs", [[], [b"id,text\n"], [b"id,text\n\n\n", b"text\n"]], ids=["none", "header", "blank lines"]
)
@pytest.mark.parametrize("output_format", OutputFormat)
def test_without_a_row_there_is_one_part_that_holds_none(
    tmp_path: Path, inputs: list[bytes], output_format: OutputFormat
) -> None:
    folder, plan = planned(tmp_path, 2, inputs, output_format=output_format)
    reader = score(folder, plan)
    assert reader.count == 1
    total = add_up(folder, plan, 1)
    assert (total.rows_in, total.blank_lines + reader.tail) == (0, 2 if len(inputs) == 2 else 0)
    assert folder.part_path(0, output_format).exists()


def test_parts_go_on_over_the_ends_of_files(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 3, [CSV, b"text\n", CSV])
    reader = score(folder, plan)
    assert [rows(folder, number) for number in range(reader.count)] == [[1, 2, 3], [1, 4, 5], [2, 3, 4], [5]]
    assert reader.bytes_read == plan.inputs.bytes


def test_a_ledger_tells_where_its_part_lies(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 3)
    score(folder, plan)
    first, second = (folder.find_ledger(number, "jsonl") for number in range(2))
    assert first
    assert second
    assert first.start == Place()
    assert first.end == second.start == Place(0, 3, 7, CSV.index(b"\n4,"))
    assert (first.summary.blank_lines, second.summary.blank_lines) == (1, 2)


# Whoever scores a part


INPUTS = st.lists(
    st.lists(
        st.sampled_from([b"good", b"?!", b"a,b", b'"bad\nfilm"', b"", b'"dull', b"\xff"]), max_size=6
    ).map(lambda lines: b"\n".join([b"text", *lines])),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inputs=INPUTS, part_rows=st.integers(1, 5), gone=st.sets(st.integers(0, 9)), of=st.integers(1, 3))
def test_a_part_is_the_same_wherever_and_by_whomever_it_is_scored(
    tmp_path_factory: pytest.TempPathFactory, inputs: list[bytes], part_rows: int, gone: set[int], of: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("runs")
    folder, plan = planned(tmp_path, part_rows, inputs)
    count = score(folder, plan).count
    whole = contents(folder)
    total = add_up(folder, plan, count)
    _check_going_on(folder, plan, gone, whole)
    _check_shards(tmp_path, inputs, plan, of, whole)
    _check_each_alone(tmp_path, inputs, plan, whole)
    assert total.rows_in == sum(len(rows(folder, number)) for number in range(count))


def _check_going_on(folder: OutputFolder, plan: Plan, gone: set[int], whole: dict[str, bytes]) -> None:
    """Score what is gone once more, by another number of threads."""
    for number in gone:
        folder.part_path(number, "jsonl").unlink(missing_ok=True)
    score(folder, plan, scorer(threads=2))
    assert contents(folder) == whole


def _check_shards(tmp_path: Path, inputs: list[bytes], plan: Plan, of: int, whole: dict[str, bytes]) -> None:
    """Shards hold each part once, between them."""
    found: list[tuple[str, bytes]] = []
    for number in range(1, of + 1):
        folder, part_plan = planned(
            tmp_path, plan.part_rows, inputs, name=f"shard{number}", shard=Shard(number, of)
        )
        score(folder, part_plan)
        found += [item for item in contents(folder).items() if "part" in item[0]]
    assert sorted(found) == sorted(item for item in whole.items() if "part" in item[0])


def _check_each_alone(tmp_path: Path, inputs: list[bytes], plan: Plan, whole: dict[str, bytes]) -> None:
    """A worker scores one part from its start, having read nothing before it, in any order."""
    folder, plan = planned(tmp_path, plan.part_rows, inputs, name="alone")
    for number in reversed(range(sum(name.startswith("part") for name in whole))):
        ledger = Ledger.from_line(whole[f"_part-{number:05}.jsonl"].splitlines()[-1])
        reader = PartReader(folder, plan, ledger.start)
        part = reader.part(number, plan.rows_of_part(number))
        assert part
        score_part(folder, plan, SCORER, reader, part, Monitor().follow())
    assert contents(folder) == whole


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("damage", ["part gone", "part cut", "part grown", "ledger gone", "ledger cut"])
def test_a_damaged_part_is_scored_again(tmp_path: Path, number: int, damage: str) -> None:
    folder, plan = planned(tmp_path, 2)
    score(folder, plan)
    whole = contents(folder)
    what, how = damage.split()
    path = folder.part_path(number, "jsonl") if what == "part" else folder.ledger_path(number)
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] if how == "cut" else path.read_bytes() + b"\n")
    with pytest.raises(
        PlanError, match=f"part-0000{number}.jsonl is gone, or not what was published; --resume"
    ):
        add_up(folder, plan, 3)
    reader = PartReader(folder, plan)
    again = []
    for part in reader.parts():
        again.append(part.number)
        score_part(folder, plan, SCORER, reader, part, Monitor().follow())
    assert again == [number]
    assert contents(folder) == whole


def test_published_parts_are_told_of(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 2)
    score(folder, plan)
    told: list[Ledger] = []
    assert list(PartReader(folder, plan).parts(told.append)) == []
    assert [ledger.summary.rows_in for ledger in told] == [2, 2, 1]


# What must not be


def test_parts_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 2)
    score(folder, plan)
    ledger = folder.find_ledger(1, "jsonl")
    assert ledger
    moved = replace(ledger, start=Place(0, 1, 4, 17))
    *rejects, _ = folder.ledger_path(1).read_bytes().splitlines(keepends=True)
    folder.ledger_path(1).write_bytes(b"".join([*rejects, moved.to_line()]))
    with pytest.raises(PlanError, match=r"part 1 does not begin where the one before it ended.*--overwrite"):
        add_up(folder, plan, 3)


@pytest.mark.parametrize("change", ["grown", "gone"])
def test_an_input_that_changes_during_a_run_ends_it_before_its_part_is_published(
    tmp_path: Path, change: str
) -> None:
    folder, plan = planned(tmp_path, 2, [CSV, CSV])
    second = tmp_path / "1.csv"
    if change == "gone":
        second.unlink()
    else:
        second.write_bytes(CSV + b"6,more\n")
    with pytest.raises(PlanError, match=r"1\.csv.*(planned and gone|has changed)"):
        score(folder, plan)
    assert sorted(contents(folder)) == sorted(
        [
            "_inputs.jsonl",
            *(f"{kind}-0000{number}.jsonl" for kind in ("part", "_part") for number in range(2)),
        ]
    )


def test_a_run_with_too_many_rejects_publishes_no_part_of_them(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 5)
    with pytest.raises(TooManyRejects):
        score(folder, plan, monitor=Monitor(RejectLimit(count=1)))
    assert set(contents(folder)) == {"_inputs.jsonl"}


def test_a_directory_that_vanishes_is_named(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, 5)
    reader = PartReader(folder, plan)
    part = next(reader.parts())
    gone = OutputFolder(tmp_path / "gone", lock=-1)
    with pytest.raises(InputOutputError, match="gone/_part-00000.jsonl cannot be written: No such file"):
        score_part(gone, plan, SCORER, reader, part, Monitor().follow())


@pytest.mark.parametrize("shard", [WHOLE, Shard(2, 2)], ids=str)
def test_rows_that_others_score_are_counted_as_the_parts_go_by(tmp_path: Path, shard: Shard) -> None:
    folder, plan = planned(tmp_path, 2, shard=shard)
    reader = PartReader(folder, plan)
    seen = [(part.number, reader.rows) for part in reader.parts()]
    assert seen == ([(0, 0), (1, 2), (2, 4)] if shard == WHOLE else [(1, 0)])
    assert reader.rows == (5 if shard == WHOLE else 2)
    score(folder, plan)
    again = PartReader(folder, plan)
    assert list(again.parts()) == []
    assert again.rows == reader.rows
