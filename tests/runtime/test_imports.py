"""The light side stays light."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

HEAVY = (
    "tensorflow", "keras", "tf2onnx", "onnx", "prefect", "pydantic", "sklearn", "scipy", "pandas", "pyarrow",
    "optuna",
)  # fmt: skip
IMPORT_ALL = f"""
import importlib, pkgutil, sys
count = 0
for name in ("pipeline.runtime", "pipeline.cli"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        count += 1
assert count >= 15, count
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""
HELP = """
import sys
from pipeline.cli import run
status = run(sys.argv[1:])
print("status", status, *sorted({"numpy", "onnxruntime", "tqdm"} & set(sys.modules)), file=sys.stderr)
"""
PACKAGE = Path(pipeline.__file__).parent


def python(code: str, *arguments: str, folder: Path = PACKAGE.parent) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )


def copy_with(folder: Path, module: str, line: str) -> Path:
    """A copy of the package in which one module has one more line."""
    shutil.copytree(PACKAGE, folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "pipeline" / module).open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")
    return folder


def test_no_module_of_the_light_side_imports_anything_heavy() -> None:
    assert python(IMPORT_ALL).stdout.split() == []


@pytest.mark.parametrize("module", ["runtime/padding.py", "cli/options.py"])
@pytest.mark.parametrize("heavy", ["onnx", "pydantic", "pyarrow"])
def test_a_heavy_import_would_be_noticed(tmp_path: Path, module: str, heavy: str) -> None:
    assert heavy in python(IMPORT_ALL, folder=copy_with(tmp_path, module, f"import {heavy}")).stdout.split()


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["score"],
        ["inspect"],
        ["verify"],
        ["drift"],
        ["train"],
        ["tune"],
        ["history"],
        ["rollback"],
        ["promote"],
    ],
    ids=" ".join,
)
def test_help_needs_neither_numpy_nor_onnx_runtime(command: list[str]) -> None:
    assert python(HELP, *command, "--help").stderr.split() == ["status", "0"]


@pytest.mark.parametrize("slow", ["numpy", "onnxruntime"])
def test_an_import_that_slows_help_would_be_noticed(tmp_path: Path, slow: str) -> None:
    folder = copy_with(tmp_path, "cli/options.py", f"import {slow}")
    assert slow in python(HELP, "--help", folder=folder).stderr.split()
