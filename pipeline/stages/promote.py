"""Promote: the published bundle is what ``artifacts/current`` names, if nothing better is."""

from __future__ import annotations

from pathlib import Path

from pipeline.corpora.corpus import Provenance
from pipeline.corpora.splits import load_reviews
from pipeline.gates import Gate, require
from pipeline.promotion import (
    PROMOTED,
    judge,
    promoted_manifest,
    promotion_lock,
    settle_history,
    staleness_gate,
    switch,
)
from pipeline.recipe import Recipe
from pipeline.reports import Comparison, Prepared, Promoted, Published
from pipeline.runtime.bundle import MANIFEST, Manifest, read_manifest
from pipeline.workspace import Done, Workspace


def promote(
    workspace: Workspace,
    recipe: Recipe,
    prepared: Done[Prepared],
    published: Published,
    approved: Comparison | None = None,
) -> Promoted:
    """Judge the published bundle against the promoted one, and switch ``artifacts/current`` to it.

    Done every time, since it depends on what is promoted now. Of two runs at once the second compares
    with what the first promoted.

    Args:
        workspace: Where bundles lie.
        recipe: Says what a candidate is held to.
        prepared: Holds the test reviews.
        published: The candidate.
        approved: What somebody judged by. It has to be the comparison that would be made now.

    Raises:
        GateError: If a gate refuses; what is promoted stays so.
        BundleError: If the candidate is not whole, or fails its self-test.
    """
    bundle = Path(published.bundle)
    reviews = load_reviews(prepared[Prepared.TEST_REVIEWS])
    with promotion_lock(workspace):
        settle_history(workspace)
        comparison = judge(workspace, bundle, recipe.gates, reviews)
        gates = [Gate(**gate) for gate in comparison.gates]
        if approved is not None:
            gates.append(staleness_gate(approved, comparison))
        require(gates, report=bundle / MANIFEST, kept="the bundle was not promoted")
        manifest, promoted = read_manifest(bundle), promoted_manifest(workspace)
        obstacle = _reason_to_wait(manifest, promoted)
        if obstacle is None and (promoted is None or promoted.digest != manifest.digest):
            switch(workspace, bundle, manifest, PROMOTED)
    note = obstacle or f"promoted: {workspace.current} names it"
    return Promoted(published.digest, obstacle is None, note, comparison)


def _reason_to_wait(manifest: Manifest, promoted: Manifest | None) -> str | None:
    """A network that learnt from made-up reviews never takes the place of one that learnt from real ones."""
    synthetic = Provenance.SYNTHETIC.value
    if promoted and manifest.corpus["provenance"] == synthetic != promoted.corpus["provenance"]:
        return "NOT promoted: it learnt from synthetic reviews, and the promoted one from real ones"
    return None
