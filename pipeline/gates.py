"""Gates: checks that can refuse a bundle, each with its figure and its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import GateError


@dataclass(frozen=True)
class Gate:
    """The outcome of one check."""

    name: str
    passed: bool
    figure: float | None
    """What was measured; None where there is nothing to measure against."""
    limit: str
    """What the figure had to keep to."""
    message: str
    """What it means, and where it refused, what to look at."""

    def to_record(self) -> dict[str, Any]:
        """Give the gate as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        figure = "no figure" if self.figure is None else f"{self.figure:.6g}"
        return f"{self.name}: {figure}, limit {self.limit}: {self.message}"


def require(gates: Iterable[Gate], *, report: Path, kept: str = "nothing was published") -> None:
    """Let a network pass only if every gate did.

    Args:
        gates: Outcomes, the most telling first.
        report: Where the figures can be read.
        kept: What did not come of it.

    Raises:
        GateError: If one refused; the message holds each that did.
    """
    gates = list(gates)
    refused = [gate for gate in gates if not gate.passed]
    if refused:
        reasons = "\n".join(f"  gate {gate}" for gate in refused)
        msg = f"refused, {kept} and artifacts/current is as it was:\n{reasons}\n  figures: {report}"
        error = GateError(msg)
        error.gates, error.report = [gate.to_record() for gate in gates], report
        raise error
