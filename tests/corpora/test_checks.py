from __future__ import annotations

import pytest

from pipeline.corpora.checks import check_reviews, data_page, removed_duplicates, without_reviews
from pipeline.corpora.corpus import LabelledReview
from pipeline.errors import DataError
from pipeline.reports import Acquired
from pipeline.runtime.text import TextRule

RULE = TextRule(num_words=50, max_length=5, html_breaks="keep")
TRAIN = [
    LabelledReview("one two", 1),
    LabelledReview("one two", 1),
    LabelledReview("both sides", 1),
    LabelledReview("both sides", 0),
    LabelledReview("in the test too", 0),
    LabelledReview("?!", 0),
    LabelledReview("exactly four words here", 1),
    LabelledReview("one more than four words", 1),
    *[LabelledReview(f"filler {number}", number % 2) for number in range(4)],
]
TEST = [LabelledReview("in the test too", 0), *[LabelledReview(f"t {number}", 1) for number in range(11)]]


def test_what_is_odd_in_the_data_is_counted() -> None:
    checks = check_reviews(TRAIN, TEST, RULE)
    assert checks["train_texts_in_test"] == 1
    train = checks["train"]
    assert (train["reviews"], train["positive"], train["negative"]) == (12, 7, 5)
    assert (train["repeated"], train["texts_with_both_labels"], train["without_words"]) == (2, 1, 1)
    # Four words and the start mark just fit five places.
    assert train["cut"] == 1


def test_removing_duplicates_keeps_the_first_and_spares_the_test() -> None:
    kept = removed_duplicates(TRAIN, TEST)
    assert [review.text for review in kept[:4]] == ["one two", "both sides", "?!", "exactly four words here"]


def test_texts_that_are_reviews_are_left_out_and_all_others_stay() -> None:
    texts = ["one two", "new", "one", "in the test too", "new"]
    assert without_reviews(texts, (*TRAIN, *TEST)) == ["new", "one", "new"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"given": 1200, "held_back": 3, "repeated": 4}, "1,200. Left out: 3 that are validation or test reviews, 4 that repeat"),
        ({"given": 0, "held_back": 0, "repeated": 0}, "the recipe asks for them, and the corpus has none"),
    ],
)  # fmt: skip
def test_the_page_tells_of_unlabelled_reviews_where_they_were_asked_for(
    found: dict[str, int], told: str
) -> None:
    acquired = Acquired("files", "unverified", {}, 12, 12, brings_words=False)
    checks = check_reviews(TRAIN, TEST, RULE)
    assert "Unlabelled" not in data_page(acquired, {"train": 10}, checks, 30, "keep")
    page = data_page(acquired, {"train": 10}, checks | {"unlabelled": found}, 30, "keep")
    assert f"- Unlabelled reviews: {told}" in page


def test_too_few_reviews_are_refused() -> None:
    with pytest.raises(DataError, match="the test split has 9 reviews; at least 10 are needed"):
        check_reviews(TRAIN, TEST[:9], RULE)


def test_the_page_tells_what_was_found() -> None:
    acquired = Acquired("files", "unverified", {"train": "ab" * 32}, 12, 12, brings_words=False)
    page = data_page(acquired, {"train": 10}, check_reviews(TRAIN, TEST, RULE), 30, "keep")
    assert "| Repeating an earlier text of the split | 2 | 0 |" in page
    assert "test reviews too: 1. Repeated texts are kept" in page
    assert "ab" * 32 in page
