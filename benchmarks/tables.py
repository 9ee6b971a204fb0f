"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.pairing import Spread
from benchmarks.targets import Figure


@dataclass(frozen=True)
class Table:
    """One table with what its reader has to know."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def to_markdown(self, *, warning: str = "") -> str:
        """Give title, table and notes; the first column is text, the others stand to the right."""
        lines = [
            f"### {warning}{self.title}",
            "",
            _line(self.head),
            _line(["---", *["---:"] * (len(self.head) - 1)]),
            *map(_line, self.rows),
        ]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Section:
    """What one contest found."""

    tables: Sequence[Table]
    figures: Mapping[Figure, Spread] = field(default_factory=dict)
    """What the targets are held against."""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def spread_text(spread: Spread, unit: str = "") -> str:
    """Give median and extremes, as ``1,234 (1,200 to 1,300)``."""
    return f"{number_text(spread.median)}{unit} ({number_text(spread.low)} to {number_text(spread.high)})"


def number_text(value: float) -> str:
    """Give a number with the digits that a measurement deserves."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
