"""A setting's reviews to learn from, as networks read them."""

from __future__ import annotations

import numpy as np

from benchmarks.setting import Setting
from pipeline.networks.fitting import Arrays
from pipeline.runtime.scorer import Scorer
from pipeline.stages.prepare import encode_split


def encode_reviews(setting: Setting) -> Arrays:
    """Encode the reviews of the training split with the bundle's vocabulary, in an order of their own."""
    scorer = Scorer.load(setting.bundle)
    split = encode_split(setting.train, scorer.tokenizer, scorer.facts.text_rule)
    order = np.random.default_rng(1).permutation(len(split.labels))
    return split.ids[order], split.labels[order]


def cut_arrays(arrays: Arrays, start: int, end: int) -> Arrays:
    """Take the rows from ``start`` up to, and without, ``end``."""
    return arrays[0][start:end], arrays[1][start:end]
