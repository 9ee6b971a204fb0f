"""``resenha history``, ``rollback`` and ``promote``: which bundle ``artifacts/current`` names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.errors import UsageError

_artifacts_option = click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts"),
    show_default=True,
    help="Where bundles are kept.",
)


@click.command(short_help="Show what was promoted, and when.")
@_artifacts_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def history(artifacts: Path, as_json: bool) -> None:
    """Show every switch of ARTIFACTS/current, the last one last; * marks the bundle it names.

    \b
    Examples:
      resenha history
      resenha history --json | tail -1
    """
    from pipeline.promotion import promoted_manifest, read_history
    from pipeline.runtime.rows import printable
    from pipeline.workspace import Workspace

    workspace = Workspace(artifacts)
    entries, current = read_history(workspace), promoted_manifest(workspace)
    if not entries:
        click.echo(f"nothing was promoted in {printable(str(artifacts))} yet", err=True)
    for entry in entries:
        if as_json:
            click.echo(json.dumps(entry))
            continue
        is_current = current is not None and entry["digest"] == current.digest and entry is entries[-1]
        accuracy = f"{entry['accuracy']:.4f}" if isinstance(entry.get("accuracy"), float) else "-"
        words = [entry.get("promoted_at", "-"), entry.get("how", "promoted"), accuracy, entry["bundle"]]
        click.echo(
            printable(f"{'*' if is_current else ' '} {words[0]}  {words[1]:<16} {accuracy}  {words[3]}")
        )


@click.command(short_help="Go back to the bundle that was promoted before.")
@_artifacts_option
@click.option("--to", "wanted", metavar="VERSION", help="The bundle to go back to, by how its digest begins.")
def rollback(artifacts: Path, wanted: str | None) -> None:
    """Let ARTIFACTS/current name the bundle again that was promoted before the present one.

    It is checked and tested on this machine first. Going back twice goes further back.

    \b
    Examples:
      resenha rollback
      resenha rollback --to 1363323da749

    \b
    Exit status: 0 done · 2 there is nothing to go back to · 5 that bundle is not whole any more
    """
    from pipeline.promotion import roll_back
    from pipeline.workspace import Workspace

    workspace = Workspace(artifacts)
    manifest = roll_back(workspace, wanted)
    click.echo(f"rolled back: {workspace.current} names {manifest.recipe['name']}/{manifest.digest[:12]}")


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
    "--minimum-accuracy", type=click.FloatRange(0, 1), default=0.0, help="Accuracy that it has to have."
)
@click.option(
    "--unmeasured",
    is_flag=True,
    help="Also where the promoted bundle was measured on other test reviews, so that nothing compares them.",
)
def promote(
    bundle: Path, artifacts: Path, max_degradation: float, minimum_accuracy: float, unmeasured: bool
) -> None:
    """Let ARTIFACTS/current name BUNDLE, a folder under ARTIFACTS/bundles.

    It is checked, tested on this machine, and held against the promoted bundle by what their
    manifests say; where they were measured on other test reviews, only --unmeasured goes on.

    \b
    Examples:
      resenha promote artifacts/bundles/quick/1363323da749

    \b
    Exit status: 0 promoted · 2 wrong usage · 5 refused
    """
    from pipeline.gates import Gate, require
    from pipeline.promotion import BY_HAND, judge, promoted_manifest, promotion_lock, settle_history, switch
    from pipeline.runtime.bundle import MANIFEST, read_manifest
    from pipeline.workspace import Workspace

    workspace = Workspace(artifacts)
    if not bundle.resolve().is_relative_to(workspace.bundles.resolve()):
        msg = f"{bundle} does not lie under {workspace.bundles}: copy it there, artifacts move as a whole"
        raise UsageError(msg)
    with promotion_lock(workspace):
        settle_history(workspace)
        comparison = judge(workspace, bundle, _Limits(max_degradation, minimum_accuracy))
        gates = [Gate(**gate) for gate in comparison.gates]
        require(gates, report=bundle / MANIFEST, kept="the bundle was not promoted")
        manifest, promoted = read_manifest(bundle), promoted_manifest(workspace)
        is_same = promoted is not None and promoted.digest == manifest.digest
        if promoted and not is_same and comparison.promoted_accuracy is None and not unmeasured:
            msg = (
                "the promoted bundle was measured on other test reviews, so that nothing compares the two: "
                "--unmeasured promotes it all the same"
            )
            raise UsageError(msg)
        if not is_same:
            switch(workspace, bundle, manifest, BY_HAND)
    click.echo(f"promoted: {workspace.current} names {bundle}; {comparison}")
