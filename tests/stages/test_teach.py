"""A recipe with a teacher, from its unlabelled reviews to the bundle."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.chain import Outcome, run_chain, run_training
from pipeline.corpora.splits import load_reviews, load_split, load_texts, save_reviews
from pipeline.errors import RecipeError
from pipeline.networks.fitting import fit_network
from pipeline.recipe import Recipe, TeacherSettings
from pipeline.reports import Prepared, Taught
from pipeline.stages import train
from pipeline.stages.acquire import Sourcing, acquire
from pipeline.stages.prepare import prepare
from pipeline.stages.teach import teach
from pipeline.workspace import Done, Workspace

FOR_A_TEACHER = {
    Prepared.TRAIN_REVIEWS,
    Prepared.VALIDATION_REVIEWS,
    Prepared.UNLABELLED_REVIEWS,
    Prepared.UNLABELLED,
}


def prepared_of(workspace: Workspace, recipe: Recipe) -> Done[Prepared]:
    return prepare(workspace, recipe, acquire(workspace, recipe, Sourcing()))


def with_teacher(recipe: Recipe, **settings: Any) -> Recipe:
    return recipe.model_copy(update={"teacher": TeacherSettings(**{"ngrams": 2, **settings})})


def add_unlabelled(recipe: Recipe, *texts: str) -> None:
    with Path(recipe.corpus.unlabelled or "").open("a") as stream:
        stream.writelines(f"{text},\n" for text in texts)


# What is prepared for it


def test_texts_and_token_ids_are_of_the_same_reviews_in_the_same_order(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    prepared = prepared_of(workspace, taught_recipe)
    for texts, arrays in (
        (Prepared.TRAIN_REVIEWS, Prepared.TRAIN),
        (Prepared.VALIDATION_REVIEWS, Prepared.VALIDATION),
    ):
        reviews, split = load_reviews(prepared[texts]), load_split(prepared[arrays])
        assert [review.label for review in reviews] == split.labels.tolist()
        assert [len(review.text.split()) for review in reviews] == split.lengths.tolist()
    unlabelled = load_texts(prepared[Prepared.UNLABELLED_REVIEWS])
    ids = np.load(prepared[Prepared.UNLABELLED])
    assert (ids.shape, ids.dtype) == ((300, 12), np.int32)
    lengths = [min(len(text.split()) + 1, 12) for text in unlabelled]
    assert np.count_nonzero(ids, axis=1).tolist() == lengths


def test_a_recipe_without_a_teacher_gets_what_it_got_before(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    alone = prepared_of(workspace, taught_recipe.model_copy(update={"teacher": None, "pretraining": None}))
    assert not FOR_A_TEACHER & set(alone.digests)
    assert "unlabelled" not in alone.report.reviews
    # A teacher that asks for no more reviews changes nothing of them.
    quiet = prepared_of(workspace, with_teacher(taught_recipe, unlabelled=False))
    assert {name: quiet.digests[name] for name in alone.digests} == alone.digests
    assert set(quiet.digests) == {*alone.digests, *FOR_A_TEACHER}
    assert np.load(quiet[Prepared.UNLABELLED]).shape == (0, 12)


def test_an_unlabelled_review_that_is_held_back_is_never_learnt_from(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    first = prepared_of(workspace, taught_recipe)
    [test, validation, known] = (
        load_reviews(first[name])[0].text
        for name in (Prepared.TEST_REVIEWS, Prepared.VALIDATION_REVIEWS, Prepared.TRAIN_REVIEWS)
    )
    add_unlabelled(taught_recipe, test, validation, known, "new", "new")
    kept = prepared_of(workspace, taught_recipe)
    texts = load_texts(kept[Prepared.UNLABELLED_REVIEWS])
    assert len(texts) == kept.report.reviews["unlabelled"] == len(np.load(kept[Prepared.UNLABELLED])) == 303
    assert texts[300:] == [known, "new", "new"]
    assert "305. Left out: 2 that are validation or test reviews, 0" in kept[Prepared.PAGE].read_text("utf-8")
    corpus = taught_recipe.corpus.model_copy(update={"duplicates": "remove"})
    removed = prepared_of(workspace, taught_recipe.model_copy(update={"corpus": corpus}))
    assert load_texts(removed[Prepared.UNLABELLED_REVIEWS])[300:] == ["new"]
    assert "Left out: 2 that are validation or test reviews, 2 that" in removed[Prepared.PAGE].read_text(
        "utf-8"
    )


def test_words_of_unlabelled_reviews_are_learnt_and_those_of_the_held_back_are_not(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    test = Path(taught_recipe.corpus.test or "")
    test.write_text(test.read_text() + " ".join(["secret"] * 500) + ",1\n")
    add_unlabelled(taught_recipe, " ".join(["secret"] * 500), " ".join(["sequel"] * 600))
    words = prepared_of(workspace, taught_recipe)[Prepared.WORDS].read_text().split("\n")
    assert "sequel" in words[:3]
    assert "secret" not in words


# What it says


def test_its_figures_are_those_of_its_logits(workspace: Workspace, taught_recipe: Recipe) -> None:
    prepared = prepared_of(workspace, taught_recipe)
    taught = teach(workspace, taught_recipe, prepared)
    with np.load(taught[Taught.LOGITS]) as arrays:
        logits = dict(arrays)
    assert {name: (len(each), each.dtype) for name, each in logits.items()} == {
        "labelled": (320, np.float32),
        "unlabelled": (300, np.float32),
    }
    labels = load_split(prepared[Prepared.TRAIN]).labels
    assert taught.report.out_of_fold_accuracy == ((logits["labelled"] > 0) == labels).mean()
    # The tiny corpus has its words of praise and blame in turns, the unlabelled ones as the others.
    assert ((logits["unlabelled"] > 0) == np.arange(300) % 2).mean() > 0.9
    assert taught.report.validation_accuracy > 0.9
    told = str(taught.report)
    assert "320 labelled and 300 unlabelled reviews" in told
    assert f"out-of-fold accuracy {taught.report.out_of_fold_accuracy:.4f}" in told
    assert f"validation accuracy {taught.report.validation_accuracy:.4f}" in told


def test_equal_reviews_give_equal_bytes_and_validation_reviews_are_not_learnt_from(
    workspace: Workspace, taught_recipe: Recipe, tmp_path: Path
) -> None:
    prepared = prepared_of(workspace, taught_recipe)
    first = teach(workspace, taught_recipe, prepared)
    np.random.seed(9)
    second = teach(Workspace(tmp_path / "other"), taught_recipe, prepared)
    assert second.digests == first.digests
    # The same reviews with their labels turned round.
    path = prepared[Prepared.VALIDATION_REVIEWS]
    save_reviews(path, [replace(review, label=1 - review.label) for review in load_reviews(path)])
    turned = teach(Workspace(tmp_path / "turned"), taught_recipe, prepared)
    assert turned.digests == first.digests
    assert turned.report.validation_accuracy == pytest.approx(1 - first.report.validation_accuracy)


def test_a_recipe_without_a_teacher_is_refused(workspace: Workspace, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"recipe tiny has no teacher: add a table \[teacher\]"):
        teach(workspace, recipe, prepared_of(workspace, recipe))


# What is learnt from it


@pytest.mark.parametrize("unlabelled", [True, False])
def test_training_learns_from_the_mean_of_score_and_label_and_then_from_the_unlabelled(
    unlabelled: bool, workspace: Workspace, taught_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def watch(model: Any, network: Any, training: Any, lesson: Any, validation: Any, **watched: Any) -> Any:
        seen.extend([lesson, validation])
        return fit_network(model, network, training, lesson, validation, **watched)

    monkeypatch.setattr(train, "fit_network", watch)
    recipe = with_teacher(taught_recipe, share=0.25, temperature=4.0, unlabelled=unlabelled)
    prepared = prepared_of(workspace, recipe)
    taught = teach(workspace, recipe, prepared)
    train.train(workspace, recipe, prepared, taught)
    (ids, targets), (_, validated) = seen
    split = load_split(prepared[Prepared.TRAIN])
    with np.load(taught[Taught.LOGITS]) as logits:
        scores = {name: 1 / (1 + np.exp(-logits[name] / 4)) for name in logits.files}
    softened = 0.25 * scores["labelled"] + 0.75 * split.labels
    np.testing.assert_allclose(targets, [*softened, *scores["unlabelled"]], rtol=1e-6)
    assert targets.dtype == np.float32
    assert len(targets) == (620 if unlabelled else 320)
    np.testing.assert_array_equal(ids[:320], split.ids)
    np.testing.assert_array_equal(ids[320:], np.load(prepared[Prepared.UNLABELLED]))
    assert set(validated.tolist()) == {0, 1}


def test_a_teacher_without_a_say_trains_the_network_that_labels_alone_train(
    workspace: Workspace, recipe: Recipe
) -> None:
    _, _, alone = run_training(workspace, recipe, Sourcing())
    _, _, taught = run_training(workspace, with_teacher(recipe, share=0.0, unlabelled=False), Sourcing())
    assert alone.folder != taught.folder
    assert taught.digests["weights.npz"] == alone.digests["weights.npz"]


# In the chain


def done_again(outcome: Outcome) -> list[str]:
    return [step.name for step in outcome.steps if not step.was_done]


def test_the_chain_runs_it_between_prepare_and_train_and_does_no_more_than_it_has_to(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    outcome = run_chain(workspace, taught_recipe, Sourcing())
    assert [step.name for step in outcome.steps][:5] == ["acquire", "prepare", "teach", "pretrain", "train"]
    card = (workspace.current / "README.md").read_text("utf-8")
    assert "**Taught by**: an NB-SVM over runs of up to 2 words" in card
    assert "and 300 unlabelled ones" in card
    every_time = ["publish", "promote"]
    again = run_chain(workspace, taught_recipe, Sourcing())
    assert done_again(again) == every_time
    assert again.published.digest == outcome.published.digest
    learning = ["train", "evaluate", "export", "check_parity", *every_time]
    loose = taught_recipe.model_copy(
        update={"gates": taught_recipe.gates.model_copy(update={"max_degradation": 1.0})}
    )
    run_chain(workspace, loose, Sourcing())
    assert done_again(run_chain(workspace, with_teacher(loose, share=0.9), Sourcing())) == learning
    assert done_again(run_chain(workspace, with_teacher(loose, folds=4), Sourcing())) == ["teach", *learning]


def test_a_corpus_without_unlabelled_reviews_is_taught_from_the_labelled_ones(
    workspace: Workspace, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="resenha"):
        outcome = run_chain(workspace, with_teacher(recipe), Sourcing())
    assert caplog.text.count("has no unlabelled reviews") == 1
    assert "320 labelled and 0 unlabelled" in next(
        step.text for step in outcome.steps if step.name == "teach"
    )
    [page] = (workspace.root / "runs/tiny/prepare").glob("*/data.md")
    assert "the corpus has none" in page.read_text("utf-8")


def test_a_stage_is_handed_no_test_review(
    workspace: Workspace, taught_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[set[str]] = []
    only = Done.only

    def note(done: Done[Any], *names: str) -> Done[Any]:
        handed.append(set(names))
        return only(done, *names)

    monkeypatch.setattr(Done, "only", note)
    run_training(workspace, taught_recipe, Sourcing())
    assert handed == [
        FOR_A_TEACHER - {Prepared.UNLABELLED},
        {Prepared.TRAIN, Prepared.UNLABELLED},
        {Prepared.TRAIN, Prepared.VALIDATION, Prepared.UNLABELLED},
    ]
