"""``resenha inspect`` and ``resenha verify``: what a bundle says, and whether it is true."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.options import bundle_path, digest_option

_bundle_argument = click.argument(
    "bundle", required=False, type=click.Path(path_type=Path), envvar="RESENHA_BUNDLE"
)


@click.command(short_help="Show what is in a bundle.")
@_bundle_argument
@click.option("--json", "as_json", is_flag=True, help="Print facts and manifest as JSON.")
def inspect(bundle: Path | None, as_json: bool) -> None:
    """Show what BUNDLE (a folder or a model.onnx) is, after checking its digests.

    \b
    Examples:
      resenha inspect
      resenha inspect artifacts/current --json | python -m json.tool
    """
    from pipeline.runtime.bundle import open_bundle
    from pipeline.runtime.histograms import Histograms
    from pipeline.runtime.rows import printable
    from pipeline.runtime.scorer import Scorer

    opened = open_bundle(bundle_path(bundle))
    scorer = Scorer(opened)
    facts, manifest = scorer.facts, opened.manifest
    if as_json:
        record = {"facts": asdict(facts), "manifest": asdict(manifest) if manifest else None}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    rule = facts.text_rule
    lines = {
        "recipe": facts.name,
        "corpus": f"{facts.corpus} ({facts.provenance})",
        "text": f"{len(scorer.tokenizer.words):,} words, ids below {rule.num_words:,}, "
        f"last {rule.max_length} ids of a review, html breaks: {rule.html_breaks}",
        "labels": f"{facts.labels[1]} from a score of {facts.threshold:g}, else {facts.labels[0]}",
    }
    if manifest:
        low, high = manifest.metrics["accuracy_interval"]
        validated = Histograms.from_record(manifest.reference).total
        lines |= {
            "accuracy": f"{manifest.metrics['accuracy']:.4f} on {manifest.metrics['reviews']:,} test reviews "
            f"(95 % interval {low:.4f} to {high:.4f})",
            "parity": f"largest difference {manifest.parity['largest']:.1e} to the network with these "
            f"weights, {manifest.parity['labels_changed']} labels changed",
            "graph": "{form}, {bytes:,} bytes, opset {opset}".format_map(manifest.graph),
            "operators": ", ".join(f"{name} {n}" for name, n in sorted(manifest.graph["operators"].items())),
            "reference": f"histograms of {validated:,} validation reviews (see resenha drift)",
            "files": ", ".join(f"{name} {record.size:,} B" for name, record in manifest.files.items()),
            "digest": manifest.digest,
        }
    else:
        lines["files"] = "a graph alone: no manifest vouches for its bytes"
    for name, text in lines.items():
        click.echo(f"{name:<10} {printable(text)}")


@click.command(short_help="Check a bundle's digests and test it on this machine.")
@_bundle_argument
@digest_option
def verify(bundle: Path | None, digest: str | None) -> None:
    """Check every file of BUNDLE against its manifest, then score its golden rows on this machine.

    \b
    Examples:
      resenha verify
      resenha verify artifacts/bundles/seed/0f3a5c7d9e1b
      resenha verify copied/bundle --digest bundle.sha256
    """
    from pipeline.runtime.bundle import open_bundle
    from pipeline.runtime.rows import printable
    from pipeline.runtime.scorer import Scorer
    from pipeline.runtime.self_test import forget_self_test, run_self_test

    opened = open_bundle(bundle_path(bundle), digest=digest)
    forget_self_test(opened)  # What fails from now on can't have passed.
    test = run_self_test(opened, Scorer(opened))
    click.echo(
        f"{printable(str(opened.path))}: {len(opened.files) + 1} files as published; "
        f"{test.rows} golden rows score as published (largest difference {test.largest_difference:.1e})"
    )
