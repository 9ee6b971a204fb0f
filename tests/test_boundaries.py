"""The checks on the rooms go red when they should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("pipeline", "flows", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = [str(BIN / command[0]), *command[1:]]
    return subprocess.run(program, cwd=tree, capture_output=True, text=True, check=False)


def plant(tree: Path, file: str, line: str) -> None:
    path = tree / file
    path.write_text(
        path.read_text("utf-8").replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n\n{line}\n", 1
        )
    )


def test_the_tree_as_it_is_passes(tree: Path) -> None:
    assert check(tree, "lint-imports", "--no-cache").returncode == 0
    assert check(tree, "ruff", "check", "--no-cache", "--select", "TID251", ".").returncode == 0


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("pipeline/runtime/text.py", "import keras", "The light side meets nothing heavy BROKEN"),
        ("pipeline/runtime/text.py", "import optuna", "The light side meets nothing heavy BROKEN"),
        ("pipeline/chain.py", "from pipeline.tuning import search", "Arrows inside pipeline point one way BROKEN"),
        ("pipeline/runtime/text.py", "import pyarrow", "The light side meets nothing heavy BROKEN"),
        ("pipeline/runtime/parquet_files.py", "import pandas", "The light side meets nothing heavy BROKEN"),
        ("pipeline/runtime/parquet_sink.py", "from pyarrow import parquet", "The light side meets nothing heavy BROKEN"),
        ("pipeline/runtime/text.py", "from pipeline.recipe import Recipe", "Arrows inside pipeline point one way BROKEN"),
        ("pipeline/corpora/imdb.py", "from pipeline.stages import train", "Arrows inside pipeline point one way BROKEN"),
        ("pipeline/graphs/checks.py", "from pipeline.networks import recurrent", "Arrows inside pipeline point one way BROKEN"),
        ("pipeline/stages/export.py", "from pipeline.stages.train import train", "No stage knows another BROKEN"),
        ("pipeline/chain.py", "from flows import build_bundle", "Flows stand above the pipeline BROKEN"),
        ("pipeline/chain.py", "import prefect", "Only flows import Prefect and Dask BROKEN"),
        ("pipeline/chain.py", "import distributed", "Only flows import Prefect and Dask BROKEN"),
    ],
)  # fmt: skip
def test_a_planted_arrow_in_the_wrong_direction_is_found(
    file: str, line: str, contract: str, tree: Path
) -> None:
    plant(tree, file, line)
    result = check(tree, "lint-imports", "--no-cache")
    assert result.returncode == 1
    assert contract in " ".join(result.stdout.split())


def test_a_package_that_brings_a_stage_along_is_found(tree: Path) -> None:
    (tree / "pipeline/__init__.py").write_text("from pipeline.stages.train import train\n")
    result = check(tree, "lint-imports", "--no-cache")
    assert result.returncode == 1
    assert "Importing pipeline itself brings nothing along BROKEN" in " ".join(result.stdout.split())


def test_a_new_room_has_to_be_given_its_place(tree: Path) -> None:
    (tree / "pipeline/attic.py").write_text("")
    result = check(tree, "lint-imports", "--no-cache")
    assert result.returncode == 1
    assert "attic" in result.stdout


@pytest.mark.parametrize(
    "line",
    [
        "import keras",
        "import tensorflow as tf",
        "from prefect import flow",
        "import onnx",
        "import optuna",
        "from pyarrow import parquet",
    ],
)
def test_a_planted_import_in_the_runtime_is_found_by_name(line: str, tree: Path) -> None:
    plant(tree, "pipeline/runtime/text.py", line)
    result = check(tree, "ruff", "check", "--no-cache", "--select", "TID251", ".")
    assert result.returncode == 1
    assert "TID251" in result.stdout
