from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import GateError
from pipeline.gates import Gate, require
from pipeline.metrics import (
    SplitFacts,
    accuracy_interval,
    calibration_error,
    choose_threshold,
    measure,
    paired_interval,
    quality_gates,
)
from pipeline.recipe import GateSettings

LABELS = np.tile([0, 1], 500).astype(np.int32)
NOISE = np.random.default_rng(3)


def scores_right_in(share: float) -> np.ndarray:
    """Scores that are on the right side for the given share of LABELS."""
    is_right = np.arange(len(LABELS)) < share * len(LABELS)
    NOISE.shuffle(is_right)
    return np.where(is_right == (LABELS == 1), 0.9, 0.1).astype(np.float32)


def refusals(scores: np.ndarray) -> list[str]:
    gates = quality_gates(scores, LABELS, 0.5, GateSettings())
    return [gate.name for gate in gates if not gate.passed]


def test_wilsons_interval_has_its_textbook_value() -> None:
    # Newcombe, Statistics in Medicine 17:857 (1998), table I: 81 of 263, method 3.
    assert accuracy_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("share", [0.6, 0.85, 1.0])
def test_a_network_that_has_learnt_passes(share: float) -> None:
    assert refusals(scores_right_in(share)) == []


def test_the_notebooks_result_is_refused_as_inverted_and_says_what_it_would_be() -> None:
    scores = scores_right_in(0.179)
    gates = {gate.name: gate for gate in quality_gates(scores, LABELS, 0.5, GateSettings())}
    assert not gates["not_inverted"].passed
    assert "1 − it would be 0.8210" in gates["not_inverted"].message
    assert gates["not_inverted"].figure == pytest.approx(0.179)


def test_chance_is_refused() -> None:
    assert refusals(scores_right_in(0.5)) == ["above_chance"]


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_one_label_for_all_is_refused_as_collapsed(score: float) -> None:
    assert "not_collapsed" in refusals(np.full(len(LABELS), score, dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    scores = scores_right_in(0.9)
    scores[7] = value
    assert refusals(scores) == ["finite"]


def test_a_refusal_names_every_gate_that_refused_and_where_the_figures_are() -> None:
    gates = quality_gates(np.full(len(LABELS), 0.9, dtype=np.float32), LABELS, 0.5, GateSettings())
    with pytest.raises(
        GateError, match=r"(?s)artifacts/current is as it was.*not_collapsed.*above_chance.*page\.md"
    ):
        require(gates, report=Path("page.md"))


def test_gates_that_passed_say_nothing_beside_one_that_refused() -> None:
    gates = [Gate(name, passed=name == "a", figure=None, limit="", message="") for name in "ab"]
    require(gates[:1], report=Path())
    with pytest.raises(GateError) as refusal:
        require(gates, report=Path())
    assert "gate b" in str(refusal.value)
    assert "gate a" not in str(refusal.value)


@given(st.lists(st.tuples(st.floats(0, 1, width=16).map(float), st.integers(0, 1)), min_size=1, max_size=30))
def test_no_threshold_is_better_than_the_chosen_one(rows: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    labels = np.array([label for _, label in rows], dtype=np.int32)

    def correct(threshold: float) -> int:
        return int(((scores >= threshold) == labels).sum())

    # A threshold within (0, 1) cannot call a score of exactly 1 negative, or one of exactly 0 positive.
    inner = np.clip(scores.astype(float), 2e-6, 1 - 2e-6)
    scores = inner.astype(np.float32)
    candidates = [*(np.unique(scores) + 1e-7).tolist(), *(np.unique(scores) - 1e-7).tolist()]
    assert correct(choose_threshold(scores, labels)) >= max(map(correct, candidates))


def test_scores_that_are_the_truth_are_calibrated() -> None:
    assert calibration_error(LABELS.astype(np.float32), LABELS) == 0


def test_the_calibration_error_is_the_gap_between_saying_and_being() -> None:
    assert calibration_error(np.full(len(LABELS), 0.8, dtype=np.float32), LABELS) == pytest.approx(0.3)


def test_measures_count_every_review_once() -> None:
    lengths = NOISE.integers(1, 900, len(LABELS)).astype(np.int32)
    facts = SplitFacts(lengths, (lengths * 0.03).astype(np.int32))
    metrics = measure(scores_right_in(0.8), LABELS, 0.5, facts)
    assert metrics["accuracy"] == pytest.approx(0.8)
    assert sum(metrics["confusion"].values()) == len(LABELS)
    for buckets in ("by_length", "by_unknown_share"):
        assert sum(bucket["reviews"] for bucket in metrics[buckets]) == len(LABELS)
    low, high = metrics["accuracy_interval"]
    assert low < 0.8 < high


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.1), (0.15, 0.05), (0.02, 0.08), (0.3, 0.1)])
def test_the_interval_of_a_paired_difference_holds_in_nearly_95_of_100_cases(
    first: float, second: float
) -> None:
    """Over every outcome of 60 reviews, each with its probability."""
    total, held, both = 60, 0.0, 1 - first - second
    for won in range(total + 1):
        for lost in range(total + 1 - won):
            ways = math.comb(total, won) * math.comb(total - won, lost)
            chance = first**won * second**lost * both ** (total - won - lost)
            low, high = paired_interval(won, lost, total)
            held += ways * chance * (low <= first - second <= high)
    assert 0.94 < held < 0.98


def test_a_paired_difference_turns_round_and_widens_with_the_choice() -> None:
    low, high = paired_interval(402, 341, 5000)
    assert (low, high) == pytest.approx((0.0015, 0.0229), abs=1e-4)
    assert paired_interval(341, 402, 5000) == pytest.approx((-high, -low))
    assert paired_interval(402, 341, 5000, comparisons=10)[0] < 0 < low
