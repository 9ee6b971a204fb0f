"""Where scored rows go, and whether they can: found out before scoring, not after."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime.rows import printable

if TYPE_CHECKING:
    from pipeline.runtime.listing import Inputs

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", "": "jsonl"}
"""Output format by suffix; standard output has none."""
_ONLY_DIRECTORY = {
    "resume": "--resume",
    "part_rows": "--part-rows",
    "workers": "--workers",
    "shard": "--shard",
    "input_check": "--input-check",
}


class Kind(Enum):
    """What takes the scored rows."""

    STDOUT = "standard output"
    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class Destination:
    """Where scored rows, rejects and the summary go."""

    kind: Kind
    output: Path
    output_format: str
    rejects: Path | None
    summary: Path | None
    overwrite: bool


def choose_destination(options: dict[str, Any]) -> Destination:
    """Read from the options where results go, and refuse what cannot be.

    Raises:
        UsageError: If options contradict each other, a format is not known, a file is there
            already, or a folder is not.
    """
    name = options["output"]
    output, rejects, summary = Path(name), options["rejects"], options["summary"]
    kind = _kind_of(name)
    if kind is not Kind.DIRECTORY:
        given = [option for key, option in _ONLY_DIRECTORY.items() if options[key]]
        if given:
            msg = f"{given[0]} is for a directory of parts; name one with -o, ending in /"
            raise UsageError(msg)
    elif rejects:
        msg = f"--rejects is not for a directory: it holds its own, {printable(name)}/rejects.jsonl"
        raise UsageError(msg)
    if options["resume"] and options["overwrite"]:
        msg = "--resume and --overwrite contradict each other: go on, or start anew"
        raise UsageError(msg)
    files = [each for each in (output if kind is Kind.FILE else None, rejects, summary) if each]
    for target in files:
        check_file(target, overwrite=options["overwrite"])
    check_files_differ(files)
    if kind is Kind.DIRECTORY:
        _check_folder_of(output)
        if output.exists() and not output.is_dir():
            msg = f"{printable(name)} names a directory, and a file is there; name another"
            raise UsageError(msg)
    chosen = options["output_format"] or _format_of(output, kind)
    return Destination(kind, output, chosen, rejects, summary, options["overwrite"])


def _kind_of(name: str) -> Kind:
    if name == "-":
        return Kind.STDOUT
    return Kind.DIRECTORY if name.endswith("/") or Path(name).is_dir() else Kind.FILE


def check_files_differ(files: Sequence[Path]) -> None:
    """Refuse to write two things into one file.

    Raises:
        UsageError: If two paths lead to the same file.
    """
    if len({os.path.realpath(target) for target in files}) < len(files):
        msg = f"{printable(str(files[-1]))} is named for two outputs; they need a file each"
        raise UsageError(msg)


def check_file(target: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, or must not be.

    Raises:
        UsageError: If its folder is not there, or something is in its place that is not to be replaced.
    """
    _check_folder_of(target)
    shown = printable(str(target))
    if target.exists() and not target.is_file():
        msg = f"{shown} is a folder or a device; name a file to write (- is standard output)"
        raise UsageError(msg)
    if target.exists() and not overwrite:
        msg = f"{shown} exists (--overwrite replaces it)"
        raise UsageError(msg)


def _check_folder_of(target: Path) -> None:
    if not target.parent.is_dir():
        msg = f"{printable(str(target))} lies in a folder that is not there"
        raise UsageError(msg)


def _format_of(output: Path, kind: Kind) -> str:
    by_suffix = _FORMATS.get(output.suffix.lower()) if kind is Kind.FILE else "jsonl"
    if by_suffix is None:
        known = ", ".join(filter(None, _FORMATS))
        shown = printable(str(output))
        msg = f"{shown} has no suffix of a known format ({known}); --output-format says what to write"
        raise UsageError(msg)
    return by_suffix


def refuse_inputs_as_outputs(inputs: Inputs, destination: Destination) -> None:
    """Refuse to write where an input is read from.

    Raises:
        UsageError: If an input is a file to be written, or lies in the directory to be written.
    """
    from pipeline.runtime.listing import is_input, reads_from

    files = [destination.rejects, destination.summary]
    if destination.kind is Kind.FILE:
        files.append(destination.output)
    for target in files:
        if target and is_input(inputs, str(target)):
            msg = f"{printable(str(target))} is an input too; it would be lost"
            raise UsageError(msg)
    if destination.kind is Kind.DIRECTORY and reads_from(inputs, str(destination.output)):
        msg = f"{printable(str(destination.output))} holds an input; name another directory to write"
        raise UsageError(msg)


@contextmanager
def standard_output() -> Iterator[Any]:
    """Give what takes standard output's bytes, and leaves whole lines of them whatever stops the run.

    A failure names standard output, but a reader that left is no failure.
    """
    from pipeline.cli.whole_lines import WholeLines

    if sys.stdout is None:
        msg = "standard output is closed; name a file with -o"
        raise InputOutputError(msg)
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        # Whoever calls this from Python may have put something in its place.
        yield sys.stdout.buffer
        return
    try:
        lines = WholeLines(descriptor)
        yield lines
        lines.finish()
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"standard output cannot be written: {error.strerror or error}"
        raise InputOutputError(msg) from error


def tell_summary(page: dict[str, Any]) -> str:
    """Tell in one line what became of the rows."""
    rejected = page["rejected"]
    parts = [f"{page['scored']:,} scored", f"{sum(rejected.values()):,} rejected"]
    if rejected:
        parts[-1] += " (" + ", ".join(f"{code} {n:,}" for code, n in rejected.items()) + ")"
    if page["truncated"]:
        parts.append(f"{page['truncated']:,} cut to the bundle's length")
    if page["blank_lines"]:
        parts.append(f"blank lines skipped {page['blank_lines']:,}")
    if page["passed_over"]:
        parts.append(f"entries of folders passed over {page['passed_over']:,} (only .txt files are read)")
    if page["repeated_ids"]:
        parts.append(f"ids that came before {page['repeated_ids']:,}")
    parts += [f"{label} {count:,}" for label, count in page["labels"].items()]
    parts.append(f"words unknown {page['unknown_share']:.1%}")
    if "seconds" in page:
        parts.append(f"{page['seconds']:.1f} s, {page['reviews_per_second']:,.0f} reviews/s")
    return f"{page['rows_in']:,} rows: " + " · ".join(parts)
