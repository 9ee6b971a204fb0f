"""Comparison: a published bundle beside the promoted one, and whether it may take its place.

Nothing here needs more than the light side has, so that a bundle can be promoted by hand anywhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.corpora.corpus import LabelledReview, Provenance
from pipeline.errors import BundleError
from pipeline.gates import Gate, require
from pipeline.promotion import promoted_manifest
from pipeline.reports import Comparison
from pipeline.runtime.bundle import Bundle, Manifest, open_bundle
from pipeline.runtime.rows import Score, printable
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import GOLDEN_TOLERANCE, run_self_test
from pipeline.workspace import Workspace

_KEPT = "the bundle was not promoted"
_LOOSEST_PARITY = 1e-3
"""The largest tolerance that a recipe may ask for."""


class Limits(Protocol):
    """What a candidate is held to; a recipe's gates are such limits."""

    @property
    def max_degradation(self) -> float:
        """Accuracy that may be lost against the promoted bundle."""

    @property
    def minimum_accuracy(self) -> float:
        """Accuracy that it has to have."""


def judge(
    workspace: Workspace,
    candidate: Path,
    limits: Limits,
    reviews: Sequence[LabelledReview] | None = None,
    *,
    digest: str | None = None,
) -> Comparison:
    """Hold a published bundle, as it lies there now, against the promoted one.

    Args:
        workspace: Says what is promoted.
        candidate: The bundle's folder.
        limits: What it is held to.
        reviews: What both are scored on; where None, what the manifests say is compared.
        digest: What the candidate's digest has to be.

    Raises:
        GateError: If the candidate is not whole, or fails its self-test: there is nothing to compare.
    """
    scorer, manifest = _open_candidate(candidate, digest)
    rival = _open_promoted(workspace, manifest.digest)
    found = _by_manifests(manifest, rival) if reviews is None else _by_scores(scorer, rival, reviews)
    gates = [*_recorded_gates(manifest), *_accuracy_gates(found, limits, _caveat(manifest, rival))]
    promoted = rival.manifest if isinstance(rival, Bundle) else promoted_manifest(workspace)
    return Comparison(
        candidate=manifest.digest,
        promoted=promoted.digest if promoted else None,
        accuracy=found.accuracy,
        promoted_accuracy=found.rival,
        reviews=found.reviews,
        only_candidate_right=found.only_mine,
        only_promoted_right=found.only_rivals,
        gates=[gate.to_record() for gate in gates],
        p_value=found.p_value,
    )


def require_all(comparison: Comparison, *more: Gate, report: Path) -> None:
    """Go on only if no gate of a comparison, and none of some more, refuses.

    Raises:
        GateError: If one does.
    """
    require([*(Gate(**gate) for gate in comparison.gates), *more], report=report, kept=_KEPT)


def reason_to_wait(workspace: Workspace, manifest: Manifest) -> str | None:
    """Say what keeps a bundle from being promoted although it is good.

    A network that learnt from made-up reviews never takes the place of one that learnt from real ones.
    """
    promoted, synthetic = promoted_manifest(workspace), Provenance.SYNTHETIC.value
    if promoted and manifest.corpus["provenance"] == synthetic != promoted.corpus["provenance"]:
        return "NOT promoted: it learnt from synthetic reviews, and the promoted one from real ones"
    return None


def mcnemar(only_first_right: int, only_second_right: int) -> float:
    """Give the exact two-sided p-value of McNemar's test (Psychometrika 12:153-157, 1947).

    Of two scorers that are equally good, each is as likely as the other to be the right one where only
    one is, so the fewer of the two counts is held against a binomial distribution with a half.

    Args:
        only_first_right: Reviews to which only the first scorer gives their label.
        only_second_right: Those to which only the second does.

    Returns:
        How often chance alone would part two equal scorers so far or further; 1 where they never differ.
    """
    differing, fewer = only_first_right + only_second_right, min(only_first_right, only_second_right)
    ways = total = 1
    for number in range(fewer):
        ways = ways * (differing - number) // (number + 1)
        total += ways
    # Python divides integers of any length without overflow.
    return min(1.0, total / (1 << differing) * 2)


@contextmanager
def _as_gate(name: str, limit: str, bundle: Path) -> Iterator[None]:
    """Let a bundle's refusal be a gate's."""
    try:
        yield
    except BundleError as error:
        gate = Gate(name, passed=False, figure=None, limit=limit, message=str(error))
        require([gate], report=bundle, kept=_KEPT)


def _open_candidate(candidate: Path, digest: str | None) -> tuple[Scorer, Manifest]:
    """Open a bundle and score its golden rows now: what held when it was published may not hold any more."""
    with _as_gate("whole", "every byte as it was published", candidate):
        opened = open_bundle(candidate, digest=digest)
        if opened.manifest is None:
            msg = f"{printable(str(candidate))} is a graph alone; a bundle's folder can be promoted"
            raise BundleError(msg)
        scorer = Scorer(opened)
    with _as_gate("self_test", f"golden scores within {GOLDEN_TOLERANCE:.0e}", candidate):
        run_self_test(opened, scorer)
    return scorer, opened.manifest


def _open_promoted(workspace: Workspace, candidate: str) -> Bundle | str:
    """Give the promoted bundle, or why there is none to compare with."""
    if not os.path.lexists(workspace.current):
        return "nothing is promoted yet"
    try:
        promoted = open_bundle(workspace.current)
    except BundleError as error:
        return _unusable(error)
    if promoted.manifest is None:
        return _unusable("it is a graph alone")
    return "it is the promoted bundle" if promoted.digest == candidate else promoted


def _unusable(reason: object) -> str:
    return f"the promoted bundle cannot be used: {reason}"


@dataclass(frozen=True)
class _Found:
    accuracy: float
    reviews: int
    rival: float | None = None
    only_mine: int | None = None
    only_rivals: int | None = None
    p_value: float | None = None
    note: str = ""
    """Why there is no accuracy of a rival."""


def _by_manifests(manifest: Manifest, rival: Bundle | str) -> _Found:
    mine, count = manifest.metrics["accuracy"], manifest.metrics["reviews"]
    if isinstance(rival, str) or rival.manifest is None:
        return _Found(mine, count, note=str(rival))
    if rival.manifest.corpus["test_sha256"] != manifest.corpus["test_sha256"]:
        return _Found(mine, count, note="the promoted bundle was measured on other test reviews")
    return _Found(mine, count, rival.manifest.metrics["accuracy"])


def _by_scores(scorer: Scorer, rival: Bundle | str, reviews: Sequence[LabelledReview]) -> _Found:
    right, count = _right(scorer, reviews), len(reviews)
    accuracy = sum(right) / count
    if isinstance(rival, str):
        return _Found(accuracy, count, note=rival)
    try:
        theirs = _right(Scorer(rival), reviews)
    except BundleError as error:
        return _Found(accuracy, count, note=_unusable(error))
    only_mine = sum(own and not other for own, other in zip(right, theirs, strict=True))
    only_rivals = sum(other and not own for own, other in zip(right, theirs, strict=True))
    p_value = mcnemar(only_mine, only_rivals)
    return _Found(accuracy, count, sum(theirs) / count, only_mine, only_rivals, p_value)


def _right(scorer: Scorer, reviews: Sequence[LabelledReview]) -> list[bool]:
    """Tell of each review whether a scorer gives it its label; one without a word is called negative."""
    results = scorer.score_reviews([review.text for review in reviews])
    called = (isinstance(each, Score) and each.score >= scorer.threshold for each in results)
    return [positive == bool(review.label) for positive, review in zip(called, reviews, strict=True)]


def _recorded_gates(manifest: Manifest) -> Iterator[Gate]:
    """Judge what the manifest says of the bundle's own making."""
    recorded = [each if isinstance(each, Mapping) else {} for each in manifest.gates]
    refused = [printable(str(each.get("name"))) for each in recorded if each.get("passed") is not True]
    told = f"did not pass when it was made: {', '.join(refused)}" if refused else "passed when it was made"
    if not recorded:
        told = "it records no gate: nothing tells that it was judged when it was made"
    yield Gate("recorded_gates", bool(recorded) and not refused, float(len(refused)), "0 refused", told)
    settings = manifest.recipe.get("gates")
    allowed = settings.get("parity_tolerance") if isinstance(settings, Mapping) else None
    tolerance = min(allowed, _LOOSEST_PARITY) if isinstance(allowed, float) else _LOOSEST_PARITY
    largest, changed = manifest.parity["largest"], manifest.parity.get("labels_changed_outside_band", 0)
    holds = largest <= tolerance and changed == 0
    words = f"ONNX scores beside the network's, {changed!r:.20} labels changed outside the band"
    yield Gate("recorded_parity", holds, largest, f"at most {tolerance:g}", words)


def _accuracy_gates(found: _Found, limits: Limits, caveat: str) -> Iterator[Gate]:
    # Two standard errors of a coin's share of heads, at the most.
    floor = 0.5 - 1 / math.sqrt(max(1, found.reviews))
    told = f"accuracy {found.accuracy:.4f} on {found.reviews:,} test reviews"
    is_right = found.accuracy >= floor
    hint = "" if is_right else f"; 1 − it would be {1 - found.accuracy:.4f}: labels or scores are swapped"
    yield Gate("not_turned_round", is_right, found.accuracy, f"at least {floor:.4f}", f"{told}{hint}")
    least = limits.minimum_accuracy
    yield Gate("minimum_accuracy", found.accuracy >= least, found.accuracy, f"at least {least:g}", told)
    yield _degradation_gate(found, limits.max_degradation, caveat)


def _caveat(manifest: Manifest, rival: Bundle | str) -> str:
    """Say what keeps the same reviews from being equally new to both."""
    if isinstance(rival, str) or rival.manifest is None:
        return ""
    if rival.manifest.corpus["test_sha256"] == manifest.corpus["test_sha256"]:
        return ""
    return " (the promoted one was tested on others when it was made, and may have learnt from some of these)"


def _degradation_gate(found: _Found, most: float, caveat: str) -> Gate:
    name, limit = "not_worse", f"at most {most:g} below the promoted bundle"
    if found.rival is None:
        return Gate(name, passed=True, figure=None, limit=limit, message=found.note)
    # Rounded, so that exactly the limit is not refused for its last bit.
    lost = round(found.rival - found.accuracy, 9)
    is_worse = not lost <= most
    hint = "; if that is meant, raise gates.max_degradation in the recipe" if is_worse else ""
    figures = f"accuracy {found.accuracy:.4f}, promoted {found.rival:.4f}, on the same test reviews"
    return Gate(name, not is_worse, lost, limit, f"{figures}{caveat}{hint}")


def staleness_gate(approved: Comparison, now: Comparison) -> Gate:
    """Refuse to promote on the strength of a comparison with another bundle than the promoted one."""
    is_same = (approved.candidate, approved.promoted) == (now.candidate, now.promoted)
    message = "what was compared is what there is now"
    if not is_same:
        message = (
            f"approved was {approved.candidate[:12]} in the place of {_short(approved.promoted)}, but it "
            f"would be {now.candidate[:12]} in the place of {_short(now.promoted)}: compare again"
        )
    return Gate("not_stale", is_same, None, "the comparison that was approved", message)


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "nothing"
