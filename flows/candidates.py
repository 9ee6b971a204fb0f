"""Several recipes and seeds trained side by side over a Dask cluster, and the best of them chosen.

A worker does no more than the first stages of the chain, into the workspace that all share. The chain then
runs for the chosen one as for any other, and finds those stages done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from flows.pages import keep, table
from pipeline.chain import run_training
from pipeline.recipe import Recipe, load_recipe
from pipeline.reports import Trained
from pipeline.stages.acquire import Sourcing
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger("resenha")


@dataclass(frozen=True)
class Candidate:
    """A recipe with a seed of its own."""

    recipe: str
    """As it was named: a shipped one's name, or a path."""
    seed: int | None = None
    """None: the recipe's."""

    def read(self) -> Recipe:
        """Give the recipe with the seed put in.

        Raises:
            RecipeError: If it cannot be read.
        """
        recipe = load_recipe(self.recipe)
        if self.seed is None:
            return recipe
        training = recipe.training.model_copy(update={"seed": self.seed})
        return recipe.model_copy(update={"training": training})


def train_candidate(artifacts: Path, candidate: Candidate, sourcing: Sourcing) -> Trained:
    """Bring one candidate as far as its trained weights, in a worker's process."""
    _, _, trained = run_training(Workspace(artifacts), candidate.read(), sourcing)
    return trained.report


def choose_candidate(
    client: Client,
    artifacts: Path,
    candidates: Sequence[Candidate],
    sourcing: Sourcing,
    show: Callable[[float], None],
) -> Candidate:
    """Train all candidates and give the one with the best accuracy on its validation split.

    The test split is not looked at: it is there to judge the one that was chosen.

    Args:
        client: Of the cluster.
        artifacts: The workspace's root, which every worker sees under the same path.
        candidates: At least one; of equals the first is chosen.
        sourcing: Where the reviews come from.
        show: Told the share of them that is done, 0 to 1.

    Raises:
        ResenhaError: What a stage raises.
    """
    from distributed import as_completed

    futures = client.map(
        lambda candidate: train_candidate(artifacts, candidate, sourcing), candidates, pure=False, retries=2
    )
    with client.as_current():
        for number, _ in enumerate(as_completed(futures), start=1):
            show(number / len(candidates))
    reports = dict(zip(candidates, client.gather(futures), strict=True))
    best = max(candidates, key=lambda each: reports[each].validation_accuracy)
    _show(reports, best)
    return best


def _show(reports: dict[Candidate, Trained], best: Candidate) -> None:
    rows = [
        (
            each.recipe,
            "the recipe's" if each.seed is None else str(each.seed),
            f"{report.kept_epoch} of {report.epochs}",
            f"{report.validation_accuracy:.4f}",
            "chosen" if each == best else "",
        )
        for each, report in reports.items()
    ]
    told = f"recipe {best.recipe}, validation accuracy {reports[best].validation_accuracy:.4f}"
    lines = ["# Candidates", "", *table(("recipe", "seed", "epoch kept", "validation accuracy", ""), rows)]
    _log.info("chosen of %d candidates: %s", len(rows), told)
    keep(create_markdown_artifact, key="candidates", markdown="\n".join(lines), description=told)
