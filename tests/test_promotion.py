from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import run
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import save_reviews
from pipeline.errors import BundleError, GateError
from pipeline.promotion import (
    PROMOTED,
    judge,
    promoted_manifest,
    promotion_lock,
    read_history,
    roll_back,
    settle_history,
    switch,
)
from pipeline.recipe import GateSettings, Recipe
from pipeline.reports import Comparison, Prepared, Promoted, Published
from pipeline.runtime.bundle import GOLDEN, MANIFEST, MODEL, FileRecord, Manifest, open_bundle
from pipeline.stages.compare import compare
from pipeline.stages.promote import promote
from pipeline.workspace import Done, Workspace
from tests.faults.cases import case
from tests.stand_ins import make_bundle, make_model

REVIEWS = [LabelledReview("a good, moving film", 1), LabelledReview("a bad, dull film", 0)] * 50
TURNED = [LabelledReview(review.text, 1 - review.label) for review in REVIEWS]


def put(workspace: Workspace, name: str, **given: Any) -> Path:
    bundle = workspace.bundles / "stand-in" / name
    make_bundle(bundle, **given)
    return bundle


def reseal(bundle: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Change a bundle's manifest so that it is whole all the same."""
    manifest = open_bundle(bundle).manifest
    assert manifest is not None
    (bundle / MANIFEST).write_bytes(change(manifest).sealed().to_bytes())


def current_of(workspace: Workspace) -> tuple[str, bytes]:
    return os.readlink(workspace.current), (workspace.root / "history.jsonl").read_bytes()


@pytest.fixture
def prepared(tmp_path: Path) -> Done[Prepared]:
    save_reviews(tmp_path / Prepared.TEST_REVIEWS, REVIEWS)
    return Done("prepare", tmp_path, Prepared({}, 0, {}), {}, 0.0, was_done=True)


@pytest.fixture
def attempt(workspace: Workspace, recipe: Recipe, prepared: Done[Prepared]) -> Callable[..., Promoted]:
    """Promote a bundle as the chain does."""

    def call(bundle: Path, approved: Comparison | None = None) -> Promoted:
        manifest = open_bundle(bundle).manifest
        assert manifest is not None
        published = Published(str(bundle), manifest.digest, [])
        return promote(workspace, recipe, prepared, published, approved)

    return call


def test_the_promoted_bundle_is_the_one_that_current_names(
    workspace: Workspace, attempt: Callable[..., Promoted]
) -> None:
    assert promoted_manifest(workspace) is None
    for name, accuracy in (("a", 0.9), ("b", 0.91)):
        bundle = put(workspace, name, accuracy=accuracy)
        assert attempt(bundle).is_promoted
        assert workspace.current.resolve() == bundle.resolve()
    first, second = read_history(workspace)
    assert (first["replaced"], second["replaced"]) == (None, first["digest"])
    assert {entry["how"] for entry in (first, second)} == {PROMOTED}


def test_what_is_promoted_already_is_not_switched_again(
    workspace: Workspace, attempt: Callable[..., Promoted]
) -> None:
    bundle = put(workspace, "a")
    assert [attempt(bundle).is_promoted for _ in range(2)] == [True, True]
    assert len(read_history(workspace)) == 1


def test_a_workspace_that_was_moved_still_finds_its_bundle(
    workspace: Workspace, attempt: Callable[..., Promoted]
) -> None:
    attempt(put(workspace, "a"))
    moved = workspace.root.rename(workspace.root.with_name("moved"))
    assert promoted_manifest(Workspace(moved)) is not None


def make_worse(bundle: Path) -> None:
    """A network that has forgotten half of what it knew, and claims to be better."""
    import shutil

    shutil.rmtree(bundle)
    make_bundle(bundle, accuracy=0.99, model=make_model(words=("film", "a", "x", "y")))


def turn_round(bundle: Path) -> None:
    import shutil

    from tests import stand_ins

    shutil.rmtree(bundle)
    before = dict(stand_ins.WEIGHTS)
    try:
        stand_ins.WEIGHTS.update({word: -weight for word, weight in before.items()})
        make_bundle(bundle, accuracy=0.99)
    finally:
        stand_ins.WEIGHTS.update(before)


def break_parity(bundle: Path) -> None:
    reseal(bundle, lambda manifest: replace(manifest, parity={**manifest.parity, "largest": 0.2}))


def break_a_gate(bundle: Path) -> None:
    gate = {"name": "scores", "passed": False, "figure": 0.2, "limit": "", "message": ""}
    reseal(bundle, lambda manifest: replace(manifest, gates=[gate]))


def break_self_test(bundle: Path) -> None:
    import hashlib

    golden = re.sub(r'("score": ?)0\.', r"\g<1>0.1", (bundle / GOLDEN).read_text())
    (bundle / GOLDEN).write_text(golden)
    record = FileRecord(hashlib.sha256(golden.encode()).hexdigest(), len(golden))
    reseal_files(bundle, {GOLDEN: record})


def reseal_files(bundle: Path, records: dict[str, FileRecord]) -> None:
    page = json.loads((bundle / MANIFEST).read_bytes())
    files = {name: FileRecord(**record) for name, record in page.pop("files").items()} | records
    (bundle / MANIFEST).write_bytes(Manifest(**page | {"digest": ""}, files=files).sealed().to_bytes())


def lose_a_byte(bundle: Path) -> None:
    content = (bundle / MODEL).read_bytes()
    (bundle / MODEL).write_bytes(content[:-1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(make_worse, "not_worse: 0.5, limit at most 0.005 below", id="worse"),
        pytest.param(turn_round, "not_turned_round: 0, limit at least", id="inverted"),
        pytest.param(break_parity, "recorded_parity: 0.2, limit at most", id="parity broken"),
        pytest.param(break_a_gate, "recorded_gates: 1, limit 0 refused", id="a gate had refused"),
        pytest.param(break_self_test, "golden row 1 scores", id="self-test broken"),
        pytest.param(lose_a_byte, "not the bundle that was published", id="not whole"),
    ],
)
def test_a_bad_candidate_is_refused_and_nothing_is_touched(
    spoil: Callable[[Path], None],
    words: str,
    workspace: Workspace,
    recipe: Recipe,
    prepared: Done[Prepared],
    attempt: Callable[..., Promoted],
) -> None:
    attempt(put(workspace, "good"))
    before = current_of(workspace)
    bundle = put(workspace, "bad", accuracy=0.95)
    spoil(bundle)
    published = Published(str(bundle), "", [])
    with pytest.raises(BundleError, match=words):
        promote(workspace, recipe, prepared, published)
    assert current_of(workspace) == before


def test_an_approval_of_a_comparison_that_is_stale_is_refused(
    workspace: Workspace, recipe: Recipe, prepared: Done[Prepared], attempt: Callable[..., Promoted]
) -> None:
    attempt(put(workspace, "first"))
    bundle = put(workspace, "candidate", accuracy=0.91)
    published = Published(str(bundle), "", [])
    approved = compare(workspace, recipe, prepared, published)
    attempt(put(workspace, "meanwhile", accuracy=0.92))
    before = current_of(workspace)
    with pytest.raises(GateError, match="not_stale: no figure.*compare again"):
        attempt(bundle, approved)
    assert current_of(workspace) == before
    assert attempt(bundle, compare(workspace, recipe, prepared, published)).is_promoted


def test_an_approval_of_another_candidate_is_refused(
    workspace: Workspace, recipe: Recipe, prepared: Done[Prepared], attempt: Callable[..., Promoted]
) -> None:
    approved = compare(workspace, recipe, prepared, Published(str(put(workspace, "a")), "", []))
    with pytest.raises(GateError, match="not_stale"):
        attempt(put(workspace, "b", accuracy=0.91), approved)
    assert not workspace.current.exists()


def test_both_are_scored_on_the_same_reviews_whatever_they_claim(workspace: Workspace) -> None:
    first = put(workspace, "a", accuracy=0.6)
    manifest = open_bundle(first).manifest
    assert manifest is not None
    switch(workspace, first, manifest, PROMOTED)
    found = judge(workspace, put(workspace, "b", accuracy=0.7), GateSettings(), REVIEWS)
    assert (found.accuracy, found.promoted_accuracy, found.reviews) == (1.0, 1.0, 100)
    assert (found.only_candidate_right, found.only_promoted_right) == (0, 0)
    assert judge(workspace, put(workspace, "c", accuracy=0.8), GateSettings(), TURNED).accuracy == 0.0


@pytest.mark.parametrize(
    ("accuracy", "passes"), [(0.95, True), (0.90, True), (0.89, True), (0.8899, False)], ids=str
)
def test_a_candidate_may_lose_just_the_limit(accuracy: float, passes: bool, workspace: Workspace) -> None:
    first = put(workspace, "promoted", accuracy=0.9)
    switch(workspace, first, open_bundle(first).manifest, PROMOTED)  # type: ignore[arg-type]
    found = judge(
        workspace, put(workspace, "candidate", accuracy=accuracy), GateSettings(max_degradation=0.01)
    )
    assert {gate["name"]: gate["passed"] for gate in found.gates}["not_worse"] is passes


@pytest.mark.parametrize(("least", "passes"), [(0.0, True), (0.9, True), (0.9001, False)])
def test_a_minimum_may_be_asked_for(least: float, passes: bool, workspace: Workspace) -> None:
    found = judge(workspace, put(workspace, "a", accuracy=0.9), GateSettings(minimum_accuracy=least))
    assert {gate["name"]: gate["passed"] for gate in found.gates}["minimum_accuracy"] is passes


def test_a_promoted_bundle_that_is_broken_stands_in_nobodys_way(
    workspace: Workspace, attempt: Callable[..., Promoted]
) -> None:
    first = put(workspace, "a")
    attempt(first)
    lose_a_byte(first)
    done = attempt(put(workspace, "b", accuracy=0.91))
    assert done.is_promoted
    assert "the promoted bundle cannot be used" in done.comparison.gates[-1]["message"]


def promote_one(root: Path, name: str, start: Any) -> None:
    workspace = Workspace(root)
    bundle = workspace.bundles / "stand-in" / name
    start.wait()
    with promotion_lock(workspace):
        settle_history(workspace)
        judge(workspace, bundle, GateSettings())
        manifest = open_bundle(bundle).manifest
        assert manifest is not None
        switch(workspace, bundle, manifest, PROMOTED)


@case("Pipeline", "two runs at once")
@pytest.mark.slow
def test_current_always_loads_while_twenty_runs_promote(workspace: Workspace) -> None:
    """Twenty processes promote a bundle each; meanwhile ``current`` is opened ten thousand times."""
    names = [f"{number:02}" for number in range(20)]
    digests = {open_bundle(put(workspace, name, accuracy=0.8 + int(name) / 1000)).digest for name in names}
    first = put(workspace, "first", accuracy=0.8)
    switch(workspace, first, open_bundle(first).manifest, PROMOTED)  # type: ignore[arg-type]
    digests.add(open_bundle(first).digest)
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    runs = [context.Process(target=promote_one, args=(workspace.root, name, start)) for name in names]
    for process in runs:
        process.start()
    start.set()
    seen: dict[str, int] = {}
    reads = 0
    while reads < 10_000 or any(process.is_alive() for process in runs):
        digest = open_bundle(workspace.current).digest
        seen[digest] = seen.get(digest, 0) + 1
        reads += 1
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0] * 20
    assert set(seen) <= digests
    assert len(seen) > 2
    entries = read_history(workspace)
    assert len(entries) == 21
    assert [entry["replaced"] for entry in entries[1:]] == [entry["digest"] for entry in entries[:-1]]
    assert entries[-1]["digest"] == open_bundle(workspace.current).digest


def die_before_the_history(root: Path, name: str) -> None:
    import pipeline.promotion

    def die(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pipeline.promotion._append = die  # type: ignore[assignment]
    bundle = Workspace(root).bundles / "stand-in" / name
    manifest = open_bundle(bundle).manifest
    assert manifest is not None
    switch(Workspace(root), bundle, manifest, PROMOTED)


@pytest.mark.slow
def test_a_switch_that_died_before_its_line_is_found_later(
    workspace: Workspace, attempt: Callable[..., Promoted]
) -> None:
    attempt(put(workspace, "a"))
    lost = put(workspace, "b", accuracy=0.91)
    process = multiprocessing.get_context("spawn").Process(
        target=die_before_the_history, args=(workspace.root, "b")
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert workspace.current.resolve() == lost.resolve()
    with (workspace.root / "history.jsonl").open("ab") as stream:
        stream.write(b'{"digest": "cut')
    attempt(put(workspace, "c", accuracy=0.92))
    found = [(Path(entry["bundle"]).name, entry["how"]) for entry in read_history(workspace)]
    assert found == [("a", "promoted"), ("b", "found promoted"), ("c", "promoted")]


@pytest.fixture
def three(workspace: Workspace, attempt: Callable[..., Promoted]) -> dict[str, Path]:
    """Three bundles that were promoted one after the other."""
    bundles = {name: put(workspace, name, accuracy=0.9 + number / 100) for number, name in enumerate("abc")}
    for bundle in bundles.values():
        attempt(bundle)
    return bundles


def test_going_back_twice_goes_further_back(workspace: Workspace, three: dict[str, Path]) -> None:
    options = ["--artifacts", str(workspace.root)]
    for name in ("b", "a"):
        assert run(["rollback", *options]) == 0
        assert workspace.current.resolve() == three[name].resolve()
    assert run(["rollback", *options]) == 2
    assert workspace.current.resolve() == three["a"].resolve()


def test_what_is_promoted_after_going_back_can_be_taken_back_too(
    workspace: Workspace, three: dict[str, Path], attempt: Callable[..., Promoted]
) -> None:
    roll_back(workspace)
    attempt(put(workspace, "d", accuracy=0.95))
    roll_back(workspace)
    assert workspace.current.resolve() == three["b"].resolve()


def test_a_version_can_be_named(
    workspace: Workspace, three: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    digest = open_bundle(three["a"]).digest
    options = ["--artifacts", str(workspace.root)]
    assert run(["rollback", *options, "--to", digest[:12]]) == 0
    assert workspace.current.resolve() == three["a"].resolve()
    assert run(["rollback", *options, "--to", "nonsense"]) == 2
    assert "no bundle of the history is 'nonsense'" in capsys.readouterr().err


def test_a_bundle_that_is_not_whole_is_not_gone_back_to(workspace: Workspace, three: dict[str, Path]) -> None:
    lose_a_byte(three["b"])
    before = current_of(workspace)
    assert run(["rollback", "--artifacts", str(workspace.root)]) == 5
    assert current_of(workspace) == before


def test_the_history_is_shown(
    workspace: Workspace, three: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    roll_back(workspace)
    assert run(["history", "--artifacts", str(workspace.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == [" ", " ", " ", "*"]
    assert "rolled back" in lines[-1]
    assert lines[-1].endswith("bundles/stand-in/b")
    assert run(["history", "--artifacts", str(workspace.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["how"] == "promoted"


def test_a_bundle_is_promoted_by_hand_by_what_the_manifests_say(
    workspace: Workspace, three: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--artifacts", str(workspace.root)]
    worse = put(workspace, "worse", accuracy=0.9)
    assert run(["promote", str(worse), *options]) == 5
    assert "gate not_worse: 0.02" in capsys.readouterr().err
    assert run(["promote", str(worse), *options, "--max-degradation", "0.05"]) == 0
    assert read_history(workspace)[-1]["how"] == "promoted by hand"
    make_bundle(tmp_path / "elsewhere")
    assert run(["promote", str(tmp_path / "elsewhere"), *options]) == 2
    other = put(workspace, "other")
    reseal(other, lambda manifest: replace(manifest, corpus={**manifest.corpus, "test_sha256": "1" * 64}))
    assert run(["promote", str(other), *options]) == 2
    assert run(["promote", str(other), *options, "--unmeasured"]) == 0


def test_going_back_needs_nothing_heavy(workspace: Workspace, three: dict[str, Path]) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from pipeline.cli import run; status = run(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'keras', 'pydantic', 'sklearn', 'scipy', 'onnx', 'prefect'} & set(sys.modules)\n"
        "sys.exit(status or ', '.join(heavy) or 0)"
    )
    command = [sys.executable, "-c", program, "rollback", "--artifacts", str(workspace.root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
