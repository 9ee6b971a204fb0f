"""What a search found: its lines, its summary, and the tuned recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.metrics import paired_interval
from pipeline.ranges import RANGES, with_settings
from pipeline.recipe import Recipe
from pipeline.reports import Acquired
from pipeline.tuning.study import Outcome, Tried

_WIDTH = 26
"""Of the summary's first column."""
_DELETE = "\x7f"


@dataclass(frozen=True)
class Difference:
    """How far two candidates are apart on the same reviews."""

    only_best: int
    """Reviews to which only the best candidate gives their label."""
    only_default: int
    reviews: int
    rivals: int
    """Candidates of which the best one was chosen."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference, corrected for the choice."""
        return paired_interval(self.only_best, self.only_default, self.reviews, comparisons=self.rivals)

    @property
    def is_noise(self) -> bool:
        """Whether chance alone may have made it."""
        return self.interval[0] <= 0

    def __str__(self) -> str:
        (low, high), found = self.interval, (self.only_best - self.only_default) / self.reviews
        return f"{found:+.4f} (95 % interval {low:+.4f} to {high:+.4f}, for a choice among {self.rivals})"


def tell_candidate(tried: Tried, default: Mapping[str, Any]) -> str:
    """Tell in one line what became of a candidate."""
    parts = [str(tried.outcome) if tried.accuracy is None else f"validation accuracy {tried.accuracy:.4f}"]
    if tried.note:
        parts[0] += f" ({tried.note})"
    if tried.kilobytes is not None:
        parts.append(f"{tried.kilobytes:.0f} KB")
    settings = ", ".join(_differences(tried.settings, default)) or "the recipe as it stands"
    return f"candidate {tried.number}: " + " · ".join([*parts, f"{tried.seconds:.1f} s", settings])


def _differences(settings: Mapping[str, Any], default: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if value != default[name]:
            yield f"{name} {_toml_value(value)}"


@dataclass(frozen=True)
class Searched:
    """A search that came to its end, or to that of its time."""

    recipe: Recipe
    """As it stands."""
    acquired: Acquired
    tried: list[Tried]
    kilobytes: float | None
    """The largest bundle that was asked for."""
    spent: float
    """Seconds."""
    ending: str
    """Why there were no more candidates."""

    @property
    def default(self) -> Tried:
        """The recipe as it stands.

        Raises:
            UsageError: If the time did not suffice for it.
        """
        if not self.tried:
            msg = (
                f"the recipe as it stands could not be trained in time ({self.ending}): the same command "
                f"with more --minutes goes on where it was"
            )
            raise UsageError(msg)
        return self.tried[0]

    @property
    def best(self) -> Tried:
        """The candidate with the best validation accuracy; of equals the smallest, then the first.

        Raises:
            UsageError: If none that was trained is small enough.
        """
        trained = [each for each in self.tried if each.accuracy is not None]
        limit = self.kilobytes if self.kilobytes is not None else np.inf
        small = [each for each in trained if each.kilobytes is not None and each.kilobytes <= limit]
        if not small:
            msg = (
                f"of {len(self.tried)} candidates none was trained whose bundle has at most {limit:g} KB "
                f"({self.ending}): give more --kilobytes or --minutes, or ranges with smaller networks"
            )
            raise UsageError(msg)
        return max(small, key=lambda each: (each.accuracy, -(each.kilobytes or 0), -each.number))

    @cached_property
    def difference(self) -> Difference:
        """The best candidate's accuracy beside the default's, on the same reviews."""
        pairs = list(zip(self.best.right, self.default.right, strict=True))
        rivals = self._count(Outcome.TRAINED, Outcome.STOPPED) - 1
        return Difference(pairs.count(("1", "0")), pairs.count(("0", "1")), len(pairs), max(1, rivals))

    def _count(self, *outcomes: Outcome) -> int:
        return sum(each.outcome in outcomes for each in self.tried)

    def summary(self) -> str:
        """Give the table that a search ends with."""
        default, best = self.default, self.best
        names = [name for name, value in best.settings.items() if value != default.settings[name]]
        counts = ", ".join(f"{self._count(each)} {each}" for each in Outcome)
        rows = [
            ("", "as it stands", f"best (candidate {best.number})"),
            ("validation accuracy", f"{default.accuracy:.4f}", f"{best.accuracy:.4f}"),
            ("bundle, KB, about", f"{default.kilobytes:.0f}", f"{best.kilobytes:.0f}"),
            ("seconds for an epoch", f"{default.seconds_per_epoch:.1f}", f"{best.seconds_per_epoch:.1f}"),
            *((name, *(_toml_value(each.settings[name]) for each in (default, best))) for name in names),
            *([] if best is default else self._compared()),
            ("candidates", f"{len(self.tried)}: {counts}; {self.spent / 60:.1f} minutes", ""),
            ("ended", self.ending, ""),
        ]
        lines = [f"{first:<{_WIDTH}} {second:<14} {third}".rstrip() for first, second, third in rows]
        return "\n".join(["", *(f"  {line}" for line in (*lines, *self._cautions()))])

    def _compared(self) -> list[tuple[str, str, str]]:
        found = self.difference
        return [
            ("right where the other errs", str(found.only_default), str(found.only_best)),
            ("difference", str(found), ""),
        ]

    def _cautions(self) -> list[str]:
        if self.best is self.default:
            return ["Nothing that was tried is better than the recipe as it stands."]
        told = ["Chosen on these very reviews: on new ones expect less, and measure with `resenha train`."]
        if self.difference.is_noise:
            told.insert(0, "WARNING: the difference is within noise: the recipe as it stands may be as good.")
        return told

    def to_toml(self) -> str:
        """Give the tuned recipe, complete, with comments that say where it came from."""
        default, best, acquired = self.default, self.best, self.acquired
        counted = f"{len(self.tried)} candidates on {self.difference.reviews:,} validation reviews"
        comments = [
            f"Made by `resenha tune` from the recipe {self.recipe.name}, in {self.spent / 60:.1f} minutes.",
            f"The best of {counted} of {acquired.corpus} ({acquired.provenance}):",
            f"accuracy {best.accuracy:.4f}; that of the recipe as it stood {default.accuracy:.4f}.",
            *([] if best is default else [f"Difference {self.difference}."]),
            *self._cautions(),
        ]
        record = with_settings(self.recipe, best.settings).model_dump(exclude={"name", RANGES})
        for key in ("train", "test"):
            if record["corpus"][key] is not None:
                # A recipe's paths start from its own folder, and nobody knows where this one will lie.
                record["corpus"][key] = str(Path(record["corpus"][key]).absolute())
        return "\n".join([*(f"# {line}" for line in comments), *_toml_lines(record)]) + "\n"


def _toml_lines(record: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """Write a table, its own keys first; what is None has no place in TOML, and is a default."""
    for name, value in record.items():
        if value is not None and not isinstance(value, Mapping):
            yield f"{name} = {_toml_value(value)}"
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from ("", f"[{table}{name}]")
            yield from _toml_lines(value, f"{table}{name}.")


def _toml_value(value: Any) -> str:
    """Write a value; JSON's texts, truth values and lists are TOML's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
