"""The text rule, held against its own words and against Keras's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.networks  # noqa: F401 - imports TensorFlow quietly, before anything else does
from pipeline.errors import BundleError
from pipeline.networks.keras_text import keras_padded_ids
from pipeline.runtime.padding import pad_reviews
from pipeline.runtime.text import (
    KERAS_FILTERS,
    START_ID,
    UNKNOWN_ID,
    HtmlBreaks,
    TextRule,
    Tokenizer,
    blank_html_breaks,
    count_words,
    rank_words,
    split_words,
)
from tests.stand_ins import MAX_LENGTH, WORDS, make_facts

ANY_TEXT = st.text(st.characters(exclude_categories=()))
WORDY_TEXT = st.lists(
    st.sampled_from(
        (*WORDS, "Good", "FILM", "<br />", "<BR>", " ", "!", "\n", "\u00a0", "\u0085", "İ", "Σ", "ß")
    )
    | ANY_TEXT,
    max_size=30,
).map(" ".join)


def tokenizer(html_breaks: HtmlBreaks = "keep", max_length: int = MAX_LENGTH) -> Tokenizer:
    return Tokenizer(TextRule(len(WORDS) + 4, max_length, html_breaks), WORDS)


def test_words_are_lower_cased() -> None:
    assert split_words("A GOOD Film", "keep") == ["a", "good", "film"]


@pytest.mark.parametrize("border", list(KERAS_FILTERS), ids=[f"U+{ord(each):04X}" for each in KERAS_FILTERS])
def test_each_filter_character_is_a_border(border: str) -> None:
    assert split_words(f"good{border}film", "keep") == ["good", "film"]


@pytest.mark.parametrize(
    "character",
    [
        "'",
        "’",
        "\u00a0",
        "\u0085",
        "\u2028",
        "\u2029",
        "\x0b",
        "\x0c",
        "\r",
        "\u3000",
        "…",
        "“",
        "é",
        "e\u0301",
    ],
    ids=lambda text: "+".join(f"U+{ord(each):04X}" for each in text),
)
def test_every_other_character_stays_inside_its_word(character: str) -> None:
    assert split_words(f"good{character}film", "keep") == [f"good{character}film"]


@pytest.mark.parametrize("tag", ["<br>", "<br/>", "<br />", "<BR />", "<Br\t/ >"])
def test_a_kept_break_leaves_the_word_br(tag: str) -> None:
    assert split_words(f"good{tag}film", "keep") == ["good", "br", "film"]


@pytest.mark.parametrize("tag", ["<br>", "<br/>", "<br />", "<BR />", "<Br\t/ >"])
def test_a_blanked_break_leaves_nothing(tag: str) -> None:
    assert split_words(f"good{tag}film", "blank") == ["good", "film"]


@pytest.mark.parametrize("text", ["<brr>", "< br>", "<br", "br>", "<br class=x>"])
def test_only_a_break_is_blanked(text: str) -> None:
    assert blank_html_breaks(text) == text


def test_the_id_of_a_word_is_its_rank_and_three() -> None:
    assert list(tokenizer().encode("good bad 3").token_ids) == [START_ID, 4, 5, 13]


def test_a_word_that_is_not_known_has_the_unknown_id() -> None:
    review = tokenizer().encode("good nonsense bad nonsense")
    assert list(review.token_ids) == [START_ID, 4, UNKNOWN_ID, 5, UNKNOWN_ID]
    assert (review.tokens, review.unknown) == (4, 2)


def test_a_review_of_unknown_words_still_has_ids() -> None:
    assert list(tokenizer().encode("nothing known").token_ids) == [START_ID, UNKNOWN_ID, UNKNOWN_ID]


@pytest.mark.parametrize(
    ("words", "is_cut"), [(MAX_LENGTH - 2, False), (MAX_LENGTH - 1, False), (MAX_LENGTH, True), (100, True)]
)
def test_a_review_is_cut_at_the_front(words: int, is_cut: bool) -> None:
    text = ["bad"] * words
    text[-1] = "good"
    review = tokenizer().encode(" ".join(text))
    assert list(review.token_ids) == [START_ID, *[5] * (words - 1), 4][-MAX_LENGTH:]
    assert (review.tokens, review.truncated) == (words, is_cut)


def test_words_that_are_cut_away_are_counted_all_the_same() -> None:
    review = tokenizer().encode("nonsense " * 20 + "good " * MAX_LENGTH)
    assert (review.tokens, review.unknown) == (20 + MAX_LENGTH, 20)


@pytest.mark.parametrize(
    "text",
    ["", " ", " \t\n ", "?!", "...", "<br />", "<BR><br/> <br />", "<br />?!<br />"],
    ids=repr,
)
@pytest.mark.parametrize("html_breaks", ["keep", "blank"])
def test_blanks_punctuation_and_markup_hold_no_word(text: str, html_breaks: HtmlBreaks) -> None:
    review = tokenizer(html_breaks).encode(text)
    assert (list(review.token_ids), review.tokens, review.truncated) == ([], 0, False)


@pytest.mark.parametrize("text", ["br", "good <br />", "<br /> br", "<br /> <i>"])
def test_markup_beside_a_word_is_a_review(text: str) -> None:
    assert tokenizer().encode(text).tokens > 0


def test_words_beyond_num_words_are_left_out() -> None:
    cut = Tokenizer(TextRule(6, MAX_LENGTH, "keep"), WORDS)
    assert cut.words == WORDS[:2]
    assert list(cut.encode("bad film").token_ids) == [START_ID, 5, UNKNOWN_ID]


@pytest.mark.parametrize(
    "words",
    [("good", "good"), ("Good",), ("a b",), ("",), ("good!",), ("a\n",)],
    ids=["twice", "upper case", "blank", "empty", "filter character", "line end"],
)
def test_a_vocabulary_the_rule_cannot_produce_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(BundleError):
        Tokenizer(TextRule(100, MAX_LENGTH, "keep"), words)


def test_words_are_ranked_by_frequency_and_ties_by_code_point() -> None:
    assert rank_words({"b": 1, "a": 1, "é": 1, "c": 9}) == ["c", "a", "b", "é"]


def test_words_of_all_reviews_are_counted() -> None:
    assert count_words(["Good, good<br />", "bad"], "keep") == {"good": 2, "br": 1, "bad": 1}


@settings(deadline=None)
@given(ANY_TEXT | WORDY_TEXT)
def test_words_are_those_of_keras(text: str) -> None:
    import tensorflow as tf

    assert split_words(text, "keep") == tf.keras.preprocessing.text.text_to_word_sequence(text)


@settings(deadline=None)
@given(ANY_TEXT | WORDY_TEXT)
def test_the_rule_gives_back_each_word_it_has_produced(text: str) -> None:
    for word in split_words(text, "keep"):
        assert split_words(word, "keep") == [word]


@settings(deadline=None)
@given(ANY_TEXT | WORDY_TEXT, st.sampled_from(["keep", "blank"]), st.integers(1, 12))
def test_padded_ids_are_those_of_keras(text: str, html_breaks: HtmlBreaks, max_length: int) -> None:
    ours = tokenizer(html_breaks, max_length)
    review = ours.encode(text)
    if review.tokens:
        padded = pad_reviews([review.token_ids], max_length)
        np.testing.assert_array_equal(padded, keras_padded_ids([text], WORDS, ours.rule))


@settings(deadline=None)
@given(ANY_TEXT | WORDY_TEXT)
def test_counts_agree_with_the_ids(text: str) -> None:
    rule = make_facts().text_rule
    review = Tokenizer(rule, WORDS).encode(text)
    assert review.unknown <= review.tokens
    assert review.truncated == (review.tokens + 1 > rule.max_length)
    assert len(review.token_ids) == (min(review.tokens + 1, rule.max_length) if review.tokens else 0)
    assert all(START_ID <= each < rule.num_words for each in review.token_ids)
