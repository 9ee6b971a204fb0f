"""Promotion: which bundle ``artifacts/current`` names, switched atomically, one run at a time.

Nothing here needs more than the light side has, so that a machine that only scores can go back, too.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import BundleError, UsageError
from pipeline.runtime.bundle import Manifest, open_bundle, read_manifest
from pipeline.runtime.durable import sync_folder
from pipeline.runtime.rows import printable
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import run_self_test
from pipeline.workspace import Workspace

HISTORY = "history.jsonl"
PROMOTED, ROLLED_BACK, BY_HAND = "promoted", "rolled back", "promoted by hand"
FOUND = "found promoted"
"""Of a switch whose line was lost: its process ended between the two, or somebody made the link."""


@contextmanager
def promotion_lock(workspace: Workspace) -> Iterator[None]:
    """Wait until no other run compares or promotes; the lock dies with its process.

    Raises:
        UsageError: If ``current`` is a folder or a file of its own: that cannot be switched.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    with (workspace.root / ".promotion.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if os.path.lexists(workspace.current) and not workspace.current.is_symlink():
            msg = (
                f"{printable(str(workspace.current))} is no link, so it cannot be switched: move it under "
                f"{printable(str(workspace.bundles))}, and promote it from there"
            )
            raise UsageError(msg)
        yield


def promoted_manifest(workspace: Workspace) -> Manifest | None:
    """Give the promoted bundle's manifest; None where nothing readable is promoted."""
    try:
        return read_manifest(workspace.current)
    except BundleError:
        return None


def switch(workspace: Workspace, bundle: Path, manifest: Manifest, how: str) -> None:
    """Let ``current`` name a bundle: a new link renamed over the old one, then the history.

    A reader finds the old bundle or the new one, never neither. To be called under the lock.
    """
    replaced = _replaced(workspace)
    # Always the same name, which the lock guards: what a killed process left is gone with the next switch.
    link = workspace.root / ".current.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(bundle.resolve().relative_to(workspace.root.resolve()), target_is_directory=True)
    link.replace(workspace.current)
    sync_folder(workspace.root)
    _append(workspace, bundle, manifest, how, replaced)


def _replaced(workspace: Workspace) -> str | None:
    """Give the digest of what ``current`` names; where it can't be read, the one it was promoted with."""
    if not os.path.lexists(workspace.current):
        return None
    promoted, entries = promoted_manifest(workspace), read_history(workspace)
    if promoted is not None:
        return promoted.digest
    return entries[-1]["digest"] if entries else None


def _append(workspace: Workspace, bundle: Path, manifest: Manifest, how: str, replaced: str | None) -> None:
    place, root = bundle.resolve(), workspace.root.resolve()
    entry = {
        "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "how": how,
        # A link that somebody made may lead anywhere.
        "bundle": str(place.relative_to(root) if place.is_relative_to(root) else place),
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
    sync_folder(workspace.root)


def read_history(workspace: Workspace) -> list[dict[str, Any]]:
    """Give what was promoted and when, the last one last; what is no line of it is passed over.

    Of each entry, ``digest`` and ``bundle`` are text; what else there is may be anything.
    """
    try:
        content = (workspace.root / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    return [entry for line in content.split(b"\n") if (entry := _parse(line)) is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        is_whole = isinstance(entry["digest"], str) and b"\0" not in os.fsencode(entry["bundle"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if is_whole else None


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
        # Where the line was lost, a bundle of the trail is likelier gone back to than promoted again.
        if entry.get("how") in (ROLLED_BACK, FOUND) and known:
            del trail[known[-1] + 1 :]
        else:
            trail.append(entry)
    return trail


def roll_back(workspace: Workspace, wanted: str | None = None) -> Manifest:
    """Let ``current`` name the bundle again that was promoted before the present one, or the one wanted.

    Going back twice goes further back: what was taken back is not gone back to, unless it is wanted.

    Args:
        workspace: Where promotions are recorded.
        wanted: The beginning of the digest of a bundle of the history.

    Raises:
        UsageError: If there is nothing to go back to, or no bundle of the history is meant.
        BundleError: If that bundle is not whole any more, or fails its self-test; nothing is switched.
    """
    with promotion_lock(workspace):
        settle_history(workspace)
        entry = _find(workspace, wanted)
        folder = workspace.root / entry["bundle"]
        opened = open_bundle(folder, digest=entry["digest"])
        is_ours = folder.resolve().is_relative_to(workspace.bundles.resolve())
        if opened.manifest is None or not is_ours:
            msg = f"{printable(str(folder))} is no bundle under {printable(str(workspace.bundles))}"
            raise BundleError(msg)
        run_self_test(opened, Scorer(opened))
        switch(workspace, folder, opened.manifest, ROLLED_BACK)
        return opened.manifest


def _find(workspace: Workspace, wanted: str | None) -> dict[str, Any]:
    """Give the entry of the history that is gone back to."""
    entries = read_history(workspace)
    trail = _trail(entries)
    # Where somebody removed the link, the last promotion is what there was before.
    present = trail[-1]["digest"] if trail and os.path.lexists(workspace.current) else None
    if wanted is None:
        earlier = [each for each in trail if each["digest"] != present]
        if not earlier:
            msg = "there is nothing to go back to: the history holds no bundle before the present one"
            raise UsageError(msg)
        return earlier[-1]
    found = {each["digest"]: each for each in entries if each["digest"].startswith(wanted)}
    if len(found) != 1 or not wanted:
        meant = f"{len(found)} bundles of the history begin with" if found else "no bundle of the history is"
        msg = f"{meant} '{printable(wanted)}'; `resenha history` shows them"
        raise UsageError(msg)
    [entry] = found.values()
    if entry["digest"] == present:
        msg = f"{printable(str(workspace.current))} names '{printable(wanted)}' already"
        raise UsageError(msg)
    return entry
