from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import run
from pipeline.recipe import Recipe
from tests.conftest import TINY_RECIPE


def test_train_publishes_and_prints_its_table_on_stdout(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    status = run(["train", str(tmp_path / "tiny.toml"), "--artifacts", str(tmp_path / "artifacts")])
    assert status == 0
    assert "16 of 16 passed" in capsys.readouterr().out
    assert (tmp_path / "artifacts/current/model.onnx").is_file()


def test_a_wrong_recipe_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "sead"]) == 2
    assert (
        capsys.readouterr().err
        == "resenha: there is no recipe 'sead'; shipped are best, quick, seed, small, or name a .toml file\n"
    )


@pytest.mark.parametrize("package", ["pydantic", "keras"])
def test_without_the_extra_train_says_so_in_one_line(package: str, tmp_path: Path) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from pipeline.cli import run; sys.exit(run(['train', 'quick', '--corpus', 'sample', '--artifacts', {str(tmp_path)!r}]))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert (
        result.stderr.splitlines()[-1]
        == f"resenha: training needs the package {package!r}: pip install '.[train]' in the project's folder"
    )
