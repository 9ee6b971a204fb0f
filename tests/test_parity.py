"""Gates that hold a graph against its network, at their limits."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.parity import judge_ids, judge_quantization, judge_scores, judge_weights
from pipeline.recipe import GateSettings

LIMITS = GateSettings()


def names(count: int) -> list[str]:
    return [f"row {number}" for number in range(count)]


@pytest.mark.parametrize(
    ("turned", "is_wrong", "passed"),
    [(0, False, [True, True]), (2, True, [True, True]), (3, True, [False, True]), (2, False, [True, True])],
    ids=["none", "at the limit", "beyond the loss", "for the better"],
)
def test_accuracy_may_fall_by_the_limit_and_no_more(turned: int, is_wrong: bool, passed: list[bool]) -> None:
    count = 1000
    labels = np.ones(count, bool)
    expected = np.full(count, 0.9 if is_wrong else 0.1)
    found = expected.copy()
    found[:turned] = 1 - expected[:turned]
    gates = judge_quantization(expected, found, labels, 0.5, LIMITS)
    assert [gate.passed for gate in gates] == passed
    assert gates[0].figure == pytest.approx(turned / count * (1 if is_wrong else -1))


@pytest.mark.parametrize(("turned", "passed"), [(10, True), (12, False)])
def test_labels_may_change_in_the_stated_share_even_if_accuracy_stays(turned: int, passed: bool) -> None:
    expected = np.full(1000, 0.9)
    found = expected.copy()
    found[:turned] = 0.1
    labels = np.ones(1000, bool)
    labels[: turned // 2] = False
    loss, changes = judge_quantization(expected, found, labels, 0.5, LIMITS)
    assert loss.passed
    assert changes.passed == passed
    assert f"{turned} of 1,000 labels change" in changes.message


@pytest.mark.parametrize(("difference", "passed"), [(4.9e-5, True), (5.1e-5, False), (np.nan, False)])
def test_a_score_may_differ_within_the_tolerance(difference: float, passed: bool) -> None:
    expected = np.array([0.2, 0.9, 0.4])
    _, [scores, _] = judge_scores(names(3), expected, expected + np.array([0, difference, 0]), 0.5, LIMITS)
    assert scores.passed == passed
    assert scores.message.startswith("row 1:")


def test_a_label_may_change_in_the_band_only() -> None:
    expected = np.array([0.5 - 1e-6, 0.51])
    figures, [_, labels] = judge_scores(names(2), expected, np.array([0.5, 0.49]), 0.5, LIMITS)
    assert figures["labels_changed"] == 2
    assert (labels.passed, labels.figure) == (False, 1.0)
    assert "row 1" in labels.message


def test_the_first_row_with_other_ids_is_named() -> None:
    expected = np.array([[0, 1, 4], [0, 1, 5]], np.int32)
    assert judge_ids("token_ids", names(2), expected, expected).passed
    gate = judge_ids("token_ids", names(2), expected, np.array([[0, 1, 4], [0, 2, 5]], np.int32))
    assert not gate.passed
    assert "row 1: at place 1 2, Keras 1" in gate.message


def test_a_trained_value_has_to_stand_in_the_graph_as_often_as_it_occurs() -> None:
    trained = [np.array([1.0, 1.0, 2.0], np.float32), np.array([[-0.0]], np.float32)]
    held = [np.array([2.0, 1.0], np.float32), np.array([3.0, 1.0, -0.0], np.float32)]
    assert judge_weights(trained, held).passed
    for missing in ([held[0]], [held[0], held[1][:1]], [*held[:1], np.array([1.0, 0.0], np.float32)]):
        assert not judge_weights(trained, missing).passed
