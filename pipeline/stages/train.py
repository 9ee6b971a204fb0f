"""Train: fit the recipe's network and keep its weights."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from pipeline.corpora.splits import Split, load_split
from pipeline.errors import InterruptedRun
from pipeline.networks.recurrent import Arrays, fit_network, save_weights
from pipeline.recipe import Recipe
from pipeline.reports import Prepared, Trained
from pipeline.runtime.signals import DeferredSignals
from pipeline.workspace import Done, Workspace

_log = logging.getLogger("resenha")


def train(workspace: Workspace, recipe: Recipe, prepared: Done[Prepared]) -> Done[Trained]:
    """Fit the network on the training split; the test split is not looked at.

    Raises:
        InterruptedRun: If Ctrl-C stopped it; nothing of the training is kept.
    """
    return workspace.run_stage(
        "train",
        recipe.name,
        partial(_train, recipe, prepared),
        report_type=Trained,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "training": recipe.training.model_dump(),
        },
        inputs=prepared.pick(Prepared.TRAIN, Prepared.VALIDATION),
    )


def _train(recipe: Recipe, prepared: Done[Prepared], folder: Path) -> Trained:
    train_split = load_split(prepared[Prepared.TRAIN])
    validation = load_split(prepared[Prepared.VALIDATION])
    steps = -(-len(train_split.labels) // recipe.training.batch_size)
    progress = _Progress(recipe.training.epochs, steps)
    try:
        with DeferredSignals() as signals:
            model, history = fit_network(
                recipe.text,
                recipe.network,
                recipe.training,
                _arrays(train_split),
                _arrays(validation),
                callbacks=[progress, _AnswerSignals(signals)],
            )
    except KeyboardInterrupt as error:
        msg = (
            f"training was interrupted in epoch {len(progress.seconds) + 1} of {recipe.training.epochs}; "
            f"nothing of it was kept. The same command starts it again; the stages before it are done"
        )
        raise InterruptedRun(msg) from error
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
        seconds_per_epoch=statistics.median(progress.seconds),
    )


def _arrays(split: Split) -> Arrays:
    return split.ids, split.labels


class _AnswerSignals(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Answers signals between two batches, where neither TensorFlow nor the log holds a lock."""

    def __init__(self, signals: DeferredSignals) -> None:
        super().__init__()
        self._signals = signals

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._signals.answer()

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._signals.answer()


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """A line in the log after each epoch, and on a terminal a bar while it lasts."""

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._epochs, self._steps = epochs, steps
        self._started = 0.0
        self._bar: tqdm[Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        self._bar = tqdm(
            total=self._steps,
            desc=f"epoch {epoch + 1}/{self._epochs}",
            unit="batch",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self._started)
        if self._bar is not None:
            self._bar.close()
        figures = " · ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        told = epoch + 1, self._epochs, figures, self.seconds[-1]
        _log.info("epoch %d/%d · %s · %.1f s", *told, extra={"share": (epoch + 1) / self._epochs})
