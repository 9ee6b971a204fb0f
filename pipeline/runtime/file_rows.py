"""Rows out of one file, from its beginning or from any place between two rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import InputOutputError, PlanError, UsageError
from pipeline.runtime.columns import Columns
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.delimited import RecordReader
from pipeline.runtime.json_lines import UnfitJsonError, load_json, parse_review
from pipeline.runtime.lines import MAX_ROW_BYTES, Line, read_chunks, read_lines
from pipeline.runtime.listing import InputFile
from pipeline.runtime.opening import STDIN, NotAFileError, name_without_loss, open_file, open_utf8
from pipeline.runtime.reading import InputFormat, Place, ReadOptions, ReadTally
from pipeline.runtime.rows import Refusal, Reject, RejectCode, Row, printable
from pipeline.runtime.stamps import Stamp

if TYPE_CHECKING:
    from pipeline.runtime.parquet_files import ParquetReviews, ParquetRow

_JSON_WHITE_SPACE = b" \t\r\n"
_ARRAY_START = re.compile(rb"\s*\[\s*(\{.*)?")


@dataclass(frozen=True)
class FileReader:
    """Reads one file.

    After each row ``place`` is what reading has to start from to get the next one.
    """

    file: InputFile
    options: ReadOptions
    tally: ReadTally
    place: Place
    stamp: Stamp | None = None
    """What the file has to be, where that was planned."""

    @property
    def source(self) -> str:
        """The file's name as it stands in the output."""
        return name_without_loss(self.file.name)

    def rows(self) -> Iterator[Row | Reject]:
        """Yield every row from ``place`` on, and a reject for what cannot be one.

        A file that cannot be opened, or not be read on, ends with a reject of row 0, or of the row
        that was reached.

        Raises:
            UsageError: If a column is missing.
            PlanError: If the file is not what was planned.
            InputOutputError: If standard input breaks off.
        """
        number = self.place.file
        end: Reject | None = None
        try:
            yield from self._rows()
        except UnicodeError as error:
            message = f"cannot be read on: {error}"
            end = Reject(self.source, self.place.row + 1, RejectCode.INVALID_ENCODING, message)
        except OSError as error:
            if self.file.name == STDIN:
                msg = f"standard input cannot be read: {error.strerror or error}"
                raise InputOutputError(msg) from error
            if self.stamp and isinstance(error, FileNotFoundError):
                msg = f"{printable(self.file.name)} is planned and gone: put it back and go on with --resume"
                raise PlanError(msg) from error
            end = self._file_reject(RejectCode.UNREADABLE, error.strerror or str(error))
        except NotAFileError as error:
            end = self._file_reject(RejectCode.NOT_A_FILE, str(error))
        except CorruptedFileError as error:
            end = self._file_reject(RejectCode.CORRUPTED, str(error))
        self.place.enter(number + 1)
        if end:
            yield end

    def check_header(self) -> None:
        """Look at the columns of a file that has some; what cannot be read becomes a reject later.

        Raises:
            UsageError: If a column is missing, there twice, or holds something else than text.
            MissingExtra: If reading the file takes a package that is not installed.
        """
        self._check_kept()
        try:
            if self.file.input_format is InputFormat.PARQUET:
                with self._open_parquet():
                    return
            if self.file.input_format in (InputFormat.CSV, InputFormat.TSV):
                with self._open(is_proved=True) as (stream, offset):
                    self._columns(self._records(stream, offset))
        except UsageError:
            if not self._is_corrupted():
                raise
        except (OSError, UnicodeError, NotAFileError, CorruptedFileError):
            return

    def _check_kept(self) -> None:
        if self.options.keep_columns and self.file.input_format in (InputFormat.TEXT, InputFormat.LINES):
            msg = f"{printable(self.file.name)} has no columns that --keep-columns could keep"
            raise UsageError(msg)

    def _is_corrupted(self) -> bool:
        try:
            with self._open():
                return False
        except CorruptedFileError:
            return True

    def _file_reject(self, code: RejectCode, message: str) -> Reject:
        return Reject(self.source, 0, code, message)

    def _rows(self) -> Iterator[Row | Reject]:
        self._check_kept()
        chosen = self.file.input_format
        if chosen is InputFormat.PARQUET:
            yield from self._parquet_rows()
        elif chosen in (InputFormat.CSV, InputFormat.TSV):
            yield from self._delimited_rows()
        else:
            with self._open(self.place.offset) as (stream, offset):
                if chosen is InputFormat.TEXT:
                    yield from self._whole_text(stream, offset)
                elif chosen is InputFormat.LINES:
                    yield from self._line_rows(stream, offset)
                else:
                    yield from self._json_rows(stream, offset)

    def _open(
        self, start: int = 0, *, is_proved: bool = False
    ) -> AbstractContextManager[tuple[BinaryIO, int]]:
        # Whoever reads on from a place has been at the beginning, where a file is proved whole.
        is_proved = is_proved or start > 0 or self.place.row > 0
        return open_utf8(
            self.file.name, self.options.encoding, start=start, stamp=self.stamp, is_proved=is_proved
        )

    @contextmanager
    def _open_parquet(self) -> Iterator[ParquetReviews]:
        from pipeline.runtime.parquet_files import ParquetReviews

        if self.file.name == STDIN:
            msg = "Parquet cannot be read from standard input: its end has to be read first; name a file"
            raise UsageError(msg)
        options = self.options
        with open_file(self.file.name, self.stamp) as raw:
            yield ParquetReviews(
                raw,
                self.file.name,
                text_column=options.text_column,
                id_column=options.id_column,
                kept_columns=options.keep_columns,
            )

    def _parquet_rows(self) -> Iterator[Row | Reject]:
        source, place = self.source, self.place
        with self._open_parquet() as reviews:
            for row in reviews.rows(place.row):
                place.row += 1
                yield _parquet_row(source, place.row, row)

    def _whole_text(self, stream: BinaryIO, offset: int) -> Iterator[Row | Reject]:
        content = bytearray()
        # To ask for the longest row at once would set aside as much memory for every short one.
        for chunk in read_chunks(stream):
            content += chunk
            if len(content) > MAX_ROW_BYTES:
                break
        is_whole = len(content) <= MAX_ROW_BYTES
        line = Line(1, offset, bytes(content) if is_whole else None, b"", offset + len(content))
        self.place.enter(self.place.file + 1)
        yield _text_row(self.source, 1, line, review_id=name_without_loss(_stem(self.file.name)))

    def _line_rows(self, stream: BinaryIO, offset: int) -> Iterator[Row | Reject]:
        source = self.source
        for line in read_lines(stream, offset=offset, number=self.place.line):
            if line.content == b"":
                self.tally.blank_lines += 1
                continue
            self._step(line.number + 1, line.following)
            yield _text_row(source, self.place.row, line)

    def _json_rows(self, stream: BinaryIO, offset: int) -> Iterator[Row | Reject]:
        source, lines = self.source, read_lines(stream, offset=offset, number=self.place.line)
        if not self.place.offset:
            head = list(islice(lines, 2))
            if _is_array(head):
                yield self._array_hint()
                return
            lines = chain(head, lines)
        for line in lines:
            if line.content is not None and not line.content.strip(_JSON_WHITE_SPACE):
                self.tally.blank_lines += 1
                continue
            self._step(line.number + 1, line.following)
            read = _text_row(source, self.place.row, line)
            yield _json_row(read, line.number, self.options) if isinstance(read, Row) else read

    def _array_hint(self) -> Reject:
        """Tell once, and not of every line, that a whole file is one JSON array."""
        self.place.enter(self.place.file + 1)
        message = "is a JSON array; every line has to be an object of its own (jq -c '.[]' makes it so)"
        return self._file_reject(RejectCode.BAD_JSON, message)

    def _step(self, line: int, offset: int) -> None:
        place = self.place
        place.row += 1
        place.line, place.offset = line, offset

    def _delimited_rows(self) -> Iterator[Row | Reject]:
        place = self.place
        with self._open() as (stream, offset):
            records = self._records(stream, offset)
            columns = self._columns(records)
            if not place.row:
                yield from self._record_rows(records, columns)
                return
        with self._open(place.offset) as (stream, offset):
            yield from self._record_rows(self._records(stream, offset, place.line), columns)

    def _records(self, stream: BinaryIO, offset: int, line: int = 1) -> RecordReader:
        is_tsv = self.file.input_format is InputFormat.TSV
        return RecordReader(
            stream, self.options.delimiter or ("\t" if is_tsv else ","), offset=offset, number=line
        )

    def _record_rows(self, records: RecordReader, columns: Columns) -> Iterator[Row | Reject]:
        source, place = self.source, self.place
        for record in records:
            if record.fields is not None and not record.fields:
                self.tally.blank_lines += 1
                continue
            self._step(*records.following)
            yield columns.row_of(source, place.row, record)

    def _columns(self, records: RecordReader) -> Columns:
        header = next((record for record in records if record.fields != []), None)
        if header is None or header.fields is None:
            why = "is empty" if header is None else f"has a header that cannot be read: {header.message}"
            msg = f"{printable(self.file.name)} {why}; the first line has to name the columns"
            raise UsageError(msg)
        return Columns.find(self.file.name, header.fields, self.options)


def _is_array(head: list[Line]) -> bool:
    """Tell by a file's first two lines whether all of it is one JSON array, not one line a bad one."""
    first, *second = (line.content or b"" for line in head) if head else (b"",)
    if not _ARRAY_START.fullmatch(first):
        return False
    try:
        return not (second and isinstance(load_json(second[0].decode()), dict))
    except (ValueError, RecursionError):
        return True


def _stem(name: str) -> str:
    path = Path(name)
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _text_row(source: str, row: int, line: Line, review_id: str | None = None) -> Row | Reject:
    """Decode one row's bytes, or say why they are no text."""
    if line.content is None:
        message = f"longer than {MAX_ROW_BYTES:,} bytes"
        return Reject(source, row, RejectCode.TOO_LONG, message, line.number)
    if b"\0" in line.content:
        return Reject(source, row, RejectCode.BINARY, "holds a NUL byte", line.number)
    try:
        return Row(source, row, review_id, line.content.decode(), (), line.number)
    except UnicodeDecodeError as error:
        where = line.offset + error.start
        message = f"not UTF-8 at byte {where} (--encoding reads other encodings)"
        return Reject(source, row, RejectCode.INVALID_ENCODING, message, line.number, where)


def _parquet_row(source: str, row: int, found: ParquetRow | Refusal) -> Row | Reject:
    if isinstance(found, Refusal):
        return Reject(source, row, found.code, found.message)
    if found.text is None:
        return Reject(source, row, RejectCode.TEXT_NOT_STRING, "is null, not a string")
    content = found.text if len(found.text) <= MAX_ROW_BYTES else None
    read = _text_row(source, row, Line(0, 0, content, b"", 0), review_id=found.id)
    return replace(read, line=None) if isinstance(read, Reject) else read._replace(kept=found.kept, line=None)


def _json_row(read: Row, line: int, options: ReadOptions) -> Row | Reject:
    try:
        text, review_id, kept = parse_review(
            read.text,
            text_key=options.text_column,
            id_key=options.id_column or "id",
            keep=options.keep_columns,
        )
    except UnfitJsonError as error:
        return Reject(read.source, read.row, error.code, str(error), line)
    return Row(read.source, read.row, review_id, text, kept, line)
