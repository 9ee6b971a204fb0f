"""Which candidate may take the promoted bundle's place, and which may not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.comparison import judge, mcnemar
from pipeline.corpora.corpus import LabelledReview
from pipeline.errors import BundleError, GateError
from pipeline.promotion import PROMOTED, switch
from pipeline.recipe import GateSettings
from pipeline.reports import Comparison
from pipeline.runtime.bundle import MODEL
from pipeline.runtime.scorer import Scorer
from pipeline.stages.compare import compare
from pipeline.workspace import Workspace
from tests.promoting import (
    RECIPE,
    REVIEWS,
    attempt,
    break_a_gate,
    break_parity,
    break_self_test,
    change_labels,
    current_of,
    from_real_reviews,
    lose_a_byte,
    make_worse,
    manifest_of,
    measured_on_other_reviews,
    prepare_reviews,
    published,
    put,
    record_no_gate,
    record_nonsense,
    reseal,
    turn_round,
)
from tests.runtime.altered_models import model_with_weight

TURNED = [LabelledReview(review.text, 1 - review.label) for review in REVIEWS]


def compared(workspace: Workspace, bundle: Path) -> Comparison:
    return compare(workspace, RECIPE, prepare_reviews(workspace.root / "prepared"), published(bundle))


def gate_of(found: Comparison, name: str) -> dict[str, Any]:
    [gate] = [gate for gate in found.gates if gate["name"] == name]
    return gate


# What is refused


@pytest.mark.parametrize("step", [attempt, compared], ids=["promote", "compare"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(make_worse, "not_worse: 0.5, limit at most 0.005 below", id="worse"),
        pytest.param(turn_round, "not_turned_round: 0, limit at least 0.4.*1 − it would be 1", id="inverted"),
        pytest.param(break_parity, "recorded_parity: 0.2, limit at most", id="parity broken"),
        pytest.param(change_labels, "recorded_parity: 0, .* 2 labels changed outside", id="labels changed"),
        pytest.param(break_a_gate, "recorded_gates: 1, limit 0 refused: .*: scores", id="a gate had refused"),
        pytest.param(record_nonsense, "recorded_gates: 1, limit 0 refused", id="a gate that is none"),
        pytest.param(record_no_gate, "recorded_gates: 0, .*it records no gate", id="no gate"),
        pytest.param(
            break_self_test,
            "self_test: no figure, limit .* 1e-04: .*golden row 1 scores",
            id="self-test broken",
        ),
        pytest.param(lose_a_byte, "whole: no figure, .* not the bundle that was published", id="not whole"),
    ],
)
def test_a_bad_candidate_is_refused_and_nothing_is_touched(
    spoil: Callable[[Path], None], words: str, step: Callable[..., object], workspace: Workspace
) -> None:
    attempt(workspace, put(workspace, "good"))
    before = current_of(workspace)
    bundle = put(workspace, "bad", accuracy=0.95)
    spoil(bundle)
    with pytest.raises(GateError, match=f"the bundle was not promoted.*\n(.*\n)*  gate {words}"):
        step(workspace, bundle)
    assert current_of(workspace) == before


def test_a_folder_that_holds_another_bundle_than_the_published_one_is_refused(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "good"))
    before = current_of(workspace)
    bundle = put(workspace, "bad", accuracy=0.95)
    said = published(bundle)
    shutil.rmtree(bundle)
    put(workspace, "bad", accuracy=0.96)
    with pytest.raises(GateError, match="gate whole: .* was asked for"):
        compare(workspace, RECIPE, prepare_reviews(workspace.root / "prepared"), said)
    assert current_of(workspace) == before


def test_an_approval_of_a_comparison_that_is_stale_is_refused(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "first"))
    bundle = put(workspace, "candidate", accuracy=0.91)
    approved = compared(workspace, bundle)
    attempt(workspace, put(workspace, "meanwhile", accuracy=0.92))
    before = current_of(workspace)
    with pytest.raises(GateError, match="not_stale: no figure.*compare again"):
        attempt(workspace, bundle, approved)
    assert current_of(workspace) == before
    assert attempt(workspace, bundle, compared(workspace, bundle)).is_promoted


def test_an_approval_of_another_candidate_is_refused(workspace: Workspace) -> None:
    approved = compared(workspace, put(workspace, "a"))
    with pytest.raises(GateError, match="not_stale"):
        attempt(workspace, put(workspace, "b", accuracy=0.91), approved)
    assert not workspace.current.exists()


def test_made_up_reviews_never_take_the_place_of_real_ones(workspace: Workspace) -> None:
    real = put(workspace, "real")
    reseal(real, from_real_reviews)
    attempt(workspace, real)
    before = current_of(workspace)
    done = attempt(workspace, put(workspace, "made-up", accuracy=0.95))
    assert (done.is_promoted, done.note.partition(":")[0]) == (False, "NOT promoted")
    assert current_of(workspace) == before


# On what is compared


def test_both_are_scored_on_the_same_reviews_whatever_they_claim(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "a", accuracy=0.6))
    found = judge(workspace, put(workspace, "b", accuracy=0.7), GateSettings(), REVIEWS)
    assert (found.accuracy, found.promoted_accuracy, found.reviews) == (1.0, 1.0, 100)
    assert (found.only_candidate_right, found.only_promoted_right, found.p_value) == (0, 0, 1.0)
    assert judge(workspace, put(workspace, "c", accuracy=0.8), GateSettings(), TURNED).accuracy == 0.0


def test_reviews_that_two_bundles_judge_differently_are_counted_each_way(workspace: Workspace) -> None:
    first = put(workspace, "first", model=model_with_weight("film", -9.0))
    switch(workspace, first, manifest_of(first), PROMOTED)
    candidate = put(workspace, "candidate", model=model_with_weight("the", 9.0))
    reviews = [
        *[LabelledReview("a good film", 1)] * 12,
        *[LabelledReview("the bad film", 0)] * 2,
        *[LabelledReview("a bad film", 0)] * 10,
        LabelledReview("?!", 0),
    ]
    found = judge(workspace, candidate, GateSettings(), reviews)
    assert (found.only_candidate_right, found.only_promoted_right) == (12, 2)
    assert found.p_value == pytest.approx(binomtest(2, 14).pvalue)
    assert (found.accuracy, found.promoted_accuracy) == (23 / 25, 13 / 25)
    assert "accuracy 0.9200, promoted 0.5200, on the same 25 test reviews (McNemar's p 0.013)" in str(found)


def test_reviews_that_the_promoted_bundle_may_know_are_told_of(workspace: Workspace) -> None:
    first = put(workspace, "first")
    reseal(first, measured_on_other_reviews)
    attempt(workspace, first)
    done = attempt(workspace, put(workspace, "candidate", accuracy=0.5))
    assert done.is_promoted
    assert done.comparison.promoted_accuracy == 1.0
    assert "may have learnt from some of these" in gate_of(done.comparison, "not_worse")["message"]


@pytest.mark.parametrize(
    ("accuracy", "passes"), [(0.95, True), (0.90, True), (0.89, True), (0.8899, False)], ids=str
)
def test_a_candidate_may_lose_just_the_limit(accuracy: float, passes: bool, workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "promoted", accuracy=0.9))
    candidate = put(workspace, "candidate", accuracy=accuracy)
    found = judge(workspace, candidate, GateSettings(max_degradation=0.01))
    assert gate_of(found, "not_worse")["passed"] is passes


@pytest.mark.parametrize(("least", "passes"), [(0.0, True), (0.9, True), (0.9001, False)])
def test_a_minimum_may_be_asked_for(least: float, passes: bool, workspace: Workspace) -> None:
    found = judge(workspace, put(workspace, "a", accuracy=0.9), GateSettings(minimum_accuracy=least))
    assert gate_of(found, "minimum_accuracy")["passed"] is passes


# A promoted bundle that is none


def graph_alone(workspace: Workspace, first: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.current.unlink()
    workspace.current.symlink_to(first / MODEL)


def no_scorer(_workspace: Workspace, _first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Scorer.score_reviews

    def fail(self: Scorer, reviews: Any) -> Any:
        if self.tokenizer.words[0] == "another":
            msg = "the graph fails"
            raise BundleError(msg)
        return whole(self, reviews)

    monkeypatch.setattr(Scorer, "score_reviews", fail)


def cut(_workspace: Workspace, first: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    lose_a_byte(first)


@pytest.mark.parametrize("spoil", [cut, graph_alone, no_scorer], ids=["a byte", "a graph alone", "scoring"])
def test_a_promoted_bundle_that_is_broken_stands_in_nobodys_way(
    spoil: Callable[..., None], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.stand_ins import WORDS, make_model

    first = put(workspace, "a", model=make_model(words=("another", *WORDS)))
    switch(workspace, first, manifest_of(first), PROMOTED)
    spoil(workspace, first, monkeypatch)
    done = attempt(workspace, put(workspace, "b", accuracy=0.91))
    assert done.is_promoted
    assert "the promoted bundle cannot be used" in gate_of(done.comparison, "not_worse")["message"]


# The test


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_p_value_is_that_of_the_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(float(expected), rel=1e-9)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_the_p_value_of_many_reviews_is_a_number() -> None:
    assert 0.9 < mcnemar(12_500, 12_501) <= 1.0
    assert np.isfinite(mcnemar(0, 25_000))
