"""``resenha history``, ``rollback`` and ``promote``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli import run
from pipeline.promotion import read_history, roll_back
from pipeline.runtime.bundle import MANIFEST, read_manifest
from pipeline.workspace import Workspace
from tests.promoting import (
    attempt,
    break_parity,
    break_self_test,
    current_of,
    from_real_reviews,
    lose_a_byte,
    measured_on_other_reviews,
    put,
    reseal,
)
from tests.stand_ins import make_bundle

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def options(workspace: Workspace) -> list[str]:
    return ["--artifacts", str(workspace.root)]


# History


def test_the_history_is_shown(
    workspace: Workspace, options: list[str], three: dict[str, Path], capsys: Capture
) -> None:
    roll_back(workspace)
    assert run(["history", *options]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line[0] for line in lines] == [" ", " ", " ", "*"]
    assert "  rolled back      0.9100  bundles/stand-in/b  (was " in lines[-1]
    assert err == ""
    assert run(["history", *options, "--json"]) == 0
    assert [json.loads(line)["how"] for line in capsys.readouterr().out.splitlines()] == [
        *["promoted"] * 3,
        "rolled back",
    ]


def test_a_link_that_the_history_does_not_tell_of_is_told(
    workspace: Workspace, options: list[str], three: dict[str, Path], capsys: Capture
) -> None:
    workspace.current.unlink()
    workspace.current.symlink_to("bundles/stand-in/a")
    assert run(["history", *options]) == 0
    out, err = capsys.readouterr()
    assert [line[0] for line in out.splitlines()] == ["*", " ", " "]
    assert "which is not what the last line tells" in err
    assert len(read_history(workspace)) == 3


def test_nothing_promoted_is_an_empty_history(
    workspace: Workspace, options: list[str], capsys: Capture
) -> None:
    workspace.root.mkdir()
    assert run(["history", *options]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing was promoted in" in err


def test_the_history_shows_no_escape_code(workspace: Workspace, options: list[str], capsys: Capture) -> None:
    workspace.root.mkdir()
    entry = {"digest": "\x1b[2J", "bundle": "\x1b[2J", "how": ["\x1b"], "replaced": "\x1b", "accuracy": "1"}
    (workspace.root / "history.jsonl").write_text(json.dumps(entry))
    for arguments in (["history"], ["history", "--json"], ["rollback"]):
        assert run([*arguments, *options]) in (0, 5)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    "command", [["history"], ["rollback"], ["promote", "nowhere/bundles/a/b"]], ids="".join
)
def test_a_folder_that_is_not_there_is_wrong_usage_and_is_not_made(
    command: list[str], work: Path, capsys: Capture
) -> None:
    assert run([*command, "--artifacts", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
    assert list(work.iterdir()) == []


# Rollback


def test_going_back_is_told_and_ends_with_its_status(
    workspace: Workspace, options: list[str], three: dict[str, Path], capsys: Capture
) -> None:
    assert run(["rollback", *options]) == 0
    digest = read_manifest(three["b"]).digest
    assert capsys.readouterr().out == f"rolled back: {workspace.current} names stand-in/{digest[:12]}\n"
    lose_a_byte(three["a"])
    assert run(["rollback", *options]) == 5
    assert run(["rollback", *options, "--to", read_manifest(three["c"]).digest]) == 0
    assert run(["rollback", *options, "--to", "nonsense"]) == 2


HEAVY = "tensorflow keras pydantic sklearn scipy onnx prefect pandas pyarrow matplotlib"
PROGRAM = f"""
import sys
from pipeline.cli import run
status = run(sys.argv[1:])
print(status, *sorted(set({HEAVY.split()}) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["history", "rollback", "promote"])
def test_going_back_and_forth_needs_nothing_heavy(
    command: str, workspace: Workspace, options: list[str], three: dict[str, Path]
) -> None:
    arguments = [command, *options]
    if command == "promote":
        arguments += [str(put(workspace, "d", accuracy=0.95))]
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert found.stderr == "0\n"


# By hand


def test_a_bundle_is_promoted_by_hand_by_what_the_manifests_say(
    workspace: Workspace, options: list[str], three: dict[str, Path], capsys: Capture
) -> None:
    worse = put(workspace, "worse", accuracy=0.9)
    before = current_of(workspace)
    assert run(["promote", str(worse), *options]) == 5
    assert "gate not_worse: 0.02" in capsys.readouterr().err
    assert current_of(workspace) == before
    assert run(["promote", str(worse), *options, "--max-degradation", "0.05"]) == 0
    assert read_history(workspace)[-1]["how"] == "promoted by hand"
    assert run(["promote", str(worse), *options]) == 0
    assert len(read_history(workspace)) == 4
    assert run(["promote", str(three["c"]), *options, "--minimum-accuracy", "0.93"]) == 5
    assert "gate minimum_accuracy: 0.92" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", [break_parity, break_self_test, lose_a_byte])
def test_by_hand_no_bad_candidate_is_promoted_either(
    spoil: Callable[[Path], None], workspace: Workspace, options: list[str], three: dict[str, Path]
) -> None:
    bundle = put(workspace, "bad", accuracy=0.95)
    spoil(bundle)
    before = current_of(workspace)
    assert run(["promote", str(bundle), *options, "--unmeasured", "--max-degradation", "1"]) == 5
    assert current_of(workspace) == before


def test_by_hand_made_up_reviews_do_not_take_the_place_of_real_ones_either(
    workspace: Workspace, options: list[str], capsys: Capture
) -> None:
    real = put(workspace, "real")
    reseal(real, from_real_reviews)
    attempt(workspace, real)
    before = current_of(workspace)
    assert run(["promote", str(put(workspace, "made-up", accuracy=0.95)), *options]) == 5
    assert "NOT promoted: it learnt from synthetic reviews" in capsys.readouterr().err
    assert current_of(workspace) == before


@pytest.mark.parametrize("why", ["other test reviews", "cannot be used"])
def test_what_nothing_compares_is_promoted_only_if_that_is_said(
    why: str, workspace: Workspace, options: list[str], three: dict[str, Path], capsys: Capture
) -> None:
    other = put(workspace, "other", accuracy=0.95)
    if why == "other test reviews":
        reseal(other, measured_on_other_reviews)
    else:
        lose_a_byte(three["c"])
    before = current_of(workspace)
    assert run(["promote", str(other), *options]) == 2
    err = capsys.readouterr().err
    assert why in err
    assert "--unmeasured promotes" in err
    assert current_of(workspace) == before
    assert run(["promote", str(other), *options, "--unmeasured"]) == 0
    assert workspace.current.resolve() == other.resolve()


@pytest.mark.parametrize("how", ["beside", "through a link", "nowhere"])
def test_a_bundle_that_does_not_lie_among_the_bundles_is_wrong_usage(
    how: str,
    workspace: Workspace,
    options: list[str],
    three: dict[str, Path],
    tmp_path: Path,
    capsys: Capture,
) -> None:
    make_bundle(tmp_path / "elsewhere", accuracy=0.95)
    (workspace.bundles / "link").symlink_to(tmp_path / "elsewhere")
    bundle = {
        "beside": tmp_path / "elsewhere",
        "through a link": workspace.bundles / "link",
        "nowhere": workspace.bundles / "nothing",
    }[how]
    assert run(["promote", str(bundle), *options]) == 2
    assert "resenha: " in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"recipe": []}, {"gates": {}}, {"gates": "all passed"}])
def test_a_manifest_whose_recipe_or_gates_are_none_is_refused(
    changes: dict[str, object], workspace: Workspace, options: list[str], capsys: Capture
) -> None:
    bundle = put(workspace, "a")
    forged = replace(read_manifest(bundle), **changes).sealed()  # type: ignore[arg-type]
    (bundle / MANIFEST).write_bytes(forged.to_bytes())
    assert run(["promote", str(bundle), *options]) == 5
    assert "describes its files or figures wrongly" in capsys.readouterr().err
