"""Promote: the published bundle is what ``artifacts/current`` names, if nothing better is."""

from __future__ import annotations

from pathlib import Path

from pipeline.comparison import judge, reason_to_wait, require_all, staleness_gate
from pipeline.corpora.splits import load_reviews
from pipeline.promotion import PROMOTED, promotion_lock, settle_history, switch
from pipeline.recipe import Recipe
from pipeline.reports import Comparison, Prepared, Promoted, Published
from pipeline.runtime.bundle import MANIFEST, read_manifest
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
        GateError: If a gate refuses, also where the candidate is not whole or fails its self-test;
            what is promoted stays so.
    """
    bundle = Path(published.bundle)
    reviews = load_reviews(prepared[Prepared.TEST_REVIEWS])
    with promotion_lock(workspace):
        settle_history(workspace)
        comparison = judge(workspace, bundle, recipe.gates, reviews, digest=published.digest)
        stale = [] if approved is None else [staleness_gate(approved, comparison)]
        require_all(comparison, *stale, report=bundle / MANIFEST)
        manifest = read_manifest(bundle)
        obstacle = reason_to_wait(workspace, manifest)
        if obstacle is None and comparison.promoted != manifest.digest:
            switch(workspace, bundle, manifest, PROMOTED)
    note = obstacle or f"promoted: {workspace.current} names it"
    return Promoted(published.digest, obstacle is None, note, comparison)
