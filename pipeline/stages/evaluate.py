"""Evaluate: measure the network on the test split, and refuse it if it is not fit to ship."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.corpora.splits import Split, load_split
from pipeline.gates import Gate, require
from pipeline.metrics import SplitFacts, choose_threshold, finite_gate, measure, quality_gates
from pipeline.networks.recurrent import load_network, predict_scores
from pipeline.pictures import draw_evaluation
from pipeline.recipe import Recipe
from pipeline.reports import Acquired, Evaluated, Prepared, Trained
from pipeline.runtime.histograms import Histograms
from pipeline.runtime.text import unknown_shares
from pipeline.workspace import Done, Workspace


def evaluate(
    workspace: Workspace,
    recipe: Recipe,
    acquired: Done[Acquired],
    prepared: Done[Prepared],
    trained: Done[Trained],
) -> Done[Evaluated]:
    """Score the validation and test splits with Keras, measure, write the evaluation, and judge.

    Raises:
        GateError: If a gate refuses the network; the evaluation can be read all the same.
    """
    done = workspace.run_stage(
        "evaluate",
        recipe.name,
        partial(_evaluate, recipe, acquired.report, prepared, trained),
        report_type=Evaluated,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "evaluation": recipe.evaluation.model_dump(),
            "gates": recipe.gates.model_dump(),
            "corpus": [acquired.report.corpus, acquired.report.provenance],
            "history": trained.report.history,
        },
        inputs=prepared.pick(Prepared.VALIDATION, Prepared.TEST) | trained.pick(Trained.WEIGHTS),
    )
    require([Gate(**gate) for gate in done.report.gates], report=done[Evaluated.PAGE])
    return done


def _evaluate(
    recipe: Recipe, acquired: Acquired, prepared: Done[Prepared], trained: Done[Trained], folder: Path
) -> Evaluated:
    model = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    validation, test = (load_split(prepared[name]) for name in (Prepared.VALIDATION, Prepared.TEST))
    expected = predict_scores(model, validation.ids)
    finite = finite_gate(expected)
    threshold = recipe.evaluation.threshold
    if threshold == "validation":
        threshold = choose_threshold(expected, validation.labels) if finite.passed else 0.5
    scores = predict_scores(model, test.ids)
    gates = quality_gates(scores, test.labels, threshold, recipe.gates) if finite.passed else [finite]
    facts = SplitFacts(test.lengths, test.unknown)
    metrics = measure(scores, test.labels, threshold, facts) if np.isfinite(scores).all() else {}
    reference = _count(validation, expected).to_record() if finite.passed else {}
    report = Evaluated(threshold, metrics, [gate.to_record() for gate in gates], reference)
    (folder / Evaluated.METRICS).write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
    (folder / Evaluated.PAGE).write_text(_page(recipe, acquired, metrics, gates), "utf-8")
    if metrics:
        learnt = trained.report
        picture = draw_evaluation(learnt.history, learnt.kept_epoch, scores, test.labels)
        (folder / Evaluated.PICTURE).write_bytes(picture)
    return report


def _count(split: Split, scores: NDArray[np.float32]) -> Histograms:
    """Count a split's reviews as a scorer counts what it scores: those without a word get no score."""
    histograms, has_word = Histograms(), split.lengths > 0
    histograms.add(
        scores=scores[has_word],
        tokens=split.lengths[has_word].astype(np.int64),
        unknown_share=unknown_shares(split.unknown, split.lengths)[has_word],
    )
    return histograms


def _page(recipe: Recipe, acquired: Acquired, metrics: dict[str, Any], gates: list[Gate]) -> str:
    lines = [f"# Evaluation: recipe {recipe.name}, corpus {acquired.corpus} ({acquired.provenance})", ""]
    if metrics:
        lines += _figures(metrics)
    lines += ["## Gates", "", "| gate | passed | figure | limit | |", "|---|---|---:|---|---|"]
    for gate in gates:
        figure = "" if gate.figure is None else f"{gate.figure:.6g}"
        passed = "yes" if gate.passed else "**NO**"
        lines.append(f"| {gate.name} | {passed} | {figure} | {gate.limit} | {gate.message} |")
    return "\n".join(lines) + "\n"


def _figures(metrics: dict[str, Any]) -> list[str]:
    low, high = metrics["accuracy_interval"]
    confusion = metrics["confusion"]
    share, threshold = metrics["positive_share"], metrics["threshold"]
    lines = [
        f"On {metrics['reviews']:,} test reviews, {share:.1%} positive; called so from {threshold:g} on.",
        "",
        "| measure | value |",
        "|---|---:|",
        f"| Accuracy | {metrics['accuracy']:.4f} |",
        f"| … 95 % interval (Wilson) | {low:.4f} to {high:.4f} |",
        f"| Accuracy at a threshold of 0.5 | {metrics['accuracy_at_half']:.4f} |",
        f"| Area under the ROC curve | {metrics['auc']:.4f} |",
        f"| Log-loss, nats | {metrics['log_loss']:.4f} |",
        f"| Brier score | {metrics['brier_score']:.4f} |",
        f"| Expected calibration error, 10 bins | {metrics['calibration_error']:.4f} |",
        "",
        "| | called negative | called positive |",
        "|---|---:|---:|",
        f"| negative | {confusion['true_negative']:,} | {confusion['false_positive']:,} |",
        f"| positive | {confusion['false_negative']:,} | {confusion['true_positive']:,} |",
        "",
    ]
    for title, key in (("By length", "by_length"), ("By share of unknown words", "by_unknown_share")):
        lines += [f"## {title}", "", "| | reviews | accuracy | 95 % interval |", "|---|---:|---:|---|"]
        for bucket in metrics[key]:
            bucket_low, bucket_high = bucket["accuracy_interval"]
            lines.append(
                f"| {bucket['bucket']} | {bucket['reviews']:,} | {bucket['accuracy']:.4f} "
                f"| {bucket_low:.4f} to {bucket_high:.4f} |"
            )
        lines.append("")
    return lines
