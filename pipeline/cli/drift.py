"""``resenha drift``: whether what was scored is still like what the bundle was validated on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import bundle_path
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.runtime.drift import Drift
    from pipeline.runtime.histograms import Histograms
    from pipeline.runtime.summary_reading import ScoredWork

_DRIFTED = 3


@click.command(short_help="Compare what was scored with what the bundle was validated on.")
@click.argument("summaries", nargs=-1, required=True, metavar="SUMMARY...")
@click.option(
    "-b",
    "--bundle",
    type=click.Path(path_type=Path),
    help="Folder of the bundle, where the summaries do not carry its reference.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["moderate", "major"]),
    help="End with status 3 where a feature's verdict is this one or a worse one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def drift(summaries: tuple[str, ...], bundle: Path | None, fail_on: str | None, as_json: bool) -> int:
    """Say whether scores, lengths and unknown words are spread as in the bundle's validation split.

    SUMMARY is the _summary.json of a scoring run, a folder that holds one, or - for standard input.
    Those of several runs and machines are added up. No text of any review is in them.

    \b
    For each feature: PSI (population stability index; moderate from 0.1, major from 0.25), the PSI
    that chance alone exceeds once in a thousand comparisons of so many rows, and the Jensen-Shannon
    divergence in bits. The verdict is stable, moderate, major, or "too few" where chance alone would
    pass for a major change.

    \b
    Examples:
      resenha drift scored/
      resenha drift edge-*/_summary.json --fail-on major
      ssh edge-7 cat scored/_summary.json | resenha drift - --json

    \b
    Exit status: 0 compared, whatever was found · 2 wrong usage, no such summary, or summaries of
    different bundles · 3 compared, and --fail-on asked for this status · 5 bundle refused ·
    6 input or output failed
    """
    from pipeline.runtime.drift import Verdict, compare
    from pipeline.runtime.summary_reading import merge_works, read_works

    work = merge_works(read_works(summaries))
    reference = _find_reference(work, bundle)
    drifts = compare(reference, work.histograms)
    if as_json:
        click.echo(json.dumps(_record(work, len(summaries), reference, drifts), indent=2))
    else:
        click.echo("\n".join(_lines(work, len(summaries), reference, drifts)))
    alarms = {"major": {Verdict.MAJOR}, "moderate": {Verdict.MODERATE, Verdict.MAJOR}}.get(
        fail_on or "", set()
    )
    return _DRIFTED if any(each.verdict in alarms for each in drifts) else 0


def _find_reference(work: ScoredWork, bundle: Path | None) -> Histograms:
    """Give the validation split's histograms, of the bundle that is named or else of the summaries."""
    from pipeline.runtime.bundle import read_manifest
    from pipeline.runtime.histograms import Histograms

    if bundle is not None:
        manifest = read_manifest(bundle_path(bundle))
        if manifest.digest != work.digest:
            msg = (
                f"{bundle} is the bundle {manifest.digest[:12]}, and {work.name} was scored with "
                f"{work.bundle_name} {work.digest[:12]}; name the bundle that scored"
            )
            raise UsageError(msg)
        return Histograms.from_record(manifest.reference)
    if work.reference is None:
        msg = (
            f"{work.name} carries no reference to compare with; name the folder of the bundle "
            f"{work.bundle_name} {work.digest[:12]} with --bundle"
        )
        raise UsageError(msg)
    return work.reference


def _record(
    work: ScoredWork, summaries: int, reference: Histograms, drifts: list[Drift]
) -> dict[str, object]:
    from pipeline.runtime.drift import tell

    return {
        "bundle": {"digest": work.digest, "name": work.bundle_name},
        "summaries": summaries,
        "rows_in": work.rows_in,
        "scored": work.scored,
        "reference_rows": reference.total,
        "features": [asdict(each) for each in drifts],
        "finding": tell(drifts),
    }


def _lines(work: ScoredWork, summaries: int, reference: Histograms, drifts: list[Drift]) -> Iterator[str]:
    from pipeline.runtime.drift import tell

    files = "1 summary" if summaries == 1 else f"{summaries:,} summaries"
    yield (
        f"bundle {work.bundle_name} {work.digest[:12]}: {work.scored:,} of {work.rows_in:,} rows scored "
        f"({files}), beside {reference.total:,} reviews of its validation split"
    )
    row = "{:<13} {:>13} {:>8} {:>10} {:>14}  {}".format
    yield row("feature", "rows", "PSI", "by chance", "Jensen-Shannon", "verdict")
    for each in drifts:
        figures = (each.psi, each.chance_psi, each.jensen_shannon)
        shown = ("-" if figure is None else f"{figure:.4f}" for figure in figures)
        yield row(each.feature, f"{each.rows:,}", *shown, each.verdict)
    yield tell(drifts)
