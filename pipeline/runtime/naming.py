"""How inputs came to be named, and that no file is named twice."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pipeline.errors import UsageError
from pipeline.runtime.folders import is_folder, is_review_file
from pipeline.runtime.opening import STDIN
from pipeline.runtime.rows import printable
from pipeline.runtime.spilled_sort import sorted_bytes

_SHOWN_CHARACTERS = 300
_FOLDERS_KEPT = 1024
_ORDINAL_BYTES = 8


class Named(NamedTuple):
    """A file or folder, or standard input, and how it came to be named."""

    name: str
    pattern: str = ""
    """The pattern with wildcards that it fits, if it was named by one."""
    line: int = 0
    """Its line in the list of inputs, from 1; 0 if it was named on the command line."""
    listed_in: str = ""
    """The name of that list, for messages."""

    def __str__(self) -> str:
        """Name it for a message, with the place where it was named."""
        places = [f"fits {_shown(self.pattern)}"] if self.pattern else []
        places += [f"line {self.line:,} of {self.listed_in}"] if self.line else []
        return _shown(self.name) + (f" ({', '.join(places)})" if places else "")


class Location(NamedTuple):
    """Where a file or folder is, whatever it was called."""

    folder: bytes
    """Its folder's path, absolute and without links."""
    file: bytes
    """Empty for the folder itself."""


def location_finder() -> Callable[[str], list[Location]]:
    """Give what finds the places of a name: that of its file and, of a link to a file, the link's own.

    Real paths of folders are remembered, since a list names many files of one.
    """
    real_folder = functools.lru_cache(_FOLDERS_KEPT)(os.path.realpath)

    def find(name: str) -> list[Location]:
        if name == STDIN:
            return [Location(os.fsencode(STDIN), b"")]
        if is_folder(name):
            return [Location(os.fsencode(os.path.realpath(name)), b"")]
        folder, file = os.path.split(name)
        paths = [(real_folder(folder), file)]
        if os.path.islink(name):  # noqa: PTH114 - Path.is_symlink raises on names that are too long
            # realpath gives up quietly on links that run in a circle, where Path.resolve raises.
            paths.append(os.path.split(os.path.realpath(name)))
        return [Location(os.fsencode(folder), os.fsencode(file)) for folder, file in dict.fromkeys(paths)]

    return find


def refuse_twins(inputs: Iterable[Named]) -> None:
    """Refuse to score a row twice because its file is named twice, or beside its folder.

    The memory this takes does not grow with the number of inputs.

    Raises:
        UsageError: Naming the file, and where it was named.
        InputOutputError: If a temporary file fails.
    """
    last = opened = _Record(b"", b"", b"")
    # By place, a file that is named twice is its own neighbour, and a folder comes before its files.
    for line in sorted_bytes(_records(inputs)):
        record = _Record(*line.split(b"\0", 2))
        twin = f"first as {last.named}" if record[:2] == last[:2] else ""
        if record.folder == opened.folder and is_review_file(record.file):
            twin = f"also by its folder {opened.named}"
        if twin:
            msg = f"{record.named} is named twice, {twin}: its rows would be scored twice"
            raise UsageError(msg)
        last, opened = record, opened if record.file else record


class _Record(NamedTuple):
    """A place and how it was named, in bytes that sort by place, then by turn."""

    folder: bytes
    file: bytes
    how: bytes

    @property
    def named(self) -> Named:
        name, pattern, line, listed_in = map(os.fsdecode, self.how[_ORDINAL_BYTES:].split(b"\0"))
        return Named(name, pattern, int(line), listed_in)


def _records(inputs: Iterable[Named]) -> Iterator[bytes]:
    places_of = location_finder()
    for ordinal, named in enumerate(inputs):
        how = b"\0".join(os.fsencode(str(field)) for field in named)
        for place in places_of(named.name):
            yield b"\0".join((*place, ordinal.to_bytes(_ORDINAL_BYTES, "big") + how))


def _shown(text: str) -> str:
    return printable(text[:_SHOWN_CHARACTERS]) + ("…" if len(text) > _SHOWN_CHARACTERS else "")
