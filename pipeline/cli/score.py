"""``resenha score``: review files in, scores out."""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.score_options import score_options


# A command remembers its help options from whoever parses first, and flows parse it without the program.
@click.command(short_help="Score review files.", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@score_options
def score(inputs: tuple[str, ...], **given: Any) -> int:
    """Score reviews: a line of output for every row, in the order of the input.

    INPUT is a folder of .txt files (one review each), a .txt, .csv, .tsv, .jsonl or .parquet file,
    each of the others also as .gz, a quoted pattern of such names, or - for standard input (one
    review a line).

    \b
    Examples:
      resenha score reviews/ > scores.jsonl
      resenha score reviews.csv --text-column comment -o scores.csv
      resenha score --lines reviews.txt --rejects rejects.jsonl
      resenha score 'nightly/*.jsonl.gz' -o scores/ --workers 4
      resenha score 'nightly/*.jsonl.gz' -o scores/ --workers 4 --resume
      echo "A quiet, moving film." | resenha score -

    A directory is written in parts, each published whole by one rename. After a crash the same
    command with --resume goes on; the end is byte for byte that of a run that was never stopped.

    \b
    Exit status: 0 all scored · 2 wrong usage or no such input · 3 finished, some rows rejected ·
    4 too many rejects · 5 bundle refused · 6 input or output failed · 7 directory in use ·
    8 resume refused · 130/143 interrupted
    """
    from pipeline.cli.score_run import open_run  # Not before --help has been answered.

    with open_run(inputs, given) as run:
        return run.dry() if given["dry_run"] else run.score()
