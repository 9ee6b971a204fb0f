"""Texts to scores with a stand-in network, and what the scorer refuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BundleError
from pipeline.runtime.batching import WINDOW
from pipeline.runtime.bundle import MODEL, Bundle
from pipeline.runtime.model_facts import FACTS_KEY
from pipeline.runtime.rows import Refusal, RejectCode, Score
from pipeline.runtime.scorer import Scorer, shortest_decimals
from tests.faults.cases import case
from tests.runtime.altered_models import (
    altered,
    model_with_metadata,
    model_with_table_rows,
    model_with_weight,
)
from tests.stand_ins import MAX_LENGTH, WORDS, make_bundle, make_facts, make_model, make_scorer

REVIEWS = [
    "a good film",
    "bad",
    "",
    "moving " * 20,
    "nothing known",
    "?!",
    "the dull film<br />",
    "not bad",
] * 5


def scorer_of(model: bytes, *, threshold: float | None = None) -> Scorer:
    return Scorer(Bundle(Path("stand-in"), {MODEL: model}, None), threshold=threshold)


def sigmoid(total: float) -> float:
    return 1 / (1 + math.exp(-total))


def only(result: list[Score | Refusal]) -> Score:
    (score,) = result
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(
    ("text", "total"),
    [("a good film", 2.0), ("bad, BAD!", -4.0), ("the film", 0.0), ("good bad moving", 1.5)],
)
def test_a_score_is_what_the_network_says(text: str, total: float) -> None:
    assert only(make_scorer().score_reviews([text])).score == pytest.approx(sigmoid(total), abs=1e-6)


def test_a_score_tells_how_much_of_the_review_was_used() -> None:
    score = only(make_scorer().score_reviews(["good nonsense film"]))
    assert (score.tokens, score.unknown_share, score.truncated) == (3, 0.3333, False)


def test_a_review_of_unknown_words_is_scored() -> None:
    assert only(make_scorer().score_reviews(["nothing known"])).unknown_share == 1.0


@pytest.mark.parametrize(
    ("words", "is_cut"), [(MAX_LENGTH - 2, False), (MAX_LENGTH - 1, False), (MAX_LENGTH, True)]
)
def test_a_review_longer_than_the_network_takes_is_cut(words: int, is_cut: bool) -> None:
    score = only(make_scorer().score_reviews(["film " * words]))
    assert (score.tokens, score.truncated) == (words, is_cut)


def test_a_cut_review_is_scored_by_its_end() -> None:
    cut, end = make_scorer().score_reviews(["good " * 50 + "bad " * MAX_LENGTH, "bad " * MAX_LENGTH])
    assert isinstance(cut, Score)
    assert isinstance(end, Score)
    assert cut.score == end.score


@pytest.mark.parametrize("text", ["", "  ", "?!", "<br /><br />", "\n"], ids=repr)
def test_a_text_without_a_word_is_refused(text: str) -> None:
    (refusal,) = make_scorer().score_reviews([text])
    assert isinstance(refusal, Refusal)
    assert refusal.code is RejectCode.NO_TOKENS


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
@pytest.mark.parametrize("window", [1, 7, 2048])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_scores_do_not_depend_on_batches_windows_or_threads(
    batch_size: int, window: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None), threads=threads)
    one_by_one = [scorer.score_reviews([review])[0] for review in REVIEWS]
    monkeypatch.setattr("pipeline.runtime.batching._BATCH_ROWS", batch_size)
    monkeypatch.setattr("pipeline.runtime.batching.WINDOW", window)
    assert scorer.score_reviews(REVIEWS) == one_by_one


def test_a_failure_in_another_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    several = Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None), threads=2)

    def fail(_self: Scorer, _ids: object) -> None:
        raise BundleError("the graph fails")

    monkeypatch.setattr(Scorer, "score_ids", fail)
    with pytest.raises(BundleError, match="the graph fails"):
        several.score_reviews(["good film"] * 1000)


@pytest.mark.parametrize("reviews", [WINDOW - 1, WINDOW, WINDOW + 1])
def test_every_review_has_a_result(reviews: int) -> None:
    assert len(make_scorer().score_reviews(["good"] * reviews)) == reviews


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from([*WORDS, "x", "!"]), max_size=12).map(" ".join), max_size=8))
def test_results_come_in_the_order_of_the_reviews(reviews: list[str]) -> None:
    scorer = make_scorer()
    assert scorer.score_reviews(reviews) == [scorer.score_reviews([review])[0] for review in reviews]


@pytest.mark.parametrize(
    ("threshold", "label"), [(None, "positive"), (0.0, "positive"), (0.5, "positive"), (0.500001, "negative")]
)
def test_a_score_of_the_threshold_is_positive(threshold: float | None, label: str) -> None:
    score = only(scorer_of(make_model(), threshold=threshold).score_reviews(["film"]))
    assert (score.score, score.label) == (0.5, label)


def test_a_score_is_its_shortest_decimal() -> None:
    score = only(make_scorer().score_reviews(["good"])).score
    assert len(repr(score)) < 12
    assert np.float32(score) == make_scorer().score_ids(np.array([[1, 4]], dtype=np.int32))[0]


def test_the_shortest_decimals_are_those_that_numpy_prints() -> None:
    source = np.random.default_rng(2)
    bits = source.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    near_half = (np.arange(-500, 500) * 2.0**-24 + 0.5).astype(np.float32)
    values = np.concatenate(
        [
            source.random(50_000, np.float32),
            10 ** source.uniform(-16, 0, 20_000).astype(np.float32),
            bits,
            near_half,
            np.array([0, 1, 0.1, 2**-13, 1e-13, 9.9999e-14, 1e6, 999999.94, -0.5, np.inf], np.float32),
        ]
    )
    values = values[~np.isnan(values)]
    assert shortest_decimals(values).tolist() == [float(str(value)) for value in values]
    assert np.isnan(shortest_decimals(np.array([np.nan], np.float32)))


@case("Process and disk", "token id −1")
@pytest.mark.parametrize("ids", [-1, -2, -(2**31), len(WORDS) + 4, 2**31 - 1])
def test_a_token_id_out_of_range_is_refused(ids: int) -> None:
    with pytest.raises(ValueError, match="token ids from"):
        make_scorer().score_ids(np.array([[1, ids]], dtype=np.int32))


@pytest.mark.parametrize("ids", [0, len(WORDS) + 3])
def test_the_first_and_last_token_id_are_taken(ids: int) -> None:
    assert make_scorer().score_ids(np.array([[1, ids]], dtype=np.int32)).shape == (1,)


@pytest.mark.parametrize("shape", [(3,), (1, 0), (1, MAX_LENGTH + 1), (1, 2, 3), (0, 0)], ids=repr)
def test_token_ids_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        make_scorer().score_ids(np.zeros(shape, dtype=np.int32))


@pytest.mark.parametrize("time", [1, MAX_LENGTH - 1, MAX_LENGTH])
def test_any_length_up_to_the_networks_is_taken(time: int) -> None:
    assert make_scorer().score_ids(np.ones((2, time), dtype=np.int32)).shape == (2,)


class Untouchable:
    """A session that must not be called."""

    def run(self, *_arguments: object) -> None:
        raise AssertionError("the session was called")


@case("Process and disk", "zero rows in a batch")
@pytest.mark.parametrize("reviews", [[], [""], ["", "?!"]], ids=repr)
def test_an_empty_batch_never_calls_the_session(monkeypatch: pytest.MonkeyPatch, reviews: list[str]) -> None:
    scorer = make_scorer()
    monkeypatch.setattr(scorer, "_session", Untouchable())
    assert all(isinstance(each, Refusal) for each in scorer.score_reviews(reviews))
    empty = scorer.score_ids(np.zeros((0, 3), dtype=np.int32))
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


def test_the_stand_in_for_a_session_notices_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = make_scorer()
    monkeypatch.setattr(scorer, "_session", Untouchable())
    with pytest.raises(BundleError, match="the session was called"):
        scorer.score_reviews(["good"])


def test_a_score_that_is_no_number_is_refused_and_its_neighbours_are_not() -> None:
    scorer = scorer_of(model_with_weight("dull", math.nan))
    good, dull, bad = scorer.score_reviews(["good", "dull", "bad"])
    assert isinstance(dull, Refusal)
    assert dull.code is RejectCode.NOT_FINITE
    assert isinstance(good, Score)
    assert isinstance(bad, Score)


def test_padding_is_as_long_as_the_longest_review_and_changes_nothing() -> None:
    scorer = make_scorer()
    short = scorer.score_ids(np.array([[1, 4]], dtype=np.int32))
    padded = scorer.score_ids(np.array([[0] * (MAX_LENGTH - 2) + [1, 4]], dtype=np.int32))
    np.testing.assert_array_equal(short, padded)


@pytest.mark.parametrize("model", [b"", b"no graph", make_model()[:-20]], ids=["nothing", "words", "cut"])
def test_bytes_that_are_no_graph_are_refused(model: bytes) -> None:
    with pytest.raises(BundleError):
        scorer_of(model)


@pytest.mark.parametrize(
    "metadata", [{}, {FACTS_KEY: "{}"}, {FACTS_KEY: "{}", "resenha.words": "a"}], ids=repr
)
def test_a_graph_without_facts_is_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(BundleError):
        scorer_of(model_with_metadata(metadata))


@pytest.mark.parametrize("rename", [(b"score", b"scora"), (b"token_ids", b"tokan_ids")], ids=repr)
def test_a_graph_with_another_face_is_refused(rename: tuple[bytes, bytes]) -> None:
    with pytest.raises(BundleError, match="face"):
        scorer_of(make_model().replace(*rename))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (1, "stand-in: the graph fails on token ids that its vocabulary allows"),
        (len(WORDS) + 3, "stand-in: the graph fails on token ids that its vocabulary allows"),
        (len(WORDS) + 4, None),
        (len(WORDS) + 5, "stand-in: the graph scores the token id 14; its vocabulary ends at 13"),
        (1000, "stand-in: the graph scores the token id 14; its vocabulary ends at 13"),
    ],
)
def test_a_table_of_another_size_than_the_vocabulary_is_refused(
    capfd: pytest.CaptureFixture[str], rows: int, message: str | None
) -> None:
    model = model_with_table_rows(rows)
    if message is None:
        assert scorer_of(model).score_reviews(REVIEWS) == make_scorer().score_reviews(REVIEWS)
    else:
        with pytest.raises(BundleError, match=message):
            scorer_of(model)
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_gives_several_scores_a_review_is_refused() -> None:
    def give_two(model: onnx.ModelProto) -> None:
        model.graph.node[1].attribute[0].i = 1  # keepdims

    with pytest.raises(BundleError, match=r"scores of shape \(1, 1, 1\) for 1 reviews"):
        scorer_of(altered(give_two))


def test_bytes_that_are_a_graph_in_two_forms_are_read_as_what_was_checked(tmp_path: Path) -> None:
    # ONNX Runtime takes bytes with this mark for a graph in its own form, which is another format.
    model = b"\x12\x20\x00\x00ORTM" + b"x" * 26 + make_model()
    assert onnx.load_from_string(model).graph.node
    (tmp_path / MODEL).write_bytes(model)
    assert Scorer.load(tmp_path / MODEL).score_reviews(REVIEWS) == make_scorer().score_reviews(REVIEWS)


def test_a_refusal_of_onnx_runtime_says_nothing_on_standard_output_or_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for model in (b"no graph", make_model().replace(b"Sigmoid", b"Sigmoix")):
        with pytest.raises(BundleError, match=r"stand-in: ONNX Runtime .* cannot load the graph"):
            scorer_of(model)
    assert capfd.readouterr() == ("", "")


def test_a_bundle_and_its_graph_alone_score_the_same(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    whole, alone = Scorer.load(tmp_path / "bundle"), Scorer.load(str(tmp_path / "bundle" / MODEL))
    assert whole.score_reviews(REVIEWS) == alone.score_reviews(REVIEWS)
    assert whole.facts == make_facts()


def test_threads_change_nothing() -> None:
    several = Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None), threads=3)
    assert several.score_reviews(REVIEWS) == make_scorer().score_reviews(REVIEWS)
