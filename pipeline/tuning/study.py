"""The study: every candidate that had its turn, kept in a file, and the proposal of the next one.

Optuna proposes and keeps the record. A proposal depends on the seed and on the candidates before it alone, so
one that was cut short, by a kill or for want of time, is proposed again and goes on where it was.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from pipeline.errors import InputOutputError, OutputInUse
from pipeline.ranges import Choices, Range
from pipeline.workspace import fingerprint

_JOURNAL, _LOCK = "study.jsonl", "lock"
_TRIED, _SPENT = "tried", "seconds"
_DRAWN_AT_FIRST = 5
"""Candidates before the record has a say in what is proposed."""
_JUDGED_AT_FIRST, _EPOCHS_AT_FIRST = 3, 2
"""Trained candidates, and epochs of a training, before one can be hopeless: the first tell too little."""
_DRAWS = 1000
"""Before it is said that there is nothing new."""
_DIGITS = 3
"""Of a number that is proposed."""


class Outcome(StrEnum):
    """What became of a candidate."""

    TRAINED = "trained"
    STOPPED = "stopped"
    """Not as good as the median of the others after as many epochs."""
    LEFT_OUT = "left out"
    """Before it was trained: its bundle is too large, or its settings do not go together."""


@dataclass(frozen=True)
class Tried:
    """A candidate that had its turn."""

    number: int
    """From 1, which is the recipe as it stands."""
    settings: dict[str, Any]
    """By dotted name, of every setting that there is a range for."""
    outcome: Outcome
    seconds: float
    """What it took of the budget in the run that ended it."""
    note: str = ""
    kilobytes: float | None = None
    accuracy: float | None = None
    """On the validation reviews, of one that was trained."""
    seconds_per_epoch: float | None = None
    """All that it took, over its epochs."""
    right: str = ""
    """For each validation review a 1 where it was given its label, and a 0 where not."""


@dataclass(frozen=True)
class Proposal:
    """A candidate whose turn it is."""

    number: int
    settings: dict[str, Any]
    trial: Trial


class Study:
    """A study that is open; see ``open_study``."""

    def __init__(
        self, study: optuna.Study, ranges: Mapping[str, Range], default: Mapping[str, Any], seed: int
    ) -> None:
        self._study, self._ranges, self._default, self._seed = study, ranges, default, seed
        self._distributions = {name: _distribution(each) for name, each in ranges.items()}

    @property
    def spent(self) -> float:
        """Seconds that earlier runs have spent."""
        return float(self._study.user_attrs.get(_SPENT, 0.0))

    def note_spent(self, seconds: float) -> None:
        """Keep what was spent in all."""
        self._study.set_user_attr(_SPENT, seconds)

    @property
    def tried(self) -> list[Tried]:
        """Every candidate that had its turn, in their order."""
        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        records = [trial.user_attrs[_TRIED] for trial in ended]
        return [Tried(**{**each, "outcome": Outcome(each["outcome"])}) for each in records]

    def propose(self) -> Proposal | None:
        """Give the next candidate; None where the ranges hold nothing new any more.

        The first one is the recipe as it stands, whatever the ranges are.
        """
        for left in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(left.number, state=TrialState.FAIL)
        tried = self.tried
        number, known = len(tried) + 1, [each.settings for each in tried]
        if not tried:
            within = {name: value for name, value in self._default.items() if value in self._ranges[name]}
            return Proposal(number, dict(self._default), self._ask(within))
        seed = int(fingerprint([self._seed, number])[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_DRAWN_AT_FIRST)
        trial = self._study.ask(self._distributions)
        if self._settings(trial.params) in known:
            self._study.tell(trial, state=TrialState.FAIL)
            if (settings := self._something_new(known, seed)) is None:
                return None
            trial = self._ask(settings)
        return Proposal(number, self._settings(trial.params), trial)

    def _ask(self, settings: Mapping[str, Any]) -> Trial:
        """Begin a trial whose settings are not Optuna's to choose."""
        # A process that was killed here has left one waiting, with the same settings.
        if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            fixed = {name: _encode(self._ranges[name], value) for name, value in settings.items()}
            self._study.enqueue_trial(fixed)
        return self._study.ask({name: self._distributions[name] for name in settings})

    def _something_new(self, known: list[dict[str, Any]], seed: int) -> dict[str, Any] | None:
        """Draw settings that were not tried before; None where that finds none."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        drawn = (self._settings(study.ask(self._distributions).params) for _ in range(_DRAWS))
        return next((settings for settings in drawn if settings not in known), None)

    def _settings(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _decode(self._ranges[name], value) for name, value in parameters.items()}

    def keep(self, trial: Trial, tried: Tried) -> None:
        """Keep what became of a candidate; what comes after it is proposed with that in mind."""
        trial.set_user_attr(_TRIED, asdict(tried))
        if tried.outcome is Outcome.TRAINED:
            self._study.tell(trial, tried.accuracy)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)


@contextmanager
def open_study(
    folder: Path, ranges: Mapping[str, Range], default: Mapping[str, Any], seed: int
) -> Iterator[Study]:
    """Open a study, or begin it, and let nobody else search there meanwhile.

    Args:
        folder: Of this study alone.
        ranges: What is searched.
        default: The recipe's own settings, for every range.
        seed: Of the proposals.

    Raises:
        OutputInUse: If somebody searches there.
        InputOutputError: If what is there cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / _JOURNAL
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{folder} is in use: another `resenha tune` searches there; wait for it, or end it"
            raise OutputInUse(msg) from error
        _mend(journal)
        try:
            kept = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(journal))),
                study_name=folder.name,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(_JUDGED_AT_FIRST, _EPOCHS_AT_FIRST),
                load_if_exists=True,
            )
        except (ValueError, KeyError) as error:
            msg = f"{journal} cannot be read ({error}): remove it to search anew; what was trained is kept"
            raise InputOutputError(msg) from error
        yield Study(kept, ranges, default, seed)


def _mend(journal: Path) -> None:
    """Take away what a killed process left: Optuna's own lock, and half a line."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists() and not (content := journal.read_bytes()).endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)


def _distribution(each: Range) -> BaseDistribution:
    if isinstance(each, Choices):
        # Optuna chooses among plain values; a choice may be a list.
        return CategoricalDistribution(list(dict.fromkeys(map(json.dumps, each.values))))
    if isinstance(each.low, int) and isinstance(each.high, int):
        return IntDistribution(each.low, each.high, log=each.is_log)
    return FloatDistribution(each.low, each.high, log=each.is_log)


def _decode(each: Range, value: Any) -> Any:
    if isinstance(each, Choices):
        return json.loads(value)
    if isinstance(value, int):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), each.low), each.high)


def _encode(each: Range, value: Any) -> Any:
    return json.dumps(value) if isinstance(each, Choices) else value
