"""Drift: planted moves are found and told, fresh draws of the same reviews are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from pipeline.runtime.drift import (
    Drift,
    Verdict,
    bin_name,
    chance_stability,
    compare,
    jensen_shannon,
    population_stability,
    tell,
)
from pipeline.runtime.histograms import EDGES, Histograms
from tests.runtime.scored_reviews import reviews

BINS = 8
COUNTS = st.lists(st.integers(0, 1 << 40), min_size=BINS, max_size=BINS).filter(any).map(np.array)


def verdicts(drifts: list[Drift]) -> dict[str, str]:
    return {drift.feature: drift.verdict.value for drift in drifts}


@settings(max_examples=100)
@given(COUNTS, COUNTS)
def test_both_measures_are_symmetric_and_in_their_range(first: Any, second: Any) -> None:
    assert population_stability(first, second) == population_stability(second, first) >= 0
    assert jensen_shannon(first, second) == jensen_shannon(second, first)
    assert 0 <= jensen_shannon(first, second) <= 1
    assert population_stability(first, first) == jensen_shannon(first, first) == 0
    assert chance_stability(first, second) == pytest.approx(chance_stability(second, first))
    assert chance_stability(first, second) > 0


def test_the_measures_are_those_of_their_sources() -> None:
    reference, found = np.array([30, 50, 20]), np.array([10, 50, 40])
    was, now = (reference + 0.5) / 101.5, (found + 0.5) / 101.5
    assert population_stability(reference, found) == pytest.approx(((now - was) * np.log(now / was)).sum())
    middle = np.array([0.2, 0.5, 0.3])
    entropy = {
        name: -(share * np.log2(share)).sum()
        for name, share in {"was": reference / 100, "now": found / 100, "middle": middle}.items()
    }
    expected = entropy["middle"] - (entropy["was"] + entropy["now"]) / 2
    assert jensen_shannon(reference, found) == pytest.approx(expected)


def test_what_shares_no_bin_is_one_bit_apart() -> None:
    apart = np.array([5, 0, 7, 0]), np.array([0, 2, 0, 9])
    assert jensen_shannon(*apart) == pytest.approx(1, abs=1e-12)
    assert 1 < population_stability(*apart) < np.inf


def test_bins_that_are_empty_on_both_sides_change_nothing() -> None:
    wide = np.array([3, 0, 9, 0, 0]), np.array([7, 0, 4, 0, 0])
    narrow = np.array([3, 9]), np.array([7, 4])
    for measure in (population_stability, jensen_shannon, chance_stability):
        assert measure(*wide) == measure(*narrow)


@pytest.mark.parametrize("bins", [1, 2, 3, 9, 17, 20])
def test_what_chance_reaches_is_the_quantile_of_a_chi_square(bins: int) -> None:
    counts = np.full(bins, 100)
    exact = chi2.ppf(0.999, max(1, bins - 1)) * 2 / (100 * bins)
    assert chance_stability(counts, counts) == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize(("rows", "draws"), [(500, 300), (2_000, 300), (100_000, 50)])
def test_fresh_draws_of_the_same_reviews_raise_no_alarm(rows: int, draws: int) -> None:
    """One verdict in a thousand may be wrong; from some 1,000 rows on, chance does not reach 0.1 at all."""
    source = np.random.default_rng(rows)
    seen = [
        verdict
        for _ in range(draws)
        for verdict in verdicts(compare(reviews(source, 1_000), reviews(source, rows))).values()
    ]
    assert set(seen) <= {"stable", "moderate"}
    assert len(seen) - seen.count("stable") <= (3 if rows == 500 else 0)


@pytest.mark.parametrize("rows", [500, 2_000, 100_000])
@pytest.mark.parametrize(
    ("moved", "feature", "says"),
    [
        ({"score": 0.3}, "score", "scores are higher than in validation (median bin 0."),
        ({"score": -0.3}, "score", "scores are lower than in validation (median bin 0."),
        ({"length": 0.4}, "tokens", "reviews are shorter than in validation (median bin 64-96, was "),
        ({"length": 3.0}, "tokens", "reviews are longer than in validation (median bin "),
        ({"unknown": 5.0}, "unknown_share", "more words of a review are unknown than in validation (median bin 20-50 %, was "),
        ({"unknown": 0.2}, "unknown_share", "fewer words of a review are unknown than in validation (median bin 0.01-1 %, was "),
    ],
    ids=["higher", "lower", "shorter", "longer", "more unknown", "fewer unknown"],
)  # fmt: skip
def test_a_planted_move_is_found_by_name_and_direction(
    rows: int, moved: dict[str, float], feature: str, says: str
) -> None:
    source = np.random.default_rng(5)
    drifts = compare(reviews(source, 1_000), reviews(source, rows, **moved))
    assert verdicts(drifts) == {name: "major" if name == feature else "stable" for name in EDGES}
    assert tell(drifts).startswith(f"Moved: {says}")
    assert [drift.change is None for drift in drifts] == [name != feature for name in EDGES]


def test_a_spread_with_the_same_median_is_told_by_its_bin() -> None:
    reference, found = Histograms(), Histograms()
    for histograms, scores in ((reference, [0.1, 0.52, 0.9]), (found, [0.52, 0.52, 0.52])):
        ones = np.ones(1_500, dtype=np.int64)
        histograms.add(scores=np.repeat(scores, 500), tokens=ones, unknown_share=np.zeros(1_500))
    assert tell(compare(reference, found)) == (
        "Moved: scores are spread otherwise than in validation (100.0% in the bin 0.5-0.55, was 33.3%)."
    )


def test_a_move_between_the_thresholds_is_moderate() -> None:
    source = np.random.default_rng(6)
    drifts = compare(reviews(source, 5_000), reviews(source, 5_000, length=1.35))
    assert verdicts(drifts) == {"score": "stable", "tokens": "moderate", "unknown_share": "stable"}
    assert 0.1 < (drifts[1].psi or 0) < 0.25


@pytest.mark.parametrize(("rows", "is_too_few"), [(1, True), (40, True), (100, True), (250, False)])
def test_a_few_rows_prove_nothing(rows: int, is_too_few: bool) -> None:
    source = np.random.default_rng(7)
    drifts = compare(reviews(source, 1_000), reviews(source, rows))
    assert verdicts(drifts)["tokens"] == ("too few" if is_too_few else "stable")
    assert ("Too few rows to tell: " in tell(drifts)) == is_too_few
    assert Verdict.TOO_FEW not in verdicts(compare(reviews(source, 1_000), reviews(source, 1_000))).values()


def test_few_rows_prove_a_move_that_chance_does_not_make() -> None:
    source = np.random.default_rng(8)
    drifts = compare(reviews(source, 1_000), reviews(source, 40, unknown=40))
    assert verdicts(drifts) == {"score": "too few", "tokens": "too few", "unknown_share": "major"}
    assert tell(drifts).startswith("Too few rows to tell: score, tokens. Moved: more words")


@pytest.mark.parametrize("empty", ["found", "reference", "both"])
def test_nothing_beside_something_is_too_few_and_has_no_figures(empty: str) -> None:
    some = reviews(np.random.default_rng(9), 500)
    reference = some if empty == "found" else Histograms()
    drifts = compare(reference, some if empty == "reference" else Histograms())
    assert set(verdicts(drifts).values()) == {"too few"}
    assert [(each.psi, each.chance_psi, each.jensen_shannon) for each in drifts] == [(None, None, None)] * 3
    assert tell(drifts) == "Too few rows to tell: score, tokens, unknown_share."


def test_nothing_moved_is_said_plainly() -> None:
    same = reviews(np.random.default_rng(10), 1_000)
    assert tell(compare(same, same)) == "Nothing has moved so far that it is worth a look."


@pytest.mark.parametrize(
    ("feature", "first", "second", "last"),
    [
        ("score", "0-0.05", "0.05-0.1", "0.95-1"),
        ("tokens", "1-4", "4-8", "1024 and more"),
        ("unknown_share", "0 %", "0.01-1 %", "50-100 %"),
    ],
)
def test_every_bin_has_a_name(feature: str, first: str, second: str, last: str) -> None:
    names = [bin_name(feature, place) for place in range(len(EDGES[feature]))]
    assert (names[0], names[1], names[-1]) == (first, second, last)
    assert len(set(names)) == len(names)
