"""Check parity: does the ONNX graph, fed with text, score as the trained network does?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.corpora.splits import load_reviews, load_split, load_words
from pipeline.gates import Gate, require
from pipeline.graphs.checks import float_weights
from pipeline.networks.keras_text import keras_padded_ids
from pipeline.networks.recurrent import load_network, predict_scores
from pipeline.recipe import GateSettings, Recipe
from pipeline.reports import Compared, Exported, Prepared, Trained
from pipeline.runtime.padding import pad_reviews
from pipeline.runtime.rows import Score
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.text import split_words
from pipeline.workspace import Done, Workspace

BATCH_SIZES = (1, 2, 7, 64, 512)
_IN_COMPANY = 512
"""Rows that are scored again in every batch size; the smaller batches make it slow."""

Floats = NDArray[np.float64]


def check_parity(
    workspace: Workspace,
    recipe: Recipe,
    prepared: Done[Prepared],
    trained: Done[Trained],
    exported: Done[Exported],
) -> Done[Compared]:
    """Hold the exported graph against the trained network, from the text on.

    The rows are every test review, reviews of lengths around the limits, and every word of the
    vocabulary by itself, so that no weight and no word can be wrong without a score moving.

    Raises:
        GateError: If token ids, a score or a label differ by more than the recipe allows.
    """
    done = workspace.run_stage(
        "check_parity",
        recipe.name,
        partial(_compare, recipe, prepared, trained, exported),
        report_type=Compared,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "gates": recipe.gates.model_dump(),
        },
        inputs=prepared.pick(Prepared.TEST, Prepared.TEST_REVIEWS, Prepared.WORDS)
        | trained.pick(Trained.WEIGHTS)
        | exported.pick(Exported.MODEL),
    )
    require([Gate(**gate) for gate in done.report.gates], report=done.folder)
    return done


def _compare(
    recipe: Recipe, prepared: Done[Prepared], trained: Done[Trained], exported: Done[Exported], _folder: Path
) -> Compared:
    model = load_network(recipe.text, recipe.network, trained[Trained.WEIGHTS])
    scorer = Scorer.load(exported[Exported.MODEL])
    words = load_words(prepared[Prepared.WORDS])
    rows = _rows(prepared, scorer, words)
    expected_ids = keras_padded_ids(rows.texts, words, recipe.text_rule)
    id_gate = _id_gate(rows, expected_ids, load_split(prepared[Prepared.TEST]).ids, scorer)
    if not id_gate.passed:
        return Compared({}, [id_gate.to_record()])
    expected = predict_scores(model, expected_ids).astype(np.float64)
    results = scorer.score_reviews(rows.texts)
    found = np.array([row.score if isinstance(row, Score) else np.nan for row in results])
    padding = np.zeros((1, recipe.text.max_length), dtype=np.int32)
    of_padding = _score_padding(scorer, recipe.text.max_length) - predict_scores(model, padding)[0]
    parity, gates = judge_scores(rows.names, expected, found, scorer.threshold, recipe.gates)
    parity["padding_only"] = float(abs(of_padding).max())
    nearest = np.argsort(abs(expected - scorer.threshold), kind="stable")[:_IN_COMPANY]
    gates += [
        _weights_gate(model.get_weights(), exported[Exported.MODEL]),
        _padding_gate(parity["padding_only"], recipe.gates),
        _company_gate([rows.texts[place] for place in nearest], exported[Exported.MODEL], recipe.gates),
    ]
    parity["company"] = gates[-1].figure
    return Compared(parity, [gate.to_record() for gate in (id_gate, *gates)])


@dataclass(frozen=True)
class _Rows:
    """Texts to compare on; the test reviews come first."""

    texts: list[str]
    names: list[str]
    """What a message calls each."""


def _rows(prepared: Done[Prepared], scorer: Scorer, words: Sequence[str]) -> _Rows:
    reviews = [review.text for review in load_reviews(prepared[Prepared.TEST_REVIEWS])]
    rated = [number for number, text in enumerate(reviews) if scorer.tokenizer.encode(text).tokens]
    rule = scorer.facts.text_rule
    spoken = cycle(word for number in rated for word in split_words(reviews[number], rule.html_breaks))
    # In ids, the start mark included, these are 2, 3, one below the limit, the limit, and beyond.
    limit = rule.max_length
    lengths = [length for length in (1, 2, limit - 2, limit - 1, limit, 3 * limit) if length > 0]
    return _Rows(
        [reviews[number] for number in rated]
        + [" ".join(islice(spoken, length)) for length in lengths]
        + list(words),
        [f"test review {number}" for number in rated]
        + [f"a review of {length} words" for length in lengths]
        + [f"the word of rank {rank} alone" for rank in range(1, len(words) + 1)],
    )


def _id_gate(
    rows: _Rows, expected: NDArray[np.int32], prepared_ids: NDArray[np.int32], scorer: Scorer
) -> Gate:
    encoded = [scorer.tokenizer.encode(text).token_ids for text in rows.texts]
    found = pad_reviews(encoded, expected.shape[1])
    differs = (found != expected).any(axis=1)
    for place, name in enumerate(rows.names):
        if name.startswith("test review "):
            number = int(name.removeprefix("test review "))
            differs[place] |= bool((prepared_ids[number] != expected[place]).any())
    count = int(differs.sum())
    message = f"ids from text are Keras's on all {len(rows.texts):,} rows"
    if count:
        place = int(differs.argmax())
        column = int((found[place] != expected[place]).argmax())
        message = (
            f"{count:,} of {len(rows.texts):,} rows have other token ids than Keras gives; first "
            f"{rows.names[place]}: at place {column} {found[place][column]}, "
            f"Keras {expected[place][column]}. Look at the text rule, the padding and the vocabulary"
        )
    return Gate("token_ids", count == 0, float(count), "0 rows", message)


def judge_scores(
    names: Sequence[str], expected: Floats, found: Floats, threshold: float, limits: GateSettings
) -> tuple[dict[str, Any], list[Gate]]:
    """Compare scores row by row.

    Args:
        names: What a message calls each row.
        expected: Keras's scores, shape ``(rows,)``.
        found: ONNX Runtime's scores; NaN where there is none.
        threshold: Score from which a row is positive.
        limits: The largest difference allowed. Within it around the threshold a label may change;
            such rows are counted.

    Returns:
        The figures, and the gates ``scores`` and ``labels``.
    """
    differences = np.nan_to_num(abs(found - expected), nan=np.inf)
    changed = (found >= threshold) != (expected >= threshold)
    outside = changed & (abs(expected - threshold) > limits.parity_tolerance)
    worst = int(differences.argmax())
    largest = float(differences[worst])
    parity = {
        "rows": len(names),
        "largest": largest,
        "mean": float(differences.mean()),
        "percentile_99_9": float(np.quantile(differences, 0.999)),
        "worst_row": names[worst],
        "labels_changed": int(changed.sum()),
        "labels_changed_outside_band": int(outside.sum()),
        "changed_rows": [names[place] for place in np.flatnonzero(changed).tolist()],
        "band": limits.parity_tolerance,
    }
    tolerance = limits.parity_tolerance
    relation = "≤" if largest <= tolerance else ">"
    worst_row = (
        f"{names[worst]}: Keras {expected[worst]:.7f}, ONNX {found[worst]:.7f}, difference {largest:.1e} "
        f"{relation} tolerance {tolerance:.0e}; {int(changed.sum()):,} of {len(names):,} labels change"
    )
    which = ", ".join(names[place] for place in np.flatnonzero(outside)[:5]) or "none"
    return parity, [
        Gate("scores", largest <= tolerance, largest, f"at most {tolerance:.0e}", worst_row),
        Gate("labels", not outside.any(), float(outside.sum()), "0 outside the band", f"changed: {which}"),
    ]


def _weights_gate(weights: Sequence[NDArray[np.float32]], graph: Path) -> Gate:
    """Look for every trained value in the graph, bit for bit, as often as it occurs.

    Converters reorder gates and transpose matrices, so places are not compared; a value in the
    wrong place moves a score. A rare word's value moves no score by much, so it is looked for here.
    """
    wanted, times = np.unique(_bits(weights), return_counts=True)
    held, there = np.unique(_bits(float_weights(onnx.load(graph))), return_counts=True)
    place = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    missing = int(np.maximum(times - np.where(held[place] == wanted, there[place], 0), 0).sum())
    message = f"every one of {int(times.sum()):,} trained values stands in the graph bit for bit"
    if missing:
        message = (
            f"{missing:,} of {int(times.sum()):,} trained values do not stand in the graph: "
            f"it is not this network's"
        )
    return Gate("weights", missing == 0, float(missing), "0 missing values", message)


def _bits(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.uint32]:
    return np.concatenate([np.ascontiguousarray(array).ravel() for array in arrays]).view(np.uint32)


def _score_padding(scorer: Scorer, longest: int) -> NDArray[np.float32]:
    """Score rows of nothing but padding, of several lengths."""
    lengths = {1, 2, max(1, longest - 1), longest}
    return np.concatenate([scorer.score_ids(np.zeros((1, n), np.int32)) for n in sorted(lengths)])


def _padding_gate(largest: float, limits: GateSettings) -> Gate:
    tolerance = limits.parity_tolerance
    message = "rows of padding only, however long, score as in Keras"
    if not largest <= tolerance:
        message = "a row of padding only scores otherwise than in Keras: the graph reads padding wrongly"
    return Gate("padding", largest <= tolerance, largest, f"at most {tolerance:.0e}", message)


def _company_gate(texts: Sequence[str], model: Path, limits: GateSettings) -> Gate:
    """Score the same rows in other batches, with all padding left in, and with more threads."""
    single, many = Scorer.load(model), Scorer.load(model, threads=max(2, os.cpu_count() or 2))
    encoded = [single.tokenizer.encode(text).token_ids for text in texts]
    full = pad_reviews(encoded, single.facts.text_rule.max_length)
    reference = single.score_ids(full)
    largest, where = 0.0, "none"
    for scorer, threads in ((single, "one thread"), (many, "many threads")):
        for size in BATCH_SIZES:
            found = np.array(
                [row.score for row in scorer.score_reviews(texts, batch_size=size) if isinstance(row, Score)]
            )
            difference = float(abs(found - reference).max()) if found.shape == reference.shape else np.inf
            if difference > largest:
                largest, where = difference, f"batches of {size}, {threads}"
    tolerance = limits.parity_tolerance
    message = (
        f"{len(texts):,} rows nearest the threshold, batches of {', '.join(map(str, BATCH_SIZES))}, "
        f"one thread and many; most in: {where}"
    )
    return Gate("company", largest <= tolerance, largest, f"at most {tolerance:.0e}", message)
