from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import judging, own_texts
from benchmarks.trained_recipes import SEEDS, TrainedRecipe
from benchmarks.trained_rivals import NB_SVM
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import save_reviews
from pipeline.reports import Acquired
from tests.stand_ins import make_bundle

RECIPE = """
description = "Mine."
[text]
num_words = 14
max_length = 8
[network]
cell = "gru"
embedding_size = 2
units = 2
[training]
optimizer = "adam"
epochs = 1
batch_size = 2
validation_split = 0.2
seed = 1
"""
REVIEWS = [LabelledReview(f"a {'moving' if n % 2 else 'dull'} film {n}", n % 2) for n in range(60)]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


def run(recipe: Path, monkeypatch: pytest.MonkeyPatch, found: tuple[list[TrainedRecipe], list[str]]) -> Any:
    def train(_folder: Path, named: str, *_: object) -> tuple[list[TrainedRecipe], list[str]]:
        assert named == str(recipe)
        return found

    monkeypatch.setattr(own_texts, "train_seeds", train)
    monkeypatch.setattr(judging, "rivals_here", lambda: [NB_SVM])
    return CliRunner().invoke(own_texts.main, [str(recipe), "--artifacts", str(recipe.parent / "kept")])


def test_a_recipe_stands_beside_what_learnt_from_its_texts(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: recipe.parent / name for name in (Acquired.TRAIN, Acquired.TEST)}
    save_reviews(files[Acquired.TRAIN], REVIEWS[20:])
    save_reviews(files[Acquired.TEST], [*REVIEWS[:20], LabelledReview("a dull film", 1)])
    make_bundle(recipe.parent / "bundle")
    trained = TrainedRecipe(
        digests=dict.fromkeys(files, "1" * 64),
        files={name: str(file) for name, file in files.items()},
        seconds={"prepare": 1.0, "train": 2.0},
        peak_bytes=300_000_000,
        bundle=str(recipe.parent / "bundle"),
    )
    result = run(recipe, monkeypatch, ([trained] * len(SEEDS), ["a note"]))
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["| **Resenha**, recipe `mine`", f"| {NB_SVM}"]
    assert [row[2] for row in rows[2:]] == ["0.9524", "0.9524"]
    assert rows[2][6:8] == ["3.00", "300"]
    assert "- 40 texts to learn from" in result.stdout
    assert "- a note" in result.stdout


def test_a_recipe_that_gates_refuse_has_no_table(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(recipe, monkeypatch, ([], ["`mine`, seed 1, is not in the figures, refused"]))
    assert result.exit_code == 1
    assert "own_texts: gates refused all seeds: `mine`, seed 1" in result.stderr
