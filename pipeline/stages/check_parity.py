"""Check parity: does an ONNX graph, fed with text, score as the trained network does? Which one goes on?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.corpora.splits import load_reviews, load_split, load_words
from pipeline.gates import Gate, require
from pipeline.graphs.checks import float_weights
from pipeline.graphs.quantized import LEVELS, expanded_weights, in_rows, storage_of
from pipeline.network_shape import weight_names
from pipeline.networks.keras_text import keras_padded_ids
from pipeline.networks.recurrent import load_network, predict_scores, replace_weights
from pipeline.parity import (
    Floats,
    judge_company,
    judge_ids,
    judge_padding,
    judge_quantization,
    judge_scores,
    judge_stored_rows,
    judge_weights,
)
from pipeline.recipe import Recipe
from pipeline.reports import Compared, Exported, Prepared, Trained
from pipeline.runtime.cores import usable_cores
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.text import TextRule, Tokenizer, split_words
from pipeline.workspace import Done, Workspace

_IN_COMPANY = 512
"""Rows that are scored again in every batch size; the smaller batches make it slow."""


def check_parity(
    workspace: Workspace,
    recipe: Recipe,
    prepared: Done[Prepared],
    trained: Done[Trained],
    exported: Done[Exported],
) -> Done[Compared]:
    """Hold the exported graphs against the trained network, from the text on, and choose one.

    The first that passes every gate goes on, in the order of preference in which they were
    exported; what refused the ones before it is kept. The rows are every test review, reviews of
    lengths around the limits, and every word of the vocabulary by itself, so that no weight and no
    word can be wrong without a score moving.

    Raises:
        GateError: If each graph was refused; the message tells of the last one, the plain one.
    """
    done = workspace.run_stage(
        "check_parity",
        recipe.name,
        partial(_choose, recipe, prepared, trained, exported),
        report_type=Compared,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "gates": recipe.gates.model_dump(),
        },
        inputs=prepared.pick(Prepared.TEST, Prepared.TEST_REVIEWS, Prepared.WORDS)
        | trained.pick(Trained.WEIGHTS)
        | exported.pick(*map(Exported.file_of, exported.report.graphs)),
    )
    require([Gate(**gate) for gate in done.report.gates], report=done.folder)
    return done


def _choose(
    recipe: Recipe, prepared: Done[Prepared], trained: Done[Trained], exported: Done[Exported], _folder: Path
) -> Compared:
    rows = _rows(prepared, recipe.text_rule)
    network = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    scores = predict_scores(network, rows.ids).astype(np.float64)
    refused: dict[str, list[str]] = {}
    for form in exported.report.graphs:
        parity, gates = _judge(recipe, rows, network, scores, exported[Exported.file_of(form)])
        chosen = Compared(form, parity, [gate.to_record() for gate in gates], dict(refused))
        if all(gate.passed for gate in gates):
            break
        refused[form] = [str(gate) for gate in gates if not gate.passed]
    return chosen


@dataclass(frozen=True)
class _Rows:
    """Texts to compare on; the test reviews come first."""

    texts: list[str]
    names: list[str]
    """What a message calls each."""
    ids: NDArray[np.int32]
    """Padded token ids as Keras gives them."""
    prepared_ids: NDArray[np.int32]
    """Padded token ids of the test reviews as they were evaluated."""
    labels: NDArray[np.bool_]
    """Of the test reviews."""


def _rows(prepared: Done[Prepared], rule: TextRule) -> _Rows:
    words = load_words(prepared[Prepared.WORDS])
    reviews = [review.text for review in load_reviews(prepared[Prepared.TEST_REVIEWS])]
    test = load_split(prepared[Prepared.TEST])
    rated = np.flatnonzero(Tokenizer(rule, words).encode_batch(reviews).tokens)
    spoken = cycle(word for number in rated for word in split_words(reviews[number], rule.html_breaks))
    # In ids, the start mark included, these are 2, 3, one below the limit, the limit, and beyond.
    limit = rule.max_length
    lengths = [length for length in (1, 2, limit - 2, limit - 1, limit, 3 * limit) if length > 0]
    texts = [reviews[number] for number in rated]
    texts += [" ".join(islice(spoken, length)) for length in lengths]
    texts += words
    return _Rows(
        texts,
        [f"test review {number}" for number in rated]
        + [f"a review of {length} words" for length in lengths]
        + [f"the word of rank {rank} alone" for rank in range(1, len(words) + 1)],
        keras_padded_ids(texts, words, rule),
        test.ids[rated],
        test.labels[rated].astype(bool),
    )


def _judge(
    recipe: Recipe, rows: _Rows, network: keras.Model, scores: Floats, path: Path
) -> tuple[dict[str, Any], list[Gate]]:
    """Judge one graph by every gate; only by the first ones where token ids differ."""
    scorer, model = Scorer.load(path, threads=max(2, usable_cores())), onnx.load(path)
    rule, tests = recipe.text_rule, len(rows.labels)
    encoded = scorer.tokenizer.encode_batch(rows.texts)
    found_ids = pad_batch(encoded, np.arange(len(encoded)), width=rule.max_length)
    gates = [
        judge_ids("token_ids", rows.names, rows.ids, found_ids),
        judge_ids("prepared_ids", rows.names[:tests], rows.ids[:tests], rows.prepared_ids),
    ]
    if not all(gate.passed for gate in gates):
        return {}, gates
    found = scorer.score_batch(encoded).astype(np.float64)
    of_quantization: list[Gate] = []
    if stored := expanded_weights(model):
        trained = dict(zip(weight_names(recipe.network), network.get_weights(), strict=True))
        of_quantization = [
            *(
                judge_stored_rows(
                    name, in_rows(name, trained[name]), rows, LEVELS[storage_of(name, recipe.export.weights)]
                )
                for name, rows in stored.items()
            ),
            *judge_quantization(scores[:tests], found[:tests], rows.labels, scorer.threshold, recipe.gates),
        ]
        others = {name: rows.reshape(trained[name].shape) for name, rows in stored.items()}
        network = replace_weights(recipe.text, recipe.network, network, others)
        scores = predict_scores(network, rows.ids).astype(np.float64)
    of_padding = predict_scores(network, np.zeros((1, rule.max_length), np.int32))
    parity, of_scores = judge_scores(rows.names, scores, found, scorer.threshold, recipe.gates)
    nearest = np.argsort(abs(scores - scorer.threshold), kind="stable")[:_IN_COMPANY]
    gates += [
        *of_scores,
        judge_weights(network.get_weights(), float_weights(model)),
        judge_padding(scorer, float(of_padding[0]), recipe.gates),
        judge_company(scorer, [rows.texts[place] for place in nearest], recipe.gates),
        *of_quantization,
    ]
    parity |= {gate.name: gate.figure for gate in gates if gate.name in ("padding", "company")}
    return parity, gates
