"""Promotion: which bundle ``artifacts/current`` names, switched atomically, one run at a time.

Nothing here needs more than the light side has, so that a machine that only scores can go back, too.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pipeline.corpora.corpus import LabelledReview
from pipeline.errors import BundleError, UsageError
from pipeline.gates import Gate
from pipeline.reports import Comparison
from pipeline.runtime.bundle import Bundle, Manifest, open_bundle, read_manifest
from pipeline.runtime.durable import sync_folder
from pipeline.runtime.rows import Score, printable
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import run_self_test
from pipeline.workspace import Workspace

HISTORY = "history.jsonl"
PROMOTED, ROLLED_BACK, BY_HAND = "promoted", "rolled back", "promoted by hand"
FOUND = "found promoted"
"""Of a switch whose line was lost: its process ended between the two."""


class Limits(Protocol):
    """What a candidate is held to; a recipe's gates are such limits."""

    @property
    def max_degradation(self) -> float:
        """Accuracy that may be lost against the promoted bundle."""

    @property
    def minimum_accuracy(self) -> float:
        """Accuracy that it has to have."""


@contextmanager
def promotion_lock(workspace: Workspace) -> Iterator[None]:
    """Wait until no other run compares or promotes; the lock dies with its process."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    with (workspace.root / ".promotion.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def promoted_manifest(workspace: Workspace) -> Manifest | None:
    """Give the promoted bundle's manifest; None where nothing readable is promoted."""
    try:
        return read_manifest(workspace.current)
    except BundleError:
        return None


def judge(
    workspace: Workspace,
    candidate: Path,
    limits: Limits,
    reviews: Sequence[LabelledReview] | None = None,
) -> Comparison:
    """Hold a published bundle, as it lies there now, against the promoted one.

    Args:
        workspace: Says what is promoted.
        candidate: The bundle's folder.
        limits: What it is held to.
        reviews: What both are scored on; where None, what the manifests say is compared.

    Raises:
        BundleError: If the candidate is not whole, or fails its self-test.
    """
    opened = open_bundle(candidate)
    if opened.manifest is None:
        msg = f"{printable(str(candidate))} is a graph alone; a bundle's folder can be promoted"
        raise BundleError(msg)
    scorer = Scorer(opened)
    run_self_test(opened, scorer)
    rival = _open_promoted(workspace, opened.digest)
    found = _measure(opened, scorer, rival, reviews)
    gates = [*_recorded_gates(opened.manifest), *_accuracy_gates(found, limits)]
    promoted = promoted_manifest(workspace)
    return Comparison(
        candidate=opened.digest,
        promoted=promoted.digest if promoted else None,
        accuracy=found.accuracy,
        promoted_accuracy=found.rival,
        reviews=found.reviews,
        only_candidate_right=found.only_mine,
        only_promoted_right=found.only_rivals,
        gates=[gate.to_record() for gate in gates],
    )


@dataclass(frozen=True)
class _Found:
    accuracy: float
    reviews: int
    rival: float | None = None
    only_mine: int | None = None
    only_rivals: int | None = None
    note: str = "nothing is promoted yet"
    """Why there is no accuracy of a rival."""


def _open_promoted(workspace: Workspace, candidate: str) -> Bundle | str:
    """Give the promoted bundle, or why there is none to compare with."""
    if not os.path.lexists(workspace.current):
        return "nothing is promoted yet"
    try:
        promoted = open_bundle(workspace.current)
    except BundleError as error:
        return f"the promoted bundle cannot be used: {error}"
    return "it is the promoted bundle" if promoted.digest == candidate else promoted


def _measure(
    opened: Bundle, scorer: Scorer, rival: Bundle | str, reviews: Sequence[LabelledReview] | None
) -> _Found:
    manifest = opened.manifest
    if reviews is None and manifest is not None:
        mine, count = manifest.metrics["accuracy"], manifest.metrics["reviews"]
        if isinstance(rival, str) or rival.manifest is None:
            return _Found(mine, count, note=str(rival))
        if rival.manifest.corpus["test_sha256"] != manifest.corpus["test_sha256"]:
            return _Found(mine, count, note="the promoted bundle was measured on other test reviews")
        return _Found(mine, count, rival.manifest.metrics["accuracy"])
    right = _right(scorer, reviews)
    accuracy = sum(right) / len(right)
    if isinstance(rival, str):
        return _Found(accuracy, len(right), note=rival)
    theirs = _right(Scorer(rival), reviews)
    only_mine = sum(own and not other for own, other in zip(right, theirs, strict=True))
    only_rivals = sum(other and not own for own, other in zip(right, theirs, strict=True))
    return _Found(accuracy, len(right), sum(theirs) / len(theirs), only_mine, only_rivals)


def _right(scorer: Scorer, reviews: Sequence[LabelledReview] | None) -> list[bool]:
    """Tell of each review whether a scorer gives it its label; one without a word is called negative."""
    if reviews is None:
        return []
    results = scorer.score_reviews([review.text for review in reviews])
    called = (isinstance(each, Score) and each.score >= scorer.threshold for each in results)
    return [positive == bool(review.label) for positive, review in zip(called, reviews, strict=True)]


def _recorded_gates(manifest: Manifest) -> Iterator[Gate]:
    """Judge what the manifest says of the bundle's own making."""
    refused = [str(gate["name"]) for gate in manifest.gates if not gate["passed"]]
    told = f"did not pass when it was made: {', '.join(refused)}" if refused else "passed when it was made"
    yield Gate("recorded_gates", not refused, len(refused), "0 refused", told)
    tolerance = manifest.recipe.get("gates", {}).get("parity_tolerance", 1e-3)
    largest, changed = manifest.parity["largest"], manifest.parity.get("labels_changed_outside_band", 0)
    holds = largest <= tolerance and not changed
    words = f"ONNX scores beside the network's, {changed} labels changed outside the band"
    yield Gate("recorded_parity", holds, largest, f"at most {tolerance:g}", words)


def _accuracy_gates(found: _Found, limits: Limits) -> Iterator[Gate]:
    # Two standard errors of a coin's share of heads, at the most.
    floor = 0.5 - 1 / math.sqrt(found.reviews)
    told = f"accuracy {found.accuracy:.4f} on {found.reviews:,} test reviews"
    hint = "" if found.accuracy >= floor else "; 1 − it would be good: labels or scores are swapped"
    yield Gate("not_turned_round", not hint, found.accuracy, f"at least {floor:.4f}", f"{told}{hint}")
    least = limits.minimum_accuracy
    yield Gate("minimum_accuracy", found.accuracy >= least, found.accuracy, f"at least {least:g}", told)
    yield _degradation_gate(found, limits.max_degradation)


def _degradation_gate(found: _Found, most: float) -> Gate:
    name, limit = "not_worse", f"at most {most:g} below the promoted bundle"
    if found.rival is None:
        return Gate(name, passed=True, figure=None, limit=limit, message=found.note)
    # Rounded, so that exactly the limit is not refused for its last bit.
    lost = round(found.rival - found.accuracy, 9)
    is_worse = lost > most
    hint = "; if that is meant, raise gates.max_degradation in the recipe" if is_worse else ""
    message = f"accuracy {found.accuracy:.4f}, promoted {found.rival:.4f}, on the same test reviews{hint}"
    return Gate(name, not is_worse, lost, limit, message)


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


def switch(workspace: Workspace, bundle: Path, manifest: Manifest, how: str) -> None:
    """Let ``current`` name a bundle: a new link renamed over the old one, then the history.

    A reader finds the old bundle or the new one, never neither. To be called under the lock.
    """
    replaced = promoted_manifest(workspace)
    link = workspace.root / f".current.{os.getpid()}.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(bundle.resolve().relative_to(workspace.root.resolve()), target_is_directory=True)
    link.replace(workspace.current)
    sync_folder(workspace.root)
    _append(workspace, bundle, manifest, how, replaced.digest if replaced else None)


def _append(workspace: Workspace, bundle: Path, manifest: Manifest, how: str, replaced: str | None) -> None:
    entry = {
        "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "how": how,
        "bundle": str(bundle.resolve().relative_to(workspace.root.resolve())),
        "digest": manifest.digest,
        "replaced": replaced,
        "accuracy": manifest.metrics["accuracy"],
        "corpus": manifest.corpus["name"],
    }
    with (workspace.root / HISTORY).open("ab+") as stream:
        # A line that was cut by a crash stays one line, which is passed over.
        stream.seek(0, os.SEEK_END)
        is_cut = False
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            is_cut = stream.read(1) != b"\n"
        stream.write((b"\n" if is_cut else b"") + json.dumps(entry).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_history(workspace: Workspace) -> list[dict[str, Any]]:
    """Give what was promoted and when, the last one last; what is no line of it is passed over."""
    entries = []
    with suppress(FileNotFoundError):
        for line in (workspace.root / HISTORY).read_bytes().splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and {"digest", "bundle"} <= set(entry):
                    entries.append(entry)
    return entries


def settle_history(workspace: Workspace) -> None:
    """Add the line of a switch whose process ended before it could. To be called under the lock."""
    manifest, entries = promoted_manifest(workspace), read_history(workspace)
    last = entries[-1]["digest"] if entries else None
    if manifest is not None and manifest.digest != last:
        _append(workspace, workspace.current, manifest, FOUND, last)


def _trail(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the promotions that were not taken back, the present one last."""
    trail: list[dict[str, Any]] = []
    for entry in entries:
        known = [number for number, each in enumerate(trail) if each["digest"] == entry["digest"]]
        if entry.get("how") == ROLLED_BACK and known:
            del trail[known[-1] + 1 :]
        else:
            trail.append(entry)
    return trail


def roll_back(workspace: Workspace, wanted: str | None = None) -> Manifest:
    """Let ``current`` name the bundle again that was promoted before the present one, or the one wanted.

    Going back twice goes further back: what was taken back is not gone back to.

    Args:
        workspace: Where promotions are recorded.
        wanted: The beginning of the digest of a bundle of the history.

    Raises:
        UsageError: If there is nothing to go back to, or no bundle of the history is meant.
        BundleError: If that bundle is not whole any more, or fails its self-test; nothing is switched.
    """
    with promotion_lock(workspace):
        settle_history(workspace)
        entries = read_history(workspace)
        entry = _find(entries, wanted)
        folder = workspace.root / entry["bundle"]
        opened = open_bundle(folder, digest=entry["digest"])
        run_self_test(opened, Scorer(opened))
        if opened.manifest is None:
            msg = f"{printable(str(folder))} is not the bundle that was promoted"
            raise BundleError(msg)
        switch(workspace, folder, opened.manifest, ROLLED_BACK)
        return opened.manifest


def _find(entries: Sequence[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    trail = _trail(entries)
    present = trail[-1]["digest"] if trail else None
    if wanted is None:
        earlier = [each for each in trail if each["digest"] != present]
        if not earlier:
            msg = "there is nothing to go back to: the history holds no bundle before the present one"
            raise UsageError(msg)
        return earlier[-1]
    found = {each["digest"]: each for each in entries if each["digest"].startswith(wanted)}
    if len(found) != 1 or not wanted:
        meant = f"{len(found)} bundles of the history begin with" if found else "no bundle of the history is"
        msg = f"{meant} {printable(wanted)!r}; `resenha history` shows them"
        raise UsageError(msg)
    return next(iter(found.values()))
