"""Gates that hold a graph against its network, at their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.parity import (
    judge_company,
    judge_ids,
    judge_padding,
    judge_quantization,
    judge_scores,
    judge_stored_rows,
    judge_weights,
)
from pipeline.recipe import GateSettings
from pipeline.runtime.scorer import Scorer
from tests.stand_ins import make_scorer

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


@pytest.mark.parametrize("levels", [127, 7])
def test_a_stored_row_that_is_not_the_trained_one_is_named(levels: int) -> None:
    trained = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    step = abs(trained).max(axis=1, keepdims=True) / levels
    stored = (np.rint(trained / step) * step).astype(np.float32)
    assert judge_stored_rows("embedding", trained, stored, levels).passed
    stored[40] = -stored[40]
    gate = judge_stored_rows("embedding", trained, stored, levels)
    assert not gate.passed
    assert "1 of 50 rows are not the trained ones; first number 40" in gate.message
    stored[40, 3] = np.nan
    assert not judge_stored_rows("embedding", trained, stored, levels).passed


@pytest.mark.parametrize("rows", [1, 7])
def test_a_score_that_is_no_number_passes_no_gate(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = make_scorer()
    whole = Scorer.score_ids

    def fail_on(self: Scorer, ids: np.ndarray[Any, Any]) -> Any:
        scores = whole(self, ids)
        return scores * np.float32(np.nan) if len(ids) == rows and ids.shape[1] > 1 else scores

    expected = float(scorer.score_ids(np.zeros((1, 1), np.int32))[0])
    texts = ["good film", "bad dull film"] * 10
    assert judge_padding(scorer, expected, LIMITS).passed
    assert judge_company(scorer, texts, LIMITS).passed
    monkeypatch.setattr(Scorer, "score_ids", fail_on)
    assert not judge_company(scorer, texts, LIMITS).passed
    assert judge_padding(scorer, expected, LIMITS).passed == (rows != 1)
