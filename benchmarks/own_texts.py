"""``python -m benchmarks.own_texts RECIPE.toml``: your own recipe beside other ways to learn your texts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks.judging import judge_ways, judged_table, recipe_way, rival_ways
from benchmarks.machine import describe_machine
from benchmarks.tables import Table
from benchmarks.trained_recipes import train_seeds
from benchmarks.trained_rivals import school_of
from pipeline.corpora.splits import load_reviews
from pipeline.errors import DataError, ResenhaError
from pipeline.reports import Acquired
from pipeline.stages.acquire import Sourcing


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts/benchmarks"),
    show_default=True,
    help="Where what was trained is kept for the next run.",
)
def main(recipe: Path, artifacts: Path) -> None:
    """Train RECIPE with three seeds, and fastText, TF-IDF and NB-SVM on the same texts; judge all alike.

    RECIPE is a .toml file as ``resenha train`` takes it. It may be killed, and goes on.
    """
    try:
        table = _measure(recipe, artifacts)
    except ResenhaError as error:
        click.echo(f"own_texts: {error}", err=True)
        sys.exit(error.exit_status)
    click.echo("\n".join([*(f"- {fact}" for fact in describe_machine()), "", table.to_markdown()]))


def _measure(recipe: Path, artifacts: Path) -> Table:
    trained, notes = train_seeds(artifacts / "own", str(recipe), Sourcing(), _tell)
    if not trained:
        msg = f"gates refused all seeds: {'; '.join(notes)}"
        raise DataError(msg)
    files, digests = trained[0].files, trained[0].digests
    school = school_of(artifacts, Path(files[Acquired.TRAIN]), digests[Acquired.TRAIN])
    ways = [recipe_way(str(recipe), trained, school.threads), *rival_ways(school, _tell)]
    learnt = len(load_reviews(school.train_file))
    notes = [f"{learnt:,} texts to learn from, of which the recipe holds some back for validation", *notes]
    test = load_reviews(Path(files[Acquired.TEST]))
    return judged_table(f"Own texts: {recipe.name}", judge_ways(ways, test), test, notes)


def _tell(what: str) -> None:
    click.echo(f"own_texts: {what}", err=True)


if __name__ == "__main__":
    main()
