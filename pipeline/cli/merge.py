"""``resenha merge``: one output out of directories of parts."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from pipeline.cli.destination import check_file, check_files_differ, standard_output, tell_summary

_REJECTED = 3


@click.command(short_help="Join the parts of directories into one output.")
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option("-o", "--output", default="-", help="File to write, whole or not at all; - is standard output.")
@click.option("--rejects", type=click.Path(path_type=Path), help="File for the rejects of all of them.")
@click.option("--summary", type=click.Path(path_type=Path), help="File for the summary of all of them.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on standard error.")
def merge(
    directories: tuple[Path, ...],
    output: str,
    rejects: Path | None,
    summary: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Join the parts that `resenha score -o DIR/` has written, in the order of the input.

    Each DIR is finished; where it is one shard of several, all of them are named. Every part has to
    be there once, byte for byte as it was published, and to follow the one before it.

    \b
    Examples:
      resenha merge scores/ -o scores.jsonl
      resenha merge shard-1/ shard-2/ -o scores.csv --rejects rejects.jsonl --summary summary.json

    \b
    Exit status: as `resenha score`; 3 where rows were rejected, 8 where a part is not as published
    """
    from pipeline.runtime.durable import durable_file
    from pipeline.runtime.merging import FinishedFolder, Merger
    from pipeline.runtime.output_folder import json_page

    target = None if output == "-" else Path(output)
    files = [path for path in (target, rejects, summary) if path]
    for path in files:
        check_file(path, overwrite=overwrite)
    check_files_differ(files)
    merger = Merger([FinishedFolder.open(path) for path in directories])
    page = merger.summary()
    with ExitStack() as stack:
        if target:
            stream = stack.enter_context(durable_file(target, overwrite=overwrite))
        else:
            stream = stack.enter_context(standard_output())
        merger.write(stream)
        if rejects:
            stack.enter_context(durable_file(rejects, overwrite=overwrite)).writelines(merger.reject_lines())
        if summary:
            stack.enter_context(durable_file(summary, overwrite=overwrite)).write(json_page(page))
        stream.flush()
    if not quiet:
        click.echo(tell_summary(page), err=True)
    return _REJECTED if page["rejected"] else 0
