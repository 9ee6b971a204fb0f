"""Disks that are full, read-only, or gone: told with the path, and nothing published is lost."""

from __future__ import annotations

import resource
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipeline.runtime.durable import is_temporary
from tests.faults.material import Material, snapshot
from tests.faults.namespaces import RESENHA, apart, why_not_apart
from tests.faults.reading import assert_readable
from tests.faults.starting import Ended, Launcher, across, wait_for

_SCORED, _FAILED = 3, 6


def assert_told(ended: Ended, path: Path) -> None:
    assert ended.status == _FAILED, ended
    assert str(path) in ended.err, ended
    assert ended.err.count("\n") == 1, ended.err


@pytest.mark.parametrize(
    ("size", "name"),
    [(200, "_inputs.jsonl"), (600, "_plan.json"), (1_100, "part-00000"), (3_000, "_summary.json")],
    ids=str,
)
def test_a_file_that_may_not_grow_is_named(
    launcher: Launcher, material: Material, tmp_path: Path, whole: dict[str, bytes], size: int, name: str
) -> None:
    out = tmp_path / "out"
    run = launcher.prepare(material.arguments(out), material.folder)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
    ended = run.go().wait()
    assert_told(ended, out / name)
    assert "File too large" in ended.err
    found = snapshot(out)
    assert_readable(found, whole)
    assert not any(map(is_temporary, found))
    assert launcher.run(material.arguments(out, "--resume"), material.folder).status == _SCORED
    assert snapshot(out) == whole


def test_a_file_of_a_worker_that_may_not_grow_is_named(
    launcher: Launcher, material: Material, tmp_path: Path, measured: tuple[dict[str, bytes], float]
) -> None:
    out, whole = tmp_path / "out", measured[0]
    run = launcher.prepare(material.many(out, "--workers", "2"), material.folder)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (5_000, 5_000))
    assert_told(run.go().wait(), out / "part-0")
    found = snapshot(out)
    assert_readable(found, whole)
    assert not any(map(is_temporary, found))
    assert launcher.run(material.many(out, "--resume"), material.folder).status == _SCORED
    assert snapshot(out) == whole


@pytest.mark.parametrize(
    ("full", "content"),
    [
        ("scores.jsonl", '{"text": "good"}\n' * 99),
        ("rejects.jsonl", '{"text": 1}\n' * 99),
        ("summary.json", '{"text": "good"}\n'),
    ],
    ids=["output", "rejects", "summary"],
)
def test_a_single_file_that_may_not_grow_is_not_there(
    launcher: Launcher, material: Material, tmp_path: Path, full: str, content: str
) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    options = {"scores.jsonl": "-o", "rejects.jsonl": "--rejects", "summary.json": "--summary"}
    targets = [part for name, option in options.items() for part in (option, str(tmp_path / name))]
    run = launcher.prepare(material.command(*targets, inputs="in.jsonl"), tmp_path)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (1_000, 1_000))
    assert_told(run.go().wait(), tmp_path / full)
    found = snapshot(tmp_path)
    assert full not in found
    assert not any(map(is_temporary, found))


_SMALL_DISK = """
disk=$1 size=$2 bring=$3; shift 3
mount -t tmpfs -o size="$size" none "$disk"
status=0; "$@" 2>"$bring/stopped.err" || status=$?
echo "$status" >"$bring/stopped.status"
mkdir "$bring/stopped"; [ ! -d "$disk/out" ] || cp -r "$disk/out/." "$bring/stopped"
mount -o remount,size=16m "$disk"
status=0; "$@" --resume 2>"$bring/finished.err" || status=$?
echo "$status" >"$bring/finished.status"
cp -r "$disk/out" "$bring/finished"
"""


def test_a_disk_that_fills_up_is_told_and_the_run_gone_on_with(
    launchers: list[Launcher],
    material: Material,
    run_environment: dict[str, str],
    tmp_path: Path,
    whole: dict[str, bytes],
    is_long: bool,
    figures: list[str],
) -> None:
    if reason := why_not_apart("--mount"):
        pytest.skip(reason)
    (tmp_path / "disk").mkdir()
    # A page of the disk for each file, and one for what has no name yet.
    pages = range(1, len(whole) + 2) if is_long else (2, 8)

    def fill(_: Launcher, size: int) -> int:
        bring = tmp_path / str(size)
        bring.mkdir()
        command = [*RESENHA, *material.arguments(tmp_path / "disk" / "out")]
        limit = str(size * resource.getpagesize())
        apart(
            "--mount", _SMALL_DISK, tmp_path / "disk", limit, bring, *command,
            cwd=material.folder, environment=run_environment,
        )  # fmt: skip
        status, err = int((bring / "stopped.status").read_text()), (bring / "stopped.err").read_text()
        found = snapshot(bring / "stopped")
        assert_readable(found, whole)
        assert not any(map(is_temporary, found))
        if status != _SCORED:
            assert_told(Ended(status, b"", err), tmp_path / "disk")
            assert "No space left on device" in err
        assert (bring / "finished.err").read_text() == ""
        assert snapshot(bring / "finished") == whole
        return status

    statuses = Counter(across(launchers, pages, fill))
    assert statuses[_FAILED]
    figures.append(
        f"disks of {pages[0]} to {pages[-1]} pages: {statuses[_FAILED]} filled up and told, "
        f"{statuses[_SCORED]} large enough; {len(pages)}/{len(pages)} gone on with, same bytes"
    )


_READ_ONLY = """
folder=$1 bring=$2; shift 2
mount --bind "$folder" "$folder"
mount -o remount,bind,ro "$folder"
status=0; "$@" 2>"$bring" || status=$?
echo "$status"
"""


@pytest.mark.parametrize("is_begun", [False, True], ids=["new", "begun"])
def test_a_disk_that_is_read_only_is_told(
    launcher: Launcher,
    material: Material,
    run_environment: dict[str, str],
    tmp_path: Path,
    is_begun: bool,
) -> None:
    if reason := why_not_apart("--mount"):
        pytest.skip(reason)
    home = tmp_path / "home"
    home.mkdir()
    if is_begun:
        launcher.run(material.arguments(home / "out"), material.folder)
        (home / "out" / "_SUCCESS").unlink()
    before = snapshot(home / "out")
    command = [*RESENHA, *material.arguments(home / "out", "--resume")]
    done = apart(
        "--mount",
        _READ_ONLY,
        home,
        tmp_path / "err",
        *command,
        cwd=material.folder,
        environment=run_environment,
    )
    assert_told(Ended(int(done.stdout), b"", (tmp_path / "err").read_text()), home / "out")
    assert snapshot(home / "out") == before


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_directory_that_is_taken_away_is_told(
    launcher: Launcher, material: Material, tmp_path: Path, workers: str
) -> None:
    out = tmp_path / "out"
    run = launcher.prepare(material.many(out, "--workers", workers), material.folder).go()
    wait_for((out / "part-00000.jsonl").exists)
    out.rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere")
    assert_told(run.wait(), out)
    assert not out.exists()
