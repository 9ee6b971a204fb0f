"""Checks on labelled reviews before anything is learnt from them, and the page that tells of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.corpora.corpus import LabelledReview
from pipeline.errors import DataError
from pipeline.reports import Acquired
from pipeline.runtime.text import TextRule, split_words

_FEWEST = 10
"""Reviews a split needs before any share of it means something."""


def check_reviews(
    train: Sequence[LabelledReview], test: Sequence[LabelledReview], rule: TextRule
) -> dict[str, Any]:
    """Count what a person would want to know of the data before trusting a network made of it.

    Returns:
        Figures as JSON can hold them; lengths in words, start mark not counted.

    Raises:
        DataError: If a split is too small.
    """
    for name, reviews in (("train", train), ("test", test)):
        if len(reviews) < _FEWEST:
            msg = f"the {name} split has {len(reviews)} reviews; at least {_FEWEST} are needed"
            raise DataError(msg)
    test_texts = {review.text for review in test}
    return {
        "train": _describe(train, rule),
        "test": _describe(test, rule),
        "train_texts_in_test": sum(review.text in test_texts for review in train),
    }


def _describe(reviews: Sequence[LabelledReview], rule: TextRule) -> dict[str, Any]:
    labels_of: defaultdict[str, set[int]] = defaultdict(set)
    for review in reviews:
        labels_of[review.text].add(review.label)
    lengths = np.array([len(split_words(review.text, rule.html_breaks)) for review in reviews])
    counts = Counter(review.label for review in reviews)
    return {
        "reviews": len(reviews),
        "positive": counts[1],
        "negative": counts[0],
        "without_words": int((lengths == 0).sum()),
        "repeated": len(reviews) - len(labels_of),
        "texts_with_both_labels": sum(len(labels) > 1 for labels in labels_of.values()),
        "cut": int((lengths + 1 > rule.max_length).sum()),
        "mean_length": round(float(lengths.mean()), 2),
        "length_quantiles": {
            f"{share:.0%}": int(np.quantile(lengths, share)) for share in (0, 0.05, 0.5, 0.95, 1)
        },
    }


def removed_duplicates(
    train: Sequence[LabelledReview], test: Sequence[LabelledReview]
) -> list[LabelledReview]:
    """Keep the first of equal training texts, and none that is a test review; test stays as it is."""
    seen = {review.text for review in test}
    kept = []
    for review in train:
        if review.text not in seen:
            seen.add(review.text)
            kept.append(review)
    return kept


def without_reviews(texts: Iterable[str], reviews: Iterable[LabelledReview]) -> list[str]:
    """Leave out the texts that are those of the reviews."""
    seen = {review.text for review in reviews}
    return [text for text in texts if text not in seen]


def data_page(
    acquired: Acquired,
    counts: Mapping[str, int],
    checks: Mapping[str, Any],
    words: int,
    duplicates: str,
) -> str:
    """Write the data report in Markdown.

    Args:
        acquired: What the data is.
        counts: Reviews by split.
        checks: What ``check_reviews`` found; of unlabelled reviews, if they were asked for, under
            ``unlabelled`` how many were ``given``, ``held_back`` and ``repeated``.
        words: Words in the vocabulary.
        duplicates: What the recipe does with repeated texts.
    """
    rows = {
        "reviews": "Reviews",
        "positive": "… positive",
        "negative": "… negative",
        "without_words": "Without a single word",
        "repeated": "Repeating an earlier text of the split",
        "texts_with_both_labels": "Texts that carry both labels",
        "cut": "Longer than the network reads (cut at the front)",
        "mean_length": "Mean length, words",
    }
    lines = [
        f"# The data: {acquired.corpus} ({acquired.provenance})",
        "",
        "| | to learn from | test |",
        "|---|---:|---:|",
        *(f"| {title} | {checks['train'][key]:,} | {checks['test'][key]:,} |" for key, title in rows.items()),
        *(
            f"| {share} of reviews have at most, words | {checks['train']['length_quantiles'][share]:,} "
            f"| {checks['test']['length_quantiles'][share]:,} |"
            for share in checks["train"]["length_quantiles"]
        ),
        "",
        (
            f"- Texts to learn from that are test reviews too: {checks['train_texts_in_test']:,}. "
            f"Repeated texts are {'kept' if duplicates == 'keep' else 'removed'}, as the recipe says."
        ),
        f"- Used: {', '.join(f'{split} {count:,}' for split, count in counts.items())}.",
        f"- Vocabulary: {words:,} words.",
    ]
    if "unlabelled" in checks:
        lines.append(_unlabelled_line(checks["unlabelled"]))
    lines += [f"- {name}: SHA-256 `{digest}`." for name, digest in acquired.archives.items()]
    return "\n".join(lines) + "\n"


def _unlabelled_line(found: Mapping[str, int]) -> str:
    if not found["given"]:
        return "- Unlabelled reviews: the recipe asks for them, and the corpus has none."
    return (
        f"- Unlabelled reviews: {found['given']:,}. Left out: {found['held_back']:,} that are validation or "
        f"test reviews, {found['repeated']:,} that repeat another text."
    )
