"""How good scores are: measures on a labelled split, and the gates that rest on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pipeline.gates import Gate
from pipeline.recipe import GateSettings

LENGTH_EDGES = (1, 50, 100, 200, 300, 400)
UNKNOWN_EDGES = (0.0, 0.005, 0.02, 0.05, 0.1)
_CALIBRATION_BINS = 10

Scores = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class SplitFacts:
    """What is known of each review of a split beside its label."""

    lengths: NDArray[np.int32]
    """Words per review, before cutting."""
    unknown: NDArray[np.int32]
    """How many of them are not in the vocabulary."""


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share (Wilson, JASA 22:158, 1927)."""
    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def paired_interval(
    only_first: int, only_second: int, total: int, *, comparisons: int = 1
) -> tuple[float, float]:
    """Give the 95 % interval of the difference of two accuracies on the same reviews.

    Wald's, with a half added to each count of the fourfold table (Agresti and Min, Stat. Med. 24:729, 2005).

    Args:
        only_first: Reviews to which only the first scorer gives their label.
        only_second: Those to which only the second does.
        total: All reviews.
        comparisons: Of how many differences this one was picked; by Bonferroni's correction all their
            intervals together hold in 95 %.

    Returns:
        Ends of the interval of the first accuracy less the second, as shares.
    """
    larger, apart = total + 2, only_first - only_second
    deviation = math.sqrt(only_first + only_second + 1 - apart**2 / larger) / larger
    reach = float(norm.ppf(1 - 0.05 / (2 * comparisons))) * deviation
    return apart / larger - reach, apart / larger + reach


@dataclass(frozen=True)
class ReliabilityBin:
    """The reviews whose scores lie in one tenth of the range; the last includes 1."""

    number: int
    """Of the tenth, from 0."""
    reviews: int
    score: float
    """The mean of their scores."""
    positive: float
    """The share of them that is positive."""


def reliability(scores: Scores, labels: Labels) -> list[ReliabilityBin]:
    """Give the bins of a reliability diagram that hold a review (Guo et al., ICML 2017, section 2)."""
    bins = np.minimum((scores * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return [
        ReliabilityBin(
            number,
            int((bins == number).sum()),
            float(scores[bins == number].mean()),
            float(labels[bins == number].mean()),
        )
        for number in range(_CALIBRATION_BINS)
        if (bins == number).any()
    ]


def calibration_error(scores: Scores, labels: Labels) -> float:
    """Give the expected calibration error over ten equal bins (Guo et al., ICML 2017, eq. 3).

    The probability compared is that of the positive label, as for binary tasks: the mean of
    ``|share of positives − mean score|`` over the bins, weighted by their reviews.
    """
    gaps = (abs(each.positive - each.score) * each.reviews for each in reliability(scores, labels))
    return float(sum(gaps) / len(scores))


def choose_threshold(scores: Scores, labels: Labels) -> float:
    """Give the threshold with the best accuracy; of equals, the one nearest to one half.

    Candidates lie halfway between neighbouring scores, so none decides a review by its last bit.
    """
    order = np.argsort(scores, kind="stable")
    ranked, truth = scores[order].astype(np.float64), labels[order]
    # With the cut before place k, the k lowest are negative and the rest positive.
    correct = np.concatenate(([0], np.cumsum(truth == 0))) + np.concatenate(
        (np.cumsum((truth == 1)[::-1])[::-1], [0])
    )
    cuts = np.concatenate(([0.0], (ranked[:-1] + ranked[1:]) / 2, [1.0]))
    is_between = np.concatenate(([True], ranked[:-1] < ranked[1:], [True]))
    best = np.flatnonzero(is_between & (correct == correct[is_between].max()))
    nearest = best[np.argmin(abs(cuts[best] - 0.5))]
    return round(float(np.clip(cuts[nearest], 1e-6, 1 - 1e-6)), 6)


def measure(scores: Scores, labels: Labels, threshold: float, facts: SplitFacts) -> dict[str, Any]:
    """Measure scores against labels.

    Args:
        scores: Probability of the positive label, shape ``(reviews,)``; all finite.
        labels: 0 or 1, the same shape; both occur.
        threshold: Score from which a review is called positive.
        facts: Lengths and unknown words of the same reviews.

    Returns:
        Figures as JSON can hold them; shares from 0 to 1.
    """
    called = (scores >= threshold).astype(np.int32)
    is_right = called == labels
    low, high = accuracy_interval(int(is_right.sum()), len(labels))
    unknown_share = facts.unknown / np.maximum(facts.lengths, 1)
    return {
        "reviews": len(labels),
        "threshold": threshold,
        "accuracy": float(is_right.mean()),
        "accuracy_interval": [low, high],
        "accuracy_at_half": float(((scores >= 0.5) == labels).mean()),
        "auc": float(roc_auc_score(labels, scores)),
        "log_loss": float(log_loss(labels, scores.astype(np.float64))),
        "brier_score": float(brier_score_loss(labels, scores)),
        "calibration_error": calibration_error(scores, labels),
        "confusion": {
            "true_negative": int(((called == 0) & (labels == 0)).sum()),
            "false_positive": int(((called == 1) & (labels == 0)).sum()),
            "false_negative": int(((called == 0) & (labels == 1)).sum()),
            "true_positive": int(((called == 1) & (labels == 1)).sum()),
        },
        "positive_share": float(labels.mean()),
        "called_positive_share": float(called.mean()),
        "by_length": list(_by_bucket(facts.lengths, LENGTH_EDGES, is_right, "words")),
        "by_unknown_share": list(_by_bucket(unknown_share, UNKNOWN_EDGES, is_right, "unknown")),
    }


def _by_bucket(
    values: NDArray[Any], edges: tuple[float, ...], is_right: NDArray[np.bool_], unit: str
) -> Iterator[dict[str, Any]]:
    """Give the accuracy among reviews from one edge (inclusive) to the next (exclusive)."""
    for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
        chosen = is_right[(values >= low) & (values < high)]
        if len(chosen):
            interval = accuracy_interval(int(chosen.sum()), len(chosen))
            name = f"{low:g} {unit} and more" if high == np.inf else f"{low:g} to under {high:g} {unit}"
            yield {
                "bucket": name,
                "reviews": len(chosen),
                "accuracy": float(chosen.mean()),
                "accuracy_interval": list(interval),
            }


def finite_gate(scores: Scores) -> Gate:
    """Judge whether every score is a number; on others nothing can be measured."""
    broken = int((~np.isfinite(scores)).sum())
    return Gate(
        "finite", broken == 0, float(broken), "0 scores that are no numbers",
        "every score is a number" if broken == 0 else
        f"{broken:,} of {len(scores):,} scores are NaN or infinite: training diverged; "
        f"lower training.learning_rate",
    )  # fmt: skip


def quality_gates(scores: Scores, labels: Labels, threshold: float, limits: GateSettings) -> list[Gate]:
    """Judge whether scores come from a network that has learnt, the most telling refusal first."""
    finite = finite_gate(scores)
    if not finite.passed:
        return [finite]
    called = scores >= threshold
    right = int((called == labels).sum())
    low, high = accuracy_interval(right, len(labels))
    return [
        finite,
        _inverted_gate(right / len(labels), high, labels),
        _collapsed_gate(called, labels, limits),
        _chance_gate(low, labels, limits),
    ]


def _chance(labels: Labels) -> float:
    """Accuracy of always saying the more frequent label."""
    return float(max(labels.mean(), 1 - labels.mean()))


def _inverted_gate(accuracy: float, high: float, labels: Labels) -> Gate:
    limit = 1 - _chance(labels)
    message = (
        "labels stand the right way round"
        if high >= limit
        else f"the accuracy {accuracy:.4f} is as far below chance as a good one is above; 1 − it would be "
        f"{1 - accuracy:.4f}. The network has learnt, but labels or scores are swapped: look at which label "
        f"is written as positive (corpus.positive), and at any 1 − x or 100 − x on the way"
    )
    return Gate("not_inverted", high >= limit, accuracy, f"its 95 % interval reaches {limit:.4f}", message)


def _collapsed_gate(called: NDArray[np.bool_], labels: Labels, limits: GateSettings) -> Gate:
    share = float(max(called.mean(), 1 - called.mean()))
    limit = max(limits.max_one_label_share, _chance(labels))
    message = (
        "both labels are given"
        if share <= limit
        else f"{share:.2%} of the reviews get the same label: the network has collapsed to one class; "
        f"lower training.learning_rate or train for longer"
    )
    return Gate("not_collapsed", share <= limit, share, f"at most {limit:.4f}", message)


def _chance_gate(low: float, labels: Labels, limits: GateSettings) -> Gate:
    limit = _chance(labels) + limits.above_chance * 2 * (1 - _chance(labels))
    message = (
        "clearly better than always saying one label"
        if low > limit
        else f"even if luck was bad, the accuracy may be {low:.4f}, and always saying one label has "
        f"{_chance(labels):.4f}: the network has learnt nothing that helps"
    )
    return Gate(
        "above_chance", low > limit, low, f"lower end of the 95 % interval above {limit:.4f}", message
    )
