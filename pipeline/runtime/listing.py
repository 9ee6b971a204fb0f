"""Which files are read, and in which order: names, folders, patterns and lists of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.runtime.folders import has_review_files, is_folder, is_review_file, review_files
from pipeline.runtime.naming import Named, location_finder, refuse_twins
from pipeline.runtime.opening import STDIN
from pipeline.runtime.path_list import PathList, open_path_list
from pipeline.runtime.patterns import expand, is_pattern
from pipeline.runtime.reading import InputFormat, ReadOptions, ReadTally

_BY_SUFFIX = {
    ".txt": InputFormat.TEXT,
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.TSV,
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".parquet": InputFormat.PARQUET,
}
_COMPRESSED = ".gz"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read, or standard input."""

    name: str
    """The path as it was given or found, or ``-`` for standard input."""
    input_format: InputFormat


@dataclass(frozen=True)
class Inputs:
    """What was named: files, folders, patterns, ``-`` for standard input, and a list of more."""

    names: tuple[str, ...] = ()
    files_from: PathList | None = None


@contextmanager
def open_inputs(names: Iterable[str], files_from: str | None = None) -> Iterator[Inputs]:
    """Open the list of more inputs, where there is one, for as long as it is needed.

    Args:
        names: As on the command line.
        files_from: Path of a list, or ``-`` for standard input.

    Raises:
        UsageError: If nothing is named, standard input is named for two things, or the list is
            not there.
        InputOutputError: If the list cannot be opened, or copied where it can be read only once.
    """
    names = tuple(names)
    if files_from is None:
        if not names:
            msg = "no input is named; name a file, a folder, or - for standard input"
            raise UsageError(msg)
        yield Inputs(names)
        return
    if files_from == STDIN and STDIN in names:
        msg = "standard input is named as an input and as the list of inputs; it can be only one"
        raise UsageError(msg)
    with open_path_list(files_from) as listed:
        yield Inputs(names, listed)


def check_files(
    inputs: Inputs, options: ReadOptions, check_header: Callable[[InputFile], None] = lambda _file: None
) -> None:
    """Refuse what is named wrongly before anything is scored.

    Args:
        inputs: What was named.
        options: How it is to be read.
        check_header: Called with each file that is named, not merely found in a folder. It passes
            over what cannot be read, and does not wait for a FIFO.

    Raises:
        UsageError: If something named is not there, is named twice, has a format that is not
            known, is a folder without reviews, or if a pattern or the list gives nothing.
        InputOutputError: If a folder or the list cannot be read.
    """
    refuse_twins(_checked(inputs, options, check_header))


def list_files(inputs: Inputs, options: ReadOptions, tally: ReadTally) -> Iterator[InputFile]:
    """Yield every file to be read, in an order that is the same on every machine.

    First the names, then those of the list, each in the order in which they stand there. A
    pattern's matches come by the bytes of their paths, and a folder's reviews by those of their
    names. Memory does not grow with the number of files.

    Args:
        inputs: What was named, after ``check_files``.
        options: How it is to be read.
        tally: Where a folder's entries that are no reviews are counted.

    Raises:
        UsageError: As ``check_files``, where something has changed since.
        InputOutputError: If a folder or the list cannot be read.
    """
    for named in _named(inputs):
        if named.name != STDIN and is_folder(named.name):
            for path in review_files(named.name, tally):
                yield InputFile(path, options.input_format or InputFormat.TEXT)
        else:
            yield InputFile(named.name, _format_of(named, options))


def is_input(inputs: Inputs, target: str) -> bool:
    """Tell whether a file to be written, there or not yet, would be read as well."""
    folder, file = map(os.fsencode, os.path.split(os.path.realpath(target)))
    wanted = {(folder, file), *([(folder, b"")] if is_review_file(file) else [])}
    places_of = location_finder()
    return any(place in wanted for named in _named(inputs) for place in places_of(named.name))


def reads_from(inputs: Inputs, folder: str) -> bool:
    """Tell whether something named is a folder, or lies in it."""
    wanted, places_of = os.fsencode(os.path.realpath(folder)), location_finder()
    return any(place.folder == wanted for named in _named(inputs) for place in places_of(named.name))


def _named(inputs: Inputs) -> Iterator[Named]:
    """Give all that is named in its order, with matches in place of patterns."""
    for name in inputs.names:
        yield from _expanded(Named(name))
    if inputs.files_from is not None:
        for line, name in inputs.files_from.paths():
            yield from _expanded(Named(name, line=line, listed_in=inputs.files_from.shown))


def _expanded(named: Named) -> Iterator[Named]:
    if not is_pattern(named.name):
        yield named
        return
    match = None
    for match in expand(named.name):
        yield named._replace(name=match, pattern=named.name)
    if match is None:
        msg = f"{named} is not there, and as a pattern it fits nothing"
        raise UsageError(msg)


def _checked(
    inputs: Inputs, options: ReadOptions, check_header: Callable[[InputFile], None]
) -> Iterator[Named]:
    is_listed_on_stdin = inputs.files_from is not None and inputs.files_from.name == STDIN
    for named in _named(inputs):
        if named.name != STDIN:
            _check(named, options, check_header)
        elif is_listed_on_stdin:
            msg = f"{named} cannot be an input: standard input already gives the list of inputs"
            raise UsageError(msg)
        yield named


def _check(named: Named, options: ReadOptions, check_header: Callable[[InputFile], None]) -> None:
    if not os.path.lexists(named.name):
        msg = f"{named} is not there"
        raise UsageError(msg)
    if not is_folder(named.name):
        check_header(InputFile(named.name, _format_of(named, options)))
    elif not has_review_files(named.name):
        msg = f"{named} holds no .txt or .txt.gz files (one review per file); name its files instead"
        raise UsageError(msg)


def _format_of(named: Named, options: ReadOptions) -> InputFormat:
    if options.input_format is not None:
        return options.input_format
    if named.name == STDIN:
        return InputFormat.LINES
    path = Path(named.name.lower())
    suffix = Path(path.stem).suffix if path.suffix == _COMPRESSED else path.suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    known = ", ".join(_BY_SUFFIX)
    msg = f"{named} has no suffix of a known format ({known}); --input-format says what it is"
    raise UsageError(msg)
