"""The text rule, held against its own words and against Keras's."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.networks  # noqa: F401 - imports TensorFlow quietly, before anything else does
from pipeline.errors import BundleError
from pipeline.networks.keras_text import keras_padded_ids
from pipeline.runtime import text as text_module
from pipeline.runtime.padding import pad_batch
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
from tests.plain_tokenizer import encode_one, encode_plainly, random_review, taken_apart
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
    assert list(encode_one(tokenizer(), "good bad 3").token_ids) == [START_ID, 4, 5, 13]


def test_a_word_that_is_not_known_has_the_unknown_id() -> None:
    review = encode_one(tokenizer(), "good nonsense bad nonsense")
    assert list(review.token_ids) == [START_ID, 4, UNKNOWN_ID, 5, UNKNOWN_ID]
    assert (review.tokens, review.unknown) == (4, 2)


def test_a_review_of_unknown_words_still_has_ids() -> None:
    assert list(encode_one(tokenizer(), "nothing known").token_ids) == [START_ID, UNKNOWN_ID, UNKNOWN_ID]


@pytest.mark.parametrize(
    ("words", "is_cut"), [(MAX_LENGTH - 2, False), (MAX_LENGTH - 1, False), (MAX_LENGTH, True), (100, True)]
)
def test_a_review_is_cut_at_the_front(words: int, is_cut: bool) -> None:
    text = ["bad"] * words
    text[-1] = "good"
    review = encode_one(tokenizer(), " ".join(text))
    assert list(review.token_ids) == [START_ID, *[5] * (words - 1), 4][-MAX_LENGTH:]
    assert (review.tokens, review.truncated) == (words, is_cut)


def test_words_that_are_cut_away_are_counted_all_the_same() -> None:
    review = encode_one(tokenizer(), "nonsense " * 20 + "good " * MAX_LENGTH)
    assert (review.tokens, review.unknown) == (20 + MAX_LENGTH, 20)


@pytest.mark.parametrize(
    "text",
    ["", " ", " \t\n ", "?!", "...", "<br />", "<BR><br/> <br />", "<br />?!<br />"],
    ids=repr,
)
@pytest.mark.parametrize("html_breaks", ["keep", "blank"])
def test_blanks_punctuation_and_markup_hold_no_word(text: str, html_breaks: HtmlBreaks) -> None:
    review = encode_one(tokenizer(html_breaks), text)
    assert (list(review.token_ids), review.tokens, review.truncated) == ([], 0, False)


@pytest.mark.parametrize("text", ["br", "good <br />", "<br /> br", "<br /> <i>"])
def test_markup_beside_a_word_is_a_review(text: str) -> None:
    assert encode_one(tokenizer(), text).tokens > 0


def test_words_beyond_num_words_are_left_out() -> None:
    cut = Tokenizer(TextRule(6, MAX_LENGTH, "keep"), WORDS)
    assert cut.words == WORDS[:2]
    assert list(encode_one(cut, "bad film").token_ids) == [START_ID, 5, UNKNOWN_ID]


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
    batch = ours.encode_batch([text])
    if batch.tokens[0]:
        padded = pad_batch(batch, np.array([0]), width=max_length)
        np.testing.assert_array_equal(padded, keras_padded_ids([text], WORDS, ours.rule))


@settings(deadline=None)
@given(ANY_TEXT | WORDY_TEXT)
def test_counts_agree_with_the_ids(text: str) -> None:
    rule = make_facts().text_rule
    review = encode_one(Tokenizer(rule, WORDS), text)
    assert review.unknown <= review.tokens
    assert review.truncated == (review.tokens + 1 > rule.max_length)
    assert len(review.token_ids) == (min(review.tokens + 1, rule.max_length) if review.tokens else 0)
    assert all(START_ID <= each < rule.num_words for each in review.token_ids)


LONG_WORDS = (
    *WORDS, "abcdefg", "abcdefgh", "abcdefghi", "abcdefghijklmno", "abcdefghijklmnop", "abcdefghijklmnopq",
    "ééééééé", "i\u0307", "σ", "ας", "ασα", "a\0", "\ud800", "👍🏽", "fiﬁ", "\u00a0", "مرحبا", "ß",
)  # fmt: skip
PIECES = st.sampled_from(
    (*LONG_WORDS, *(word.upper() for word in LONG_WORDS), "<br />", "<BR\t/>", "<br", *KERAS_FILTERS, " ", "\0",
     "\x85", "İ", "Σ", "ΑΣ", "ΑΣ'", "K", "e\u0301", "\u200f", "\udfff", "\r", "\u3000", "𐐀", "Ⅷ", "É")
)  # fmt: skip
REVIEW = st.lists(PIECES | st.characters(exclude_categories=()), max_size=40).map("".join)
REVIEWS = st.lists(REVIEW | ANY_TEXT, max_size=12)


def assert_encoded_as_plainly(
    reviews: Sequence[str],
    words: Sequence[str] = LONG_WORDS,
    *,
    html_breaks: HtmlBreaks = "keep",
    max_length: int = MAX_LENGTH,
) -> None:
    rule = TextRule(len(words) + 4, max_length, html_breaks)
    batch = Tokenizer(rule, words).encode_batch(reviews)
    assert taken_apart(batch) == encode_plainly(rule, words, reviews)
    assert [batch.token_ids.dtype, batch.offsets.dtype, batch.tokens.dtype] == [np.int32, np.int64, np.int64]
    assert [batch.unknown.dtype, batch.truncated.dtype] == [np.int64, np.bool_]
    assert len(batch) == len(reviews)
    assert batch.offsets[-1] == len(batch.token_ids)


@settings(deadline=None, max_examples=500)
@given(REVIEWS, st.sampled_from(["keep", "blank"]), st.integers(1, 12), st.sampled_from([1, 7, 64, 1 << 18]))
def test_a_batch_is_encoded_as_word_by_word(
    reviews: list[str], html_breaks: HtmlBreaks, max_length: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "_CHUNK", chunk)
        assert_encoded_as_plainly(reviews, html_breaks=html_breaks, max_length=max_length)


@settings(deadline=None)
@given(st.sets(ANY_TEXT | REVIEW), REVIEWS, st.integers(1, 12))
def test_any_vocabulary_that_the_rule_produces_is_found_again(
    texts: set[str], others: list[str], max_length: int
) -> None:
    reviews = [*sorted(texts), *others]
    words = rank_words(count_words(texts, "keep"))
    assert_encoded_as_plainly(reviews, words, max_length=max_length)


@pytest.mark.parametrize("html_breaks", ["keep", "blank"])
def test_reviews_without_a_word_take_no_ids_among_others(html_breaks: HtmlBreaks) -> None:
    reviews = ["", "?!", "good", "<br /><BR>", " \t\n", "bad film", "<br />?", "br", "<br /> br", ""]
    assert_encoded_as_plainly(reviews, html_breaks=html_breaks)
    assert_encoded_as_plainly(["", "<br />"], html_breaks=html_breaks)
    assert_encoded_as_plainly([], html_breaks=html_breaks)
    assert_encoded_as_plainly(reviews, WORDS[:2], html_breaks=html_breaks)
    assert_encoded_as_plainly(reviews, [], html_breaks=html_breaks)


@pytest.mark.parametrize("word", LONG_WORDS[len(WORDS) :], ids=ascii)
def test_a_word_a_byte_longer_or_shorter_is_another(word: str) -> None:
    assert_encoded_as_plainly([word, word[:-1], word + "x", "x" + word, f"{word} {word}", word * 2], [word])


@pytest.mark.parametrize("count", [MAX_LENGTH - 2, MAX_LENGTH - 1, MAX_LENGTH, MAX_LENGTH + 1])
def test_each_review_of_a_batch_is_cut_by_itself(count: int) -> None:
    long = " ".join(["nonsense", *["bad"] * (count - 2), "good"])
    assert_encoded_as_plainly([long, "good", "", long, long])


@pytest.mark.parametrize("chunk", range(1, 90))
def test_a_text_may_be_cut_into_chunks_at_any_place(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_CHUNK", chunk)
    assert_encoded_as_plainly(
        ["Good film abcdefghijklmnopq", "", "  a , bad  ", "ééééééé Σ " * 3, "the " * 9]
    )


def test_a_review_of_many_chunks_is_one_review() -> None:
    words = ["good", "abcdefghijklmnop", "nonsense", "ééééééé", "x" * 700_000, "bad"]
    source = random.Random(0)
    assert_encoded_as_plainly([" ".join(source.choices(words[:4], k=200_000)), " ".join(words), "dull"])


@pytest.mark.parametrize("html_breaks", ["keep", "blank"])
def test_the_time_for_a_break_that_never_ends_grows_with_its_length(html_breaks: HtmlBreaks) -> None:
    assert encode_one(tokenizer(html_breaks), "<br" + " " * 1_000_000).tokens == 1


@pytest.mark.slow
def test_random_texts_are_encoded_as_word_by_word() -> None:
    """``RESENHA_RANDOM_TEXTS`` says how many; a million take some minutes."""
    source = random.Random(0)
    left = int(os.environ.get("RESENHA_RANDOM_TEXTS", "20000"))
    while left > 0:
        reviews = [random_review(source, LONG_WORDS) for _ in range(min(left, 5000))]
        html_breaks: HtmlBreaks = source.choice(("keep", "blank"))
        assert_encoded_as_plainly(reviews, html_breaks=html_breaks, max_length=source.randint(1, 40))
        left -= len(reviews)
