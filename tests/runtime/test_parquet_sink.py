"""Scored rows as Parquet: whole, the same bytes each time, and joined without loss."""

from __future__ import annotations

import errno
import gc
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, MissingExtra
from pipeline.runtime import parquet_sink
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.parquet_sink import ROW_GROUP_ROWS, ParquetSink, join_parquet
from pipeline.runtime.rows import Row, Score
from pipeline.runtime.sinks import COLUMNS

SCORE = Score(0.1, "negative", 3, 0.3333, truncated=False)


def row(number: int, *kept: Any, review_id: str | None = None) -> Row:
    return Row("a.csv", number, review_id, "good", kept)


def written(scored: Sequence[tuple[Any, Score]], *, names: Sequence[str] = (), size: int = 1000) -> bytes:
    stream = io.BytesIO()
    sink = ParquetSink(stream, names)
    for start in range(0, len(scored), size):
        sink.write(scored[start : start + size])
    sink.close()
    return stream.getvalue()


def records(content: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return found


def group_sizes(content: bytes) -> list[int]:
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def test_every_column_stands_there_in_order_and_with_its_type() -> None:
    content = written([(Row("a.csv", 7, "x", "good"), SCORE)])
    schema = pq.ParquetFile(io.BytesIO(content)).schema_arrow
    assert tuple(schema.names) == COLUMNS
    assert [str(kind) for kind in schema.types] == [
        "string", "int64", "string", "float", "string", "int32", "double", "bool",
    ]  # fmt: skip
    assert records(content) == [
        {
            "source": "a.csv",
            "row": 7,
            "id": "x",
            "score": float(np.float32(0.1)),
            "label": "negative",
            "tokens": 3,
            "unknown_share": 0.3333,
            "truncated": False,
        }
    ]


def test_without_rows_there_are_columns() -> None:
    content = written([], names=["stars"])
    assert records(content) == []
    assert tuple(pq.ParquetFile(io.BytesIO(content)).schema_arrow.names) == (*COLUMNS, "stars")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"), ("", ""), (None, None), (5, "5"), (1.5, "1.5"), (True, "true"),
        (["é", None], '["é", null]'), ({"a": 1}, '{"a": 1}'),
    ],
    ids=repr,
)  # fmt: skip
def test_a_kept_value_is_a_string_or_json(value: Any, expected: str | None) -> None:
    found = records(written([(row(1, "first", value), SCORE)], names=["a", "b"]))
    assert [(each["a"], each["b"]) for each in found] == [("first", expected)]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCORES = st.builds(
    Score,
    st.floats(0, 1, width=32).map(lambda value: float(str(np.float32(value)))),
    TEXT,
    st.integers(1, 10**6),
    st.integers(0, 10_000).map(lambda share: share / 10_000),
    st.booleans(),
)


ROWS = st.builds(Row, TEXT, st.integers(0, 2**63 - 1), st.none() | TEXT, TEXT, st.just(()), st.none())


@given(
    st.lists(st.tuples(ROWS, SCORES), max_size=9),
    st.integers(1, 9),
)  # fmt: skip
@settings(max_examples=50)
def test_rows_come_back_and_their_bytes_do_not_depend_on_the_calls(
    scored: list[tuple[Row, Score]], size: int
) -> None:
    content = written(scored, size=size)
    assert content == written(scored)
    found = [tuple(record.values()) for record in records(content)]
    # Each score is the shortest decimal of a float32, so that nothing of it is lost.
    assert [(*each[:3], float(str(np.float32(each[3]))), *each[4:]) for each in found] == [
        (*each[:3], *score) for each, score in scored
    ]


@pytest.mark.parametrize("extra", [-1, 0, 1], ids=["n-1", "n", "n+1"])
def test_rows_are_gathered_into_row_groups(extra: int) -> None:
    count = ROW_GROUP_ROWS + extra
    scored = [(row(number), SCORE) for number in range(count)]
    content = written(scored, size=10_000)
    assert group_sizes(content) == [min(count, ROW_GROUP_ROWS)] + [1] * (extra > 0)
    assert content == written(scored, size=count)
    assert pq.read_table(io.BytesIO(content))["row"].to_pylist() == list(range(count))


def test_long_values_make_smaller_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_sink, "_ROW_GROUP_CHARACTERS", 100)
    long = [(row(number, "x" * 35, review_id="y" * 5), SCORE) for number in range(5)]
    sizes = {size: group_sizes(written(long, names=["k"], size=size)) for size in (1, 2, 5)}
    assert sizes == {1: [3, 2], 2: [3, 2], 5: [3, 2]}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_an_end_there_is_no_file(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_sink, "ROW_GROUP_ROWS", 2)
    stream = io.BytesIO()
    sink = ParquetSink(stream)
    sink.write([(row(number), SCORE) for number in range(count)])
    del sink
    gc.collect()
    assert b"PAR1" not in stream.getvalue()[4:]
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(stream)


class Full(io.BytesIO):
    """A stream that takes so many writes and then no more."""

    def __init__(self, error: Exception, writes: int) -> None:
        super().__init__()
        self._error, self._writes = error, writes

    def write(self, data: Any, /) -> int:
        self._writes -= 1
        if self._writes < 0:
            raise self._error
        return super().write(data)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), InputOutputError("out.parquet cannot be written")],
    ids=["operating system", "ours"],
)  # fmt: skip
@pytest.mark.parametrize("writes", [0, 1, 5, 40])
def test_an_error_of_the_stream_passes_through(
    error: Exception, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_sink, "ROW_GROUP_ROWS", 2)
    sink = ParquetSink(Full(error, writes))
    with pytest.raises(type(error)) as caught:  # whichever of the two it reaches
        sink.write([(row(number), SCORE) for number in range(3)])
        sink.close()
    assert caught.value is error
    del sink, caught
    gc.collect()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_noticed_at_the_end_at_the_latest() -> None:
    with Path("/dev/full").open("wb", buffering=0) as raw:
        sink = ParquetSink(raw)
        sink.write([(row(1), SCORE)])
        with pytest.raises(OSError, match="No space left"):
            sink.close()


def test_a_stream_is_flushed_at_the_end() -> None:
    raw = io.BytesIO()
    stream = io.BufferedWriter(raw)
    ParquetSink(stream).close()
    assert raw.getvalue().endswith(b"PAR1")
    assert not stream.closed


def test_pyarrow_that_is_not_there_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[parquet\]'"):
        ParquetSink(io.BytesIO())
    with pytest.raises(MissingExtra):
        join_parquet([], io.BytesIO())


# Joining


def parts(folder: Path, *counts: int, names: Sequence[str] = ()) -> list[Path]:
    found, at = [], 0
    for number, count in enumerate(counts):
        found.append(folder / f"{number}.parquet")
        scored = [(row(at + each, *names), SCORE) for each in range(count)]
        found[-1].write_bytes(written(scored, names=names))
        at += count
    return found


@pytest.mark.parametrize("counts", [(3,), (0,), (0, 0), (2, 0, 3), (0, 1), (1, 2, 3, 4)], ids=str)
def test_parts_become_one_file(counts: tuple[int, ...], tmp_path: Path) -> None:
    stream = io.BytesIO()
    assert join_parquet(parts(tmp_path, *counts, names=["k"]), stream) == sum(counts)
    assert group_sizes(stream.getvalue()) == [count for count in counts if count]
    found = pq.read_table(io.BytesIO(stream.getvalue()))
    assert found["row"].to_pylist() == list(range(sum(counts)))
    assert found.schema == pq.read_schema(tmp_path / "0.parquet")


def test_a_part_on_its_own_stays_as_it_is(tmp_path: Path) -> None:
    [part] = parts(tmp_path, 5)
    stream = io.BytesIO()
    join_parquet([part], stream)
    assert stream.getvalue() == part.read_bytes()


def test_a_part_with_other_columns_is_refused(tmp_path: Path) -> None:
    first, second = parts(tmp_path, 1, 1)
    second.write_bytes(written([(row(1, 5), SCORE)], names=["stars"]))
    with pytest.raises(CorruptedFileError, match=r"1\.parquet has other columns than .*0\.parquet"):
        join_parquet([first, second], io.BytesIO())


@pytest.mark.parametrize("size", [0, 100, -1], ids=["empty", "cut off", "a byte short"])
def test_a_part_that_is_broken_is_named(size: int, tmp_path: Path) -> None:
    first, second = parts(tmp_path, 1, 1)
    second.write_bytes(second.read_bytes()[:size])
    with pytest.raises(CorruptedFileError, match=r"1\.parquet cannot be read"):
        join_parquet([first, second], io.BytesIO())


def test_a_part_with_an_altered_page_is_named(tmp_path: Path) -> None:
    [part] = parts(tmp_path, 1)
    content = bytearray(part.read_bytes())
    content[content.index(b"a.csv")] ^= 1
    part.write_bytes(content)
    with pytest.raises(
        CorruptedFileError, match=r"0\.parquet cannot be read: could not verify page integrity"
    ):
        join_parquet([part], io.BytesIO())


@pytest.mark.parametrize("writes", [0, 30])
def test_a_disk_that_fills_up_while_parts_are_joined_is_noticed(writes: int, tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left")
    with pytest.raises(OSError, match="No space left") as caught:
        join_parquet(parts(tmp_path, 1, 1), Full(error, writes))
    assert caught.value is error
    del caught
    gc.collect()
