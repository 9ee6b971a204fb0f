"""Compare: a published bundle beside the promoted one, on the same test reviews."""

from __future__ import annotations

from pathlib import Path

from pipeline.comparison import judge, require_all
from pipeline.corpora.splits import load_reviews
from pipeline.recipe import Recipe
from pipeline.reports import Comparison, Prepared, Published
from pipeline.runtime.bundle import MANIFEST
from pipeline.workspace import Done, Workspace


def compare(
    workspace: Workspace, recipe: Recipe, prepared: Done[Prepared], published: Published
) -> Comparison:
    """Score the test reviews with both bundles and judge; nothing is promoted.

    Done every time, since it depends on what is promoted now.

    Raises:
        GateError: If a gate refuses: nobody need be asked then.
    """
    bundle = Path(published.bundle)
    reviews = load_reviews(prepared[Prepared.TEST_REVIEWS])
    comparison = judge(workspace, bundle, recipe.gates, reviews, digest=published.digest)
    require_all(comparison, report=bundle / MANIFEST)
    return comparison
