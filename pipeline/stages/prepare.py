"""Prepare: check the reviews, order and split them, and turn them into padded token ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.corpora.checks import check_reviews, data_page, removed_duplicates
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import (
    Split,
    load_reviews,
    load_words,
    save_reviews,
    save_split,
    save_words,
)
from pipeline.errors import DataError
from pipeline.recipe import Recipe, TrainingSettings
from pipeline.reports import Acquired, Prepared
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.text import TextRule, Tokenizer, count_words, rank_words
from pipeline.workspace import Done, Workspace


def prepare(workspace: Workspace, recipe: Recipe, acquired: Done[Acquired]) -> Done[Prepared]:
    """Turn the acquired reviews into arrays for training, validation and test.

    The vocabulary is the one that the corpus brings, or else counted on the reviews to learn from
    (validation included, test never). The validation split is the last share of those reviews
    after the recipe's order, as ``validation_split`` of ``keras.Model.fit``.

    Raises:
        DataError: If the reviews cannot be learnt from.
    """
    training = recipe.training
    words = [Acquired.WORDS] if acquired.report.brings_words else []
    return workspace.run_stage(
        "prepare",
        recipe.name,
        partial(_prepare, recipe, acquired),
        report_type=Prepared,
        settings={
            "text": recipe.text.model_dump(),
            "duplicates": recipe.corpus.duplicates,
            "order": [training.order, training.order_seed],
            "validation_split": training.validation_split,
            "labels": [recipe.corpus.negative, recipe.corpus.positive],
        },
        inputs=acquired.pick(Acquired.TRAIN, Acquired.TEST, *words),
    )


def _prepare(recipe: Recipe, acquired: Done[Acquired], folder: Path) -> Prepared:
    given = load_reviews(acquired[Acquired.TRAIN])
    test = load_reviews(acquired[Acquired.TEST])
    checks = check_reviews(given, test, recipe.text_rule)
    if recipe.corpus.duplicates == "remove":
        given = removed_duplicates(given, test)
    train, validation = _split(_ordered(given, recipe.training), recipe.training.validation_split)
    splits = {"train": train, "validation": validation, "test": test}
    for name, reviews in splits.items():
        _check_both_labels(name, reviews)
    words = (
        load_words(acquired[Acquired.WORDS])
        if acquired.report.brings_words
        else rank_words(count_words((review.text for review in given), recipe.text.html_breaks))
    )
    tokenizer = Tokenizer(recipe.text_rule, words)
    for name, file in (
        ("train", Prepared.TRAIN),
        ("validation", Prepared.VALIDATION),
        ("test", Prepared.TEST),
    ):
        save_split(folder / file, encode_split(splits[name], tokenizer, recipe.text_rule))
    save_reviews(folder / Prepared.TEST_REVIEWS, test)
    save_words(folder / Prepared.WORDS, tokenizer.words)
    counts = {name: len(reviews) for name, reviews in splits.items()}
    page = data_page(acquired.report, counts, checks, len(tokenizer.words), recipe.corpus.duplicates)
    (folder / Prepared.PAGE).write_text(page, "utf-8")
    return Prepared(counts, len(tokenizer.words), checks)


def _ordered(reviews: Sequence[LabelledReview], training: TrainingSettings) -> list[LabelledReview]:
    """Order reviews as the recipe says; ``shuffled`` is what ``imdb.load_data`` does with its seed."""
    order = np.arange(len(reviews))
    if training.order == "shuffled":
        np.random.RandomState(training.order_seed).shuffle(order)
    return [reviews[place] for place in order.tolist()]


def _split(
    reviews: list[LabelledReview], validation_split: float
) -> tuple[list[LabelledReview], list[LabelledReview]]:
    """Cut where ``keras.Model.fit`` cuts."""
    cut = math.floor(len(reviews) * (1 - validation_split))
    return reviews[:cut], reviews[cut:]


def _check_both_labels(split: str, reviews: Sequence[LabelledReview]) -> None:
    found = {review.label for review in reviews}
    if found != {0, 1}:
        msg = (
            f"the {split} split has {len(reviews):,} reviews and the labels {sorted(found) or 'none'}; "
            f"both 0 and 1 are needed (training.order = 'shuffled' mixes reviews that come sorted by label)"
        )
        raise DataError(msg)


def encode_split(reviews: Sequence[LabelledReview], tokenizer: Tokenizer, rule: TextRule) -> Split:
    """Turn reviews into the arrays of a split; a review without a word is a row of padding."""
    batch = tokenizer.encode_batch([review.text for review in reviews])
    return Split(
        ids=pad_batch(batch, np.arange(len(batch)), width=rule.max_length),
        labels=np.array([review.label for review in reviews], dtype=np.int32),
        lengths=batch.tokens.astype(np.int32),
        unknown=batch.unknown.astype(np.int32),
    )
