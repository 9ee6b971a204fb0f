"""The order of the stages, in one place: run directly here, or as Prefect tasks by ``flows``.

Stages go by their names and are imported when they run, so whoever only wants to know the order, or to
run one of them elsewhere, loads no TensorFlow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.errors import MissingExtra
from pipeline.recipe import Recipe
from pipeline.reports import (
    Acquired,
    Compared,
    Comparison,
    Evaluated,
    Exported,
    Prepared,
    Pretrained,
    Promoted,
    Published,
    Taught,
    Trained,
)
from pipeline.workspace import Done, Workspace

if TYPE_CHECKING:
    from pipeline.stages.acquire import Sourcing

_log = logging.getLogger("resenha")
STAGES = (
    "acquire", "prepare", "teach", "pretrain", "train", "evaluate", "export", "check_parity", "publish",
    "compare", "promote",
)  # fmt: skip
"""In their order; ``teach`` and ``pretrain`` run only for a recipe that asks for them, ``compare`` only where
somebody is asked before a bundle is promoted."""

RunStage = Callable[..., Any]
"""Takes a stage's name and its verb's arguments, gives its result."""


def call_stage(name: str, *arguments: Any, **options: Any) -> Any:
    """Run a stage here, importing it first.

    Raises:
        MissingExtra: If a package that it needs is not installed.
        ResenhaError: What the stage raises.
    """
    try:
        module = import_module(f"pipeline.stages.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra.for_training(error) from error
    return getattr(module, name)(*arguments, **options)


@dataclass(frozen=True)
class Step:
    """One stage of a finished chain, for the table at its end."""

    name: str
    text: str
    seconds: float
    was_done: bool


@dataclass(frozen=True)
class Outcome:
    """A finished chain."""

    recipe: Recipe
    acquired: Acquired
    evaluated: Evaluated
    compared: Compared
    published: Published
    promoted: Promoted
    steps: list[Step]


@dataclass(frozen=True)
class Bundled:
    """What the stages made, from reviews to a published bundle."""

    acquired: Done[Acquired]
    prepared: Done[Prepared]
    trained: Done[Trained]
    evaluated: Done[Evaluated]
    exported: Done[Exported]
    compared: Done[Compared]
    published: Published


@dataclass
class _Clock:
    """Runs stages one after the other, tells the log of each, and keeps what the table needs."""

    run: RunStage
    steps: list[Step] = field(default_factory=list)

    def __call__(self, name: str, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = self.run(name, *arguments)
        seconds = time.perf_counter() - started
        is_stage = isinstance(result, Done)
        step = Step(
            name,
            str(result.report if is_stage else result),
            seconds,
            was_done=is_stage and result.was_done,
        )
        self.steps.append(step)
        before = " (done before, still valid)" if step.was_done else ""
        _log.info("%s%s: %s · %.1f s", step.name, before, step.text, step.seconds)
        return result


def run_chain(
    workspace: Workspace,
    recipe: Recipe,
    sourcing: Sourcing,
    *,
    run: RunStage = call_stage,
    approve: Callable[[Comparison], None] | None = None,
) -> Outcome:
    """Run every stage in order; what is finished and still valid is not done again.

    Args:
        workspace: Where the work lies.
        recipe: What to train.
        sourcing: Where the reviews come from.
        run: How one stage is run; by default it is called.
        approve: Shown the comparison with the promoted bundle before anything is promoted; may raise.

    Raises:
        ResenhaError: What a stage raises; the chain stops there.
    """
    step = _Clock(run)
    made = run_to_bundle(workspace, recipe, sourcing, run=step)
    approved = []
    if approve is not None:
        approved = [step("compare", workspace, recipe, made.prepared, made.published)]
        approve(*approved)
    promoted = step("promote", workspace, recipe, made.prepared, made.published, *approved)
    reports = made.acquired.report, made.evaluated.report, made.compared.report
    return Outcome(recipe, *reports, made.published, promoted, step.steps)


def run_to_bundle(
    workspace: Workspace, recipe: Recipe, sourcing: Sourcing, *, run: RunStage = call_stage
) -> Bundled:
    """Run the stages as far as the published bundle, as ``run_chain`` does; nothing is promoted.

    Raises:
        ResenhaError: What a stage raises.
    """
    acquired, prepared, trained = run_training(workspace, recipe, sourcing, run=run)
    evaluated = run("evaluate", workspace, recipe, acquired, prepared, trained)
    exported = run("export", workspace, recipe, acquired, prepared, trained, evaluated)
    compared = run("check_parity", workspace, recipe, prepared, trained, exported)
    published = run("publish", workspace, recipe, acquired, prepared, evaluated, exported, compared)
    return Bundled(acquired, prepared, trained, evaluated, exported, compared, published)


def run_training(
    workspace: Workspace, recipe: Recipe, sourcing: Sourcing, *, run: RunStage = call_stage
) -> tuple[Done[Acquired], Done[Prepared], Done[Trained]]:
    """Run the stages as far as the trained network, as ``run_chain`` does.

    Raises:
        ResenhaError: What a stage raises.
    """
    acquired = run("acquire", workspace, recipe, sourcing)
    prepared = run("prepare", workspace, recipe, acquired)
    others = taught_and_pretrained(run, workspace, recipe, prepared)
    return acquired, prepared, run("train", workspace, recipe, prepared, *others)


def taught_and_pretrained(
    run: RunStage, workspace: Workspace, recipe: Recipe, prepared: Done[Prepared]
) -> tuple[Done[Taught] | None, Done[Pretrained] | None]:
    """Run what a recipe asks for between ``prepare`` and ``train``; what it does not ask for is None."""
    taught = run("teach", workspace, recipe, prepared) if recipe.teacher else None
    pretrained = run("pretrain", workspace, recipe, prepared) if recipe.pretraining else None
    return taught, pretrained


def outcome_table(outcome: Outcome) -> str:
    """Give the short table that a run ends with; its last line says what the reviews were."""
    acquired, published = outcome.acquired, outcome.published
    gates = [*published.gates, *outcome.promoted.comparison.gates]
    passed = sum(gate["passed"] for gate in gates)
    rows = [
        ("recipe", f"{outcome.recipe.name}: {outcome.recipe.description}"),
        ("corpus", str(acquired)),
        ("accuracy", str(outcome.evaluated).removeprefix("accuracy ")),
        ("gates", f"{passed} of {len(gates)} passed"),
        ("parity", str(outcome.compared)),
        ("bundle", f"{published.bundle} ({outcome.promoted.note})"),
        ("seconds", " · ".join(_timing(step) for step in outcome.steps)),
        ("try next", f"echo 'A quiet, moving film.' | .venv/bin/resenha score - --bundle {published.bundle}"),
    ]
    lines = [f"  {name:<9} {text}" for name, text in rows]
    return "\n".join(["", *lines, f"  {_verdict(acquired)}"])


def _timing(step: Step) -> str:
    return f"{step.name} {step.seconds:.1f}" + (" (done before)" if step.was_done else "")


def _verdict(acquired: Acquired) -> str:
    trust = {
        "verified": "the published archive, by its checksum",
        "stated": "an archive with the checksum that was stated",
        "unverified": "UNVERIFIED: no published or stated checksum vouches for them",
        "synthetic": "SYNTHETIC: made up by this project, good for trying things out only",
    }
    return f"the reviews: {acquired.corpus}, {trust[acquired.provenance]}"
