"""A bundle's self-test: are its bytes those published, and does this machine score as they say?"""

from __future__ import annotations

import platform
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from pipeline.errors import BundleError
from pipeline.runtime.bundle import GOLDEN, Bundle, GoldenRow, read_golden
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import Scorer

GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden score. Other processors and versions of ONNX Runtime round
differently (within 1e-5 here); a wrong weight or word moves some golden row much further."""


@dataclass(frozen=True)
class SelfTest:
    """What a passed self-test saw."""

    rows: int
    largest_difference: float


def score_golden(scorer: Scorer, review: str) -> GoldenRow:
    """Score one review by itself, with the token ids on the way."""
    batch = scorer.tokenizer.encode_batch([review])
    score = float(scorer.score_ids(pad_batch(batch, np.array([0])))[0]) if batch.token_ids.size else None
    return GoldenRow(review, batch.token_ids.tolist(), score)


def run_self_test(bundle: Bundle, scorer: Scorer) -> SelfTest:
    """Score a bundle's golden rows on this machine.

    Raises:
        BundleError: If one comes out otherwise than when the bundle was published.
    """
    if GOLDEN not in bundle.files:
        msg = f"{bundle.path} has no {GOLDEN}: name the bundle's folder to test it"
        raise BundleError(msg)
    largest = 0.0
    rows = read_golden(bundle.files[GOLDEN])
    for number, published in enumerate(rows, start=1):
        found = score_golden(scorer, published.review)
        where = f"{bundle.path}: golden row {number}"
        if found.token_ids != published.token_ids:
            msg = f"{where} has other token ids on this machine than when it was published"
            raise BundleError(msg)
        if found.score is None and published.score is None:
            continue
        if found.score is None or published.score is None:
            msg = f"{where} scores {found.score} on this machine, {published.score} was published"
            raise BundleError(msg)
        difference = abs(found.score - published.score)
        if not np.less_equal(difference, GOLDEN_TOLERANCE):
            msg = (
                f"{where} scores {found.score:.7f} on this machine, {published.score:.7f} was published; "
                f"the difference {difference:.1e} is over {GOLDEN_TOLERANCE:.0e} "
                f"(ONNX Runtime {ort.__version__}, {platform.machine()})"
            )
            raise BundleError(msg)
        largest = max(largest, difference)
    return SelfTest(len(rows), largest)
