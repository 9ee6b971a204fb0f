"""A bundle of which one bit or byte is another is refused, whichever it is.

With ``--long`` a thousand flips are tried, and those of the bundle in ``RESENHA_FLIPPED_BUNDLE``
instead of the stand-in's, where it names one.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipeline.runtime.bundle import MODEL
from tests.faults.cases import case
from tests.faults.flips import flip_apart
from tests.stand_ins import make_bundle

_REFUSED = 5


@pytest.fixture
def flipped(tmp_path: Path, is_long: bool) -> Path:
    """A bundle that may be damaged."""
    folder, named = tmp_path / "bundle", os.environ.get("RESENHA_FLIPPED_BUNDLE")
    if is_long and named:
        shutil.copytree(named, folder)
    else:
        make_bundle(folder)
    return folder


@case("Bundle", "any flipped byte")
def test_every_flip_in_a_bundle_is_refused(
    flipped: Path, tmp_path: Path, is_long: bool, figures: list[str]
) -> None:
    wanted = 1_000 if is_long else 100
    found = flip_apart(flipped, range(wanted), tmp_path / "progress")
    if is_long:
        figures.append(f"bundle: {wanted:,} flips, by status {dict(Counter(each.status for each in found))}")
    assert len(found) == wanted
    assert [each for each in found if each.status != _REFUSED or each.file not in each.told] == []


def test_a_flip_in_a_graph_alone_scores_or_is_refused(
    flipped: Path, tmp_path: Path, is_long: bool, figures: list[str]
) -> None:
    wanted = 1_000 if is_long else 100
    found = flip_apart(flipped / MODEL, range(wanted), tmp_path / "progress")
    if is_long:
        figures.append(
            f"graph alone: {wanted:,} flips, by status {dict(Counter(each.status for each in found))}"
        )
    assert [each for each in found if each.status not in (0, 3, _REFUSED)] == []
