"""The flow ``build-bundle``: every stage from reviews to a published bundle, as Prefect tasks.

``make pipeline`` runs it in its own process by ``python -m flows.build_bundle``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from pipeline.chain import STAGES, call_stage, outcome_table, run_chain
from pipeline.cli.options import chain_options
from pipeline.errors import InterruptedRun, ResenhaError
from pipeline.recipe import CorpusName, load_recipe
from pipeline.runtime.rows import printable_message
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace

# Stages know themselves what is finished and still valid, so Prefect caches nothing. A refusal stays a
# refusal and a download bounds its own attempts, so only what the operating system failed at without
# saying why is tried once more. Only the stage that waits for others has a time limit.
_TIME_LIMITS = {"acquire": 3600.0}
"""Seconds."""


def _is_momentary(_task: object, _task_run: object, state: State[Any]) -> bool:
    return isinstance(state.data, OSError)


def _as_task(name: str) -> Callable[..., Any]:
    """Make a task of a stage whose refusals are states with a message, not tracebacks."""

    def run(*arguments: Any) -> Any:
        try:
            return call_stage(name, *arguments)
        except ResenhaError as error:
            return Failed(message=str(error), data=error)

    made: Callable[..., Any] = task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=1,
        retry_condition_fn=_is_momentary,
        timeout_seconds=_TIME_LIMITS.get(name),
    )(run)
    return made


_TASKS = {name: _as_task(name) for name in STAGES}


def _run_as_task(name: str, *arguments: Any) -> Any:
    state = _TASKS[name](*arguments, return_state=True)
    if isinstance(state.data, ResenhaError):
        raise state.data
    return state.result()


@flow(name="build-bundle", flow_run_name="{recipe}", persist_result=False, validate_parameters=True)
def build_bundle(
    recipe: str = "quick",
    corpus: CorpusName | None = None,
    archive: Path | None = None,
    archive_sha256: str | None = None,
    artifacts: Path = Path("artifacts"),
) -> Any:
    """Bring reviews from download to a published bundle.

    Args:
        recipe: A shipped recipe's name, or the path of a TOML file.
        corpus: Where the reviews come from; the recipe's choice where None.
        archive: The user's own copy of the corpus's archive.
        archive_sha256: The checksum that it has to have.
        artifacts: Where runs and bundles are kept.

    Returns:
        The table that ``pipeline.chain.outcome_table`` makes of the outcome.
    """
    try:
        sourcing = Sourcing(corpus, archive, archive_sha256)
        return outcome_table(run_chain(Workspace(artifacts), load_recipe(recipe), sourcing, run=_run_as_task))
    except ResenhaError as error:
        return Failed(message=f"{type(error).__name__}: the log says more", data=error)


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
