"""Promotion: which bundle ``artifacts/current`` names, switched atomically, one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import BundleError
from pipeline.gates import Gate
from pipeline.recipe import GateSettings
from pipeline.runtime.bundle import Manifest, read_manifest
from pipeline.runtime.durable import sync_folder
from pipeline.workspace import Workspace


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


def degradation_gate(candidate: Manifest, promoted: Manifest | None, limits: GateSettings) -> Gate:
    """Compare a candidate's accuracy with the promoted bundle's on the same test reviews."""
    name, limit = "not_worse", f"at most {limits.max_degradation:g} below the promoted bundle"
    if promoted is None:
        return Gate(name, passed=True, figure=None, limit=limit, message="nothing is promoted yet")
    if candidate.corpus["test_sha256"] != promoted.corpus["test_sha256"]:
        other = "the promoted bundle was measured on other test reviews"
        return Gate(name, passed=True, figure=None, limit=limit, message=other)
    # Rounded, so that exactly the limit is not refused for its last bit.
    lost = round(promoted.metrics["accuracy"] - candidate.metrics["accuracy"], 9)
    figures = f"accuracy {candidate.metrics['accuracy']:.4f}, promoted {promoted.metrics['accuracy']:.4f}"
    is_worse = lost > limits.max_degradation
    hint = "; if that is meant, raise gates.max_degradation in the recipe" if is_worse else ""
    return Gate(name, passed=not is_worse, figure=lost, limit=limit, message=f"{figures}{hint}")


def promote(workspace: Workspace, bundle: Path, manifest: Manifest) -> None:
    """Let ``current`` name a bundle: a new link renamed over the old one, then the history.

    A reader finds the old bundle or the new one, never neither.
    """
    link = workspace.root / f".current.{os.getpid()}.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(bundle.relative_to(workspace.root), target_is_directory=True)
    link.replace(workspace.current)
    sync_folder(workspace.root)
    entry = {
        "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "bundle": str(bundle.relative_to(workspace.root)),
        "digest": manifest.digest,
        "accuracy": manifest.metrics["accuracy"],
        "corpus": manifest.corpus["name"],
    }
    with (workspace.root / "history.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
