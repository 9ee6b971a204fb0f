"""What every corpus comes down to: texts with labels in two splits, and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Provenance(StrEnum):
    """How far it is known that the data is what its name says."""

    VERIFIED = "verified"
    """The archive has the published checksum."""
    STATED = "stated"
    """The archive has the checksum that the user stated."""
    UNVERIFIED = "unverified"
    """The archive is not the published one, and no checksum was stated."""
    SYNTHETIC = "synthetic"
    """Made by this project."""


@dataclass(frozen=True, slots=True)
class LabelledReview:
    """One review and what its author thought."""

    text: str
    label: int
    """1 is positive, 0 is negative."""


@dataclass(frozen=True)
class Corpus:
    """Reviews in the order of their archive."""

    train: Sequence[LabelledReview]
    test: Sequence[LabelledReview]
    words: Sequence[str] | None = None
    """The vocabulary in the order of rank, where the archive brings one."""
    unlabelled: Sequence[str] = ()
    """Reviews to learn from whose labels nobody knows, if they were asked for."""
