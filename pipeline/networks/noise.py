"""What a network does not get to see while it learns, so that it leans on nothing too much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import TrainingSettings
from pipeline.runtime.text import UNKNOWN_ID


class Noise:
    """Leaves out words and features, drawn anew for each batch, and again for the same epoch."""

    def __init__(self, training: TrainingSettings, epoch: int) -> None:
        self._training = training
        self._draws = np.random.default_rng((training.seed, epoch, 1))

    def forget_words(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Make words unknown, each place by itself (Iyyer et al., *Deep unordered composition*, 2015)."""
        share = self._training.word_dropout
        if not share:
            return ids
        is_forgotten = (self._draws.random(ids.shape, np.float32) < share) & (ids > UNKNOWN_ID)
        return np.where(is_forgotten, np.int32(UNKNOWN_ID), ids)

    def keep_features(self, rows: int, features: int) -> NDArray[np.float32]:
        """Give shares of features, ``(views, rows, features)``: 0, or what keeps their sum.

        Where n-grams, whose feature is the last one, learn apart, a view has twice the others, and one twice
        theirs: of the sums that these come to, the network's own is the mean.

        Source: Srivastava et al., *Dropout*, 2014.
        """
        share, apart = self._training.dropout, self._training.ngrams_apart
        if not share and not apart:
            return np.ones((1, 1, 1), np.float32)
        is_kept = self._draws.random((1, rows, features), np.float32) >= share
        shares = is_kept.astype(np.float32) / np.float32(1 - share)
        if not apart:
            return shares
        of_ngrams = np.zeros_like(shares)
        of_ngrams[:, :, -1] = 2
        return np.concatenate([2 * shares * (of_ngrams == 0), of_ngrams])
