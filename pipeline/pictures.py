"""Pictures of a training and of what came of it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from pipeline.metrics import Labels, Scores, reliability

_LEARNT, _HELD_BACK, _QUIET = "#4c78a8", "#e4572e", "#9aa0a6"


def draw_evaluation(
    history: Mapping[str, Sequence[float]], kept_epoch: int, scores: Scores, labels: Labels
) -> bytes:
    """Draw the learning curve and the calibration beside each other.

    Args:
        history: By measure, a value per epoch: ``loss``, ``accuracy`` and the same with ``val_``.
        kept_epoch: Whose weights were kept, from 1.
        scores: Probabilities of the positive label, shape ``(reviews,)``.
        labels: What they should have been, 0 or 1, same shape.

    Returns:
        A PNG of 1,000 × 400 pixels; equal values give equal bytes with the same version of matplotlib.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_learning(left, history, kept_epoch)
    _draw_calibration(right, scores, labels)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()


def _draw_learning(axes: Any, history: Mapping[str, Sequence[float]], kept_epoch: int) -> None:
    epochs = range(1, len(history["loss"]) + 1)
    axes.plot(epochs, history["loss"], "o-", color=_LEARNT, label="reviews it learns from")
    axes.plot(epochs, history["val_loss"], "o-", color=_HELD_BACK, label="reviews held back")
    axes.axvline(kept_epoch, color=_QUIET, linestyle=":", label=f"epoch {kept_epoch} was kept")
    axes.set(title="Learning curve", xlabel="epoch", ylabel="loss, nats")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)


def _draw_calibration(axes: Any, scores: Scores, labels: Labels) -> None:
    bins = reliability(scores, labels)
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle=":", label="what it should be")
    axes.plot([each.score for each in bins], [each.positive for each in bins], "o-", color=_HELD_BACK)
    beneath = axes.twinx()
    middles = [each.number / 10 + 0.05 for each in bins]
    beneath.bar(middles, [each.reviews for each in bins], width=0.09, color=_QUIET, alpha=0.25)
    beneath.set(ylabel="test reviews (bars)")
    axes.set(
        title="Calibration", xlabel="mean score", ylabel="share that is positive", xlim=(0, 1), ylim=(0, 1)
    )
    axes.set_zorder(beneath.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.legend(frameon=False, loc="upper left")
