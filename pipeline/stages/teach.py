"""Teach: a slow model scores the reviews to learn from, so that training can learn from that, too."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.corpora.splits import load_reviews, load_texts
from pipeline.errors import RecipeError
from pipeline.nb_svm import cross_fit_nb_svm
from pipeline.recipe import Recipe, TeacherSettings
from pipeline.reports import Prepared, Taught
from pipeline.workspace import Done, Workspace


def teach(workspace: Workspace, recipe: Recipe, prepared: Done[Prepared]) -> Done[Taught]:
    """Score the labelled reviews, each by a model that has not learnt from it, and the unlabelled ones.

    The validation split is scored to measure the teacher, and never learnt from; the test split is not
    looked at.

    Raises:
        RecipeError: If the recipe has no teacher.
        DataError: If the reviews cannot be learnt from.
    """
    if recipe.teacher is None:
        msg = f"recipe {recipe.name} has no teacher: add a table [teacher], which may be empty"
        raise RecipeError(msg)
    seen = prepared.only(Prepared.TRAIN_REVIEWS, Prepared.VALIDATION_REVIEWS, Prepared.UNLABELLED_REVIEWS)
    return workspace.run_stage(
        "teach",
        recipe.name,
        partial(_teach, recipe.teacher, seen),
        report_type=Taught,
        settings=recipe.teacher.model_dump(include={"ngrams", "folds"}),
        inputs=seen.pick(*seen.digests),
    )


def _teach(teacher: TeacherSettings, prepared: Done[Prepared], folder: Path) -> Taught:
    train, validation = (
        load_reviews(prepared[name]) for name in (Prepared.TRAIN_REVIEWS, Prepared.VALIDATION_REVIEWS)
    )
    labels, held_back = (
        np.array([review.label for review in reviews], np.int32) for reviews in (train, validation)
    )
    # Whoever scores as these two do, labelled reviews out of fold, can be averaged with them.
    model, labelled = cross_fit_nb_svm(
        [review.text for review in train], labels, ngrams=teacher.ngrams, folds=teacher.folds
    )
    unlabelled = model.logits(load_texts(prepared[Prepared.UNLABELLED_REVIEWS]))
    np.savez(folder / Taught.LOGITS, labelled=labelled, unlabelled=unlabelled)
    return Taught(
        reviews={"labelled": len(labelled), "unlabelled": len(unlabelled)},
        features=model.features,
        out_of_fold_accuracy=_accuracy(labelled, labels),
        validation_accuracy=_accuracy(model.logits([review.text for review in validation]), held_back),
    )


def _accuracy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    return float(((logits > 0) == (labels == 1)).mean())
