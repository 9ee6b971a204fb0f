"""Stand-in bundles in a workspace, promoted as the chain does it, and ways to spoil them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import save_reviews
from pipeline.recipe import parse_recipe
from pipeline.reports import Comparison, Prepared, Promoted, Published
from pipeline.runtime.bundle import GOLDEN, MANIFEST, MODEL, FileRecord, Manifest, open_bundle, read_manifest
from pipeline.stages.promote import promote
from pipeline.workspace import Done, Workspace
from tests import stand_ins
from tests.conftest import TINY_RECIPE
from tests.stand_ins import make_bundle, make_model

REVIEWS = [LabelledReview("a good, moving film", 1), LabelledReview("a bad, dull film", 0)] * 50
RECIPE = parse_recipe("tiny", TINY_RECIPE)


def put(workspace: Workspace, name: str, **given: Any) -> Path:
    """Publish a stand-in bundle."""
    bundle = workspace.bundles / "stand-in" / name
    make_bundle(bundle, **given)
    return bundle


def manifest_of(bundle: Path) -> Manifest:
    manifest = open_bundle(bundle).manifest
    assert manifest is not None
    return manifest


def reseal(bundle: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Change a bundle's manifest so that it is whole all the same."""
    (bundle / MANIFEST).write_bytes(change(manifest_of(bundle)).sealed().to_bytes())


def measured_on_other_reviews(manifest: Manifest) -> Manifest:
    return replace(manifest, corpus={**manifest.corpus, "test_sha256": "1" * 64})


def from_real_reviews(manifest: Manifest) -> Manifest:
    return replace(manifest, corpus={**manifest.corpus, "provenance": "verified"})


def prepare_reviews(folder: Path) -> Done[Prepared]:
    """Let the stage that prepares reviews have been done."""
    if not folder.exists():
        folder.mkdir(parents=True)
        save_reviews(folder / Prepared.TEST_REVIEWS, REVIEWS)
    digests = {Prepared.TEST_REVIEWS: ""}
    return Done("prepare", folder, Prepared({}, 0, {}), digests, 0.0, was_done=True)


def published(bundle: Path) -> Published:
    """Say of a bundle, whatever is left of it, that it was published."""
    return Published(str(bundle), read_manifest(bundle).digest, [])


def attempt(workspace: Workspace, bundle: Path, approved: Comparison | None = None) -> Promoted:
    """Promote a bundle as the chain does."""
    prepared = prepare_reviews(workspace.root / "prepared")
    return promote(workspace, RECIPE, prepared, published(bundle), approved)


def current_of(workspace: Workspace) -> tuple[str, bytes]:
    """Everything that a refusal must not touch."""
    return os.readlink(workspace.current), (workspace.root / "history.jsonl").read_bytes()


def make_worse(bundle: Path) -> None:
    """A network that has forgotten half of what it knew, and claims to be better."""
    shutil.rmtree(bundle)
    make_bundle(bundle, accuracy=0.99, model=make_model(words=("film", "a", "x", "y")))


def turn_round(bundle: Path) -> None:
    """A network that calls good bad."""
    shutil.rmtree(bundle)
    before = dict(stand_ins.WEIGHTS)
    try:
        stand_ins.WEIGHTS.update({word: -weight for word, weight in before.items()})
        make_bundle(bundle, accuracy=0.99)
    finally:
        stand_ins.WEIGHTS.update(before)


def break_parity(bundle: Path) -> None:
    reseal(bundle, lambda manifest: replace(manifest, parity={**manifest.parity, "largest": 0.2}))


def change_labels(bundle: Path) -> None:
    parity = {"labels_changed_outside_band": 2}
    reseal(bundle, lambda manifest: replace(manifest, parity={**manifest.parity, **parity}))


def break_a_gate(bundle: Path) -> None:
    gate = {"name": "scores", "passed": False, "figure": 0.2, "limit": "", "message": ""}
    reseal(bundle, lambda manifest: replace(manifest, gates=[gate]))


def record_nonsense(bundle: Path) -> None:
    reseal(bundle, lambda manifest: replace(manifest, gates=["passed"]))  # type: ignore[list-item]


def record_no_gate(bundle: Path) -> None:
    reseal(bundle, lambda manifest: replace(manifest, gates=[]))


def break_self_test(bundle: Path) -> None:
    golden = re.sub(r'("score": ?)0\.', r"\g<1>0.1", (bundle / GOLDEN).read_text())
    (bundle / GOLDEN).write_text(golden)
    record = FileRecord(hashlib.sha256(golden.encode()).hexdigest(), len(golden))
    manifest = read_manifest(bundle)
    changed = replace(manifest, files={**manifest.files, GOLDEN: record}).sealed()
    (bundle / MANIFEST).write_bytes(changed.to_bytes())


def lose_a_byte(bundle: Path) -> None:
    content = (bundle / MODEL).read_bytes()
    (bundle / MODEL).write_bytes(content[:-1])
