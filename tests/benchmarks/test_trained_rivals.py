from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.machine import is_installed
from benchmarks.trained_rivals import (
    NB_SVM,
    School,
    has_seed,
    open_rival,
    rivals_here,
    school_of,
    train_rival,
)
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import save_reviews

GOOD, BAD = "a good and moving film number {}", "a bad and dull film number {}"
needs_fasttext = pytest.mark.skipif(not is_installed("fasttext-community"), reason="fastText is a rival only")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    folder = tmp_path_factory.mktemp("school")
    reviews = [LabelledReview((GOOD if n % 2 else BAD).format(n), n % 2) for n in range(200)]
    save_reviews(folder / "train.jsonl", reviews)
    return School(folder / "train.jsonl", folder / "rivals", threads=1)


@pytest.mark.parametrize("name", rivals_here())
def test_a_rival_learns_in_a_process_of_its_own_and_gives_probabilities(name: str, school: School) -> None:
    trained = train_rival(name, school)
    assert trained.seconds > 0
    assert trained.peak_bytes > 20_000_000
    scores = open_rival(name, trained.file)([GOOD.format("ten"), BAD.format("ten"), "a\nmoving\nfilm"])
    assert np.all((scores >= 0) & (scores <= 1))
    assert scores[0] > 0.5 > scores[1]
    assert scores[2] > 0.5


def test_a_trained_rival_is_used_again_and_one_half_kept_is_not(school: School) -> None:
    trained = train_rival(NB_SVM, school)
    before = trained.file.stat().st_mtime_ns
    assert train_rival(NB_SVM, school) == trained
    assert trained.file.stat().st_mtime_ns == before
    trained.file.with_suffix(".json").unlink()
    assert train_rival(NB_SVM, school).file == trained.file
    assert trained.file.stat().st_mtime_ns > before


@needs_fasttext
def test_seeds_have_files_of_their_own_where_chance_has_a_say(school: School) -> None:
    name = "fastText unigrams, 10 dimensions"
    assert has_seed(name)
    first, second = (train_rival(name, school, seed) for seed in (1, 2))
    assert first.file != second.file
    assert not has_seed(NB_SVM)
    assert train_rival(NB_SVM, school, 1).file == train_rival(NB_SVM, school, 2).file


def test_other_reviews_have_another_school(tmp_path: Path) -> None:
    one, other = (school_of(tmp_path, tmp_path / "train.jsonl", digest * 64) for digest in "ab")
    assert one.cache != other.cache
