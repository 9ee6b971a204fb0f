"""Rows out of all inputs, one file after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.errors import UsageError
from pipeline.runtime.file_rows import FileReader
from pipeline.runtime.listing import InputFile, Inputs, check_files, list_files
from pipeline.runtime.opening import is_text_encoding
from pipeline.runtime.reading import Place, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, Row
from pipeline.runtime.stamps import Stamp


def check_inputs(inputs: Inputs, options: ReadOptions) -> None:
    """Refuse what cannot work before anything is scored.

    Raises:
        UsageError: If an option makes no sense, an input is named wrongly (see ``check_files``),
            or a file lacks a column (or has it twice).
        InputOutputError: If a folder or the list of inputs cannot be read.
    """
    delimiter = options.delimiter
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\n\r\0'):
        msg = f"the delimiter is {delimiter!r}; it has to be one ASCII character, and no quote or line end"
        raise UsageError(msg)
    if options.encoding is not None and not is_text_encoding(options.encoding):
        msg = f"{options.encoding!r} is no text encoding that Python knows (try utf-8, latin-1, cp1252)"
        raise UsageError(msg)

    def check_header(file: InputFile) -> None:
        FileReader(file, options, ReadTally(), Place()).check_header()

    check_files(inputs, options, check_header)


def read_rows(inputs: Inputs, options: ReadOptions, tally: ReadTally | None = None) -> Iterator[Row | Reject]:
    """Yield every row of every input in order, and a reject for what cannot be one; see ``read_files``."""
    tally = tally or ReadTally()
    files = ((file, None) for file in list_files(inputs, options, tally))
    yield from read_files(files, options, tally, Place())


def read_files(
    files: Iterable[tuple[InputFile, Stamp | None]], options: ReadOptions, tally: ReadTally, place: Place
) -> Iterator[Row | Reject]:
    """Yield every row of the files from a place on, which moves with each row.

    A file that cannot be opened or decoded costs itself (a reject with row 0 or with the row
    reached), not the run.

    Args:
        files: All of them, those that lie behind the place included, with what each has to be.
        options: How they are read.
        tally: Where blank lines are counted.
        place: Where to begin; after each row, where the next one begins.

    Raises:
        UsageError: If a file lacks a column.
        PlanError: If a file is not what it has to be.
        InputOutputError: If standard input breaks off, or a folder cannot be listed.
    """
    behind = place.file
    for number, (file, stamp) in enumerate(files):
        if number >= behind:
            yield from FileReader(file, options, tally, place, stamp).rows()
