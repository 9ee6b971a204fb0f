"""Compare: a published bundle beside the promoted one, on the same test reviews."""

from __future__ import annotations

from pathlib import Path

from pipeline.corpora.splits import load_reviews
from pipeline.promotion import judge
from pipeline.recipe import Recipe
from pipeline.reports import Comparison, Prepared, Published
from pipeline.workspace import Done, Workspace


def compare(
    workspace: Workspace, recipe: Recipe, prepared: Done[Prepared], published: Published
) -> Comparison:
    """Score the test reviews with both bundles and judge; nothing is promoted.

    Done every time, since it depends on what is promoted now.

    Raises:
        BundleError: If the published bundle is not whole, or fails its self-test.
    """
    reviews = load_reviews(prepared[Prepared.TEST_REVIEWS])
    return judge(workspace, Path(published.bundle), recipe.gates, reviews)
