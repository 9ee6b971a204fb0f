"""Export: the network as ONNX graphs, each one file that carries its text rule and vocabulary."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import onnx

from pipeline.corpora.splits import load_words
from pipeline.graphs.checks import check_graph
from pipeline.graphs.lean import export_lean
from pipeline.graphs.portable import export_portable
from pipeline.networks.recurrent import load_network
from pipeline.recipe import FULL_STORAGE, Recipe
from pipeline.reports import Acquired, Evaluated, Exported, Prepared, Trained
from pipeline.runtime.model_facts import FACTS_VERSION, ModelFacts
from pipeline.workspace import Done, Workspace


def export(
    workspace: Workspace,
    recipe: Recipe,
    acquired: Done[Acquired],
    prepared: Done[Prepared],
    trained: Done[Trained],
    evaluated: Done[Evaluated],
) -> Done[Exported]:
    """Write the network as ONNX graphs, add what the scorer needs, and check them.

    Raises:
        BundleError: If a graph holds what a bundle's graph may not.
    """
    facts = ModelFacts(
        facts_version=FACTS_VERSION,
        name=recipe.name,
        corpus=acquired.report.corpus,
        provenance=acquired.report.provenance,
        text_rule=recipe.text_rule,
        threshold=evaluated.report.threshold,
        labels=(recipe.corpus.negative, recipe.corpus.positive),
    )
    words = load_words(prepared[Prepared.WORDS])
    return workspace.run_stage(
        "export",
        recipe.name,
        partial(_export, recipe, facts, tuple(words), trained),
        report_type=Exported,
        settings={
            "network": recipe.network.model_dump(),
            "export": recipe.export.model_dump(),
            "facts": facts.to_metadata(()),
        },
        inputs=prepared.pick(Prepared.WORDS) | trained.pick(Trained.WEIGHTS),
    )


def _export(
    recipe: Recipe, facts: ModelFacts, words: tuple[str, ...], trained: Done[Trained], folder: Path
) -> Exported:
    network = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    weights, length = network.get_weights(), recipe.text.max_length
    graphs: dict[str, onnx.ModelProto] = {
        storage: export_lean(weights, recipe.network, length, storage)
        for storage in dict.fromkeys((recipe.export.weights, FULL_STORAGE))
    }
    graphs[Exported.PLAIN] = export_portable(network, length)
    found: dict[str, dict[str, Any]] = {}
    for form, graph in graphs.items():
        onnx.helper.set_model_props(graph, facts.to_metadata(words))
        operators = check_graph(graph)
        content = graph.SerializeToString(deterministic=True)
        (folder / Exported.file_of(form)).write_bytes(content)
        found[form] = {
            "operators": operators,
            "opset": graph.opset_import[0].version,
            "bytes": len(content),
        }
    return Exported(found)
