"""The search: one candidate after the other, as long as the budget lasts."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.chain import STAGES, RunStage, call_stage
from pipeline.ranges import DEFAULT_RANGES, read_ranges, setting, with_settings
from pipeline.recipe import Recipe
from pipeline.reports import Acquired, Prepared, Trained
from pipeline.stages.acquire import Sourcing
from pipeline.tuning.budget import Budget
from pipeline.tuning.candidates import bundle_kilobytes, right_reviews, train_candidate
from pipeline.tuning.result import Searched, tell_candidate
from pipeline.tuning.study import Outcome, Proposal, Study, Tried, open_study
from pipeline.workspace import Done, Workspace, code_of, fingerprint

_log = logging.getLogger("resenha.tune")
_USED_UP = "the time is used up"


class _HopelessError(Exception):
    """A candidate does worse than the others did after as many epochs."""


class _OutOfTimeError(Exception):
    """A candidate will not end within the budget."""


@dataclass(frozen=True)
class Limits:
    """What a search is held to."""

    seconds: float
    """Of all its runs together."""
    kilobytes: float | None
    """Of a bundle, all its files together; None: any size."""


def search(
    workspace: Workspace,
    recipe: Recipe,
    sourcing: Sourcing,
    limits: Limits,
    *,
    started: float,
    run: RunStage = call_stage,
    now: Callable[[], float] = time.monotonic,
) -> Searched:
    """Train candidates within a recipe's ranges and judge them on the validation reviews.

    The recipe as it stands comes first. A search that was ended, by whatever, goes on with what is left of
    its time; it is the same one as long as recipe, ranges, reviews, limit of size and code are.

    Args:
        workspace: Where the work lies; the study is kept there.
        recipe: What the candidates are made from; without ranges, ``DEFAULT_RANGES`` are searched.
        sourcing: Where the reviews come from.
        limits: Time and size.
        started: When the command was called, by ``now``: all that comes after it counts.
        run: How one stage is run.
        now: The clock, in seconds.

    Raises:
        ResenhaError: What a stage raises, or the study: it is in use, or cannot be read.
    """
    acquired = run("acquire", workspace, recipe, sourcing)
    given = recipe.ranges or DEFAULT_RANGES
    ranges = read_ranges(recipe, given)
    default = {name: setting(recipe, name) for name in ranges}
    folder = workspace.root / "runs" / recipe.name / "tune" / _key(recipe, given, limits.kilobytes, acquired)
    with open_study(folder, ranges, default, recipe.training.seed) as study:
        budget = Budget(limits.seconds, study.spent, started, study.note_spent, now)
        ending = _Seeker(run, workspace, recipe, acquired, limits.kilobytes, study, budget).seek()
        return Searched(recipe, acquired.report, study.tried, limits.kilobytes, study.spent, ending)


def _key(recipe: Recipe, ranges: Mapping[str, Any], kilobytes: float | None, acquired: Done[Acquired]) -> str:
    """Name the study by all that its record depends on."""
    stages = STAGES[: STAGES.index("train") + 1]
    code = [code_of(module) for module in (__name__, *(f"pipeline.stages.{name}" for name in stages))]
    return fingerprint([recipe.to_record(), ranges, kilobytes, dict(acquired.digests), code])[:16]


@dataclass
class _Seeker:
    """Gives candidates their turns."""

    run: RunStage
    workspace: Workspace
    recipe: Recipe
    acquired: Done[Acquired]
    kilobytes: float | None
    study: Study
    budget: Budget
    judging: float = field(default=0.0, init=False)
    """Seconds from the end of a training to the candidate's line, the most so far."""

    def seek(self) -> str:
        """Give turns as long as it can be expected that they end in time; say why there are no more."""
        if tried := self.study.tried:
            used = f"{self.budget.spent / 60:.1f} of {self.budget.seconds / 60:g} minutes are used"
            _log.info("the search goes on after candidate %d, %s", len(tried), used)
        while self.budget.left > 0:
            if (proposal := self.study.propose()) is None:
                return "the ranges hold nothing new any more"
            expected = self._expected_seconds(proposal)
            if expected > self.budget.left:
                return (
                    f"the next candidate would take about {expected:.0f} s, {self.budget.left:.0f} s are left"
                )
            try:
                ended = self._give_turn(proposal)
            except _OutOfTimeError as error:
                return str(error)
            finally:
                self.budget.settle()
            self.study.keep(proposal.trial, ended)
            default = {name: setting(self.recipe, name) for name in ended.settings}
            _log.info("%s", tell_candidate(ended, default))
        return _USED_UP

    def _expected_seconds(self, proposal: Proposal) -> float:
        """Expect of a candidate what an epoch took of the median one; nothing of the first."""
        rates = [each.seconds_per_epoch for each in self.study.tried if each.seconds_per_epoch is not None]
        epochs = proposal.settings.get("training.epochs", self.recipe.training.epochs)
        return float(statistics.median(rates) * epochs) if rates else 0.0

    def _give_turn(self, proposal: Proposal) -> Tried:
        began = self.budget.spent
        outcome, found = self._judge(proposal, began)
        return Tried(
            proposal.number, proposal.settings, outcome, round(self.budget.spent - began, 1), **found
        )

    def _judge(self, proposal: Proposal, began: float) -> tuple[Outcome, dict[str, Any]]:
        try:
            recipe = with_settings(self.recipe, proposal.settings)
        except ValueError as error:
            return Outcome.LEFT_OUT, {"note": str(error)}
        prepared = self.run("prepare", self.workspace, recipe, self.acquired)
        kilobytes = round(bundle_kilobytes(recipe, prepared), 1)
        found: dict[str, Any] = {"kilobytes": kilobytes}
        if self.kilobytes is not None:
            proposal.trial.set_constraint("kilobytes", kilobytes - self.kilobytes)
            if kilobytes > self.kilobytes:
                found["note"] = f"over {self.kilobytes:g} KB"
                # What the others are compared with is trained all the same.
                if proposal.number > 1:
                    return Outcome.LEFT_OUT, found
        try:
            return Outcome.TRAINED, found | self._train(proposal, recipe, prepared, began)
        except _HopelessError as error:
            return Outcome.STOPPED, found | {"note": str(error)}

    def _train(
        self, proposal: Proposal, recipe: Recipe, prepared: Done[Prepared], began: float
    ) -> dict[str, Any]:
        watch = _Watch(proposal, recipe.training.epochs, self.budget, self.judging)
        trained = train_candidate(self.run, self.workspace, recipe, prepared, watch)
        watch.report_all(trained.report)
        trained_at = self.budget.spent
        right = right_reviews(recipe, prepared, trained)
        self.judging = max(self.judging, self.budget.spent - trained_at)
        # Of a training that was done before, or in part, this run saw too little.
        rate = max(trained.report.seconds_per_epoch, (self.budget.spent - began) / trained.report.epochs)
        return {
            "accuracy": float(right.mean()),
            "seconds_per_epoch": round(rate, 3),
            "right": "".join("01"[each] for each in right.tolist()),
        }


class _Watch:
    """Ends a training that is hopeless, or that the budget does not suffice for."""

    def __init__(self, proposal: Proposal, epochs: int, budget: Budget, reserve: float) -> None:
        self._number, self._trial = proposal.number, proposal.trial
        self._epochs, self._budget, self._reserve = epochs, budget, reserve
        self._epoch = 0
        self._reported: set[int] = set()
        self._seconds: list[float] = []

    def begin_epoch(self, number: int) -> None:
        self._epoch = number

    def end_batch(self, loss: float) -> None:
        self._budget.beat()
        if self._budget.left <= self._reserve:
            raise self._out_of_time(_USED_UP)

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        self._seconds.append(seconds)
        self._report(number, figures["val_accuracy"])
        if number == self._epochs:
            return
        if self._trial.should_prune():
            msg = f"after epoch {number} of {self._epochs}, at {figures['val_accuracy']:.4f}"
            raise _HopelessError(msg)
        # In the first one the network is compiled, too.
        needed = min(self._seconds) * (self._epochs - number) + self._reserve
        if len(self._seconds) > 1 and needed > self._budget.left:
            told = f"{needed:.0f} s more are needed, {self._budget.left:.0f} s are left"
            raise self._out_of_time(told)

    def report_all(self, trained: Trained) -> None:
        """Report the epochs that were done in an earlier run, too."""
        for number, accuracy in enumerate(trained.history["val_accuracy"], start=1):
            self._report(number, accuracy)

    def _report(self, number: int, accuracy: float) -> None:
        if number not in self._reported:
            self._reported.add(number)
            self._trial.report(accuracy, number)

    def _out_of_time(self, why: str) -> _OutOfTimeError:
        where = f"candidate {self._number}, epoch {self._epoch} of {self._epochs}"
        return _OutOfTimeError(f"{where}: {why}; with more minutes it goes on from there")
