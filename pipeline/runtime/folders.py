"""What a folder holds, in memory that does not grow with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputOutputError
from pipeline.runtime.reading import ReadTally
from pipeline.runtime.rows import printable
from pipeline.runtime.spilled_sort import sorted_bytes

_REVIEW_SUFFIXES = (b".txt", b".txt.gz")


def entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield a folder's entries as they come; "" is the current one.

    Raises:
        InputOutputError: If the folder cannot be listed.
    """
    try:
        with os.scandir(folder or ".") as found:
            yield from found
    except OSError as error:
        msg = f"{printable(folder or '.')} cannot be listed: {error.strerror or error}"
        raise InputOutputError(msg) from error


def is_folder(path: str) -> bool:
    """Tell whether a path is a folder's, or leads to one by links."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a link leads past what may be entered


def is_folder_entry(entry: os.DirEntry[str], *, follow_links: bool = True) -> bool:
    """Tell whether an entry is a folder, or a link to one where links are followed."""
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:  # Links that run in a circle, say.
        return False


def is_review_file(name: bytes) -> bool:
    """Tell by its name whether a folder's file is one review."""
    return name.endswith(_REVIEW_SUFFIXES) and name not in _REVIEW_SUFFIXES


def has_review_files(folder: str) -> bool:
    """Tell whether a folder holds at least one review, and look no further.

    Raises:
        InputOutputError: If the folder cannot be listed.
    """
    return any(is_review_file(os.fsencode(entry.name)) for entry in entries(folder))


def review_files(folder: str, tally: ReadTally) -> Iterator[str]:
    """Yield the paths of a folder's reviews, by the bytes of their names, and count what else is there.

    Raises:
        InputOutputError: If the folder cannot be listed.
    """
    prefix = str(Path(folder, "x")).removesuffix("x")
    for name in sorted_bytes(_review_names(folder, tally)):
        yield prefix + os.fsdecode(name)


def _review_names(folder: str, tally: ReadTally) -> Iterator[bytes]:
    for entry in entries(folder):
        name = os.fsencode(entry.name)
        if is_review_file(name):
            yield name
        else:
            tally.passed_over += 1
