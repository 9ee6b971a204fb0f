"""Parity: gates that hold an ONNX graph against the network it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.gates import Gate
from pipeline.recipe import GateSettings
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import Scorer

BATCH_SIZES = (1, 2, 7, 64, 512)
Floats = NDArray[np.float64]


def judge_ids(gate: str, names: Sequence[str], expected: NDArray[np.int32], found: NDArray[np.int32]) -> Gate:
    """Compare padded token ids, shape ``(rows, max_length)``, place by place."""
    differs = (found != expected).any(axis=1)
    count = int(differs.sum())
    message = f"ids from text are Keras's on all {len(names):,} rows"
    if count:
        row = int(differs.argmax())
        column = int((found[row] != expected[row]).argmax())
        message = (
            f"{count:,} of {len(names):,} rows have other token ids than Keras gives; first "
            f"{names[row]}: at place {column} {found[row][column]}, "
            f"Keras {expected[row][column]}. Look at the text rule, the padding and the vocabulary"
        )
    return Gate(gate, count == 0, float(count), "0 rows", message)


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
        "percentile_99_9": float(np.quantile(differences, 0.999, method="higher")),
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


def judge_weights(trained: Sequence[NDArray[np.float32]], held: Sequence[NDArray[np.float32]]) -> Gate:
    """Look for every trained value among those a graph holds, bit for bit, as often as it occurs.

    Converters reorder gates and transpose matrices, so places are not compared; a value in the
    wrong place moves a score. A rare word's value moves no score by much, so it is looked for here.
    """
    wanted, times = np.unique(_bits(trained), return_counts=True)
    bits, there = np.unique(_bits(held), return_counts=True)
    place = np.minimum(np.searchsorted(bits, wanted), len(bits) - 1)
    missing = int(np.maximum(times - np.where(bits[place] == wanted, there[place], 0), 0).sum())
    message = f"every one of {int(times.sum()):,} trained values stands in the graph bit for bit"
    if missing:
        message = (
            f"{missing:,} of {int(times.sum()):,} trained values do not stand in the graph: "
            f"it is not this network's"
        )
    return Gate("weights", missing == 0, float(missing), "0 missing values", message)


def _bits(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.uint32]:
    return np.concatenate([np.ascontiguousarray(array).ravel() for array in arrays]).view(np.uint32)


def judge_padding(scorer: Scorer, expected: float, limits: GateSettings) -> Gate:
    """Score rows of nothing but padding, of several lengths; Keras gives them all the same score."""
    longest = scorer.facts.text_rule.max_length
    lengths = {1, 2, max(1, longest - 1), longest}
    scores = np.concatenate([scorer.score_ids(np.zeros((1, length), np.int32)) for length in lengths])
    largest = _largest_difference(scores, np.full(len(scores), expected))
    tolerance = limits.parity_tolerance
    message = "rows of padding only, however long, score as in Keras"
    if not largest <= tolerance:
        message = "a row of padding only scores otherwise than in Keras: the graph reads padding wrongly"
    return Gate("padding", largest <= tolerance, largest, f"at most {tolerance:.0e}", message)


def judge_company(scorer: Scorer, texts: Sequence[str], limits: GateSettings) -> Gate:
    """Score the same texts in batches of other sizes and lengths, and as the scorer batches them.

    The reference has every row padded to the full length, all of them in one batch.
    """
    encoded, numbers = scorer.tokenizer.encode_batch(texts), np.arange(len(texts))
    longest = scorer.facts.text_rule.max_length
    reference = scorer.score_ids(pad_batch(encoded, numbers, width=longest))
    ways = {"the scorer's own batches": scorer.score_batch(encoded)}
    for size in BATCH_SIZES:
        parts = [numbers[start : start + size] for start in range(0, len(texts), size)]
        ways[f"batches of {size}"] = np.concatenate(
            [scorer.score_ids(pad_batch(encoded, part)) for part in parts]
        )
    differences = {way: _largest_difference(scores, reference) for way, scores in ways.items()}
    where, largest = max(differences.items(), key=lambda item: item[1])
    tolerance = limits.company_tolerance
    message = (
        f"{len(texts):,} rows nearest the threshold, padded to the full length or not, in batches of "
        f"{', '.join(map(str, BATCH_SIZES))}, {scorer.threads} threads; most in: {where}"
    )
    return Gate("company", largest <= tolerance, largest, f"at most {tolerance:.0e}", message)


def _largest_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Give the largest difference; where one of two is no number it is infinite."""
    return float(np.nan_to_num(abs(found - expected), nan=np.inf).max())


def judge_stored_rows(
    name: str, trained: NDArray[np.float32], stored: NDArray[np.float32], levels: int
) -> Gate:
    """Hold every row of a quantized table against the trained one, place by place.

    A test review seldom holds a rare word, so no score would tell of a wrong row. Rounding moves a
    value by half a step at most, and the float16 scale by a little more.
    """
    steps = abs(trained).max(axis=1) / levels
    # A row far below the others is stored as nothing.
    allowed = 0.6 * steps + 1e-7 * abs(trained).max()
    wrong = ~(abs(stored - trained).max(axis=1) <= allowed)
    count = int(wrong.sum())
    message = f"each of {len(trained):,} rows is within rounding of the trained one"
    if count:
        message = (
            f"{count:,} of {len(trained):,} rows are not the trained ones; first number {wrong.argmax()}"
        )
    return Gate(f"quantized_{name}", count == 0, float(count), "0 rows", message)


def judge_quantization(
    expected: Floats, found: Floats, labels: NDArray[np.bool_], threshold: float, limits: GateSettings
) -> list[Gate]:
    """Hold quantized weights against the trained ones on the test reviews.

    Args:
        expected: Scores with the weights as trained, shape ``(reviews,)``.
        found: Scores with the weights as stored.
        labels: The true labels, true for positive.
        threshold: Score from which a review is positive.
        limits: How much accuracy may be lost and which share of labels may change.
    """
    before, after = expected >= threshold, found >= threshold
    # Rounded, so that exactly the limit is not refused for its last bit.
    lost = round(float((before == labels).mean() - (after == labels).mean()), 9)
    changed, moved = float((before != after).mean()), abs(found - expected)
    return [
        Gate(
            "quantization_loss",
            lost <= limits.max_quantization_loss,
            lost,
            f"at most {limits.max_quantization_loss:g}",
            f"accuracy {(after == labels).mean():.4f} on {len(labels):,} test reviews, "
            f"{(before == labels).mean():.4f} with the weights as trained",
        ),
        Gate(
            "quantization_changes",
            changed <= limits.max_quantization_changes,
            changed,
            f"at most {limits.max_quantization_changes:g}",
            f"{int((before != after).sum()):,} of {len(labels):,} labels change; "
            f"scores differ by {moved.mean():.1e} in the mean, {moved.max():.1e} at most",
        ),
    ]
