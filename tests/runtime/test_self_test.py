"""The golden rows: published scores against those of this machine."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

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
from pipeline.runtime.self_test import (
    GOLDEN_TOLERANCE,
    SelfTest,
    ensure_self_tested,
    forget_self_test,
    run_self_test,
    score_golden,
)
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


def test_golden_rows_that_are_none_are_refused() -> None:
    with pytest.raises(BundleError, match="stand-in: golden.jsonl holds no row"):
        self_test([])


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


# The self-test before the first score


@pytest.fixture
def opened(tmp_path: Path) -> Bundle:
    make_bundle(tmp_path / "bundle")
    return open_bundle(tmp_path / "bundle")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the bundles whose golden rows were scored, in order."""
    digests: list[str] = []

    def run(bundle: Bundle, scorer: Scorer) -> SelfTest:
        assert bundle.manifest is not None
        digests.append(bundle.manifest.digest)
        return run_self_test(bundle, scorer)

    monkeypatch.setattr("pipeline.runtime.self_test.run_self_test", run)
    return digests


def markers() -> list[Path]:
    return sorted(Path(os.environ["XDG_CACHE_HOME"]).rglob("*"))


def test_a_bundle_that_passed_is_not_tested_again(opened: Bundle, runs: list[str]) -> None:
    for _ in range(3):
        ensure_self_tested(opened, Scorer(opened))
    assert len(runs) == 1
    *folders, marker = markers()
    assert [folder.name for folder in folders] == ["resenha", "self-tests"]
    assert marker.stat().st_size < 1000


def test_another_bundle_is_tested_by_itself(opened: Bundle, tmp_path: Path, runs: list[str]) -> None:
    make_bundle(tmp_path / "other", accuracy=0.91)
    other = open_bundle(tmp_path / "other")
    for bundle in (opened, other, opened, other):
        ensure_self_tested(bundle, Scorer(bundle))
    assert len(runs) == len(set(runs)) == 2


@pytest.mark.parametrize(
    "target",
    [
        "numpy.__version__",
        "onnxruntime.__version__",
        "platform.python_version",
        "platform.machine",
        "platform.node",
        "pipeline.runtime.self_test._CODE",
    ],
)
def test_what_could_change_a_score_calls_for_another_test(
    opened: Bundle, runs: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    scorer = Scorer(opened)
    ensure_self_tested(opened, scorer)
    (tmp_path / "code").mkdir()
    other = {"_": "1.2.3", "C": tmp_path / "code"}.get(target.rpartition(".")[2][1:2], lambda: "another")
    monkeypatch.setattr(target, other)
    ensure_self_tested(opened, scorer)
    ensure_self_tested(opened, scorer)
    assert len(runs) == 2


@pytest.mark.parametrize("name", ["text.py", "more.py", "word_table.pyc"])
def test_code_that_was_changed_calls_for_another_test(
    opened: Bundle, runs: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "text.py").write_text("words = 1")
    monkeypatch.setattr("pipeline.runtime.self_test._CODE", code)
    for content in ("words = 1", "words = 2", "words = 2"):
        if (name, content) != ("more.py", "words = 1"):
            (code / name).write_text(content)
        ensure_self_tested(opened, Scorer(opened))
    assert len(runs) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"passed", None, b"\0" * 4096],
    ids=["empty, as power loss leaves it", "other words", "longer", "other bytes"],
)
def test_a_marker_that_was_changed_is_not_trusted(
    opened: Bundle, runs: list[str], content: bytes | None
) -> None:
    scorer = Scorer(opened)
    ensure_self_tested(opened, scorer)
    marker = markers()[-1]
    whole = marker.read_bytes()
    marker.write_bytes(whole + b" " if content is None else content)
    ensure_self_tested(opened, scorer)
    assert len(runs) == 2
    assert marker.read_bytes() == whole


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_a_marker_that_is_no_plain_file_is_not_trusted(
    opened: Bundle, runs: list[str], tmp_path: Path, kind: str
) -> None:
    scorer = Scorer(opened)
    ensure_self_tested(opened, scorer)
    marker = markers()[-1]
    marker.rename(tmp_path / "marker")
    if kind == "folder":
        marker.mkdir()
    elif kind == "fifo":
        os.mkfifo(marker)
    else:
        marker.symlink_to(tmp_path / "marker")
    ensure_self_tested(opened, scorer)
    assert len(runs) == 2
    assert len(markers()) == 3


def test_a_bundle_that_fails_is_refused_each_time_and_leaves_no_marker(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    make_bundle(folder)
    opened = open_bundle(folder)
    moved = Scorer(replace(opened, files={**opened.files, MODEL: model_with_weight("good", 2.01)}))
    for _ in range(2):
        with pytest.raises(BundleError, match="golden row 1 scores"):
            ensure_self_tested(opened, moved)
    assert markers() == []


def test_a_marker_of_before_does_not_hold_for_a_bundle_with_other_golden_rows(
    opened: Bundle, tmp_path: Path
) -> None:
    ensure_self_tested(opened, Scorer(opened))
    rows = read_golden(opened.files[GOLDEN])
    content = write_golden([replace(rows[0], score=0.5), *rows[1:]])
    (opened.path / GOLDEN).write_bytes(content)
    manifest = read_manifest(opened.path)
    record = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    forged = replace(manifest, files={**manifest.files, GOLDEN: record}).sealed()
    (opened.path / MANIFEST).write_bytes(forged.to_bytes())
    changed = open_bundle(opened.path)
    with pytest.raises(BundleError, match="golden row 1 scores"):
        ensure_self_tested(changed, Scorer(changed))


def test_a_test_that_is_forgotten_is_made_again(opened: Bundle, runs: list[str]) -> None:
    forget_self_test(opened)
    for _ in range(2):
        ensure_self_tested(opened, Scorer(opened))
        forget_self_test(opened)
    assert len(runs) == 2


def test_a_graph_alone_is_not_tested(opened: Bundle, runs: list[str]) -> None:
    alone = open_bundle(opened.path / MODEL)
    ensure_self_tested(alone, Scorer(alone))
    forget_self_test(alone)
    assert runs == []
    assert markers() == []


@pytest.mark.parametrize("obstacle", ["a file", "no home", "read-only", "a full disk"])
def test_where_no_marker_can_be_kept_the_test_is_made_each_time_in_silence(
    opened: Bundle,
    runs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    obstacle: str,
) -> None:
    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise RuntimeError if obstacle == "no home" else OSError(28, "No space left on device")

    if obstacle == "a file":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "bundle" / MODEL))
    elif obstacle == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", fail)
    else:
        monkeypatch.setattr(Path, "mkdir" if obstacle == "read-only" else "replace", fail)
    for _ in range(2):
        ensure_self_tested(opened, Scorer(opened))
        forget_self_test(opened)
    assert len(runs) == 2
    assert (
        list(tmp_path.rglob("*.tmp"))
        + list(Path(os.environ.get("XDG_CACHE_HOME", "/nowhere")).rglob("*.tmp"))
        == []
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("chosen", [None, "", "relative"], ids=repr)
def test_without_an_absolute_cache_the_home_is_taken(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    if chosen is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", chosen)
    ensure_self_tested(opened, Scorer(opened))
    assert len(list((tmp_path / "home/.cache/resenha/self-tests").iterdir())) == 1
    assert not (tmp_path / "relative").exists()
