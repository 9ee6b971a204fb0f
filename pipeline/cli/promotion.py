"""``resenha history``, ``rollback`` and ``promote``: which bundle ``artifacts/current`` names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import GateError, UsageError

if TYPE_CHECKING:
    from pipeline.reports import Comparison
    from pipeline.workspace import Workspace

_artifacts_option = click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts"),
    show_default=True,
    help="Where bundles are kept.",
)


def _check_folder(artifacts: Path) -> None:
    """Refuse to look for promotions, and to leave a lock, where there is nothing."""
    if not artifacts.is_dir():
        msg = f"there is no folder {artifacts}: --artifacts names the one that `make pipeline` fills"
        raise UsageError(msg)


@click.command(short_help="Show what was promoted, and when.")
@_artifacts_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def history(artifacts: Path, as_json: bool) -> None:
    """Show every switch of ARTIFACTS/current, the last one last; * marks the bundle it names.

    A line tells when and how the bundle was promoted, its accuracy, where it lies, and in the place of
    which one. "found promoted" is a switch whose own line was lost, as by a crash in between.

    \b
    Examples:
      resenha history
      resenha history --json | tail -1

    \b
    Exit status: 0 shown · 2 wrong usage, or no such folder · 6 input or output failed
    """
    from pipeline.promotion import promoted_manifest, read_history
    from pipeline.runtime.rows import printable
    from pipeline.workspace import Workspace

    _check_folder(artifacts)
    workspace = Workspace(artifacts)
    entries, promoted = read_history(workspace), promoted_manifest(workspace)
    current = promoted.digest if promoted else None
    if not entries:
        click.echo(f"nothing was promoted in {printable(str(artifacts))} yet", err=True)
    elif entries[-1]["digest"] != current:
        names = f"names {current[:12]}" if current else "names nothing that can be read"
        told = f"{printable(str(workspace.current))} {names}, which is not what the last line tells"
        click.echo(told, err=True)
    present = max((number for number, each in enumerate(entries) if each["digest"] == current), default=-1)
    for number, entry in enumerate(entries):
        line = json.dumps(entry) if as_json else printable(_line(entry, is_present=number == present))
        click.echo(line)


def _line(entry: dict[str, Any], *, is_present: bool) -> str:
    accuracy, replaced = entry.get("accuracy"), entry.get("replaced")
    figure = f"{accuracy:.4f}" if isinstance(accuracy, float) else "-"
    instead = f"  (was {replaced[:12]})" if isinstance(replaced, str) else ""
    when, how = str(entry.get("promoted_at", "-")), str(entry.get("how", "promoted"))
    return f"{'*' if is_present else ' '} {when}  {how:<16} {figure:<6}  {entry['bundle']}{instead}"


@click.command(short_help="Go back to the bundle that was promoted before.")
@_artifacts_option
@click.option("--to", "wanted", metavar="VERSION", help="The bundle to go back to, by how its digest begins.")
def rollback(artifacts: Path, wanted: str | None) -> None:
    """Let ARTIFACTS/current name the bundle again that was promoted before the present one.

    It is checked and tested on this machine first. Going back twice goes further back, not to and fro;
    with --to any bundle of the history is gone to, also one that was taken back.

    \b
    Examples:
      resenha rollback
      resenha rollback --to 1363323da749

    \b
    Exit status: 0 done · 2 wrong usage, or there is nothing to go back to · 5 that bundle is not
    whole any more or fails its self-test, and nothing was switched · 6 input or output failed
    """
    from pipeline.promotion import roll_back
    from pipeline.runtime.rows import printable
    from pipeline.workspace import Workspace

    _check_folder(artifacts)
    workspace = Workspace(artifacts)
    manifest = roll_back(workspace, wanted)
    name = f"{manifest.recipe.get('name')}/{manifest.digest[:12]}"
    click.echo(f"rolled back: {printable(str(workspace.current))} names {printable(name)}")


@dataclass(frozen=True)
class _Limits:
    max_degradation: float
    minimum_accuracy: float


@click.command(short_help="Promote a published bundle by hand.")
@click.argument("bundle", type=click.Path(path_type=Path))
@_artifacts_option
@click.option(
    "--max-degradation",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Accuracy that may be lost against the promoted bundle.",
)
@click.option(
    "--minimum-accuracy",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Accuracy that it has to have.",
)
@click.option(
    "--unmeasured",
    is_flag=True,
    help="Also where nothing compares the two, as where they were measured on different test reviews.",
)
def promote(
    bundle: Path, artifacts: Path, max_degradation: float, minimum_accuracy: float, unmeasured: bool
) -> None:
    """Let ARTIFACTS/current name BUNDLE, a folder under ARTIFACTS/bundles.

    It is checked, tested on this machine, and held against the promoted bundle by what their
    manifests say; where they were measured on other test reviews, only --unmeasured goes on. One that
    learnt from made-up reviews never takes the place of one that did not.

    \b
    Examples:
      resenha promote artifacts/bundles/quick/1363323da749
      resenha promote artifacts/bundles/seed/0f3a5c7d9e1b --max-degradation 0.02

    \b
    Exit status: 0 promoted, or it was already · 2 wrong usage, or nothing compares the two ·
    5 refused, and nothing was switched · 6 input or output failed
    """
    from pipeline.runtime.rows import printable
    from pipeline.workspace import Workspace

    _check_folder(artifacts)
    workspace = Workspace(artifacts)
    if not bundle.exists():
        msg = f"there is no bundle at {bundle}: check the path"
        raise UsageError(msg)
    if not bundle.resolve().is_relative_to(workspace.bundles.resolve()):
        msg = f"{bundle} does not lie under {workspace.bundles}: copy it there, artifacts move as a whole"
        raise UsageError(msg)
    told = _promote(workspace, bundle, _Limits(max_degradation, minimum_accuracy), unmeasured=unmeasured)
    click.echo(f"promoted: {printable(str(workspace.current))} names {printable(str(bundle))}; {told}")


def _promote(workspace: Workspace, bundle: Path, limits: _Limits, *, unmeasured: bool) -> Comparison:
    """Judge by the manifests, switch, and give the comparison."""
    from pipeline.comparison import judge, reason_to_wait, require_all
    from pipeline.promotion import BY_HAND, promotion_lock, settle_history, switch
    from pipeline.runtime.bundle import MANIFEST, read_manifest

    with promotion_lock(workspace):
        settle_history(workspace)
        comparison = judge(workspace, bundle, limits)
        require_all(comparison, report=bundle / MANIFEST)
        manifest = read_manifest(bundle)
        if comparison.promoted == manifest.digest:
            return comparison
        if (obstacle := reason_to_wait(workspace, manifest)) is not None:
            raise GateError(obstacle)
        if comparison.promoted and comparison.promoted_accuracy is None and not unmeasured:
            reason = comparison.gates[-1]["message"]
            msg = f"nothing compares the two: {reason}; --unmeasured promotes {bundle} all the same"
            raise UsageError(msg)
        switch(workspace, bundle, manifest, BY_HAND)
        return comparison
