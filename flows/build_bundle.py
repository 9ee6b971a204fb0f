"""The flow ``build-bundle``: every stage from reviews to a published bundle, as Prefect tasks.

``make pipeline`` runs it in its own process by ``python -m flows.build_bundle``.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click
from prefect import flow, runtime
from prefect.states import Failed

from flows.attendance import attend
from flows.pages import ProgressBar, StagePages, key_of, progress_from_log
from flows.parameters import Text
from flows.stage_tasks import run_stage_as_task
from pipeline.chain import outcome_table, run_chain
from pipeline.cli.options import chain_options
from pipeline.errors import GateError, InterruptedRun, ResenhaError
from pipeline.recipe import CorpusName, Recipe, load_recipe
from pipeline.runtime.rows import printable_message
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    return f"{Path(parameters['recipe']).stem} on {parameters['corpus'] or 'its corpus'}"


@flow(name="build-bundle", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def build_bundle(
    recipe: Text = "quick",
    corpus: CorpusName | None = None,
    archive: Path | None = None,
    archive_sha256: Text | None = None,
    artifacts: Path = Path("artifacts"),
) -> Any:
    """Bring reviews from download to a published bundle.

    Args:
        recipe: A shipped recipe's name, or the path of a TOML file.
        corpus: Where the reviews come from; the recipe's choice where none is given.
        archive: Your own copy of the corpus's archive: a file or folder on the machine of the worker.
        archive_sha256: The checksum that the archive has to have.
        artifacts: Where runs and bundles are kept.

    Returns:
        The table that ``pipeline.chain.outcome_table`` makes of the outcome.
    """
    attend()
    try:
        read = load_recipe(recipe)
        return _build(Workspace(artifacts), read, Sourcing(corpus, archive, archive_sha256))
    except ResenhaError as error:
        return Failed(message=f"{type(error).__name__}: {error}", data=error)


def _build(workspace: Workspace, recipe: Recipe, sourcing: Sourcing) -> str:
    pages = StagePages(recipe)
    bar = ProgressBar(key_of(recipe.name, "training"), f"epochs of recipe {recipe.name}")

    def run(name: str, *arguments: Any) -> Any:
        result = run_stage_as_task(name, *arguments)
        pages.show(result)
        return result

    try:
        with progress_from_log(bar):
            outcome = run_chain(workspace, recipe, sourcing, run=run)
    except GateError as error:
        pages.show_refused(error)
        raise
    bar.show(1.0)
    return outcome_table(outcome)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@chain_options
def main(**parameters: Any) -> None:
    """Run the flow build-bundle for RECIPE in this process, without a server to start.

    \b
    Examples:
      python -m flows.build_bundle
      python -m flows.build_bundle seed --corpus imdb --archive imdb.npz
    """
    try:
        load_recipe(parameters["recipe"])  # A slip in it is told before Prefect takes its seconds to start.
        state: Any = build_bundle(**parameters, return_state=True)
        # That the temporary server stops is no news: the table's last line is to be the last one.
        logging.getLogger("prefect").setLevel(logging.WARNING)
        click.echo(state.result())
    except ResenhaError as error:
        click.echo(f"resenha: {printable_message(str(error))}", err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        click.echo(
            "resenha: interrupted; what was finished is kept, the same command goes on from there", err=True
        )
        sys.exit(InterruptedRun.exit_status)


if __name__ == "__main__":
    main()
