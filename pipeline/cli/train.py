"""``resenha train``: the whole chain, for those who have the extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import chain_options, show_log
from pipeline.errors import MissingExtra


@click.command(short_help="Train, prove and publish a bundle (needs the extra 'train').")
@chain_options
def train(
    recipe: str, corpus: Any, archive: Path | None, archive_sha256: str | None, artifacts: Path
) -> None:
    """Run every stage of RECIPE (a shipped one's name, or a .toml file), from reviews to a bundle.

    What an earlier run finished and is still valid is not done again.

    \b
    Examples:
      resenha train
      resenha train seed --corpus imdb --archive imdb.npz
      resenha train my-reviews.toml

    \b
    Exit status: 0 published · 1 reviews that cannot be learnt from · 2 wrong usage or recipe ·
    5 refused by a gate · 6 a download or the disk failed · 130 interrupted
    """
    try:
        from pipeline.chain import outcome_table, run_chain
        from pipeline.recipe import load_recipe
        from pipeline.stages.acquire import Sourcing
        from pipeline.workspace import Workspace
    except ModuleNotFoundError as error:
        raise MissingExtra.for_training(error) from error
    show_log("resenha")
    sourcing = Sourcing(corpus, archive, archive_sha256)
    click.echo(outcome_table(run_chain(Workspace(artifacts), load_recipe(recipe), sourcing)))
