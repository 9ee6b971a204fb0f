"""A split of a corpus on disk: as JSON lines of text, and as arrays for the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.corpora.corpus import LabelledReview


@dataclass(frozen=True)
class Split:
    """Reviews as a network takes them; every array has a row per review, dtype int32."""

    ids: NDArray[np.int32]
    """Padded token ids, shape ``(reviews, max_length)``."""
    labels: NDArray[np.int32]
    lengths: NDArray[np.int32]
    """Words per review, before cutting."""
    unknown: NDArray[np.int32]
    """How many of them are not in the vocabulary."""


def save_split(path: Path, split: Split) -> None:
    """Write a split as an ``.npz``; equal splits give equal bytes."""
    np.savez(path, ids=split.ids, labels=split.labels, lengths=split.lengths, unknown=split.unknown)


def load_split(path: Path) -> Split:
    """Read what ``save_split`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Split(**{name: arrays[name] for name in ("ids", "labels", "lengths", "unknown")})


def save_reviews(path: Path, reviews: Iterable[LabelledReview]) -> None:
    """Write labelled reviews as JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for review in reviews:
            stream.write(json.dumps({"text": review.text, "label": review.label}) + "\n")


def load_reviews(path: Path) -> list[LabelledReview]:
    """Read what ``save_reviews`` wrote."""
    with path.open(encoding="utf-8", newline="\n") as stream:
        return [LabelledReview(**json.loads(line)) for line in stream]


def save_texts(path: Path, texts: Iterable[str]) -> None:
    """Write reviews without labels as lines of JSON, a text each."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(text) + "\n" for text in texts)


def load_texts(path: Path) -> list[str]:
    """Read what ``save_texts`` wrote."""
    with path.open(encoding="utf-8", newline="\n") as stream:
        return [json.loads(line) for line in stream]


def save_words(path: Path, words: Sequence[str]) -> None:
    """Write a vocabulary in the order of rank; no word holds a line end (a filter character)."""
    path.write_text("\n".join(words), "utf-8", newline="\n")


def load_words(path: Path) -> list[str]:
    """Read what ``save_words`` wrote."""
    return path.read_bytes().decode().split("\n")
