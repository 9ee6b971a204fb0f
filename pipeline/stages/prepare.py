"""Prepare: check the reviews, order and split them, and turn them into padded token ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.corpora.checks import check_reviews, data_page, removed_duplicates, without_reviews
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import (
    Split,
    load_reviews,
    load_texts,
    load_words,
    save_reviews,
    save_split,
    save_texts,
    save_words,
)
from pipeline.errors import DataError
from pipeline.recipe import Recipe, TrainingSettings
from pipeline.reports import Acquired, Prepared
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.text import TextRule, TokenizedBatch, Tokenizer, count_words, rank_words
from pipeline.workspace import Done, Workspace


def prepare(workspace: Workspace, recipe: Recipe, acquired: Done[Acquired]) -> Done[Prepared]:
    """Turn the acquired reviews into arrays for training, validation and test.

    The vocabulary is the one that the corpus brings, or else counted on the reviews to learn from
    (validation and unlabelled ones included, test never). The validation split is the last share of
    the labelled ones after the recipe's order, as ``validation_split`` of ``keras.Model.fit``. For a
    teacher, the reviews are written as texts, too, but for those of the test split.

    Raises:
        DataError: If the reviews cannot be learnt from.
    """
    training = recipe.training
    words = [Acquired.WORDS] if acquired.report.brings_words else []
    unlabelled = [Acquired.UNLABELLED] if acquired.report.unlabelled_reviews else []
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
            "teacher": recipe.teacher is not None,
            "pretraining": recipe.pretraining is not None,
            "unlabelled": recipe.wants_unlabelled,
        },
        inputs=acquired.pick(Acquired.TRAIN, Acquired.TEST, *unlabelled, *words),
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
    counts = {name: len(reviews) for name, reviews in splits.items()}
    unlabelled: list[str] = []
    if recipe.wants_unlabelled:
        unlabelled, checks["unlabelled"] = _take_unlabelled(recipe, acquired, splits)
        counts["unlabelled"] = len(unlabelled)
    words = (
        load_words(acquired[Acquired.WORDS])
        if acquired.report.brings_words
        else _count([*(review.text for review in given), *unlabelled], recipe.text_rule)
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
    if recipe.teacher is not None:
        save_reviews(folder / Prepared.TRAIN_REVIEWS, train)
        save_reviews(folder / Prepared.VALIDATION_REVIEWS, validation)
        save_texts(folder / Prepared.UNLABELLED_REVIEWS, unlabelled)
    if recipe.teacher is not None or recipe.pretraining is not None:
        np.save(folder / Prepared.UNLABELLED, _pad(tokenizer.encode_batch(unlabelled), recipe.text_rule))
    page = data_page(acquired.report, counts, checks, len(tokenizer.words), recipe.corpus.duplicates)
    (folder / Prepared.PAGE).write_text(page, "utf-8")
    return Prepared(counts, len(tokenizer.words), checks)


def _take_unlabelled(
    recipe: Recipe, acquired: Done[Acquired], splits: Mapping[str, Sequence[LabelledReview]]
) -> tuple[list[str], dict[str, int]]:
    """Give the unlabelled reviews that may be learnt from, and how many were left out."""
    given = load_texts(acquired[Acquired.UNLABELLED]) if acquired.report.unlabelled_reviews else []
    new = used = without_reviews(given, (*splits["validation"], *splits["test"]))
    if recipe.corpus.duplicates == "remove":
        used = list(dict.fromkeys(without_reviews(new, splits["train"])))
    return used, {"given": len(given), "held_back": len(given) - len(new), "repeated": len(new) - len(used)}


def _count(texts: Iterable[str], rule: TextRule) -> list[str]:
    return rank_words(count_words(texts, rule.html_breaks))


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
        ids=_pad(batch, rule),
        labels=np.array([review.label for review in reviews], dtype=np.int32),
        lengths=batch.tokens.astype(np.int32),
        unknown=batch.unknown.astype(np.int32),
    )


def _pad(batch: TokenizedBatch, rule: TextRule) -> NDArray[np.int32]:
    return pad_batch(batch, np.arange(len(batch)), width=rule.max_length)
