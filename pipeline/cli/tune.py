"""``resenha tune``: a search over a recipe's ranges, for those who have the extra."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from pipeline.cli.destination import check_file
from pipeline.cli.options import chain_options, show_log
from pipeline.errors import MissingExtra


@click.command(short_help="Search better settings for a recipe (needs the extra 'train').")
@chain_options
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time for the whole search, that of earlier runs included.",
)
@click.option(
    "--kilobytes",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest bundle, in thousands of bytes, all its files together.  [default: any size]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File for the tuned recipe.  [default: standard output]",
)
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
def tune(
    recipe: str,
    artifacts: Path,
    minutes: float,
    kilobytes: float | None,
    output: Path | None,
    overwrite: bool,
    **sourcing: Any,
) -> None:
    """Search RECIPE's ranges (or default ones) for settings that do better, and write them as a recipe.

    Candidates are trained and judged on the validation reviews; no test review is looked at. The recipe as
    it stands is the first. One whose bundle would be too large is not trained, one that does worse than the
    median of the others is stopped, and none begins that would not end in time.

    The same command goes on where it was stopped or killed, or further with more --minutes.

    \b
    Examples:
      resenha tune
      resenha tune my-reviews.toml --minutes 30 --kilobytes 450 --output tuned.toml
      resenha tune quick --corpus imdb --archive imdb.npz > tuned.toml

    \b
    Exit status: 0 a recipe was written · 1 reviews that cannot be learnt from · 2 wrong usage or
    recipe, or no candidate within the limits · 5 a graph that is refused · 6 a download or the disk
    failed · 7 another search is at it · 130 interrupted
    """
    started = time.monotonic()
    try:
        from pipeline.recipe import check_file_name, load_recipe
        from pipeline.runtime.durable import durable_file
        from pipeline.stages.acquire import Sourcing
        from pipeline.tuning.search import Limits, search
        from pipeline.workspace import Workspace
    except ModuleNotFoundError as error:
        raise MissingExtra.for_training(error) from error
    loaded = load_recipe(recipe)
    if output is not None:
        check_file_name(output)
        check_file(output, overwrite=overwrite)
    show_log("resenha.tune")
    limits = Limits(minutes * 60, kilobytes)
    found = search(Workspace(artifacts), loaded, Sourcing(**sourcing), limits, started=started)
    content = found.to_toml()
    if output is None:
        click.echo(content, nl=False)
    else:
        with durable_file(output, overwrite=overwrite) as stream:
            stream.write(content.encode())
    click.echo(found.summary(), err=True)
