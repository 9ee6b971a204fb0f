"""Scored reviews that take no scoring: drawn features, and the summary of a run that saw them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.runtime.histograms import Histograms

DIGEST = "ab" * 32


def counted(rows: int, score: float = 0.5) -> Histograms:
    found = Histograms()
    found.add(scores=np.full(rows, score), tokens=np.full(rows, 100), unknown_share=np.full(rows, 0.05))
    return found


def summary(rows: int = 10, *, rejected: int = 1, **changes: Any) -> dict[str, Any]:
    """What a scoring run writes, as far as drift reads it."""
    return {
        "summary_version": 1,
        "bundle": {"digest": DIGEST, "name": "stand-in"},
        "rows_in": rows + rejected,
        "scored": rows,
        "rejected": {"no_tokens": rejected},
        "histograms": counted(rows).to_record(),
        "reference": counted(1_000).to_record(),
        **changes,
    }


def write(path: Path, record: object) -> str:
    path.write_text(json.dumps(record))
    return str(path)


def reviews(
    source: np.random.Generator, rows: int, *, score: float = 0.0, length: float = 1.0, unknown: float = 1.0
) -> Histograms:
    """Draw reviews as a trained network sees them, some features moved."""
    scores = np.clip(source.beta(0.4, 0.4, rows) + score, 0, 1)
    tokens = np.maximum(1, source.lognormal(np.log(174 * length), 0.7, rows)).astype(np.int64)
    shares = source.gamma(2.5, 0.02 * unknown, rows).clip(0, 1).round(4)
    found = Histograms()
    found.add(scores=scores, tokens=tokens, unknown_share=shares)
    return found
