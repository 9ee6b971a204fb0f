"""What a scoring run shows in the UI: one page, ``scores-NAME``, of counts and of drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from flows.pages import keep, key_of, table
from pipeline.cli.destination import tell_summary
from pipeline.runtime.drift import compare, tell
from pipeline.runtime.histograms import Histograms


def show_scores(output: Path, page: dict[str, Any]) -> None:
    """Show the summary of a directory of scores; no text of any review is in it.

    Args:
        output: The directory.
        page: Its summary, as ``_summary.json`` has it.
    """
    told, bundle = tell_summary(page), page["bundle"]
    where = f"`{output}`: {page['parts']:,} parts, `_summary.json`, `rejects.jsonl`"
    lines = [
        f"# Scores: {output.name}",
        "",
        told,
        "",
        f"{where}. Bundle {bundle['name']}, `{bundle['digest']}`.",
        "",
        *_rejects(page["rejected"]),
        *_drift(page),
    ]
    keep(
        create_markdown_artifact,
        key=key_of("scores", output.name),
        markdown="\n".join(lines),
        description=told,
    )


def _rejects(rejected: dict[str, int]) -> list[str]:
    if not rejected:
        return []
    rows = [(code, f"{count:,}") for code, count in rejected.items()]
    return ["## Rejected", "", *table(("why", "rows"), rows), ""]


def _drift(page: dict[str, Any]) -> list[str]:
    if not page["reference"]:
        return []
    drifts = compare(Histograms.from_record(page["reference"]), Histograms.from_record(page["histograms"]))
    rows = [
        (each.feature, f"{each.rows:,}", *map(_figure, (each.psi, each.chance_psi)), str(each.verdict))
        for each in drifts
    ]
    head = ("feature", "rows", "PSI", "by chance", "verdict")
    return ["## Beside the bundle's validation split", "", *table(head, rows), "", tell(drifts)]


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
