"""What became of every row of a run, as counts that add up over parts and machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pipeline.errors import ResenhaError
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.scorer import ScoreColumns
from pipeline.runtime.summary_reading import SUMMARY_VERSION


@dataclass
class Summary:
    """Counts of rows; none of them holds a word of a review."""

    rows_in: int = 0
    """Rows read, and files that could not be read, each counted once."""
    scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Rejects by code."""
    labels: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    """Scored reviews of which the bundle's ``max_length`` cut words off."""
    tokens: int = 0
    """Words of the scored reviews."""
    unknown_tokens: int = 0
    """Those of them that are not in the vocabulary."""
    blank_lines: int = 0
    passed_over: int = 0
    """Entries of input folders that are no ``.txt`` files."""
    repeated_ids: int = 0
    """Scored rows with an id that one of up to 100,000 rows before them had, too."""
    histograms: Histograms = field(default_factory=Histograms)

    def count_scores(self, columns: ScoreColumns, labels: tuple[str, str]) -> None:
        """Count the reviews that have a score."""
        is_scored = np.isfinite(columns.scores)
        scored, positive = int(is_scored.sum()), int((is_scored & columns.is_positive).sum())
        self.scored += scored
        for label, count in zip(labels, (scored - positive, positive), strict=True):
            if count:
                self.labels[label] += count
        self.truncated += int((is_scored & columns.truncated).sum())
        self.tokens += int(columns.tokens[is_scored].sum())
        self.unknown_tokens += int(columns.unknown[is_scored].sum())
        self.histograms.add(
            scores=columns.scores[is_scored],
            tokens=columns.tokens[is_scored],
            unknown_share=columns.unknown_share[is_scored],
        )

    @property
    def unknown_share(self) -> float:
        """Of all words of the scored reviews, the share that is not in the vocabulary."""
        return round(self.unknown_tokens / self.tokens, 6) if self.tokens else 0.0

    def merge(self, other: Summary) -> None:
        """Add what another one has counted."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, int):
                setattr(self, each.name, mine + theirs)
            elif isinstance(mine, Counter):
                mine.update(theirs)
            else:
                mine.merge(theirs)

    def check_conservation(self) -> None:
        """Refuse to call a run finished in which a row got lost or doubled."""
        if self.rows_in != self.scored + self.rejected.total() or self.histograms.total != self.scored:
            msg = (
                f"{self.rows_in:,} rows were read but {self.scored:,} scored and "
                f"{self.rejected.total():,} rejected: a row got lost or doubled; please report this"
            )
            raise ResenhaError(msg)

    def to_record(self) -> dict[str, Any]:
        """Give the counts as JSON can hold them, in a fixed order."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("rejected", "labels"):
            record[name] = dict(sorted(record[name].items()))
        return record | {"histograms": self.histograms.to_record(), "unknown_share": self.unknown_share}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Summary:
        """Read what ``to_record`` gave; other keys are left out.

        Raises:
            ValueError: If a count is missing or none.
        """
        summary = cls()
        for each in fields(cls):
            value, kind = record.get(each.name), type(getattr(summary, each.name))
            if kind is Histograms:
                summary.histograms = Histograms.from_record(value)
            elif kind is Counter and isinstance(value, dict) and all(map(_is_count, value.values())):
                setattr(summary, each.name, Counter(value))
            elif kind is int and _is_count(value):
                setattr(summary, each.name, value)
            else:
                msg = f"{each.name!r} is no count"
                raise ValueError(msg)
        return summary


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def summary_record(
    summary: Summary, bundle: Mapping[str, str], reference: Mapping[str, Any] | None, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the summary of a run as JSON can hold it.

    Args:
        summary: The counts.
        bundle: Name and digest.
        reference: Histograms that the bundle carries; None where it carries none.
        about: What else is to be told, before the counts.
    """
    return {
        "summary_version": SUMMARY_VERSION,
        "bundle": dict(bundle),
        **about,
        **summary.to_record(),
        "reference": reference,
    }
