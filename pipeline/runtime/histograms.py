"""How reviews and their scores are spread: counts in fixed bins, which add up and hold no text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A bin reaches from its edge to the next one's, which is not in it; the last one is open upwards.
EDGES: Mapping[str, tuple[float, ...]] = {
    # Fine enough to see scores move away from both ends, where a trained network puts most of them.
    "score": tuple(number / 20 for number in range(20)),
    # Words of a review before cutting. Half of the reviews of imdb.npz have 129 to 290 of them, so
    # bins are narrow there; messages of a few words and whole articles have bins of their own, too.
    "tokens": (1, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 512, 768, 1024),
    # Exactly 0 first: shares have four digits. With 10,000 ids, half of the reviews of imdb.npz lie
    # between 0.029 and 0.071 and one in a hundred above 0.15; another language lies near 1.
    "unknown_share": (0, 0.0001, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.5),
}
_MOST = 1 << 40
"""Rows that one bin of a record may count: far more than anybody scores, and sums stay exact."""


class Histograms:
    """Of each feature in ``EDGES``: how many scored reviews lie in which bin."""

    __hash__ = None  # type: ignore[assignment]  # It changes as it counts.

    def __init__(self) -> None:
        self._counts = {name: np.zeros(len(edges), dtype=np.int64) for name, edges in EDGES.items()}

    def add(
        self,
        *,
        scores: NDArray[np.float32] | NDArray[np.float64],
        tokens: NDArray[np.int64],
        unknown_share: NDArray[np.float64],
    ) -> None:
        """Count reviews that were scored; a value beyond an outer edge counts in the outer bin.

        Args:
            scores: Shape ``(reviews,)``, all finite; a float32, its exact value and its
                shortest decimal count alike.
            tokens: Words per review before cutting, the same shape.
            unknown_share: Share of those words that are not in the vocabulary, rounded to four
                digits, the same shape.

        Raises:
            ValueError: If the shapes differ or a value is no number; nothing was counted then.
        """
        found = {"score": scores, "tokens": tokens, "unknown_share": unknown_share}
        shapes = {name: values.shape for name, values in found.items()}
        if set(shapes.values()) != {(len(scores),)}:
            msg = f"shapes differ: {shapes}"
            raise ValueError(msg)
        if not (np.isfinite(scores).all() and np.isfinite(unknown_share).all()):
            msg = "a score or a share is no number: only what was scored can be counted"
            raise ValueError(msg)
        for name, values in found.items():
            # The exact value of float32 0.35 lies below 0.35; as float32, both are the same.
            kind = np.dtype(np.float32) if name == "score" else values.dtype
            edges = np.asarray(EDGES[name][1:], dtype=kind)
            bins = np.searchsorted(edges, values.astype(kind, copy=False), side="right")
            self._counts[name] += np.bincount(bins, minlength=len(EDGES[name]))

    def merge(self, other: Histograms) -> None:
        """Add what another one has counted."""
        for name in EDGES:
            self._counts[name] += other.counts(name)

    def counts(self, name: str) -> NDArray[np.int64]:
        """Give the counts of one feature of ``EDGES``, int64, one per bin."""
        return self._counts[name].copy()

    @property
    def total(self) -> int:
        """How many reviews were counted."""
        return int(self._counts["score"].sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histograms):
            return NotImplemented
        return all(np.array_equal(counts, other.counts(name)) for name, counts in self._counts.items())

    def to_record(self) -> dict[str, Any]:
        """Give edges and counts as JSON can hold them."""
        return {
            name: {"edges": list(edges), "counts": self._counts[name].tolist()}
            for name, edges in EDGES.items()
        }

    @classmethod
    def from_record(cls, record: object) -> Histograms:
        """Read what ``to_record`` gave.

        Raises:
            ValueError: If features, edges, number or kind of the counts are others, or the features
                do not count equally many reviews.
        """
        histograms = cls()
        if not isinstance(record, dict) or set(record) != set(EDGES):
            msg = f"histograms have to be of {', '.join(EDGES)}, and of nothing else"
            raise ValueError(msg)
        for name, counts in histograms._counts.items():
            counts[:] = _checked_counts(name, record[name])
        totals = {name: int(counts.sum()) for name, counts in histograms._counts.items()}
        if len(set(totals.values())) > 1:
            msg = f"histograms of the same reviews count differently many: {totals}"
            raise ValueError(msg)
        return histograms


def _checked_counts(name: str, record: object) -> list[int]:
    edges = list(EDGES[name])
    if not isinstance(record, dict) or set(record) != {"edges", "counts"} or record["edges"] != edges:
        msg = f"the histogram of {name} has to hold counts and these edges: {edges}"
        raise ValueError(msg)
    counts = record["counts"]
    if (
        not isinstance(counts, list)
        or len(counts) != len(edges)
        or not all(type(count) is int and 0 <= count <= _MOST for count in counts)
    ):
        msg = f"the histogram of {name} has to hold {len(edges)} counts from 0 to {_MOST:,}"
        raise ValueError(msg)
    return counts
