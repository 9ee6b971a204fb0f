"""A candidate: what its bundle will weigh, how it is trained, and which validation reviews it gets right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chain import RunStage, taught_and_pretrained
from pipeline.corpora.splits import load_split, load_words
from pipeline.golden import golden_reviews
from pipeline.graphs.lean import export_lean
from pipeline.networks.fitting import Watcher
from pipeline.networks.recurrent import build_network, load_network
from pipeline.recipe import Recipe
from pipeline.reports import Prepared, Trained
from pipeline.runtime.golden_rows import GoldenRow, write_golden
from pipeline.runtime.scorer import INPUT, OUTPUT, open_session
from pipeline.runtime.text import Tokenizer
from pipeline.workspace import Done, Workspace

KILOBYTE = 1000
_DESCRIBED = 13_000
"""Bytes of the manifest, the card and the facts in the graph, which tell of a finished training: 9,800 to
12,400 in bundles of the recipes ``seed`` and ``quick``."""
_SOME_SCORE = 1 / 3
"""With as many digits as most scores have."""
_THRESHOLD = 0.5
"""One that was chosen on the very reviews would flatter."""
_BATCH = 256


def train_candidate(
    run: RunStage, workspace: Workspace, recipe: Recipe, prepared: Done[Prepared], watcher: Watcher
) -> Done[Trained]:
    """Run the chain's stages from a candidate's prepared reviews to its trained weights."""
    others = taught_and_pretrained(run, workspace, recipe, prepared)
    trained: Done[Trained] = run("train", workspace, recipe, prepared, *others, watcher=watcher)
    return trained


def bundle_kilobytes(recipe: Recipe, prepared: Done[Prepared]) -> float:
    """Weigh the bundle that a recipe will be published as, before its network is trained.

    The graph is written from fresh weights and the real vocabulary: how much room numbers take does not
    depend on what they are.

    Returns:
        Thousands of bytes of all the bundle's files together, if no gate refuses the recipe's storage.
    """
    graph = _graph_of(recipe, build_network(recipe.text, recipe.network).get_weights())
    words = load_words(prepared[Prepared.WORDS])
    reviews = golden_reviews(words, recipe.text.max_length)
    encoded = Tokenizer(recipe.text_rule, words).encode_batch(reviews)
    ids = np.split(encoded.token_ids, encoded.offsets[1:-1])
    rows = [GoldenRow(review, row.tolist(), _SOME_SCORE) for review, row in zip(reviews, ids, strict=True)]
    parts = len(graph), len("\n".join(words).encode()), len(write_golden(rows)), _DESCRIBED
    return sum(parts) / KILOBYTE


def right_reviews(recipe: Recipe, prepared: Done[Prepared], trained: Done[Trained]) -> NDArray[np.bool_]:
    """Tell of each validation review whether a trained network, as it would be shipped, gives it its label.

    It is scored by the graph with the recipe's storage.
    """
    network = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    session = open_session(_graph_of(recipe, network.get_weights()))
    split = load_split(prepared[Prepared.VALIDATION])
    batches = range(0, len(split.labels), _BATCH)
    scores = [session.run([OUTPUT], {INPUT: split.ids[first : first + _BATCH]})[0] for first in batches]
    right: NDArray[np.bool_] = (np.concatenate(scores) >= _THRESHOLD) == (split.labels == 1)
    return right


def _graph_of(recipe: Recipe, weights: list[Any]) -> bytes:
    graph = export_lean(weights, recipe.network, recipe.text.max_length, recipe.export.weights)
    content: bytes = graph.SerializeToString()
    return content
