"""The options of ``resenha score``, in groups, and what they are read into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli.options import BUNDLE_HELP, digest_option
from pipeline.errors import UsageError
from pipeline.runtime.rows import printable

if TYPE_CHECKING:
    from pipeline.runtime.plan import Shard, WriteOptions
    from pipeline.runtime.reading import ReadOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_INPUT = (
    click.option(
        "--files-from",
        metavar="FILE",
        help="Read more inputs from FILE, a path a line (or NUL between them); - is standard input.",
    ),
    click.option(
        "--input-format",
        type=click.Choice(["text", "lines", "csv", "tsv", "jsonl", "parquet"]),
        help="How to read every input.  [default: by suffix, .gz left out; - is lines]",
    ),
    click.option("--lines", is_flag=True, help="Short for --input-format lines: each line is one review."),
    click.option(
        "--text-column", default="text", show_default=True, help="Column, or JSON key, of the review."
    ),
    click.option(
        "--id-column", help="Column, or JSON key, that names the row.  [default: id, where there is one]"
    ),
    click.option("--delimiter", help="Character between columns.  [default: comma, or tab for .tsv]"),
    click.option("--encoding", help="Encoding of the inputs.  [default: UTF-8, or UTF-16 with a mark]"),
    click.option("--limit", type=click.IntRange(0), metavar="N", help="Read the first N rows and no more."),
)
_OUTPUT = (
    click.option(
        "-o",
        "--output",
        default="-",
        metavar="PATH",
        help="File to write, whole or not at all; a directory (PATH ends in / or is one) to write in parts; "
        "- is standard output.  [default: -]",
    ),
    click.option(
        "--output-format",
        type=click.Choice(["jsonl", "csv", "parquet"]),
        help="How to write.  [default: by suffix, else jsonl]",
    ),
    click.option(
        "--keep-columns",
        metavar="A,B=C",
        help="Columns, or JSON keys, to copy to the output; B=C writes B under the name C.",
    ),
    click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        help="Score from which a review is positive.  [default: the bundle's]",
    ),
    click.option(
        "--rejects",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File for rows that cannot be scored, as JSON lines.  [in a directory: its rejects.jsonl]",
    ),
    click.option(
        "--max-rejects",
        metavar="N|P%",
        help="Stop, with status 4, past N rejects, or past a share of the rows.  [default: never]",
    ),
    click.option(
        "--summary",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File for the summary, as JSON.  [in a directory: its _summary.json, too]",
    ),
    click.option("--overwrite", is_flag=True, help="Replace output that exists."),
)
_DIRECTORY = (
    click.option("--resume", is_flag=True, help="Go on where an earlier run into the directory stopped."),
    click.option(
        "--part-rows",
        type=click.IntRange(1),
        metavar="N",
        help="Rows of the input for each part.  [default: 100000]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="Processes that score parts side by side.  [default: 1]",
    ),
    click.option(
        "--shard",
        metavar="I/N",
        help="Score every N-th part from the I-th on, each shard into a directory of its own.",
    ),
    click.option(
        "--input-check",
        type=click.Choice(["stat", "sha256"]),
        help="How --resume and merge tell that inputs are the same: by size and date, or by content.  "
        "[default: stat]",
    ),
)
_RUN = (
    click.option(
        "-b", "--bundle", type=click.Path(path_type=Path), envvar="RESENHA_BUNDLE", help=BUNDLE_HELP
    ),
    digest_option,
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="Batches scored side by side.  [default: the cores this process may use]",
    ),
    click.option("--dry-run", is_flag=True, help="Print what would be done, as JSON, and do nothing."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "none"]),
        default="auto",
        help="A bar, or a plain line every 30 s.  [default: a bar on a terminal]",
    ),
    click.option("-q", "--quiet", is_flag=True, help="No summary, no progress, no list of rejects."),
)


def score_options(command: Command) -> Command:
    """Add the options of ``resenha score``."""
    for option in reversed((*_INPUT, *_OUTPUT, *_DIRECTORY, *_RUN)):
        command = option(command)
    return command


@dataclass(frozen=True)
class ScoreOptions:
    """What was asked for, besides the inputs."""

    read: ReadOptions
    write: WriteOptions
    shard: Shard
    given: dict[str, Any]
    """Every option as click gave it."""


def parse_options(given: dict[str, Any], output_format: str) -> ScoreOptions:
    """Read options that click does not know how to.

    Raises:
        UsageError: If two contradict each other, or one cannot be read.
    """
    from pipeline.runtime.plan import WriteOptions
    from pipeline.runtime.reading import InputFormat, ReadOptions
    from pipeline.runtime.sinks import OutputFormat

    for name in ("text_column", "id_column", "delimiter", "keep_columns"):
        _check_text(name, given[name])
    chosen = given["input_format"]
    if given["lines"]:
        if chosen not in (None, "lines"):
            msg = f"--lines and --input-format {chosen} contradict each other"
            raise UsageError(msg)
        chosen = "lines"
    kept = _kept_columns(given["keep_columns"])
    read = ReadOptions(
        input_format=InputFormat(chosen) if chosen else None,
        text_column=given["text_column"],
        id_column=given["id_column"],
        delimiter=given["delimiter"],
        encoding=given["encoding"],
        keep_columns=tuple(kept),
    )
    write = WriteOptions(OutputFormat(output_format), tuple(kept.values()), given["threshold"])
    return ScoreOptions(read, write, _shard(given["shard"]), given)


def _check_text(name: str, value: str | None) -> None:
    """Refuse what no UTF-8 file could hold: an argument's bytes that are no UTF-8."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        msg = f"--{name.replace('_', '-')} is not UTF-8: {printable(value or '')!r}"
        raise UsageError(msg) from error


def _kept_columns(text: str | None) -> dict[str, str]:
    """Read ``a,b=c`` as the columns to keep, each with its name in the output."""
    from pipeline.runtime.sinks import COLUMNS

    kept: dict[str, str] = {}
    taken = set(COLUMNS)
    for item in text.split(",") if text else []:
        column, _, name = item.partition("=")
        name = name or column
        if not column or column in kept:
            msg = f"--keep-columns {text!r} names {'nothing' if not column else repr(column) + ' twice'}"
            raise UsageError(msg)
        if name in taken:
            msg = (
                f"--keep-columns: the output has a column {name!r} already; "
                f"write {column}=another_name to keep it under that name"
            )
            raise UsageError(msg)
        taken.add(name)
        kept[column] = name
    return kept


def _shard(text: str | None) -> Shard:
    from pipeline.runtime.plan import WHOLE, Shard

    if text is None:
        return WHOLE
    number, _, of = text.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
        return Shard(int(number), int(of))
    msg = f"--shard {text!r} is no shard; write 1/4 for the first of four"
    raise UsageError(msg)
