from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pipeline.promotion import degradation_gate, promote, promoted_manifest, promotion_lock
from pipeline.recipe import GateSettings
from pipeline.runtime.bundle import open_bundle
from pipeline.workspace import Workspace
from tests.faults.cases import case
from tests.stand_ins import make_bundle

LIMITS = GateSettings(max_degradation=0.01)


def test_the_promoted_bundle_is_the_one_that_current_names(workspace: Workspace) -> None:
    assert promoted_manifest(workspace) is None
    for name in ("a", "b"):
        bundle = workspace.bundles / "stand-in" / name
        promote(workspace, bundle, make_bundle(bundle))
        assert workspace.current.resolve() == bundle.resolve()
    assert len((workspace.root / "history.jsonl").read_text().splitlines()) == 2


def test_a_workspace_that_was_moved_still_finds_its_bundle(workspace: Workspace) -> None:
    bundle = workspace.bundles / "stand-in" / "a"
    promote(workspace, bundle, make_bundle(bundle))
    moved = workspace.root.rename(workspace.root.with_name("moved"))
    assert promoted_manifest(Workspace(moved)) is not None


@pytest.mark.parametrize(
    ("accuracy", "passes"), [(0.95, True), (0.90, True), (0.89, True), (0.8899, False)], ids=str
)
def test_a_candidate_may_lose_just_the_limit(accuracy: float, passes: bool, tmp_path: Path) -> None:
    promoted = make_bundle(tmp_path / "promoted", accuracy=0.9)
    candidate = make_bundle(tmp_path / "candidate", accuracy=accuracy)
    assert degradation_gate(candidate, promoted, LIMITS).passed is passes


def test_there_is_no_comparing_on_other_test_reviews(tmp_path: Path) -> None:
    from dataclasses import replace

    promoted = make_bundle(tmp_path / "promoted", accuracy=0.99)
    other = replace(promoted, corpus={**promoted.corpus, "test_sha256": "1" * 64})
    gate = degradation_gate(make_bundle(tmp_path / "candidate", accuracy=0.6), other, LIMITS)
    assert gate.passed
    assert gate.figure is None


def switch(root: Path, names: list[str], times: int) -> None:
    workspace = Workspace(root)
    for number in range(times):
        bundle = workspace.bundles / "stand-in" / names[number % len(names)]
        manifest = open_bundle(bundle).manifest
        assert manifest is not None
        with promotion_lock(workspace):
            promote(workspace, bundle, manifest)


@case("Pipeline", "two runs at once")
@pytest.mark.slow
def test_current_always_loads_while_two_runs_promote(workspace: Workspace) -> None:
    for name in ("a", "b"):
        make_bundle(workspace.bundles / "stand-in" / name, accuracy=0.9 if name == "a" else 0.91)
    switch(workspace.root, ["a"], 1)
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=switch, args=(workspace.root, ["a", "b"], 100)) for _ in range(2)]
    for process in runs:
        process.start()
    seen = set()
    while any(process.is_alive() for process in runs):
        manifest = open_bundle(workspace.current).manifest
        assert manifest is not None
        seen.add(manifest.metrics["accuracy"])
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0, 0]
    assert seen == {0.9, 0.91}
    assert len((workspace.root / "history.jsonl").read_text().splitlines()) == 201
