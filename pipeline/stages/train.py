"""Train: fit the recipe's network and keep its weights."""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from pipeline.corpora.splits import Split, load_split
from pipeline.errors import InterruptedRun
from pipeline.networks.calibration import calibrate
from pipeline.networks.fitting import Arrays, Watcher, Watchers, fit_network
from pipeline.networks.recurrent import load_arrays, replace_weights, save_weights
from pipeline.networks.seeds import build_seeded_network
from pipeline.recipe import Recipe, TeacherSettings
from pipeline.reports import Prepared, Pretrained, Taught, Trained
from pipeline.runtime.signals import DeferredSignals
from pipeline.workspace import Done, Workspace, place_to_go_on_from

_log = logging.getLogger("resenha")


def train(
    workspace: Workspace,
    recipe: Recipe,
    prepared: Done[Prepared],
    taught: Done[Taught] | None = None,
    pretrained: Done[Pretrained] | None = None,
    *,
    watcher: Watcher | None = None,
) -> Done[Trained]:
    """Fit the network on the training split; the test split is not looked at.

    Args:
        workspace: Where the work lies.
        recipe: What to train.
        prepared: The reviews.
        taught: What the recipe's teacher says of them, if it has one: its scores soften the labels, and
            stand for those of the unlabelled reviews.
        pretrained: The weights to begin with, if the recipe has some learnt before.
        watcher: Is told how far it is. What it raises ends the training; the next run goes on after the last
            whole epoch.

    Raises:
        InterruptedRun: If Ctrl-C stopped it; the next run goes on after the last whole epoch.
    """
    seen = prepared.only(
        Prepared.TRAIN, Prepared.VALIDATION, *([Prepared.UNLABELLED] if recipe.teacher else [])
    )
    return workspace.run_stage(
        "train",
        recipe.name,
        partial(_train, recipe, seen, taught, pretrained, watcher),
        report_type=Trained,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "training": recipe.training.model_dump(),
            "teacher": recipe.teacher and recipe.teacher.model_dump(include={"share", "temperature"}),
        },
        inputs=seen.pick(*seen.digests)
        | (taught.pick(Taught.LOGITS) if taught else {})
        | (pretrained.pick(Pretrained.WEIGHTS) if pretrained else {}),
    )


def _train(
    recipe: Recipe,
    prepared: Done[Prepared],
    taught: Done[Taught] | None,
    pretrained: Done[Pretrained] | None,
    watcher: Watcher | None,
    folder: Path,
) -> Trained:
    lesson = _arrays(load_split(prepared[Prepared.TRAIN]))
    if recipe.teacher is not None and taught is not None:
        lesson = _with_teacher(lesson, recipe.teacher, prepared, taught)
    validation = load_split(prepared[Prepared.VALIDATION])
    rows = (len(lesson[1]), len(validation.labels))
    steps = sum(-(-many // recipe.training.batch_size) for many in rows)
    model = build_seeded_network(recipe.text, recipe.network, recipe.training.seed)
    if pretrained is not None:
        model = replace_weights(
            recipe.text, recipe.network, model, load_arrays(pretrained[Pretrained.WEIGHTS])
        )
    try:
        with DeferredSignals() as signals, _Progress(recipe.training.epochs, steps, signals) as progress:
            history, seconds = fit_network(
                model,
                recipe.network,
                recipe.training,
                lesson,
                _arrays(validation),
                watcher=progress if watcher is None else Watchers(progress, watcher),
                checkpoint=place_to_go_on_from(folder) / "fitting.npz",
            )
    except KeyboardInterrupt as error:
        done = progress.epoch - 1
        goes_on = f"goes on after epoch {done}" if done else "starts it again"
        msg = (
            f"training was interrupted in epoch {progress.epoch} of {recipe.training.epochs}. "
            f"The same command {goes_on}; the stages before it are done"
        )
        raise InterruptedRun(msg) from error
    if recipe.training.calibrate:
        calibrate(model, validation.ids, validation.labels)
    save_weights(model, folder / Trained.WEIGHTS)
    model.save(folder / Trained.MODEL)
    losses = history["val_loss"]
    is_best_kept = recipe.training.keep == "best" and bool(np.isfinite(losses).any())
    kept = int(np.nanargmin(losses)) if is_best_kept else len(losses) - 1
    return Trained(
        epochs=len(losses),
        kept_epoch=kept + 1,
        validation_accuracy=history["val_accuracy"][kept],
        history=history,
        seconds_per_epoch=statistics.median(seconds),
    )


def _arrays(split: Split) -> Arrays:
    return split.ids, split.labels


def _with_teacher(
    labelled: Arrays, teacher: TeacherSettings, prepared: Done[Prepared], taught: Done[Taught]
) -> Arrays:
    """Mix a teacher's scores into the labels, and put the unlabelled reviews behind, with its scores alone.

    Source: Hinton, Vinyals and Dean, *Distilling the knowledge in a neural network*, 2015, section 2.
    """
    ids, labels = labelled
    with np.load(taught[Taught.LOGITS], allow_pickle=False) as logits:
        scores, of_unlabelled = (
            expit(logits[name] / np.float32(teacher.temperature)) for name in ("labelled", "unlabelled")
        )
    softened = teacher.share * scores + (1 - teacher.share) * labels
    return (
        np.concatenate([ids, np.load(prepared[Prepared.UNLABELLED], allow_pickle=False)]),
        np.concatenate([softened, of_unlabelled]).astype(np.float32),
    )


class _Progress:
    """A line in the log after each epoch, on a terminal a bar while it lasts; answers signals in between.

    Between two batches neither TensorFlow nor the log holds a lock.
    """

    def __init__(self, epochs: int, batches: int, signals: DeferredSignals) -> None:
        self.epoch = 1
        """The one that is going on."""
        self._epochs, self._batches, self._signals = epochs, batches, signals
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin_epoch(self, number: int) -> None:
        self.epoch = number
        self._bar = tqdm(
            total=self._batches,
            desc=f"epoch {number}/{self._epochs}",
            unit="batch",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def end_batch(self, loss: float) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            self._bar.update()
        self._signals.answer()

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        if self._bar is not None:
            self._bar.close()
        told = " · ".join(f"{name} {value:.4f}" for name, value in figures.items())
        share = number / self._epochs
        _log.info("epoch %d/%d · %s · %.1f s", number, self._epochs, told, seconds, extra={"share": share})
