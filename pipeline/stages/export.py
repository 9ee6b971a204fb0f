"""Export: the network as one ONNX file that carries its text rule and vocabulary."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import onnx

from pipeline.corpora.splits import load_words
from pipeline.graphs.checks import check_graph
from pipeline.graphs.portable import OPSET, export_portable
from pipeline.networks.recurrent import load_network
from pipeline.recipe import Recipe
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
    """Convert the network to ONNX, add what the scorer needs, and check the graph.

    Raises:
        BundleError: If the graph holds what a bundle's graph may not.
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
        settings={"network": recipe.network.model_dump(), "facts": facts.to_metadata(())},
        inputs=prepared.pick(Prepared.WORDS) | trained.pick(Trained.WEIGHTS),
    )


def _export(
    recipe: Recipe, facts: ModelFacts, words: tuple[str, ...], trained: Done[Trained], folder: Path
) -> Exported:
    model = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    graph = export_portable(model, recipe.text.max_length)
    onnx.helper.set_model_props(graph, facts.to_metadata(words))
    operators = check_graph(graph)
    content = graph.SerializeToString(deterministic=True)
    (folder / Exported.MODEL).write_bytes(content)
    return Exported(operators, OPSET, len(content))
