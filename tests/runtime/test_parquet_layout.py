"""What a Parquet file says of its columns and pages, read without pyarrow and held against it."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime import parquet_layout
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.parquet_layout import ColumnChunk, page_sizes, read_row_groups

TABLE = pa.table({"text": [f"film {number % 9} " * 20 for number in range(100)], "n": range(100)})


def parquet(table: pa.Table = TABLE, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "row_group_size": 30},
        {"data_page_size": 64, "write_batch_size": 10, "row_group_size": 30},
        {"data_page_version": "2.0", "compression": "zstd"},
        {"compression": "none", "write_page_index": True, "write_page_checksum": True},
        {"row_group_size": 1},
    ],
    ids=["dictionary", "plain", "small pages", "second version", "index and checksums", "many groups"],
)
def test_the_footer_is_read_as_pyarrow_reads_it(options: dict[str, Any]) -> None:
    content = parquet(**options)
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    groups = read_row_groups(io.BytesIO(content))
    assert len(groups) == metadata.num_row_groups
    for number, group in enumerate(groups):
        expected = metadata.row_group(number)
        assert (group.rows, len(group.columns)) == (expected.num_rows, 2)
        for leaf, chunk in enumerate(group.columns):
            column = expected.column(leaf)
            start = column.dictionary_page_offset or column.data_page_offset
            assert list(chunk) == [start, column.total_compressed_size]
            sizes = list(page_sizes(io.BytesIO(content), chunk))
            # The chunk's sum holds the pages' headers, too.
            assert 0 < sum(sizes) <= max(column.total_uncompressed_size, column.total_compressed_size)


def test_the_largest_page_is_found_among_small_ones() -> None:
    long = pa.table({"text": ["x", "y" * 9000, "z"] * 3})
    content = parquet(long, use_dictionary=False, data_page_size=1, write_batch_size=1, compression="zstd")
    sizes = list(page_sizes(io.BytesIO(content), read_row_groups(io.BytesIO(content))[0].columns[0]))
    assert sorted(map(round, sizes, [-3] * 9)) == [0] * 6 + [9000] * 3


def test_a_header_with_long_statistics_is_read() -> None:
    long = pa.table({"text": ["x" * 4000, "y" * 4000]})
    content = parquet(long, use_dictionary=False, compression="none")
    [size] = page_sizes(io.BytesIO(content), read_row_groups(io.BytesIO(content))[0].columns[0])
    assert 8000 < size < 8020


def test_a_column_without_rows_has_no_pages() -> None:
    groups = read_row_groups(io.BytesIO(parquet(TABLE.slice(0, 0))))
    assert sum(group.rows for group in groups) == 0


CONTENT = parquet(row_group_size=40, data_page_size=64, write_batch_size=10)


@given(st.integers(0, len(CONTENT)), st.binary(min_size=1, max_size=12))
def test_altered_data_is_read_or_refused(place: int, new: bytes) -> None:
    stream = io.BytesIO(CONTENT[:place] + new + CONTENT[place + len(new) :])
    try:
        for group in read_row_groups(stream):
            for chunk in group.columns:
                assert all(size >= 0 for size in page_sizes(stream, chunk))
    except CorruptedFileError:
        pass


def footer(data: bytes) -> io.BytesIO:
    return io.BytesIO(b"PAR1" + data + len(data).to_bytes(4, "little") + b"PAR1")


def group_of(meta: bytes, rows: bytes = b"\x02", start: bytes = b"\x49\x1c") -> bytes:
    """A footer of one row group with one column."""
    return start + b"\x19\x1c" + b"\x3c" + meta + b"\0" + b"\x26" + rows + b"\0\0"


@pytest.mark.parametrize(
    "before",
    [b"", b"\x19\x31\x01\x02\x01", b"\x17" + bytes(range(8)), b"\x13\x09", b"\x1a\x18\x03abc", b"\x1c\x11\x12\0"],
    ids=["nothing", "a list of booleans", "a double", "a byte", "a set of strings", "a struct of booleans"],
)  # fmt: skip
def test_a_footer_of_little_else_is_read(before: bytes) -> None:
    start = b"\x39\x1c" if before else b"\x49\x1c"
    stream = footer(before + group_of(b"\x76\x04\x26\x08\0", start=start))
    assert read_row_groups(stream) == [(1, [(4, 2)])]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x49\x1c",
        b"\xff" * 50,
        b"\x1c" * 5000,
        b"\x19\xf7" + b"\xff" * 8 + b"\x01",
        b"\x18\xff\xff\xff\xff\x0f",
        group_of(b"\x76\x04\0"),
        group_of(b"\x76\x04\x26\x07\0"),
        group_of(b"\x76\x80\x80\x80\x80\x10\x26\x08\0"),
        group_of(b"\x76\x03\x26\x08\0"),
        group_of(b"\x76\x04\x28\x01a\0"),
        group_of(b"\x76\x04\x26\x08\0", rows=b"\x01"),
    ],
    ids=[
        "nothing", "an empty struct", "cut off", "no struct", "structs without end", "a list without end",
        "a string without end", "a column without a place", "a negative place", "a column behind the end",
        "a negative size", "a string for a place", "a negative count",
    ],
)  # fmt: skip
def test_an_absurd_footer_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptedFileError, match="the footer cannot be read"):
        read_row_groups(footer(data))


def test_a_footer_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    length = int.from_bytes(CONTENT[-8:-4], "little")
    monkeypatch.setattr(parquet_layout, "_MAX_FOOTER_BYTES", length)
    read_row_groups(io.BytesIO(CONTENT))
    monkeypatch.setattr(parquet_layout, "_MAX_FOOTER_BYTES", length - 1)
    with pytest.raises(CorruptedFileError, match=f"footer has {length:,} bytes; {length - 1:,} can be read"):
        read_row_groups(io.BytesIO(CONTENT))


@pytest.mark.parametrize(("unpacked", "packed"), [(3, 5), (5, 3)])
def test_a_page_takes_what_it_is_or_what_it_becomes(unpacked: int, packed: int) -> None:
    header = b"\x15\x00\x15" + bytes([2 * unpacked]) + b"\x15" + bytes([2 * packed]) + b"\0"
    page = header + bytes(packed)
    stream = io.BytesIO(b"PAR1" + page + page)
    assert list(page_sizes(stream, ColumnChunk(4, 2 * len(page)))) == [5, 5]


@pytest.mark.parametrize(
    "header", [b"", b"\x15\x00", b"\x15\x00\x15\x01\x15\x02\0", b"\x15\x00\x15\x02\x15\x01\0", b"\xff" * 9, b"\0"],
    ids=["nothing", "cut off", "negative size", "negative packed size", "no struct", "empty"],
)  # fmt: skip
def test_what_is_no_page_is_refused(header: bytes) -> None:
    with pytest.raises(CorruptedFileError, match="no page begins at byte 4, as it should"):
        list(page_sizes(io.BytesIO(b"PAR1" + header), ColumnChunk(4, 20)))
