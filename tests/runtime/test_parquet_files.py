"""Rows out of Parquet files, and one error for every file that is broken."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import io
import math
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MissingExtra, UsageError
from pipeline.runtime import parquet_files
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.parquet_files import ParquetReviews, ParquetRow, import_pyarrow
from pipeline.runtime.parquet_layout import page_sizes, read_row_groups
from pipeline.runtime.rows import Refusal, RejectCode

ROOT = Path(__file__).parents[2]


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


def reviews(content: bytes, **options: Any) -> ParquetReviews:
    return ParquetReviews(io.BytesIO(content), "a.parquet", **options)


def texts(content: bytes, first_row: int = 0) -> list[bytes | None]:
    return [row.text for row in reviews(content).rows(first_row) if isinstance(row, ParquetRow)]


def kept(values: Any) -> list[Any]:
    """What becomes of a kept column's values."""
    found = reviews(parquet({"text": ["x"] * len(values), "k": values}), kept_columns=["k"]).rows()
    return [row.kept[0] if isinstance(row, ParquetRow) else row for row in found]


# Text


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"store_schema": False}], ids=["Arrow's schema", "Parquet's schema"])
def test_every_kind_of_string_is_text(kind: pa.DataType, options: dict[str, Any]) -> None:
    values = ["a film", None, "", "café 🎬", "a film"]
    found = texts(parquet({"text": pa.array(values, kind)}, row_group_size=3, **options))
    assert found == [None if value is None else value.encode() for value in values]


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
    st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli", "lz4"]),
    st.sampled_from(["1.0", "2.0"]),
    st.booleans(),
    st.integers(1, 5),
)
@settings(max_examples=50)
def test_any_texts_come_back(
    values: list[str | None], compression: str, pages: str, use_dictionary: bool, group: int
) -> None:
    content = parquet(
        {"text": pa.array(values, pa.string())},
        compression=compression,
        data_page_version=pages,
        use_dictionary=use_dictionary,
        row_group_size=group,
    )
    assert texts(content) == [None if value is None else value.encode() for value in values]


@given(st.lists(st.none() | st.binary()))
@settings(max_examples=50)
def test_any_bytes_come_back_as_they_stand(values: list[bytes | None]) -> None:
    column = pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())
    assert texts(parquet({"text": column})) == values


def test_a_file_without_rows_has_none() -> None:
    found = reviews(parquet({"text": pa.array([], pa.string())}))
    assert (found.columns, found.row_count, list(found.rows())) == (("text",), 0, [])


@pytest.mark.parametrize("first_row", [0, 1, 9, 10, 11, 24, 25, 26])
def test_reading_goes_on_at_any_row(first_row: int) -> None:
    values = [f"{number}" for number in range(25)]
    content = parquet({"text": values}, row_group_size=10)
    assert reviews(content).row_groups == 3
    assert [row.text for row in reviews(content).rows(first_row) if isinstance(row, ParquetRow)] == [
        value.encode() for value in values[first_row:]
    ]


@pytest.mark.parametrize("first_row", [0, 1, 1023, 1024, 1025, 3000])
def test_reading_goes_on_inside_a_row_group(first_row: int) -> None:
    values = [f"{number}" for number in range(3001)]
    assert texts(parquet({"text": values}), first_row) == [value.encode() for value in values[first_row:]]


def test_row_groups_before_the_first_row_are_not_read() -> None:
    content = bytearray(parquet({"text": ["first"] * 9 + ["last"]}, row_group_size=9, use_dictionary=False))
    at = content.index(b"first")
    content[at - 20 : at] = b"\xff" * 20
    assert texts(bytes(content), 9) == [b"last"]
    with pytest.raises(CorruptedFileError):
        texts(bytes(content), 8)


# Ids and kept columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None, ""], ["a", None, ""]),
        ([7, None, -(2**63)], ["7", None, "-9223372036854775808"]),
        ([True, None, False], ["true", None, "false"]),
        ([1.5, None, math.nan], ["1.5", None, None]),
        ([None, None, None], [None, None, None]),
    ],
    ids=["strings", "integers", "booleans", "floats", "nulls"],
)
def test_an_id_is_text_as_in_json_lines(values: list[Any], expected: list[str | None]) -> None:
    found = reviews(parquet({"text": ["x"] * 3, "id": values})).rows()
    assert [row.id for row in found if isinstance(row, ParquetRow)] == expected


def test_text_and_id_can_have_other_columns() -> None:
    content = parquet({"text": [1], "id": ["no"], "review": ["good"], "key": ["k1"]})
    found = reviews(content, text_column="review", id_column="key", kept_columns=["text", "review"])
    assert list(found.rows()) == [ParquetRow(b"good", "k1", (1, "good"))]


def test_a_column_named_id_is_not_needed() -> None:
    assert list(reviews(parquet({"text": ["x"]})).rows()) == [ParquetRow(b"x", None, ())]


def test_a_column_whose_name_begins_as_another_s_is_another() -> None:
    nested = pa.array([{"b": "no"}])
    content = parquet({"text": ["yes"], "text.b": ["no"], "a.b": [5], "a": nested})
    assert list(reviews(content, kept_columns=["text.b"]).rows()) == [ParquetRow(b"yes", None, ("no",))]
    assert list(reviews(content, kept_columns=["a.b"]).rows()) == [ParquetRow(b"yes", None, (5,))]


UUID = pa.uuid() if hasattr(pa, "uuid") else pa.binary(16)  # From pyarrow 18 on.
INSTANT = dt.datetime(2020, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  # Arrow keeps times without a zone


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None], ["a", None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        ([b"caf\xc3\xa9", None], ["café", None]),
        (pa.array([b"\x00\xff", None], pa.binary(2)), ["00ff", None]),
        (pa.array([uuid.UUID(int=1).bytes, None], UUID), [uuid.UUID(int=1).hex, None]),
        ([True, None], [True, None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        ([1.5, None, math.nan, math.inf, -math.inf], [1.5, None, None, None, None]),
        (pa.array([0.1, None, math.nan, -0.0], pa.float32()), [0.1, None, None, -0.0]),
        (pa.array([decimal.Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([INSTANT, None], pa.timestamp("ns")), ["2020-01-02 03:04:05.000006000", None]),
        (pa.array([INSTANT, None], pa.timestamp("us", "+03:00")), ["2020-01-02 03:04:05.000006Z", None]),
        (pa.array([INSTANT, None], pa.timestamp("ms", "Nowhere/X")), ["2020-01-02 03:04:05.000Z", None]),
        ([INSTANT.date(), None], ["2020-01-02", None]),
        ([INSTANT.time(), None], ["03:04:05.000006", None]),
        (pa.nulls(2), [None, None]),
    ],
    ids=lambda values: str(getattr(values, "type", values)),
)  # fmt: skip
def test_a_kept_value_becomes_what_json_can_hold(values: Any, expected: list[Any]) -> None:
    assert repr(kept(values)) == repr(expected)


@pytest.mark.parametrize("column", ["id", "k"])
def test_bytes_that_are_not_utf_8_cost_their_row(column: str) -> None:
    buffers = pa.array([b"good", b"caf\xe9", b"next"]).buffers()
    content = parquet({"text": ["x"] * 3, column: pa.Array.from_buffers(pa.string(), 3, buffers)})
    found = list(reviews(content, kept_columns=["k"] if column == "k" else []).rows())
    assert [type(each) for each in found] == [ParquetRow, Refusal, ParquetRow]
    assert found[1] == Refusal(RejectCode.INVALID_ENCODING, f"{column!r} is not UTF-8 at byte 3")


@pytest.mark.parametrize("column", ["id", "k"])
def test_a_value_that_is_too_long_costs_its_row(column: str) -> None:
    content = parquet({"text": ["x"] * 2, column: ["x" * MAX_ROW_BYTES, "x" * (MAX_ROW_BYTES + 1)]})
    found = list(reviews(content, kept_columns=["k"] if column == "k" else []).rows())
    assert isinstance(found[0], ParquetRow)
    assert found[1] == Refusal(RejectCode.TOO_LONG, f"{column!r} is longer than {MAX_ROW_BYTES:,} bytes")


# Columns that cannot be used


def test_a_column_that_is_not_there_is_wrong_usage() -> None:
    content = parquet({"review": ["x"], "a\nb": ["y"]})
    message = r"a\.parquet has no column 'text'; its columns are: review, a\\u000ab \(--text-column names"
    with pytest.raises(UsageError, match=message):
        reviews(content)
    assert list(reviews(content, text_column="review").rows()) == [ParquetRow(b"x", None, ())]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_column": "twice"}, "more than one column 'twice'.*--text-column"),
        ({"id_column": "twice"}, "more than one column 'twice'.*--id-column"),
        ({"id_column": "key"}, "no column 'key'.*--id-column"),
        ({"kept_columns": ["text", "stars"]}, "no column 'stars'.*--keep"),
        ({"kept_columns": ["twice"]}, "more than one column 'twice'.*--keep"),
        ({"kept_columns": [""]}, "no column ''.*--keep"),
    ],
)
def test_a_column_that_is_missing_or_there_twice_is_named(options: dict[str, Any], message: str) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table([["x"], ["y"], ["z"]], names=["text", "twice", "twice"]), stream)
    with pytest.raises(UsageError, match=message):
        reviews(stream.getvalue(), **options)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1], "int64"),
        ([None], "null"),
        ([b"x"], "binary"),
        ([["x"]], "list<"),
        ([{"a": "x"}], "struct<a: string>"),
        (pa.array([b"x"]).dictionary_encode(), "dictionary<values=binary"),
    ],
    ids=["number", "null", "binary", "list", "struct", "dictionary of binary"],
)
def test_text_of_another_type_is_wrong_usage(values: Any, found: str) -> None:
    with pytest.raises(UsageError, match=rf"column 'text' holds {found}.*, not strings \(--text-column"):
        reviews(parquet({"text": values}))


@pytest.mark.parametrize("values", [[["x"]], [{"a": 1}], [[("k", 1)]]], ids=["list", "struct", "map"])
def test_what_has_no_one_value_in_a_row_can_be_neither_kept_nor_an_id(values: Any) -> None:
    column = pa.array(values, pa.map_(pa.string(), pa.int64())) if values == [[("k", 1)]] else values
    content = parquet({"text": ["x"], "k": column})
    with pytest.raises(
        UsageError, match=r"column 'k' holds .*, not strings, numbers, dates or times \(--keep"
    ):
        reviews(content, kept_columns=["k"])
    with pytest.raises(UsageError, match=r"column 'k' holds .*\(--id-column"):
        reviews(content, id_column="k")


def test_pyarrow_that_is_not_there_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"'pyarrow': pip install '\.\[parquet\]'") as caught:
        import_pyarrow()
    assert caught.value.exit_status == 2
    with pytest.raises(MissingExtra):
        reviews(b"")


# Broken files

SMALL = parquet(
    {"id": range(30), "text": [f"film {number % 7}" for number in range(30)]},
    row_group_size=12,
    write_page_checksum=True,
)
FOOTER = len(SMALL) - 8 - int.from_bytes(SMALL[-8:-4], "little")


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1PAR1", b"text" * 99, SMALL[:-1], SMALL[:-8], SMALL[4:], b"PARE" + SMALL[4:-4] + b"PARE"],
    ids=["empty", "magic", "no footer", "text", "a byte short", "footer cut off", "magic cut off", "encrypted"],
)  # fmt: skip
def test_what_is_no_parquet_file_is_corrupted(content: bytes) -> None:
    with pytest.raises(CorruptedFileError):
        texts(content)


@pytest.mark.parametrize("size", range(0, len(SMALL), 7))
def test_a_file_that_is_cut_off_is_corrupted(size: int) -> None:
    with pytest.raises(CorruptedFileError):
        texts(SMALL[:size])


def test_an_altered_page_is_corrupted_after_the_rows_before_it() -> None:
    content = bytearray(SMALL)
    [second] = read_row_groups(io.BytesIO(SMALL))[1:2]
    content[second.columns[1].start + second.columns[1].size - 3] ^= 1
    rows = reviews(bytes(content)).rows()
    assert len([next(rows) for _ in range(12)]) == 12
    with pytest.raises(CorruptedFileError, match="could not verify page integrity"):
        next(rows)


def read_if_whole(content: bytes) -> None:
    try:
        found = reviews(content)
        for count, _ in enumerate(found.rows()):
            if count > 1000:
                break
    except (CorruptedFileError, UsageError):
        pass


@given(
    st.lists(
        st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 4), st.binary(max_size=8)), min_size=1, max_size=4
    )
)  # fmt: skip
def test_no_change_raises_anything_else(changes: list[tuple[int, int, bytes]]) -> None:
    content = SMALL
    for place, dropped, new in changes:
        content = content[:place] + new + content[place + dropped :]
    read_if_whole(content)
    read_if_whole(content[:-8] + (max(0, len(content) - 8 - FOOTER)).to_bytes(4, "little") + b"PAR1")


def changed_schemas() -> Iterator[bytes]:
    """Files whose copy of Arrow's schema, a FlatBuffers message, is altered in one place."""
    metadata = pq.ParquetFile(io.BytesIO(SMALL)).metadata.metadata[b"ARROW:schema"]
    schema, at = base64.b64decode(metadata), SMALL.index(metadata)
    for place in range(len(schema)):
        for value in (0x00, 0x04, 0x7F, 0xFF):
            changed = schema[:place] + bytes([value]) + schema[place + 1 :]
            yield SMALL[:at] + base64.b64encode(changed) + SMALL[at + len(metadata) :]


def changed_footers() -> Iterator[bytes]:
    for place in range(FOOTER, len(SMALL) - 8):
        for value in (0x00, 0x18, 0xFF):
            yield SMALL[:place] + bytes([value]) + SMALL[place + 1 :]


@pytest.mark.parametrize("kind", ["footers", "schemas"])
def test_no_altered_footer_ends_the_process(kind: str) -> None:
    code = f"from tests.runtime import test_parquet_files as t; [*map(t.read_if_whole, t.changed_{kind}())]"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_row_group_with_other_rows_than_it_says_is_corrupted() -> None:
    found = reviews(SMALL)
    found._groups[0] = found._groups[0]._replace(rows=13)
    with pytest.raises(
        CorruptedFileError, match="row group 0 holds 12 rows, where the Parquet footer counts 13"
    ):
        list(found.rows())


class Failing(io.BytesIO):
    """A disk that fails once it is told to."""

    broken = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("is_open", [False, True], ids=["before", "after the footer"])
def test_a_failing_disk_is_no_corrupted_file(is_open: bool) -> None:
    stream = Failing(SMALL)
    stream.broken = not is_open
    with pytest.raises(OSError, match="Input/output error"):  # whichever of the two it reaches
        found = ParquetReviews(stream, "a")
        stream.broken = True
        list(found.rows())


def test_a_footer_that_counts_other_rows_than_its_groups_is_corrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = read_row_groups(io.BytesIO(SMALL))
    monkeypatch.setattr(parquet_files, "read_row_groups", lambda _stream: groups[1:])
    with pytest.raises(CorruptedFileError, match="counts 30 rows, its row groups 18"):
        reviews(SMALL)


# Memory


def test_what_asks_for_too_much_memory_is_corrupted() -> None:
    class Greedy(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise MemoryError

    with pytest.raises(CorruptedFileError, match="asks for more memory than there is"):
        ParquetReviews(Greedy(SMALL), "a")


def test_pages_of_columns_that_are_not_read_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "MAX_PAGE_BYTES", 1000)
    assert texts(parquet({"text": ["x"], "text2": ["x" * 5000]}, use_dictionary=False)) == [b"x"]


def test_a_page_that_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = parquet({"text": ["x" * 5000]}, use_dictionary=False, compression="zstd")
    assert len(content) < 2000
    [size] = page_sizes(io.BytesIO(content), reviews(content)._groups[0].columns[0])
    monkeypatch.setattr(parquet_files, "MAX_PAGE_BYTES", size + 1)
    assert texts(content) == [b"x" * 5000]
    monkeypatch.setattr(parquet_files, "MAX_PAGE_BYTES", size)
    with pytest.raises(
        CorruptedFileError, match=f"read in pieces of {size + 1:,} bytes; at most {size:,} can be"
    ):
        texts(content)


@pytest.mark.parametrize("store_schema", [False, True], ids=["pages", "dictionary"])
def test_a_long_value_that_every_row_names_takes_bounded_memory(
    store_schema: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * (1 << 20)]))
    content = parquet({"text": long}, compression="zstd", store_schema=store_schema)
    assert len(content) < 10_000
    monkeypatch.setattr(parquet_files, "MAX_PAGE_BYTES", 8 << 20)
    count = largest = 0
    found = reviews(content)
    assert found._rows_at_once(0) == (1024 if store_schema else 7, 7)
    for row in found.rows():
        assert isinstance(row, ParquetRow)
        assert len(row.text or b"") == 1 << 20
        count, largest = count + 1, max(largest, pa.total_allocated_bytes())
    assert count == 2000
    assert largest < 40 << 20
