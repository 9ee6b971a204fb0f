from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.light_environment import declared_distributions, make_light_environment
from tests.stand_ins import make_bundle

HEAVY = (
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "prefect",
    "pydantic",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "optuna",
)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_light_environment(tmp_path_factory.mktemp("light") / "venv")


def test_the_light_side_declares_nothing_heavy() -> None:
    declared = set(declared_distributions())
    assert {"numpy", "onnxruntime", "click", "tqdm"} <= declared
    assert not declared & {*HEAVY, "scikit-learn"}
    assert len(declared) <= 12


def test_the_heavy_packages_are_not_there(light: Path) -> None:
    script = (
        "import importlib.util, json; "
        f"print(json.dumps([name for name in {HEAVY!r} if importlib.util.find_spec(name)]))"
    )
    result = subprocess.run([light / "python", "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []


def test_it_scores_inspects_and_verifies(light: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    for command in (["verify"], ["inspect"], ["inspect", "--json"]):
        subprocess.run([light / "resenha", *command, tmp_path / "bundle"], capture_output=True, check=True)
    command = [str(light / "resenha"), "score", "-", "--bundle", str(tmp_path / "bundle")]
    result = subprocess.run(command, input=b"a good film\n", capture_output=True, check=True)
    assert json.loads(result.stdout)["label"] == "positive"


def test_training_says_in_one_line_what_is_missing(light: Path) -> None:
    result = subprocess.run([light / "resenha", "train"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "pip install '.[train]' in the project's folder" in result.stderr
