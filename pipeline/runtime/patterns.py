"""Names with wildcards, as a shell would expand them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from pipeline.errors import UsageError
from pipeline.runtime.folders import entries, is_folder, is_folder_entry
from pipeline.runtime.rows import printable
from pipeline.runtime.spilled_sort import sorted_bytes

_WILDCARDS = "*?["
_ANY_DEPTH = "**"
_MAX_LENGTH = 4096
"""Characters of a pattern; no path is longer."""
_MAX_PARTS = 100
"""Folders deep; each takes some of Python's stack."""


def is_pattern(name: str) -> bool:
    """Tell whether a name has wildcards, and is not that of something there."""
    return len(name) <= _MAX_LENGTH and _has_wildcards(name) and not os.path.lexists(name)


def expand(pattern: str) -> Iterator[str]:
    """Yield every path that fits a pattern once, by its bytes.

    ``*``, ``?`` and ``[...]`` stand for parts of one name, ``**`` for any number of folders; a
    pattern that ends in ``**`` is every file below. None stands for a leading dot, and ``**`` does
    not go through links to folders: some run in circles.

    Raises:
        UsageError: If the pattern has too many parts.
        InputOutputError: If a folder on the way cannot be listed.
    """
    parts = _parts(pattern)
    if len(parts) > _MAX_PARTS:
        msg = f"{printable(pattern)} is a pattern of more than {_MAX_PARTS} parts; name what it stands for"
        raise UsageError(msg)
    last = None
    # Where ** stands twice, a path can fit in more ways than one.
    for match in sorted_bytes(map(os.fsencode, _matches("", parts))):
        if match != last:
            yield os.fsdecode(match)
        last = match


def _parts(pattern: str) -> list[str]:
    """Split a pattern at its folders; those without wildcards stay together."""
    parts: list[str] = []
    for is_wild, group in itertools.groupby(pattern.split("/"), _has_wildcards):
        if not is_wild:
            parts.append("/".join(group))
            continue
        for part in group:
            if part != _ANY_DEPTH or parts[-1:] != [_ANY_DEPTH]:
                parts.append(part)
    return parts


def _has_wildcards(name: str) -> bool:
    return any(wildcard in name for wildcard in _WILDCARDS)


def _matches(prefix: str, parts: list[str]) -> Iterator[str]:
    """Give what fits under a prefix that is empty, or a folder's path with a slash."""
    part, rest = parts[0], parts[1:]
    if part == _ANY_DEPTH:
        yield from _at_any_depth(prefix, rest)
    elif _has_wildcards(part):
        for entry in entries(prefix):
            if _fits(entry.name, part) and (not rest or is_folder_entry(entry)):
                path = prefix + entry.name
                yield from _matches(f"{path}/", rest) if rest else [path]
    elif not rest:
        yield from [prefix + part] if os.path.lexists(prefix + part) else []
    elif is_folder(f"{prefix}{part}/"):
        yield from _matches(f"{prefix}{part}/", rest)


def _at_any_depth(prefix: str, rest: list[str]) -> Iterator[str]:
    for folder in _folders_below(prefix):
        if rest:
            yield from _matches(folder, rest)
            continue
        for entry in entries(folder):
            if not entry.name.startswith(".") and not is_folder_entry(entry):
                yield folder + entry.name


def _folders_below(prefix: str) -> Iterator[str]:
    """Give a folder and those below it; on the way, one folder is open on each level."""
    yield prefix
    open_folders = [(prefix, entries(prefix))]
    while open_folders:
        above, found = open_folders[-1]
        entry = next(found, None)
        if entry is None:
            open_folders.pop()
        elif not entry.name.startswith(".") and is_folder_entry(entry, follow_links=False):
            below = f"{above}{entry.name}/"
            yield below
            open_folders.append((below, entries(below)))


def _fits(name: str, part: str) -> bool:
    from fnmatch import fnmatchcase  # Patterns are rare, and their compiler is slow to load.

    return fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
