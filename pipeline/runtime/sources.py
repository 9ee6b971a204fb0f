"""Rows out of files: folders of text, lines, CSV, TSV, JSON lines and standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.file_rows import FileReader
from pipeline.runtime.opening import (
    STDIN,
    is_text_encoding,
)
from pipeline.runtime.reading import InputFormat, Place, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, Row, printable

_BY_SUFFIX = {
    ".txt": InputFormat.TEXT,
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.TSV,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
}


def check_inputs(inputs: Sequence[str], options: ReadOptions) -> None:
    """Refuse what cannot work before anything is scored.

    Raises:
        UsageError: If an input is not there, has a format that is not known, is a folder without
            ``.txt`` files, or lacks the text column (or has it twice).
    """
    delimiter = options.delimiter
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\n\r\0'):
        msg = f"the delimiter is {delimiter!r}; it has to be one ASCII character, and no quote or line end"
        raise UsageError(msg)
    if options.encoding is not None and not is_text_encoding(options.encoding):
        msg = f"{options.encoding!r} is no text encoding that Python knows (try utf-8, latin-1, cp1252)"
        raise UsageError(msg)
    _check_named_once(inputs)
    for name in inputs:
        _check_input(name, options)


def _check_named_once(inputs: Sequence[str]) -> None:
    """Refuse to score a row twice because its file is named twice, or beside its folder."""
    # realpath gives up quietly on links that run in a circle, where Path.resolve raises.
    places = [Path(name) if name == STDIN else Path(os.path.realpath(name)) for name in inputs]
    seen: set[Path] = set()
    for name, place in zip(inputs, places, strict=True):
        if place in seen or (place.suffix == ".txt" and place.parent in places):
            msg = f"{printable(name)} is named twice (by its folder, perhaps): its rows would be scored twice"
            raise UsageError(msg)
        seen.add(place)


def _check_input(name: str, options: ReadOptions) -> None:
    if name == STDIN:
        return
    path = Path(name)
    if not os.path.lexists(path):
        msg = f"{printable(name)} is not there"
        raise UsageError(msg)
    if path.is_dir():
        if not _text_files(path)[0]:
            msg = f"{printable(name)} holds no .txt files (one review per file); name its files instead"
            raise UsageError(msg)
        return
    chosen = _format_of(name, options)
    if chosen in (InputFormat.CSV, InputFormat.TSV) and path.is_file():
        # What cannot be read becomes a reject when its turn comes; the other inputs are scored.
        FileReader(name, chosen, options, ReadTally(), Place()).check_header()


def read_rows(
    inputs: Iterable[str], options: ReadOptions, tally: ReadTally | None = None
) -> Iterator[Row | Reject]:
    """Yield every row of every input in order, and a reject for what cannot be one.

    A file that cannot be opened or decoded costs itself (a reject with row 0 or with the row
    reached), not the run.

    Raises:
        UsageError: If standard input lacks its text column.
        InputOutputError: If standard input breaks off.
    """
    tally, place = tally or ReadTally(), Place()
    for name in inputs:
        if name != STDIN and Path(name).is_dir():
            files, others = _text_files(Path(name))
            tally.passed_over += others
            for path in files:
                chosen = options.input_format or InputFormat.TEXT
                yield from FileReader(str(path), chosen, options, tally, place).rows()
        else:
            yield from FileReader(name, _format_of(name, options), options, tally, place).rows()


def _text_files(folder: Path) -> tuple[list[Path], int]:
    """Give a folder's ``.txt`` files in a fixed order, and how many entries are something else."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        msg = f"{printable(str(folder))} cannot be listed: {error.strerror}"
        raise InputOutputError(msg) from error
    files = [path for path in entries if path.suffix == ".txt"]
    return sorted(files, key=lambda path: os.fsencode(path.name)), len(entries) - len(files)


def _format_of(name: str, options: ReadOptions) -> InputFormat:
    if options.input_format is not None:
        return options.input_format
    if name == STDIN:
        return InputFormat.LINES
    suffix = Path(name).suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    known = ", ".join(_BY_SUFFIX)
    msg = f"{printable(name)} has no suffix of a known format ({known}); --input-format says what it is"
    raise UsageError(msg)
