from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import workspace as module
from pipeline.workspace import Done, Workspace, code_of


@dataclass(frozen=True)
class Count:
    number: int


class Work:
    """Work that counts how often it was really done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> Count:
        self.times += 1
        (folder / "out.txt").write_text("result")
        return Count(42)


def run(workspace: Workspace, work: Callable[[Path], Count], **changes: object) -> Done[Count]:
    arguments = {"settings": {"a": 1}, "inputs": {"in": "0" * 64}} | changes
    return workspace.run_stage("prepare", "tiny", work, report_type=Count, **arguments)  # type: ignore[arg-type]


def test_finished_work_is_not_done_again(workspace: Workspace) -> None:
    work = Work()
    first, second = run(workspace, work), run(workspace, work)
    assert work.times == 1
    assert (first.was_done, second.was_done) == (False, True)
    assert second.report == Count(42)
    assert second.digests == first.digests


@pytest.mark.parametrize(
    "changes", [{"settings": {"a": 2}}, {"inputs": {"in": "1" * 64}}], ids=["settings", "inputs"]
)
def test_work_is_done_again_for_other(changes: dict[str, object], workspace: Workspace) -> None:
    work = Work()
    run(workspace, work)
    run(workspace, work, **changes)
    assert work.times == 2


def test_work_is_done_again_when_its_code_changes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    run(workspace, work)
    monkeypatch.setattr(module, "code_of", lambda _name: {"code": {"changed": "1"}, "packages": {}})
    run(workspace, work)
    assert work.times == 2


@pytest.mark.parametrize("harm", ["changed", "missing", "extra", "stamp"])
def test_work_that_rotted_is_noticed_and_done_again(harm: str, workspace: Workspace) -> None:
    work = Work()
    done = run(workspace, work)
    if harm == "changed":
        done["out.txt"].write_text("resulT")
    elif harm == "missing":
        done["out.txt"].unlink()
    elif harm == "extra":
        (done.folder / "more.txt").write_text("")
    else:
        (done.folder / "stage.json").write_text("{")
    again = run(workspace, work)
    assert work.times == 2
    assert again["out.txt"].read_text() == "result"
    assert run(workspace, work).was_done


def test_work_that_fails_leaves_nothing(workspace: Workspace) -> None:
    def fail(folder: Path) -> Count:
        (folder / "half.txt").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        run(workspace, fail)
    assert list((workspace.root / "runs/tiny/prepare").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_a_running_ones_is_kept(workspace: Workspace) -> None:
    home = workspace.root / "runs/tiny/prepare"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (home / f".abc.{dead.pid}.tmp").mkdir(parents=True)
    (home / f".abc.{os.getppid()}.tmp").mkdir()
    run(workspace, Work())
    assert [path.name for path in home.glob(".*")] == [f".abc.{os.getppid()}.tmp"]


def test_the_code_of_a_stage_reaches_as_far_as_its_imports() -> None:
    code = code_of("pipeline.stages.prepare")["code"]
    assert "pipeline.runtime.text" in code
    assert "pipeline.errors" in code
    assert "pipeline.networks.recurrent" not in code
    assert "pipeline.networks.recurrent" in code_of("pipeline.stages.train")["code"]


def test_the_versions_that_count_are_those_of_what_a_stage_imports() -> None:
    assert "tensorflow" not in code_of("pipeline.stages.prepare")["packages"]
    assert {"tensorflow", "keras", "numpy"} <= set(code_of("pipeline.stages.train")["packages"])
    assert {"onnx", "onnxruntime"} <= set(code_of("pipeline.stages.check_parity")["packages"])


def test_comments_do_not_count_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def code(source: str) -> object:
        (tmp_path / "planted_module.py").write_text(source)
        code_of.cache_clear()
        return code_of("planted_module")["code"]

    monkeypatch.syspath_prepend(tmp_path)
    assert code("x = 1\n") == code("x  =  1  # a comment\n")
    assert code("x = 1\n") != code("x = 2\n")
    code_of.cache_clear()


def test_what_is_handed_on_is_all_that_can_be_asked_for(workspace: Workspace) -> None:
    done = run(workspace, Work())
    with pytest.raises(KeyError, match="test is not among what is handed on of stage"):
        done["test"]
    with pytest.raises(KeyError, match=r"out.txt is not among"):
        done.only()["out.txt"]
    assert done.only("out.txt")["out.txt"] == done["out.txt"]
