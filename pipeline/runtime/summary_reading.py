"""The summaries of scoring runs, read back: what they counted, and by which bundle; they hold no text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.compressed import CorruptedFileError
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.opening import STDIN, NotAFileError, open_utf8
from pipeline.runtime.rows import printable

SUMMARY = "_summary.json"
SUMMARY_VERSION = 1
_MAX_BYTES = 16 << 20
_MOST_ROWS = 1 << 60
_LONGEST_NAME = 256


@dataclass(frozen=True)
class ScoredWork:
    """What one run, or several together, scored with one bundle."""

    name: str
    """Where it was read, fit to print."""
    digest: str
    """The bundle's."""
    bundle_name: str
    rows_in: int
    scored: int
    histograms: Histograms
    """Of the scored rows."""
    reference: Histograms | None
    """The bundle's own, of its validation split; None where the summary carries none."""


def read_works(names: Sequence[str]) -> list[ScoredWork]:
    """Read summaries: files, folders that hold one, or ``-`` for standard input.

    Raises:
        UsageError: If one is not there, is no summary, or is named twice.
        InputOutputError: If one cannot be read.
    """
    paths = [str(Path(name, SUMMARY)) if Path(name).is_dir() else name for name in names]
    seen: set[str] = set()
    for path in paths:
        place = path if path == STDIN else os.path.realpath(path)
        if place in seen:
            msg = f"{printable(path)} is named twice; what it counts would count double"
            raise UsageError(msg)
        seen.add(place)
    return [_parse(_read(path), printable(path)) for path in paths]


def merge_works(works: Sequence[ScoredWork]) -> ScoredWork:
    """Add up what was scored with one bundle.

    Raises:
        UsageError: If two were scored with different bundles, or carry different references.
    """
    first, histograms, reference = works[0], Histograms(), None
    for work in works:
        if work.digest != first.digest:
            msg = (
                f"{first.name} was scored with the bundle {_shown(first)}, {work.name} with {_shown(work)}; "
                f"compare the summaries of one bundle at a time"
            )
            raise UsageError(msg)
        if work.reference is not None:
            if reference not in (None, work.reference):
                msg = f"{work.name} names the same bundle as the others and carries another reference"
                raise UsageError(msg)
            reference = work.reference
        histograms.merge(work.histograms)
    return replace(
        first,
        rows_in=sum(work.rows_in for work in works),
        scored=sum(work.scored for work in works),
        histograms=histograms,
        reference=reference,
    )


def _shown(work: ScoredWork) -> str:
    return f"{work.bundle_name} {work.digest[:12]}"


def _read(path: str) -> bytes:
    shown = printable(path)
    try:
        with open_utf8(path, None) as (stream, _):
            content = stream.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{shown} is not there; name the {SUMMARY} of a scoring run, or its folder"
        raise UsageError(msg) from error
    except (NotAFileError, CorruptedFileError, ValueError) as error:
        msg = f"{shown} cannot be read as a summary: {error}"
        raise UsageError(msg) from error
    except OSError as error:
        msg = f"{shown} cannot be read: {error.strerror or error}"
        raise InputOutputError(msg) from error
    if len(content) > _MAX_BYTES:
        msg = f"{shown} has more than {_MAX_BYTES:,} bytes: it is no summary"
        raise UsageError(msg)
    return content


def _parse(content: bytes, shown: str) -> ScoredWork:
    try:
        record = json.loads(content)
        _check(record)
        bundle, reference = record["bundle"], record["reference"]
        work = ScoredWork(
            name=shown,
            digest=printable(bundle["digest"]),
            bundle_name=printable(bundle["name"]),
            rows_in=record["rows_in"],
            scored=record["scored"],
            histograms=Histograms.from_record(record["histograms"]),
            reference=None if reference is None else Histograms.from_record(reference),
        )
        if not work.histograms.total == work.scored <= work.rows_in <= _MOST_ROWS:
            msg = "rows read, rows scored and rows in its histograms do not fit together"
            raise ValueError(msg)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        missing = f"the key {error} is missing" if isinstance(error, KeyError) else error
        msg = f"{shown} is not the summary of a scoring run: {printable(str(missing))}"
        raise UsageError(msg) from error
    return work


def _check(record: Any) -> None:
    """Look at version and types; the histograms look at themselves."""
    if record["summary_version"] != SUMMARY_VERSION:
        msg = f"it has version {record['summary_version']!r:.40}, this program reads {SUMMARY_VERSION}"
        raise ValueError(msg)
    names = record["bundle"]["digest"], record["bundle"]["name"]
    if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in names):
        msg = "it does not say with which bundle the rows were scored"
        raise ValueError(msg)
    if not type(record["rows_in"]) is type(record["scored"]) is int:
        msg = "rows_in and scored have to be whole numbers"
        raise ValueError(msg)
