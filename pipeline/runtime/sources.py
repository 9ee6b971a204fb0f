"""Rows out of files: folders of text, lines, CSV, TSV, JSON lines and standard input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.delimited import read_records
from pipeline.runtime.json_lines import UnfitJsonError, parse_review
from pipeline.runtime.lines import MAX_ROW_BYTES, Line, read_chunks, read_lines
from pipeline.runtime.listing import InputFile, Inputs, check_files, list_files
from pipeline.runtime.opening import (
    STDIN,
    NotAFileError,
    is_text_encoding,
    name_without_loss,
    open_utf8,
)
from pipeline.runtime.reading import InputFormat, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, RejectCode, Row, printable

_JSON_WHITE_SPACE = b" \t\r\n"


def check_inputs(inputs: Inputs, options: ReadOptions) -> None:
    """Refuse what cannot work before anything is scored.

    Raises:
        UsageError: If an option makes no sense, an input is named wrongly (see ``check_files``),
            or a file lacks the text column (or has it twice).
        InputOutputError: If a folder or the list of inputs cannot be read.
    """
    delimiter = options.delimiter
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\n\r\0'):
        msg = f"the delimiter is {delimiter!r}; it has to be one ASCII character, and no quote or line end"
        raise UsageError(msg)
    if options.encoding is not None and not is_text_encoding(options.encoding):
        msg = f"{options.encoding!r} is no text encoding that Python knows (try utf-8, latin-1, cp1252)"
        raise UsageError(msg)
    check_files(inputs, options, lambda file: _check_header(file, options))


def _check_header(file: InputFile, options: ReadOptions) -> None:
    if file.input_format not in (InputFormat.CSV, InputFormat.TSV):
        return
    try:
        with open_utf8(file.name, options.encoding) as (stream, offset):
            next(_delimited_rows(file.name, stream, offset, file.input_format, options, ReadTally()), None)
    except (OSError, UnicodeError, NotAFileError):
        return  # It becomes a reject when its turn comes; the other inputs are scored.


def read_rows(inputs: Inputs, options: ReadOptions, tally: ReadTally | None = None) -> Iterator[Row | Reject]:
    """Yield every row of every input in order, and a reject for what cannot be one.

    A file that cannot be opened or decoded costs itself (a reject with row 0 or with the row
    reached), not the run.

    Raises:
        UsageError: If standard input lacks its text column.
        InputOutputError: If standard input breaks off, or a folder cannot be listed.
    """
    tally = tally or ReadTally()
    for file in list_files(inputs, options, tally):
        yield from _read_input(file.name, file.input_format, options, tally)


def _read_input(
    name: str, chosen: InputFormat, options: ReadOptions, tally: ReadTally
) -> Iterator[Row | Reject]:
    source = name_without_loss(name)
    last_row = 0
    try:
        with open_utf8(name, options.encoding) as (stream, offset):
            if chosen is InputFormat.TEXT:
                rows: Iterator[Row | Reject] = _whole_text(name, stream, offset)
            elif chosen is InputFormat.LINES:
                rows = _line_rows(name, stream, offset, tally)
            elif chosen is InputFormat.JSONL:
                rows = _json_rows(name, stream, offset, options, tally)
            else:
                rows = _delimited_rows(name, stream, offset, chosen, options, tally)
            for row in rows:
                last_row = row.row
                yield row
    except UnicodeError as error:
        message = f"cannot be read on: {error}"
        yield Reject(source, last_row + 1, RejectCode.INVALID_ENCODING, message)
    except OSError as error:
        if name == STDIN:
            msg = f"standard input cannot be read: {error.strerror or error}"
            raise InputOutputError(msg) from error
        yield Reject(source, 0, RejectCode.UNREADABLE, error.strerror or str(error))
    except NotAFileError as error:
        yield Reject(source, 0, RejectCode.NOT_A_FILE, str(error))


def _whole_text(name: str, stream: BinaryIO, offset: int) -> Iterator[Row | Reject]:
    content = bytearray()
    # To ask for the longest row at once would set aside as much memory for every short one.
    for chunk in read_chunks(stream):
        content += chunk
        if len(content) > MAX_ROW_BYTES:
            break
    is_whole = len(content) <= MAX_ROW_BYTES
    line = Line(1, offset, bytes(content) if is_whole else None, b"")
    yield _text_row(name_without_loss(name), 1, line, review_id=name_without_loss(Path(name).stem))


def _line_rows(name: str, stream: BinaryIO, offset: int, tally: ReadTally) -> Iterator[Row | Reject]:
    source, row = name_without_loss(name), 0
    for line in read_lines(stream, offset=offset):
        if line.content == b"":
            tally.blank_lines += 1
            continue
        row += 1
        yield _text_row(source, row, line)


def _text_row(source: str, row: int, line: Line, review_id: str | None = None) -> Row | Reject:
    """Decode one row's bytes, or say why they are no text."""
    if line.content is None:
        message = f"longer than {MAX_ROW_BYTES:,} bytes"
        return Reject(source, row, RejectCode.TOO_LONG, message, line.number)
    if b"\0" in line.content:
        return Reject(source, row, RejectCode.BINARY, "holds a NUL byte", line.number)
    try:
        return Row(source, row, review_id, line.content.decode())
    except UnicodeDecodeError as error:
        message = f"not UTF-8 at byte {line.offset + error.start} (--encoding reads other encodings)"
        return Reject(source, row, RejectCode.INVALID_ENCODING, message, line.number)


def _json_rows(
    name: str, stream: BinaryIO, offset: int, options: ReadOptions, tally: ReadTally
) -> Iterator[Row | Reject]:
    source, row = name_without_loss(name), 0
    for line in read_lines(stream, offset=offset):
        if line.content is not None and not line.content.strip(_JSON_WHITE_SPACE):
            tally.blank_lines += 1
            continue
        row += 1
        read = _text_row(source, row, line)
        yield _json_row(read, line.number, options) if isinstance(read, Row) else read


def _json_row(read: Row, line: int, options: ReadOptions) -> Row | Reject:
    try:
        text, review_id = parse_review(
            read.text, text_key=options.text_column, id_key=options.id_column or "id"
        )
    except UnfitJsonError as error:
        return Reject(read.source, read.row, error.code, str(error), line)
    return Row(read.source, read.row, review_id, text)


def _delimited_rows(
    name: str,
    stream: BinaryIO,
    offset: int,
    chosen: InputFormat,
    options: ReadOptions,
    tally: ReadTally,
) -> Iterator[Row | Reject]:
    source = name_without_loss(name)
    delimiter = options.delimiter or ("\t" if chosen is InputFormat.TSV else ",")
    records = read_records(stream, delimiter, offset=offset)
    header = next((record for record in records if record.fields != []), None)
    if header is None or header.fields is None:
        why = "is empty" if header is None else f"has a header that cannot be read: {header.message}"
        msg = f"{printable(name)} {why}; the first line has to name the columns"
        raise UsageError(msg)
    text_at, id_at = _find_columns(name, header.fields, options)
    row, width = 0, len(header.fields)
    for line, fields, code, message in records:
        if not fields and fields is not None:
            tally.blank_lines += 1
            continue
        row += 1
        if fields is None:
            yield Reject(source, row, code or RejectCode.UNCLOSED_QUOTE, message, line)
        elif len(fields) != width:
            found = f"{len(fields)} columns, the header has {width}"
            yield Reject(source, row, RejectCode.COLUMN_COUNT, found, line)
        else:
            yield Row(source, row, None if id_at is None else fields[id_at], fields[text_at])


def _find_columns(name: str, columns: list[str], options: ReadOptions) -> tuple[int, int | None]:
    wanted = {"text": options.text_column, "id": options.id_column or "id"}
    found = ", ".join(printable(column) for column in columns)
    for option, column in wanted.items():
        is_needed = option == "text" or options.id_column is not None
        count = columns.count(column)
        if count > 1 or (count == 0 and is_needed):
            what = "more than one column" if count else "no column"
            hint = f"--{option}-column names the one to use"
            if len(columns) == 1:
                hint += "; if this is several columns in one, --delimiter says what stands between them"
            msg = f"{printable(name)} has {what} {column!r}; its columns are: {found} ({hint})"
            raise UsageError(msg)
    return columns.index(wanted["text"]), columns.index(wanted["id"]) if wanted["id"] in columns else None
