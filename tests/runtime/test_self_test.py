"""The golden rows: published scores against those of this machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.runtime.bundle import (
    GOLDEN,
    MANIFEST,
    MODEL,
    Bundle,
    FileRecord,
    open_bundle,
    read_manifest,
)
from pipeline.runtime.golden_rows import GoldenRow, read_golden, write_golden
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import GOLDEN_TOLERANCE, SelfTest, run_self_test, score_golden
from tests.runtime.altered_models import model_with_weight
from tests.stand_ins import make_bundle, make_model, make_scorer

TEXTS = ("a good film", "a bad, dull film", "?!")


def golden_rows() -> list[GoldenRow]:
    scorer = make_scorer()
    return [score_golden(scorer, text) for text in TEXTS]


def self_test(rows: Sequence[GoldenRow], model: bytes | None = None) -> SelfTest:
    bundle = Bundle(Path("stand-in"), {MODEL: model or make_model(), GOLDEN: write_golden(list(rows))}, None)
    return run_self_test(bundle, Scorer(bundle))


def test_a_whole_bundle_passes(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    opened = open_bundle(tmp_path / "bundle")
    assert run_self_test(opened, Scorer(opened)) == SelfTest(3, 0.0)


def test_a_golden_row_holds_text_ids_and_score() -> None:
    row = score_golden(make_scorer(), "good")
    assert (row.review, row.token_ids) == ("good", [1, 4])
    assert row.score == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-6)


def test_a_text_without_a_word_has_no_golden_score() -> None:
    assert score_golden(make_scorer(), "?!") == GoldenRow("?!", [], None)


@pytest.mark.parametrize(("moved", "passes"), [(GOLDEN_TOLERANCE / 2, True), (GOLDEN_TOLERANCE * 2, False)])
def test_a_score_may_differ_by_the_tolerance(moved: float, passes: bool) -> None:
    rows = golden_rows()
    assert rows[0].score is not None
    rows[0] = replace(rows[0], score=rows[0].score + moved)
    if passes:
        assert self_test(rows).largest_difference == pytest.approx(moved, rel=0.01)
    else:
        with pytest.raises(BundleError, match="golden row 1"):
            self_test(rows)


@pytest.mark.parametrize("weight", [2.01, 1.9, math.nan, -2.0])
def test_a_weight_that_moved_is_noticed(weight: float) -> None:
    with pytest.raises(BundleError, match="golden row 1"):
        self_test(golden_rows(), model_with_weight("good", weight))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_other_token_ids_are_noticed(place: int) -> None:
    rows = golden_rows()
    rows[place] = replace(rows[place], token_ids=[*rows[place].token_ids, 4])
    with pytest.raises(BundleError, match=f"golden row {place + 1} has other token ids"):
        self_test(rows)


def test_a_score_that_is_no_number_is_noticed() -> None:
    rows = golden_rows()
    rows[1] = replace(rows[1], score=math.nan)
    with pytest.raises(BundleError, match="golden row 2"):
        self_test(rows)


@pytest.mark.parametrize(
    ("place", "score"), [(0, None), (2, 0.5)], ids=["score is gone", "score from nothing"]
)
def test_a_score_on_one_side_alone_is_noticed(place: int, score: float | None) -> None:
    rows = golden_rows()
    rows[place] = replace(rows[place], score=score)
    with pytest.raises(BundleError, match=f"golden row {place + 1}"):
        self_test(rows)


@pytest.mark.parametrize(
    "line",
    [
        b'{"review": 7, "token_ids": [], "score": null}\n',
        b'{"review": "good", "token_ids": [1, 4], "score": "x"}\n',
        b'{"review": "good", "token_ids": 7, "score": 0.5}\n',
    ],
    ids=["review", "score", "ids"],
)
def test_a_golden_row_of_other_types_is_refused(line: bytes) -> None:
    bundle = Bundle(Path("stand-in"), {MODEL: make_model(), GOLDEN: line}, None)
    with pytest.raises(BundleError):
        run_self_test(bundle, Scorer(bundle))


def test_a_graph_alone_cannot_be_tested() -> None:
    bundle = Bundle(Path("stand-in"), {MODEL: make_model()}, None)
    with pytest.raises(BundleError, match="name the bundle's folder"):
        run_self_test(bundle, Scorer(bundle))


def test_a_forged_golden_score_with_digests_that_hold_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    make_bundle(folder)
    rows = read_golden((folder / GOLDEN).read_bytes())
    content = write_golden([replace(rows[0], score=0.5), *rows[1:]])
    (folder / GOLDEN).write_bytes(content)
    manifest = read_manifest(folder)
    record = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    forged = replace(manifest, files={**manifest.files, GOLDEN: record}).sealed()
    (folder / MANIFEST).write_bytes(forged.to_bytes())
    opened = open_bundle(folder)
    with pytest.raises(BundleError, match="golden row 1 scores"):
        run_self_test(opened, Scorer(opened))
