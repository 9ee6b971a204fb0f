"""Reviews out of Parquet files; the one place that imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from pipeline.errors import MissingExtra, UsageError
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.parquet_layout import page_sizes, read_row_groups
from pipeline.runtime.parquet_values import as_text, column_values, is_usable
from pipeline.runtime.rows import Refusal, RejectCode, printable

MAX_PAGE_BYTES = 128 << 20
"""Bytes that a page may become, and that what is read at once may.

Writers make pages of 1 MiB, Arrow of at least 1,024 rows. Measured at most (peak of the process,
62 MiB of it pyarrow): 118 MiB for a row group of 130 MiB in such pages, 741 MiB for a dictionary
of one value of 60 MiB that every row names."""
_BATCH_ROWS = 1024
_BUFFER = 1 << 20
_FOOTER_LIMITS = {"thrift_string_size_limit": 16 << 20, "thrift_container_size_limit": 100_000}


def import_pyarrow() -> Any:
    """Give the module ``pyarrow``, its Parquet half loaded.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        msg = "Parquet needs the package 'pyarrow': pip install '.[parquet]' in the project's folder"
        raise MissingExtra(msg) from error
    return pa


@contextmanager
def broken_as_corrupted(pa: Any, where: str = "the Parquet data") -> Iterator[None]:
    """Turn what pyarrow raises at a broken file into CorruptedFileError; errors of the disk pass through."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise CorruptedFileError(_reason(where, error)) from error
    except MemoryError as error:
        msg = f"{where} asks for more memory than there is"
        raise CorruptedFileError(msg) from error
    except (pa.ArrowException, ValueError, OverflowError, RuntimeError, LookupError, TypeError) as error:
        raise CorruptedFileError(_reason(where, error)) from error


def _reason(where: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{where} cannot be read: {printable(lines[0][:200])}"


class ParquetRow(NamedTuple):
    """One row as it stands in the file."""

    text: bytes | None
    """As it stands, perhaps no UTF-8 and of any length; None where it is null."""
    id: str | None
    """A value that is no string as JSON."""
    kept: tuple[Any, ...]
    """A boolean, number, string or None each, fit for JSON."""


class ParquetReviews:
    """A Parquet file of reviews, read row group by row group.

    A page is the smallest piece that can be read: memory goes with the largest page and never
    with the file. Kept values are what ``column_values`` makes of them.

    Args:
        stream: The whole file; has to be seekable, and stays open.
        name: The file as the user named it, for messages.
        text_column: Column that holds the review.
        id_column: Column that names the row; None: ``id`` where there is one.
        kept_columns: Columns whose values are handed on.

    Raises:
        MissingExtra: If pyarrow is not installed.
        CorruptedFileError: If this is no Parquet file, or its footer is cut off, altered or encrypted.
        UsageError: If a column is missing, or there twice, or holds what cannot be used as that.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        text_column: str = "text",
        id_column: str | None = None,
        kept_columns: Sequence[str] = (),
    ) -> None:
        self._pa = import_pyarrow()
        self._stream = stream
        with broken_as_corrupted(self._pa):
            self._file = self._pa.parquet.ParquetFile(
                stream,
                buffer_size=_BUFFER,
                pre_buffer=False,
                page_checksum_verification=True,
                **_FOOTER_LIMITS,
            )
            metadata, schema = self._file.metadata, self._file.schema_arrow
            paths = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
            self.columns: tuple[str, ...] = tuple(schema.names)
            types = dict(zip(self.columns, schema.types, strict=True))
            self._groups = read_row_groups(stream)
        if self.row_count != metadata.num_rows:
            msg = f"the Parquet footer counts {metadata.num_rows:,} rows, its row groups {self.row_count:,}"
            raise CorruptedFileError(msg)
        self._text, self._kept = text_column, tuple(kept_columns)
        self._id = id_column or ("id" if "id" in self.columns else None)
        named = {"--text-column": [text_column], "--id-column": [self._id] if self._id else []}
        self._check_columns(name, {**named, "--keep-columns": self._kept}, types)
        self._columns = [column for column in (text_column, self._id, *self._kept) if column is not None]
        # pyarrow takes a column's name for the beginning of a path, too.
        starts = tuple(f"{column}." for column in self._columns)
        self._leaves = {
            leaf: path in types and self._pa.types.is_dictionary(types[path])
            for leaf, path in enumerate(paths)
            if f"{path}.".startswith(starts)
        }

    @property
    def row_groups(self) -> int:
        """How many row groups there are."""
        return len(self._groups)

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return sum(group.rows for group in self._groups)

    def _check_columns(self, name: str, named: dict[str, Sequence[str]], types: dict[str, Any]) -> None:
        columns = ", ".join(map(printable, self.columns))
        for option, wanted in named.items():
            for column in wanted:
                if (count := self.columns.count(column)) != 1:
                    what = "more than one column" if count else "no column"
                    msg = (
                        f"{printable(name)} has {what} {printable(column)!r}; its columns are: {columns} "
                        f"({option} names the one to use)"
                    )
                    raise UsageError(msg)
                is_text = option == "--text-column"
                if not is_usable(self._pa.types, types[column], is_text=is_text):
                    expected = "strings" if is_text else "strings, numbers, dates or times"
                    msg = (
                        f"{printable(name)}: column {printable(column)!r} holds "
                        f"{printable(str(types[column]))}, not {expected} ({option} names the one to use)"
                    )
                    raise UsageError(msg)

    def rows(self, first_row: int = 0) -> Iterator[ParquetRow | Refusal]:
        """Yield each row from number ``first_row``, counted from 0, or say what is wrong with it.

        Raises:
            CorruptedFileError: If a page is cut off, altered, or larger than ``MAX_PAGE_BYTES``.
        """
        for number, group in enumerate(self._groups):
            if first_row < group.rows:
                yield from self._rows_of_group(number, first_row)
            first_row = max(0, first_row - group.rows)

    def _rows_of_group(self, number: int, first_row: int) -> Iterator[ParquetRow | Refusal]:
        seen, expected = 0, self._groups[number].rows
        with broken_as_corrupted(self._pa):
            read, decoded = self._rows_at_once(number)
            batches = self._file.iter_batches(
                read, row_groups=[number], columns=self._columns, use_threads=False
            )
        while True:
            with broken_as_corrupted(self._pa):
                if (batch := next(batches, None)) is None:
                    break
            for start in range(max(0, first_row - seen), batch.num_rows, decoded):
                with broken_as_corrupted(self._pa):
                    rows = self._rows_of_batch(batch.slice(start, decoded))
                yield from rows
            seen += batch.num_rows
        if seen != expected:
            msg = f"row group {number} holds {seen:,} rows, where the Parquet footer counts {expected:,}"
            raise CorruptedFileError(msg)

    def _rows_at_once(self, number: int) -> tuple[int, int]:
        """Give how many rows to read, and to decode, so that they stay within ``MAX_PAGE_BYTES``.

        A value cannot be longer than the page or the dictionary that it stands in, but a few
        bytes of a page may name the longest one again and again.
        """
        longest = {False: 1, True: 0}
        for leaf, is_dictionary in self._leaves.items():
            sizes = list(page_sizes(self._stream, self._groups[number].columns[leaf]))
            # Arrow hands over all of a row group's different values with every batch, as a dictionary.
            longest[is_dictionary] += sum(sizes) if is_dictionary else max(sizes, default=0)
        if (total := sum(longest.values())) > MAX_PAGE_BYTES:
            msg = (
                f"row group {number} has to be read in pieces of {total:,} bytes; at most "
                f"{MAX_PAGE_BYTES:,} can be (write it with smaller pages)"
            )
            raise CorruptedFileError(msg)
        return min(_BATCH_ROWS, MAX_PAGE_BYTES // longest[False]), MAX_PAGE_BYTES // total

    def _rows_of_batch(self, batch: Any) -> list[ParquetRow | Refusal]:
        texts, *others = (
            column_values(self._pa, batch.column(column)) for column in [self._text, *self._kept]
        )
        ids = column_values(self._pa, batch.column(self._id)) if self._id else [None] * batch.num_rows
        return [
            self._row(text, review_id, kept)
            for text, review_id, *kept in zip(texts, ids, *others, strict=True)
        ]

    def _row(self, text: bytes | None, review_id: Any, kept: Sequence[Any]) -> ParquetRow | Refusal:
        cells = [review_id, *kept]
        for at, cell in enumerate(cells):
            if not isinstance(cell, bytes):
                continue
            column = (self._id, *self._kept)[at]
            if len(cell) > MAX_ROW_BYTES:
                message = f"{printable(str(column))!r} is longer than {MAX_ROW_BYTES:,} bytes"
                return Refusal(RejectCode.TOO_LONG, message)
            try:
                cells[at] = cell.decode()
            except UnicodeDecodeError as error:
                message = f"{printable(str(column))!r} is not UTF-8 at byte {error.start}"
                return Refusal(RejectCode.INVALID_ENCODING, message)
        return ParquetRow(text, as_text(cells[0]), tuple(cells[1:]))
