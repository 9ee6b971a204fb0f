from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.corpora.imdb import read_array, read_imdb
from pipeline.errors import DataError
from pipeline.runtime.text import TextRule, Tokenizer
from tests.faults.cases import case
from tests.plain_tokenizer import encode_one

INDEX = {"film": 2, "the": 1, "good": 3, "é": 4}


def ragged(*rows: Any) -> np.ndarray[Any, Any]:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def write(folder: Path, index: Any = None, **arrays: Any) -> tuple[Path, Path]:
    columns = {
        "x_train": ragged([1, 2, 3], [4]),
        "y_train": np.array([1, 0]),
        "x_test": ragged([3, 3], []),
        "y_test": np.array([0, 1]),
    } | arrays
    np.savez(folder / "imdb.npz", **columns)
    (folder / "imdb_word_index.json").write_text(json.dumps(INDEX if index is None else index))
    return folder / "imdb.npz", folder / "imdb_word_index.json"


def test_ranks_become_the_text_that_gives_the_same_ids_again(tmp_path: Path) -> None:
    corpus = read_imdb(*write(tmp_path))
    assert corpus.words == ["the", "film", "good", "é"]
    assert [(review.text, review.label) for review in corpus.train] == [("the film good", 1), ("é", 0)]
    tokenizer = Tokenizer(TextRule(10, 5, "keep"), corpus.words)
    assert list(encode_one(tokenizer, corpus.train[0].text).token_ids) == [1, 1 + 3, 2 + 3, 3 + 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": ragged([1, 5], [4])}, r"x_train\[0\] is not a list of ranks from 1 to 4"),
        ({"x_train": ragged([1, 0], [4])}, r"x_train\[0\] is not a list of ranks"),
        ({"x_test": ragged([1], [True])}, r"x_test\[1\] is not a list of ranks"),
        ({"x_test": ragged([1], "the")}, r"x_test\[1\] is not a list of ranks"),
        ({"y_test": np.array([0, 2])}, r"y_test\[1\] is 2; a label is 0 or 1"),
        ({"y_test": np.array([0])}, "wanted a label a review"),
        ({"index": {"the": 1, "film": 3, "good": 4, "é": 5}}, "not 1 to 4, each once"),
        ({"index": ["the"]}, "is not a word index"),
        ({"index": {"The": 1, "Film": 2, "Good": 3, "X": 4}}, "not lower case"),
    ],
)  # fmt: skip
def test_what_is_not_the_published_form_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read_imdb(*write(tmp_path, **changes))


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    archive, index = write(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DataError, match="is not the archive of keras.datasets.imdb"):
        read_imdb(archive, index)


class Attack:
    """What a planted pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


@case("Pipeline", "imdb.npz")
def test_code_pickled_into_the_archive_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    archive, index = write(tmp_path, x_train=ragged(Attack(), [4]))
    with pytest.raises(DataError, match=r"refused to load \w+.mkdir out of a data file"):
        read_imdb(archive, index)
    assert not (tmp_path / "was-run").exists()
    with np.load(archive, allow_pickle=True) as arrays, pytest.raises(TypeError):
        # The same file in NumPy's own hands: the attack is a real one.
        len(arrays["x_train"][0])
    assert (tmp_path / "was-run").exists()


def test_a_pickle_of_something_else_is_refused() -> None:
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    content = header.ljust(127) + b"\n" + pickle.dumps([1])
    with pytest.raises(ValueError, match="holds a list where an array was expected"):
        read_array(content)
