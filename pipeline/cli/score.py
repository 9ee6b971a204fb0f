"""``resenha score``: review files in, scores out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pipeline.cli.options import BUNDLE_HELP, bundle_path
from pipeline.errors import InputOutputError, UsageError

if TYPE_CHECKING:
    from pipeline.runtime.jobs import Summary
    from pipeline.runtime.reading import ReadOptions
    from pipeline.runtime.rows import Reject
    from pipeline.runtime.scorer import Scorer

_REJECTED = 3
_SHOWN_REJECTS = 20
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", "": "jsonl"}
"""Output format by suffix; standard output has none."""


@dataclass(frozen=True)
class _Destination:
    """Where scored rows and rejects go."""

    output: str
    output_format: str
    rejects: Path | None
    overwrite: bool


@click.command(short_help="Score review files.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="PATH",
    help="File to write, whole or not at all; - is standard output.  [default: -]",
)
@click.option("-b", "--bundle", type=click.Path(path_type=Path), envvar="RESENHA_BUNDLE", help=BUNDLE_HELP)
@click.option(
    "--input-format",
    type=click.Choice(["text", "lines", "csv", "tsv", "jsonl"]),
    help="How to read every input.  [default: by suffix; - is lines]",
)
@click.option("--lines", is_flag=True, help="Short for --input-format lines: each line is one review.")
@click.option("--text-column", default="text", show_default=True, help="Column, or JSON key, of the review.")
@click.option(
    "--id-column", help="Column, or JSON key, that names the row.  [default: id, where there is one]"
)
@click.option("--delimiter", help="Character between columns.  [default: comma, or tab for .tsv]")
@click.option("--encoding", help="Encoding of the inputs.  [default: UTF-8, or UTF-16 with a mark]")
@click.option(
    "--output-format",
    type=click.Choice(["jsonl", "csv"]),
    help="How to write.  [default: by suffix, else jsonl]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Score from which a review is positive.  [default: the bundle's]",
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for rows that cannot be scored, as JSON lines.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Batches scored side by side.  [default: the cores this process may use]",
)
@click.option("--overwrite", is_flag=True, help="Replace output files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="No summary, no progress, no list of rejects.")
def score(
    inputs: tuple[str, ...],
    bundle: Path | None,
    threshold: float | None,
    threads: int | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Score reviews: a line of output for every row, in the order of the input.

    INPUT is a folder of .txt files (one review each), a .txt, .csv, .tsv or .jsonl file, or - for
    standard input (one review a line).

    \b
    Examples:
      resenha score reviews/ > scores.jsonl
      resenha score reviews.csv --text-column comment -o scores.csv
      resenha score --lines reviews.txt --rejects rejects.jsonl
      echo "A quiet, moving film." | resenha score -

    \b
    Exit status: 0 all scored · 2 wrong usage or no such input · 3 finished, some rows rejected ·
    5 bundle refused · 6 input or output failed · 130/143 interrupted
    """
    from pipeline.runtime.listing import Inputs
    from pipeline.runtime.scorer import Scorer  # Not before --help has been answered.
    from pipeline.runtime.sources import check_inputs

    read_options = _read_options(options)
    check_inputs(Inputs(inputs), read_options)
    destination = _check_destination(inputs, options)
    chosen = bundle_path(bundle)
    scorer = Scorer.load(chosen, threads=threads, threshold=threshold)
    if not quiet:
        facts = scorer.facts
        alone = ", a graph alone: no manifest vouches for its bytes" if chosen.is_file() else ""
        click.echo(
            f"bundle: {facts.name} from {facts.corpus} ({facts.provenance}), {chosen}{alone}", err=True
        )
    summary = _score_to(destination, inputs, read_options, scorer, quiet=quiet)
    if not quiet:
        _print_summary(summary)
    return _REJECTED if summary.rejected else 0


def _read_options(options: dict[str, Any]) -> ReadOptions:
    from pipeline.runtime.reading import InputFormat, ReadOptions

    chosen = options["input_format"]
    if options["lines"]:
        if chosen not in (None, "lines"):
            msg = f"--lines and --input-format {chosen} contradict each other"
            raise UsageError(msg)
        chosen = "lines"
    return ReadOptions(
        input_format=InputFormat(chosen) if chosen else None,
        text_column=options["text_column"],
        id_column=options["id_column"],
        delimiter=options["delimiter"],
        encoding=options["encoding"],
    )


def _check_destination(inputs: tuple[str, ...], options: dict[str, Any]) -> _Destination:
    """Find out before scoring, not after, that the results have nowhere to go."""
    output, rejects = options["output"], options["rejects"]
    targets = [Path(output)] if output != "-" else []
    targets += [rejects] if rejects else []
    if output.endswith("/"):
        msg = f"{output} is a folder; name one file to write"
        raise UsageError(msg)
    for target in targets:
        if not target.parent.is_dir():
            msg = f"{target} lies in a folder that is not there"
            raise UsageError(msg)
        if target.exists() and not target.is_file():
            msg = f"{target} is a folder or a device; name a file to write (- is standard output)"
            raise UsageError(msg)
        if target.exists() and not options["overwrite"]:
            msg = f"{target} exists (--overwrite replaces it)"
            raise UsageError(msg)
        if any(_reads(name, target) for name in inputs):
            msg = f"{target} is an input too; it would be lost"
            raise UsageError(msg)
    if len({os.path.realpath(target) for target in targets}) < len(targets):
        msg = f"{output} is named for scores and for rejects; they need a file each"
        raise UsageError(msg)
    by_suffix = _FORMATS.get(Path(output).suffix.lower())
    if options["output_format"] is None and by_suffix is None:
        known = ", ".join(filter(None, _FORMATS))
        msg = f"{output} has no suffix of a known format ({known}); --output-format says what to write"
        raise UsageError(msg)
    return _Destination(output, options["output_format"] or str(by_suffix), rejects, options["overwrite"])


def _reads(name: str, target: Path) -> bool:
    """Tell whether an input is, or is a folder that holds, the file to be written."""
    if name == "-":
        return False
    source, place = Path(os.path.realpath(name)), Path(os.path.realpath(target))
    return source == place or (source == place.parent and place.suffix == ".txt")


def _score_to(
    destination: _Destination,
    inputs: tuple[str, ...],
    read_options: ReadOptions,
    scorer: Scorer,
    *,
    quiet: bool,
) -> Summary:
    from pipeline.runtime.durable import durable_file
    from pipeline.runtime.jobs import score_rows
    from pipeline.runtime.listing import Inputs
    from pipeline.runtime.reading import ReadTally
    from pipeline.runtime.sinks import OutputFormat, RowSink
    from pipeline.runtime.sources import read_rows

    tally = ReadTally()
    with ExitStack() as stack:
        opened: AbstractContextManager[BinaryIO] = (
            _standard_output()
            if destination.output == "-"
            else durable_file(Path(destination.output), overwrite=destination.overwrite)
        )
        stream = stack.enter_context(opened)
        rejects = stack.enter_context(
            durable_file(destination.rejects, overwrite=destination.overwrite)
            if destination.rejects
            else nullcontext()
        )
        advance = stack.enter_context(_progress(is_shown=not quiet and sys.stderr.isatty()))
        summary = score_rows(
            read_rows(Inputs(inputs), read_options, tally),
            scorer,
            RowSink(stream, OutputFormat(destination.output_format)),
            _reject_reporter(rejects, quiet=quiet),
            advance=advance,
        )
    summary.blank_lines, summary.passed_over = tally.blank_lines, tally.passed_over
    return summary


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Callable[[int], object]]:
    """Give what takes the number of rows dealt with, and shows it on a terminal."""
    if not is_shown:
        yield lambda _count: None
        return
    from tqdm import tqdm  # A fifth of the time to a first score, where nobody sees it.

    with tqdm(unit=" reviews", unit_scale=True) as bar:
        yield bar.update


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Give standard output's bytes; a failure names it, but a reader that left is no failure."""
    if sys.stdout is None:
        msg = "standard output is closed; name a file with -o"
        raise InputOutputError(msg)
    try:
        yield sys.stdout.buffer
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"standard output cannot be written: {error.strerror or error}"
        raise InputOutputError(msg) from error


def _reject_reporter(stream: BinaryIO | None, *, quiet: bool) -> Callable[[Reject], None]:
    """Write rejects to their file; without one, show the first few on standard error."""
    from pipeline.runtime.rows import printable
    from pipeline.runtime.sinks import reject_line

    seen = 0

    def report(reject: Reject) -> None:
        nonlocal seen
        seen += 1
        if stream is not None:
            stream.write(reject_line(reject))
        elif not quiet and seen <= _SHOWN_REJECTS:
            where = f"{reject.source} row {reject.row}" if reject.row else reject.source
            click.echo(f"rejected: {printable(where)}: {reject.code}: {printable(reject.message)}", err=True)
        elif not quiet and seen == _SHOWN_REJECTS + 1:
            click.echo("rejected: more, only counted from here on (--rejects FILE keeps them all)", err=True)

    return report


def _print_summary(summary: Summary) -> None:
    parts = [f"{summary.scored:,} scored", f"{summary.rejected.total():,} rejected"]
    if summary.rejected:
        parts[-1] += " (" + ", ".join(f"{code} {n:,}" for code, n in sorted(summary.rejected.items())) + ")"
    if summary.truncated:
        parts.append(f"{summary.truncated:,} cut to the bundle's length")
    if summary.blank_lines:
        parts.append(f"blank lines skipped {summary.blank_lines:,}")
    if summary.passed_over:
        parts.append(f"entries of folders passed over {summary.passed_over:,} (only .txt files are read)")
    parts += [f"{label} {count:,}" for label, count in sorted(summary.labels.items())]
    rate = summary.rows_in / summary.seconds if summary.seconds else 0.0
    parts.append(f"{summary.seconds:.1f} s, {rate:,.0f} reviews/s")
    click.echo(f"{summary.rows_in:,} rows: " + " · ".join(parts), err=True)
