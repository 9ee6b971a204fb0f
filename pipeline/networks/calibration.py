"""Calibration: a score of 0.8 is to mean that eight of ten such reviews are positive.

A stretch and a shift of the last sum, fitted on reviews that were not learnt from (Platt, *Probabilistic
outputs for support vector machines*, 1999). Both are worked into the last layer's weights, so the graph stays
what it is.
"""

from __future__ import annotations

import logging

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from pipeline.networks.recurrent import predict_scores

_log = logging.getLogger("resenha")
_LEAST = 1e-7
"""Distance of a float32 score from 0 and 1 below which its logit is guesswork."""


def fit_platt(scores: NDArray[np.float32], labels: NDArray[np.int32]) -> tuple[float, float]:
    """Find stretch and shift of the scores' logits under which the labels are most likely.

    Args:
        scores: Probabilities of the positive label, ``(reviews,)``.
        labels: 0 or 1, of both at least one.

    Returns:
        a and b of ``sigmoid(a · logit + b)``.
    """
    logits = logit(np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST))
    inputs = np.column_stack([logits, np.ones(len(logits))])
    positives = int(labels.sum())
    # Platt's targets: one review more on either side, so that no score has to become 0 or 1.
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))

    def loss(found: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sums = inputs @ found
        losses = np.logaddexp(0, sums) - targets * sums
        return float(losses.mean()), inputs.T @ (expit(sums) - targets) / len(sums)

    stretch, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(stretch), float(shift)


def calibrate(model: keras.Model, ids: NDArray[np.int32], labels: NDArray[np.int32]) -> None:
    """Make a network's scores frequencies, as far as two numbers can.

    A network whose scores fall as the labels rise stays as it is: to turn it round would hide a fault that
    a gate has to see. So does one whose scores are not finite.
    """
    scores = predict_scores(model, ids)
    if not np.isfinite(scores).all():
        return
    stretch, shift = fit_platt(scores, labels)
    if not (np.isfinite([stretch, shift]).all() and stretch > 0):
        return
    *others, kernel, bias = model.get_weights()
    model.set_weights([*others, kernel * np.float32(stretch), bias * np.float32(stretch) + np.float32(shift)])
    _log.info("calibrated on %s reviews: logits times %.3f, %+.3f", f"{len(labels):,}", stretch, shift)
