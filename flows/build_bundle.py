"""The flow ``build-bundle``: every stage from reviews to a published bundle, as Prefect tasks.

``make pipeline`` runs it in its own process by ``python -m flows.build_bundle``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from prefect import flow, runtime, settings
from prefect.states import Failed

from flows.approval import ask_a_person, check_askable
from flows.attendance import attend
from flows.candidates import Candidate, choose_candidate
from flows.pages import ProgressBar, StagePages, key_of, progress_from_log
from flows.parameters import Count, Flag, Seed, Text
from flows.stage_tasks import run_stage_as_task
from pipeline.chain import outcome_table, run_chain
from pipeline.cli.options import chain_options
from pipeline.errors import GateError, InterruptedRun, ResenhaError, UsageError
from pipeline.recipe import CorpusName, Recipe, load_recipe
from pipeline.reports import Comparison
from pipeline.runtime.cores import usable_cores
from pipeline.runtime.rows import printable_message
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distributed import Client


def _run_name() -> str:
    given = runtime.flow_run.parameters
    count = len(_candidates(given["recipe"], given["more_recipes"], given["seeds"]))
    more = f" and {count - 1} more" if count > 1 else ""
    return f"{Path(given['recipe']).stem}{more} on {given['corpus'] or 'its corpus'}"


@flow(name="build-bundle", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def build_bundle(  # noqa: PLR0913  # One form.
    *,
    recipe: Text = "quick",
    corpus: CorpusName | None = None,
    archive: Path | None = None,
    archive_sha256: Text | None = None,
    approval: Flag = False,
    more_recipes: list[Text] | None = None,
    seeds: list[Seed] | None = None,
    scheduler: Text | None = None,
    workers: Count | None = None,
    artifacts: Path = Path("artifacts"),
) -> Any:
    """Bring reviews from download to a published and promoted bundle.

    Args:
        recipe: A shipped recipe's name, or the path of a TOML file.
        corpus: Where the reviews come from; the recipe's choice where none is given.
        archive: Your own copy of the corpus's archive: a file or folder on the machine of the worker.
        archive_sha256: The checksum that the archive has to have.
        approval: Suspend the run until a person has said whether the bundle is to be promoted.
        more_recipes: Train these, too, and go on with what does best on the validation split.
        seeds: Train every recipe with each of these seeds in the place of its own.
        scheduler: Address of a Dask scheduler whose workers train them; by default a cluster is started
            here, for this run.
        workers: Processes of the cluster that is started here; one for each core by default.
        artifacts: Where runs and bundles are kept.

    Returns:
        The table that ``pipeline.chain.outcome_table`` makes of the outcome.
    """
    attend()
    try:
        if approval:
            check_askable()
        workspace, sourcing = Workspace(artifacts), Sourcing(corpus, archive, archive_sha256)
        candidates = _candidates(recipe, more_recipes, seeds)
        chosen = candidates[0].read()
        if len(candidates) > 1:
            from flows.cluster import open_cluster  # Not where there is nothing to be spread.

            cluster = partial(open_cluster, scheduler, workers or usable_cores())
            chosen = _choose(workspace, candidates, sourcing, cluster)
        return _build(workspace, chosen, sourcing, ask=ask_a_person if approval else None)
    except ResenhaError as error:
        return Failed(message=f"{type(error).__name__}: {error}", data=error)


def _candidates(recipe: str, more: list[str] | None, seeds: list[int] | None) -> list[Candidate]:
    """Give every recipe with every seed, the first of each first."""
    return [Candidate(name, seed) for name in (recipe, *(more or ())) for seed in (seeds or (None,))]


def _choose(
    workspace: Workspace,
    candidates: list[Candidate],
    sourcing: Sourcing,
    cluster: Callable[[], AbstractContextManager[Client]],
) -> Recipe:
    for candidate in candidates:
        candidate.read()  # A slip in one is told before any is trained.
    bar = ProgressBar("candidates-training", f"{len(candidates)} candidates")
    with cluster() as client:
        return choose_candidate(client, workspace.root.absolute(), candidates, sourcing, bar.show).read()


def _build(
    workspace: Workspace,
    recipe: Recipe,
    sourcing: Sourcing,
    *,
    ask: Callable[[Comparison], None] | None,
) -> str:
    pages = StagePages(recipe)
    bar = ProgressBar(key_of(recipe.name, "training"), f"epochs of recipe {recipe.name}")

    def run(name: str, *arguments: Any) -> Any:
        result = run_stage_as_task(name, *arguments)
        pages.show(result)
        return result

    try:
        with progress_from_log(bar):
            outcome = run_chain(workspace, recipe, sourcing, run=run, approve=ask)
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
    except RuntimeError as error:
        # Prefect has no error of its own for it.
        if not str(error).startswith("Failed to reach API"):
            raise
        address = printable_message(str(settings.PREFECT_API_URL.value()))
        click.echo(
            f"resenha: no Prefect server answers on {address}, which PREFECT_API_URL names: start one with "
            f"`make serve`, or do without by `unset PREFECT_API_URL`",
            err=True,
        )
        sys.exit(UsageError.exit_status)
    except KeyboardInterrupt:
        click.echo(
            "resenha: interrupted; what was finished is kept, the same command goes on from there", err=True
        )
        sys.exit(InterruptedRun.exit_status)


if __name__ == "__main__":
    main()
