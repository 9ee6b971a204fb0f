"""The link, its history, and going back: also where many promote at once or one dies between the two."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import run
from pipeline.errors import BundleError, UsageError
from pipeline.promotion import (
    BY_HAND,
    FOUND,
    PROMOTED,
    ROLLED_BACK,
    promoted_manifest,
    read_history,
    roll_back,
    switch,
)
from pipeline.runtime.bundle import MANIFEST, open_bundle
from pipeline.workspace import Workspace
from tests.faults.cases import case
from tests.promoting import attempt, break_self_test, current_of, lose_a_byte, manifest_of, put
from tests.stand_ins import make_bundle


def named(workspace: Workspace) -> str:
    """The name of the bundle that is promoted."""
    return workspace.current.resolve().name


def hows(workspace: Workspace) -> list[tuple[str, str]]:
    return [(Path(entry["bundle"]).name, entry["how"]) for entry in read_history(workspace)]


# The link


def test_the_promoted_bundle_is_the_one_that_current_names(workspace: Workspace) -> None:
    assert promoted_manifest(workspace) is None
    for name, accuracy in (("a", 0.9), ("b", 0.91)):
        bundle = put(workspace, name, accuracy=accuracy)
        assert attempt(workspace, bundle).is_promoted
        assert workspace.current.resolve() == bundle.resolve()
    first, second = read_history(workspace)
    assert (first["replaced"], second["replaced"]) == (None, first["digest"])
    assert {entry["how"] for entry in (first, second)} == {PROMOTED}


def test_what_is_promoted_already_is_not_switched_again(workspace: Workspace) -> None:
    bundle = put(workspace, "a")
    assert [attempt(workspace, bundle).is_promoted for _ in range(2)] == [True, True]
    assert len(read_history(workspace)) == 1


def test_a_workspace_that_was_moved_still_finds_its_bundle(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "a"))
    moved = workspace.root.rename(workspace.root.with_name("moved"))
    assert promoted_manifest(Workspace(moved)) is not None


def test_a_link_that_leads_elsewhere_is_recorded_and_stands_in_nobodys_way(
    workspace: Workspace, tmp_path: Path
) -> None:
    manifest = make_bundle(tmp_path / "elsewhere", accuracy=0.8)
    workspace.root.mkdir()
    workspace.current.symlink_to(tmp_path / "elsewhere")
    attempt(workspace, put(workspace, "a"))
    assert hows(workspace) == [("elsewhere", FOUND), ("a", PROMOTED)]
    with pytest.raises(BundleError, match="is no bundle under"):
        roll_back(workspace)
    assert read_history(workspace)[-1]["replaced"] == manifest.digest


def test_what_cannot_be_read_any_more_is_replaced_under_the_digest_it_had(workspace: Workspace) -> None:
    first = put(workspace, "a")
    digest = manifest_of(first).digest
    attempt(workspace, first)
    (first / MANIFEST).unlink()
    attempt(workspace, put(workspace, "b", accuracy=0.91))
    assert read_history(workspace)[-1]["replaced"] == digest


# Many at once, and one that dies


@pytest.mark.parametrize("way", ["promote", "roll back", "by hand"])
def test_the_link_is_switched_under_the_lock(
    way: str, workspace: Workspace, three: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = put(workspace, "d", accuracy=0.95)
    held = []

    def is_held(*_arguments: object) -> None:
        with (workspace.root / ".promotion.lock").open("w") as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(way)

    monkeypatch.setattr("pipeline.promotion.switch", is_held)
    monkeypatch.setattr("pipeline.stages.promote.switch", is_held)
    if way == "promote":
        attempt(workspace, bundle)
    elif way == "roll back":
        roll_back(workspace)
    else:
        assert run(["promote", str(bundle), "--artifacts", str(workspace.root)]) == 0
    assert held == [way]


def promote_one(root: Path, name: str, start: Any) -> None:
    workspace = Workspace(root)
    start.wait()
    attempt(workspace, workspace.bundles / "stand-in" / name)


@case("Pipeline", "two runs at once")
@pytest.mark.slow
def test_current_always_loads_while_twenty_runs_promote(workspace: Workspace) -> None:
    """Twenty processes promote a bundle each; meanwhile ``current`` is opened ten thousand times."""
    names = [f"{number:02}" for number in range(20)]
    digests = {manifest_of(put(workspace, name, accuracy=0.8 + int(name) / 1000)).digest for name in names}
    first = put(workspace, "first", accuracy=0.79)
    attempt(workspace, first)
    digests.add(manifest_of(first).digest)
    # Children of a process that has imported everything start at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promoting"])
    start = context.Event()
    runs = [context.Process(target=promote_one, args=(workspace.root, name, start)) for name in names]
    for process in runs:
        process.start()
    seen = {open_bundle(workspace.current).digest}
    start.set()
    reads = 1
    while reads < 10_000 or any(process.is_alive() for process in runs):
        seen.add(open_bundle(workspace.current).digest)
        reads += 1
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0] * 20
    assert seen <= digests
    assert len(seen) > 2
    entries = read_history(workspace)
    assert len(entries) == 21
    assert {entry["digest"] for entry in entries} == digests
    assert [entry["replaced"] for entry in entries] == [None, *(entry["digest"] for entry in entries[:-1])]
    assert entries[-1]["digest"] == open_bundle(workspace.current).digest


def die(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_the_history(root: Path, name: str, how: str) -> None:
    import pipeline.promotion

    pipeline.promotion._append = die  # type: ignore[assignment]
    bundle = Workspace(root).bundles / "stand-in" / name
    switch(Workspace(root), bundle, manifest_of(bundle), how)


def die_before_the_rename(root: Path, name: str, how: str) -> None:
    Path.replace = die  # type: ignore[assignment,method-assign]
    bundle = Workspace(root).bundles / "stand-in" / name
    switch(Workspace(root), bundle, manifest_of(bundle), how)


def killed(target: Any, *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_a_switch_that_died_before_its_line_is_found_later(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "a"))
    put(workspace, "b", accuracy=0.91)
    killed(die_before_the_history, workspace.root, "b", PROMOTED)
    assert named(workspace) == "b"
    with (workspace.root / "history.jsonl").open("ab") as stream:
        stream.write(b'{"digest": "cut')
    attempt(workspace, put(workspace, "c", accuracy=0.92))
    assert hows(workspace) == [("a", PROMOTED), ("b", FOUND), ("c", PROMOTED)]
    entries = read_history(workspace)
    assert [entry["replaced"] for entry in entries] == [None, *(entry["digest"] for entry in entries[:-1])]


@pytest.mark.slow
def test_going_back_that_died_before_its_line_was_still_going_back(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    killed(die_before_the_history, workspace.root, "b", ROLLED_BACK)
    assert named(workspace) == "b"
    roll_back(workspace)
    assert hows(workspace)[-2:] == [("b", FOUND), ("a", ROLLED_BACK)]


@pytest.mark.slow
def test_a_switch_that_died_before_the_rename_leaves_nothing(workspace: Workspace) -> None:
    attempt(workspace, put(workspace, "a"))
    before = current_of(workspace)
    put(workspace, "b", accuracy=0.91)
    killed(die_before_the_rename, workspace.root, "b", PROMOTED)
    assert current_of(workspace) == before
    attempt(workspace, workspace.bundles / "stand-in/b")
    assert list(workspace.root.glob(".*.tmp")) == []


# The history's bytes


JSON = st.recursive(
    st.none() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["digest", "bundle", "how", "replaced"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=50)  # Each writes a bundle.
@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_stands_in_the_history_a_switch_adds_its_line(junk: bytes) -> None:
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        bundle = put(workspace, "a")
        (workspace.root / "history.jsonl").write_bytes(junk)
        before = read_history(workspace)
        with suppress(UsageError, BundleError):
            roll_back(workspace)
        switch(workspace, bundle, manifest_of(bundle), BY_HAND)
        found = read_history(workspace)
    assert [*before, found[-1]] == found
    assert (found[-1]["bundle"], found[-1]["how"]) == ("bundles/stand-in/a", BY_HAND)


@pytest.mark.parametrize("lost", [1, 2, 100])
def test_a_line_that_was_cut_is_passed_over(lost: int, workspace: Workspace, three: dict[str, Path]) -> None:
    path = workspace.root / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-lost])
    assert len(read_history(workspace)) == (3 if lost == 1 else 2)
    attempt(workspace, put(workspace, "d", accuracy=0.95))
    last = ("c", PROMOTED) if lost == 1 else ("c", FOUND)
    assert hows(workspace)[-2:] == [last, ("d", PROMOTED)]


# Going back


def test_a_copied_bundle_in_the_links_place_is_not_switched(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    history = (workspace.root / "history.jsonl").read_bytes()
    workspace.current.unlink()
    make_bundle(workspace.current)
    for refused in (["rollback"], ["promote", str(three["a"])]):
        assert run([*refused, "--artifacts", str(workspace.root)]) == 2
    assert workspace.current.is_dir()
    assert (workspace.root / "history.jsonl").read_bytes() == history


def test_going_back_twice_goes_further_back(workspace: Workspace, three: dict[str, Path]) -> None:
    for name in ("b", "a"):
        roll_back(workspace)
        assert named(workspace) == name
    before = current_of(workspace)
    with pytest.raises(UsageError, match="there is nothing to go back to"):
        roll_back(workspace)
    assert current_of(workspace) == before


def test_what_is_promoted_after_going_back_can_be_taken_back_too(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    roll_back(workspace)
    attempt(workspace, put(workspace, "d", accuracy=0.95))
    roll_back(workspace)
    assert named(workspace) == "b"


def test_what_was_taken_back_can_be_named_and_taken_back_again(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    roll_back(workspace)
    roll_back(workspace, manifest_of(three["c"]).digest[:12])
    assert named(workspace) == "c"
    roll_back(workspace)
    assert named(workspace) == "b"


def test_a_bundle_that_was_promoted_twice_is_gone_back_from_to_what_was_between(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    attempt(workspace, three["a"])
    roll_back(workspace)
    assert named(workspace) == "c"


def test_where_the_link_was_removed_the_last_promotion_is_gone_back_to(
    workspace: Workspace, three: dict[str, Path]
) -> None:
    workspace.current.unlink()
    roll_back(workspace)
    assert named(workspace) == "c"
    assert read_history(workspace)[-1]["replaced"] is None


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("nonsense", "no bundle of the history is 'nonsense'"),
        ("", "3 bundles of the history begin with ''"),
        ("\x1b", r"no bundle of the history is '\\u001b'"),
        ("present", "names .* already"),
    ],
    ids=["unknown", "empty", "escape", "present"],
)
def test_a_version_that_is_not_one_to_go_back_to_is_wrong_usage(
    wanted: str, told: str, workspace: Workspace, three: dict[str, Path]
) -> None:
    before = current_of(workspace)
    digest = manifest_of(three["c"]).digest
    with pytest.raises(UsageError, match=told):
        roll_back(workspace, digest[:12] if wanted == "present" else wanted)
    assert current_of(workspace) == before


def test_a_bundle_that_is_not_whole_is_not_gone_back_to(workspace: Workspace, three: dict[str, Path]) -> None:
    lose_a_byte(three["b"])
    before = current_of(workspace)
    with pytest.raises(BundleError, match="not the bundle that was published"):
        roll_back(workspace)
    assert current_of(workspace) == before
    roll_back(workspace, manifest_of(three["a"]).digest)
    assert named(workspace) == "a"


def test_a_bundle_that_scores_otherwise_by_now_is_not_gone_back_to(workspace: Workspace) -> None:
    first = put(workspace, "first")
    break_self_test(first)
    switch(workspace, first, manifest_of(first), PROMOTED)
    attempt(workspace, put(workspace, "second", accuracy=0.91))
    before = current_of(workspace)
    with pytest.raises(BundleError, match="golden row 1 scores"):
        roll_back(workspace)
    assert current_of(workspace) == before
