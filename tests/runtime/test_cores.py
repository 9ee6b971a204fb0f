from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.runtime.cores import usable_cores


def plant(root: Path, groups: str, files: dict[str, str]) -> tuple[Path, Path]:
    (root / "cgroup").write_text(groups)
    for name, content in files.items():
        (root / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "mounted" / name).write_text(content)
    return root / "cgroup", root / "mounted"


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        pytest.param("", {}, 8, id="no control groups"),
        pytest.param("0::/\n", {}, 8, id="none mounted"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 8, id="no limit"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2, id="two cores"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 2, id="a core and a half"),
        pytest.param("0::/\n", {"cpu.max": "5000 100000\n"}, 1, id="a twentieth"),
        pytest.param("0::/\n", {"cpu.max": "1600000 100000\n"}, 8, id="more than there are"),
        pytest.param("0::/a/b\n", {"a/cpu.max": "300000 100000\n"}, 3, id="the parent's limit"),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3, id="both asked"
        ),
        pytest.param("0::/gone\n", {"cpu.max": "400000 100000\n"}, 4, id="a group seen from inside"),
        pytest.param(
            "3:memory:/x\n2:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            3,
            id="version 1",
        ),
        pytest.param(
            "2:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
            id="version 1 without a limit",
        ),
        pytest.param("0::/\n", {"cpu.max": "much\n"}, 8, id="not a number"),
        pytest.param("0::/\n", {"cpu.max": "100000 0\n"}, 8, id="no period"),
    ],
)
def test_cores_are_those_that_are_granted(
    groups: str, files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    assert usable_cores(*plant(tmp_path, groups, files)) == cores


def test_the_affinity_mask_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {1, 5}, raising=False)
    assert usable_cores(*plant(tmp_path, "0::/\n", {})) == 2


def test_a_system_without_affinity_counts_its_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(*plant(tmp_path, "", {})) == 1


def test_this_machine_grants_a_core_at_least() -> None:
    assert usable_cores() >= 1
