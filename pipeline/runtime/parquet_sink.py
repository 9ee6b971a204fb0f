"""Scored rows into Parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.parquet_files import broken_as_corrupted, import_pyarrow
from pipeline.runtime.parquet_values import as_text
from pipeline.runtime.rows import Row, Score, printable

ROW_GROUP_ROWS = 1 << 16
_ROW_GROUP_CHARACTERS = 32 << 20
"""Characters of names, ids and kept values in one row group at most, beside one row: what bounds memory."""


class ParquetSink:
    """Writes scored rows as Parquet, equal rows as equal bytes however they come.

    A row group is written once it has ``ROW_GROUP_ROWS`` rows, or 32 MiB of names and kept values; the
    last one and the footer by ``close``, without which the file cannot be read. The stream's own
    errors pass through.

    Args:
        stream: Takes the bytes, and stays open.
        kept_names: Names for the values of each row's ``kept``, which become strings.

    Raises:
        MissingExtra: If pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO, kept_names: Sequence[str] = ()) -> None:
        pa = import_pyarrow()
        kinds = {
            "source": pa.string(),
            "row": pa.int64(),
            "id": pa.string(),
            "score": pa.float32(),
            "label": pa.string(),
            "tokens": pa.int32(),
            "unknown_share": pa.float64(),
            "truncated": pa.bool_(),
        }
        self._schema = pa.schema([*kinds.items(), *((name, pa.string()) for name in kept_names)])
        self._pa = pa
        self._writer = _GroupWriter(pa, stream, self._schema)
        self._rows: list[tuple[Any, ...]] = []
        self._characters = 0
        self.rows = 0
        """Rows taken so far."""

    def write(self, scored: Sequence[tuple[Row, Score]]) -> None:
        """Take rows in the order given, and write each row group that they fill."""
        self.rows += len(scored)
        for row, score in scored:
            kept = [as_text(value) for value in row.kept]
            self._characters += len(row.source) + len(row.id or "") + sum(len(text or "") for text in kept)
            self._rows.append((row.source, row.row, row.id, *score, *kept))
            if len(self._rows) == ROW_GROUP_ROWS or self._characters >= _ROW_GROUP_CHARACTERS:
                self._write_group()

    def _write_group(self) -> None:
        columns = zip(self._schema.types, zip(*self._rows, strict=True), strict=True)
        arrays = [self._pa.array(cells, kind) for kind, cells in columns]
        self._writer.write(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._characters = [], 0

    def close(self) -> None:
        """Write what is left, and the footer."""
        if self._rows:
            self._write_group()
        self._writer.close()


class _Outlet(io.RawIOBase):
    """Holds what pyarrow writes until it is passed on: a sink given up writes no footer, nor fails twice."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._pieces.append(bytes(data))
        self._size += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


class _GroupWriter:
    """Writes one row group after the other to a stream, and a footer by ``close``."""

    def __init__(self, pa: Any, stream: BinaryIO, schema: Any) -> None:
        self._stream, self._outlet = stream, _Outlet()
        self._writer = pa.parquet.ParquetWriter(self._outlet, schema, write_page_checksum=True)

    def write(self, table: Any) -> None:
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._pass_on()

    def close(self) -> None:
        self._writer.close()
        self._pass_on()

    def _pass_on(self) -> None:
        for piece in self._outlet.taken():
            self._stream.write(piece)
        self._stream.flush()


def join_parquet(paths: Sequence[Path], stream: BinaryIO) -> int:
    """Write the row groups of several files one after the other as one file; give its rows.

    Args:
        paths: Files with the same columns, at least one, as ``ParquetSink`` writes them: a row
            group at a time is held in memory.
        stream: Takes the bytes, and stays open; its own errors pass through.

    Raises:
        MissingExtra: If pyarrow is not installed.
        CorruptedFileError: If a file is no Parquet file or altered, or its columns are others.
    """
    pa, writer, rows = import_pyarrow(), None, 0
    for path in paths:
        for table in _tables(pa, path):
            if writer is None:
                writer, schema = _GroupWriter(pa, stream, table.schema), table.schema
            if table.schema != schema:
                msg = f"{printable(str(path))} has other columns than {printable(str(paths[0]))}"
                raise CorruptedFileError(msg)
            if table.num_rows:
                writer.write(table)
                rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


def _tables(pa: Any, path: Path) -> Iterator[Any]:
    """Yield a file's row groups, and before them its columns without a row."""
    where = printable(str(path))
    with path.open("rb") as stream:
        with broken_as_corrupted(pa, where):
            file = pa.parquet.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)
        yield file.schema_arrow.empty_table()
        for group in range(file.num_row_groups):
            with broken_as_corrupted(pa, where):
                table = file.read_row_group(group, use_threads=False)
            yield table
