"""Pretrain: the network reads the reviews without their labels, and keeps what it learnt of words."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

from pipeline.corpora.splits import load_split
from pipeline.errors import InterruptedRun, RecipeError
from pipeline.networks.pretraining import pretrain as pretrain_network
from pipeline.networks.recurrent import save_arrays
from pipeline.recipe import PretrainingSettings, Recipe
from pipeline.reports import Prepared, Pretrained
from pipeline.runtime.signals import DeferredSignals
from pipeline.workspace import Done, Workspace

_log = logging.getLogger("resenha")
_TENTHS = 10


def pretrain(workspace: Workspace, recipe: Recipe, prepared: Done[Prepared]) -> Done[Pretrained]:
    """Learn word vectors and a language model from the reviews to learn from and the unlabelled ones.

    Neither their labels nor the other splits are looked at.

    Raises:
        RecipeError: If the recipe does not ask for it.
    """
    if recipe.pretraining is None:
        msg = f"recipe {recipe.name} has no pretraining: add a table [pretraining], which may be empty"
        raise RecipeError(msg)
    seen = prepared.only(Prepared.TRAIN, Prepared.UNLABELLED)
    return workspace.run_stage(
        "pretrain",
        recipe.name,
        partial(_pretrain, recipe, recipe.pretraining, seen),
        report_type=Pretrained,
        settings={
            "text": recipe.text.model_dump(),
            "network": recipe.network.model_dump(),
            "pretraining": recipe.pretraining.model_dump(),
            "training": recipe.training.model_dump(include={"batch_size", "seed"}),
        },
        inputs=seen.pick(*seen.digests),
    )


def _pretrain(
    recipe: Recipe, pretraining: PretrainingSettings, prepared: Done[Prepared], folder: Path
) -> Pretrained:
    unlabelled = np.load(prepared[Prepared.UNLABELLED], allow_pickle=False)
    ids = np.concatenate([load_split(prepared[Prepared.TRAIN]).ids, unlabelled])
    batches = pretraining.epochs * -(-len(ids) // recipe.training.batch_size)
    try:
        with DeferredSignals() as signals, _Progress(batches, signals) as progress:
            weights = pretrain_network(
                recipe.text,
                recipe.network,
                pretraining,
                recipe.training,
                ids,
                after_batch=progress.end_batch,
            )
    except KeyboardInterrupt as error:
        msg = (
            "pretraining was interrupted. The same command starts it again; the stages before it are done, "
            "and training, once begun, is kept after every epoch"
        )
        raise InterruptedRun(msg) from error
    save_arrays(weights, folder / Pretrained.WEIGHTS)
    share = max(1, batches // _TENTHS)
    first, last = progress.surprises[:share], progress.surprises[-share:]
    return Pretrained(len(ids), float(np.mean(first)), float(np.mean(last)))


class _Progress:
    """A line in the log after each tenth of the batches, on a terminal a bar; answers signals in between."""

    def __init__(self, batches: int, signals: DeferredSignals) -> None:
        self.surprises: list[float] = []
        self._batches, self._signals = batches, signals
        self._bar = tqdm(
            total=batches, desc="pretrain", unit="batch", leave=False, disable=not sys.stderr.isatty()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.close()

    def end_batch(self, surprise: float) -> None:
        before = len(self.surprises) * _TENTHS // self._batches
        self.surprises.append(surprise)
        done = len(self.surprises) * _TENTHS // self._batches
        self._bar.set_postfix_str(f"surprise {surprise:.2f}", refresh=False)
        self._bar.update()
        if done > before:
            share = done / _TENTHS
            _log.info(
                "pretraining %.0f %% · surprise %.3f nats", 100 * share, surprise, extra={"share": share}
            )
        self._signals.answer()
