"""Publish: the bundle in its place, whole."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from pipeline.corpora.corpus import Provenance
from pipeline.errors import BundleError
from pipeline.gates import Gate, require
from pipeline.golden import golden_reviews
from pipeline.promotion import promotion_lock
from pipeline.recipe import Recipe
from pipeline.reports import Acquired, Compared, Evaluated, Exported, Prepared, Published
from pipeline.runtime.bundle import (
    CARD,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    FileRecord,
    Manifest,
    open_bundle,
)
from pipeline.runtime.durable import write_durably
from pipeline.runtime.golden_rows import write_golden
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import run_self_test, score_golden
from pipeline.workspace import (
    Done,
    Workspace,
    code_of,
    put_in_place,
    remove_leftovers,
    temporary_name,
)


def publish(
    workspace: Workspace,
    recipe: Recipe,
    acquired: Done[Acquired],
    prepared: Done[Prepared],
    evaluated: Done[Evaluated],
    exported: Done[Exported],
    compared: Done[Compared],
) -> Published:
    """Put the bundle together and publish it by one rename.

    Done every time, since that is quick; a bundle that is already published is used as it is. Two runs at
    once publish one after the other, so that neither takes away what the other has just put there.

    Raises:
        GateError: If a gate refuses; nothing was published then.
        BundleError: If the bundle fails its own self-test.
    """
    gates = [Gate(**gate) for gate in (*evaluated.report.gates, *compared.report.gates)]
    require(gates, report=evaluated[Evaluated.PAGE])
    files = _make_files(exported[Exported.file_of(compared.report.form)])
    manifest = _make_manifest(recipe, acquired, prepared, evaluated, exported, compared, files)
    bundle = workspace.bundles / recipe.name / manifest.digest[:12]
    with promotion_lock(workspace):
        _put_in_place(bundle, files | {MANIFEST: manifest.to_bytes()})
    return Published(str(bundle), manifest.digest, [gate.to_record() for gate in gates])


def _make_files(model: Path) -> dict[str, bytes]:
    scorer = Scorer.load(model)
    reviews = golden_reviews(scorer.tokenizer.words, scorer.facts.text_rule.max_length)
    golden = write_golden([score_golden(scorer, review) for review in reviews])
    return {MODEL: model.read_bytes(), GOLDEN: golden}


def _make_manifest(
    recipe: Recipe,
    acquired: Done[Acquired],
    prepared: Done[Prepared],
    evaluated: Done[Evaluated],
    exported: Done[Exported],
    compared: Done[Compared],
    files: dict[str, bytes],
) -> Manifest:
    """Describe a bundle, and add its card, which is written from the description, to its files."""
    packages: dict[str, str] = {}
    for stage in ("prepare", "train", "evaluate", "export", "check_parity"):
        packages |= code_of(f"pipeline.stages.{stage}")["packages"]
    description: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "recipe": recipe.to_record(),
        "corpus": {
            "name": acquired.report.corpus,
            "provenance": acquired.report.provenance,
            "archives": acquired.report.archives,
            "train_sha256": prepared.digests[Prepared.TRAIN],
            "test_sha256": acquired.digests[Acquired.TEST],
            "reviews": prepared.report.reviews,
        },
        "packages": packages,
        "metrics": evaluated.report.metrics,
        "gates": [*evaluated.report.gates, *compared.report.gates],
        "parity": compared.report.parity,
        "graph": {
            "form": compared.report.form,
            "refused": compared.report.refused,
            **exported.report.graphs[compared.report.form],
        },
        "reference": evaluated.report.reference,
    }
    files[CARD] = _card(recipe, description).encode()
    records = {
        name: FileRecord(hashlib.sha256(content).hexdigest(), len(content))
        for name, content in sorted(files.items())
    }
    return Manifest(**description, files=records).sealed()


_WARNINGS = {
    Provenance.SYNTHETIC.value: "Made from synthetic reviews: it shows the way, and judges nothing real.",
    Provenance.UNVERIFIED.value: "The reviews it learnt from are unverified: no checksum vouches for them.",
}


def _card(recipe: Recipe, description: dict[str, Any]) -> str:
    """Write the bundle's README out of its manifest's fields."""
    metrics, corpus, parity = description["metrics"], description["corpus"], description["parity"]
    low, high = metrics["accuracy_interval"]
    network, warning = recipe.network, _WARNINGS.get(corpus["provenance"])
    lines = [
        f"# {recipe.name}: scores reviews as {recipe.corpus.negative} or {recipe.corpus.positive}",
        "",
        recipe.description,
        *(["", f"**{warning}**"] if warning else []),
        "",
        f"- **Network**: embedding {network.embedding_size}, {network.cell} recurrent cell with",
        f"  {network.units} units, one sigmoid. It reads the last {recipe.text.max_length} ids of a review.",
        f"- **Learnt from**: {corpus['reviews']['train']:,} reviews of the corpus `{corpus['name']}`",
        f"  ({corpus['provenance']}).",
        *_teacher_lines(recipe, corpus["reviews"].get("unlabelled", 0)),
        f"- **Accuracy**: {metrics['accuracy']:.4f} on {metrics['reviews']:,} test reviews",
        f"  (95 % interval {low:.4f} to {high:.4f}), area under the ROC curve {metrics['auc']:.4f},",
        f"  calibration error {metrics['calibration_error']:.4f}.",
        "- **Parity**: the ONNX graph scores as the trained network with the graph's weights does, within",
        f"  {parity['largest']:.1e} on {parity['rows']:,} rows.",
        *_graph_lines(description["graph"], description["gates"]),
        "- **Golden rows** are made up by the project: no review that was learnt from is in this folder.",
        "  The vocabulary in `model.onnx` does come from those reviews.",
        "",
        "Score with it: `resenha score reviews.csv --bundle FOLDER`. Test it here: `resenha verify FOLDER`.",
        "Do not use it to judge people, or texts unlike those it learnt from.",
    ]
    return "\n".join(lines) + "\n"


def _teacher_lines(recipe: Recipe, unlabelled: int) -> list[str]:
    """Tell whose scores it learnt from beside the labels."""
    if recipe.teacher is None:
        return []
    return [
        f"- **Taught by**: an NB-SVM over runs of up to {recipe.teacher.ngrams} words, which scored these",
        f"  reviews, and {unlabelled:,} unlabelled ones.",
    ]


def _graph_lines(graph: dict[str, Any], gates: list[dict[str, Any]]) -> list[str]:
    """Tell how the graph is written, and what spoke against the forms that would have been preferred."""
    kind = "as tf2onnx wrote it" if graph["form"] == Exported.PLAIN else f"lean, weights {graph['form']}"
    lines = [f"- **Graph**: {kind}, {graph['bytes']:,} bytes, opset {graph['opset']}."]
    lines += [f"  {gate['name']}: {gate['message']}." for gate in gates if gate["name"].startswith("quant")]
    for form, reasons in graph["refused"].items():
        lines.append(f"  Not {form}: {'; '.join(reasons)}.")
    return lines


def _put_in_place(bundle: Path, files: dict[str, bytes]) -> None:
    """Write a bundle under a temporary name, test it, and rename it; one that is there and whole stays."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(bundle.parent)
    temporary = temporary_name(bundle)
    temporary.mkdir()
    try:
        for name, content in files.items():
            write_durably(temporary / name, content)
        opened = open_bundle(temporary)
        run_self_test(opened, Scorer(opened))
        put_in_place(temporary, bundle, is_whole=lambda: _is_whole(bundle))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_whole(bundle: Path) -> bool:
    try:
        open_bundle(bundle)
    except BundleError:
        return False
    return True
