"""Where a Parquet file's columns and pages lie and how large they are, before pyarrow makes room for them.

pyarrow cannot be asked: it ends the process where a footer's statistics do not fit (26.0.1,
``RowGroupMetaData.column``), and it believes a page that promises 2 GiB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from pipeline.runtime.compressed import CorruptedFileError

_MAX_FOOTER_BYTES = 64 << 20
_HEADER_BYTES = 512
_LONGEST_HEADER = 1 << 20
# The fields that matter, by their numbers in parquet.thrift of apache/parquet-format.
_PAGE_HEADER = {2: "uncompressed_page_size", 3: "compressed_page_size"}
_COLUMN_META = {7: "total_compressed_size", 9: "data_page_offset", 11: "dictionary_page_offset"}
_FOOTER = {4: {1: {3: _COLUMN_META}, 3: "num_rows"}}


class ColumnChunk(NamedTuple):
    """The bytes of a file in which one column of one row group lies."""

    start: int
    size: int


class RowGroup(NamedTuple):
    """One row group, its columns in the order of the schema's leaves."""

    rows: int
    columns: list[ColumnChunk]


def read_row_groups(stream: BinaryIO) -> list[RowGroup]:
    """Give what the footer says of each row group.

    Raises:
        CorruptedFileError: If the footer cannot be read, or places a column outside the file.
    """
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - 8))
    size = int.from_bytes(stream.read(4), "little")
    if size > _MAX_FOOTER_BYTES:
        msg = f"the Parquet footer has {size:,} bytes; {_MAX_FOOTER_BYTES:,} can be read"
        raise CorruptedFileError(msg)
    stream.seek(length - 8 - size)
    with _no_parquet("the footer cannot be read"):
        footer = _Compact(stream.read(size)).struct(_FOOTER)
        groups = [RowGroup(group[3], [_column_chunk(each[3]) for each in group[1]]) for group in footer[4]]
        if any(group.rows < 0 for group in groups):
            raise ValueError
        chunks = (chunk for group in groups for chunk in group.columns)
        if not all(0 <= start <= start + size <= length for start, size in chunks):
            raise ValueError
    return groups


def _column_chunk(meta: dict[int, Any]) -> ColumnChunk:
    start, dictionary = meta[9], meta.get(11, 0)
    return ColumnChunk(dictionary if 0 < dictionary < start else start, meta[7])


def page_sizes(stream: BinaryIO, chunk: ColumnChunk) -> Iterator[int]:
    """Yield the bytes that each page takes, compressed or not, whichever is more.

    Raises:
        CorruptedFileError: If there is no page header where one has to be.
    """
    place = chunk.start
    while place < chunk.start + chunk.size:
        stream.seek(place)
        head = stream.read(_HEADER_BYTES)
        with _no_parquet(f"no page begins at byte {place:,}, as it should"):
            try:
                packed, unpacked, length = _page_header(head)
            except IndexError:  # Statistics may hold two whole values.
                packed, unpacked, length = _page_header(head + stream.read(_LONGEST_HEADER))
        yield max(packed, unpacked)
        place += length + packed


def _page_header(head: bytes) -> tuple[int, int, int]:
    """Give a page's bytes as they stand, those that they become, and those of its header."""
    header = _Compact(head)
    sizes = header.struct(_PAGE_HEADER)
    if sizes[2] < 0 or sizes[3] < 0:
        raise ValueError
    return sizes[3], sizes[2], header.place


@contextmanager
def _no_parquet(reason: str) -> Iterator[None]:
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = f"the Parquet data is corrupted: {reason}"
        raise CorruptedFileError(msg) from error


class _Compact:
    """Reads the wanted fields of structs in Thrift's compact protocol, and passes over the others.

    Made after the protocol's description, ``doc/specs/thrift-compact-protocol.md`` of apache/thrift.
    IndexError says that the data ends too soon.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, wanted: dict[int, Any]) -> dict[int, Any]:
        """Give the values of the wanted fields that are there, by their numbers."""
        found, field = {}, 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._number()
            value = self._value(kind & 15, wanted.get(field))
            if field in wanted:
                found[field] = value
        return found

    def _value(self, kind: int, wanted: Any) -> Any:
        """Read one value: a whole number, or a struct, or a list of these where they are wanted."""
        if kind in (4, 5, 6):
            return self._number()
        if kind == 12:
            return self.struct(wanted if isinstance(wanted, dict) else {})
        if kind in (9, 10):
            return self._list(wanted)
        if kind in (3, 7, 8):
            self._pass({3: 1, 7: 8}.get(kind) or self._varint())
        elif kind not in (1, 2):
            raise ValueError
        return None

    def _list(self, wanted: Any) -> list[Any] | None:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        # In a list, unlike in a struct, a boolean has a byte of its own.
        values = (self._value(3 if kind in (1, 2) else kind, wanted) for _ in range(count))
        if isinstance(wanted, dict):
            return list(values)
        for _ in values:
            pass
        return None

    def _pass(self, size: int) -> None:
        self.place += size
        if self.place > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.place += 1
        return self._data[self.place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) >> 7:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
