"""The file behind ``keras.datasets.imdb``: word ranks, and an index that says which word is which.

The text of a review is its words with blanks between them: the text rule turns that back into the
same ranks, so reviews from here take the same path as any other text.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.corpora.corpus import Corpus, LabelledReview
from pipeline.corpora.download import Remote
from pipeline.errors import DataError
from pipeline.runtime.text import split_words

ARCHIVE = Remote(
    "imdb.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
    "sha256:69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
)
WORD_INDEX = Remote(
    "imdb_word_index.json",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb_word_index.json",
    "md5:bfafd718b763782e994055a2d397834f",
)
_MAX_MEMBER_BYTES = 1 << 30
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


def read_imdb(archive: Path, word_index: Path) -> Corpus:
    """Read the archive of ranks and its word index.

    Raises:
        DataError: If either is not in its published form.
    """
    words = _read_words(word_index)
    columns = _read_npz(archive)
    splits = {
        split: _read_split(archive, split, columns[f"x_{split}"], columns[f"y_{split}"], words)
        for split in ("train", "test")
    }
    return Corpus(splits["train"], splits["test"], words)


def _read_words(path: Path) -> list[str]:
    """Give the words in the order of rank; ranks have to be 1, 2, 3 … without a gap."""
    try:
        ranks: dict[str, int] = json.loads(path.read_text("utf-8"))
        words = sorted(ranks, key=lambda word: ranks[word])
        is_gapless = [ranks[word] for word in words] == list(range(1, len(words) + 1))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path} is not a word index (JSON: word to rank): {error}"
        raise DataError(msg) from error
    if not is_gapless:
        msg = f"{path}: the ranks are not 1 to {len(words)}, each once"
        raise DataError(msg)
    _check_reachable(path, words)
    return words


def _check_reachable(path: Path, words: Sequence[str]) -> None:
    """Refuse an index most of whose words the text rule could never produce."""
    unreachable = sum(split_words(word, "keep") != [word] for word in words)
    if unreachable > len(words) // 100:
        msg = f"{path}: {unreachable:,} of {len(words):,} words are not lower case or hold blanks"
        raise DataError(msg)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [archive.getinfo(f"{name}.npy").file_size for name in names]
            if max(sizes) > _MAX_MEMBER_BYTES:
                msg = (
                    f"{path} holds {max(sizes):,} bytes in one array; at most {_MAX_MEMBER_BYTES:,} are read"
                )
                raise DataError(msg)
            return {name: read_array(archive.read(f"{name}.npy")) for name in names}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
        msg = f"{path} is not the archive of keras.datasets.imdb ({', '.join(names)}): {error}"
        raise DataError(msg) from error


def read_array(content: bytes) -> NDArray[Any]:
    """Read one ``.npy`` file; of a pickled one, nothing but arrays, lists and numbers.

    Raises:
        pickle.UnpicklingError: If the pickle asks for anything else; it is not run.
        ValueError: If it is no ``.npy`` file.
    """
    stream = io.BytesIO(content)
    major, _ = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    found = _ArraysOnly(stream).load()
    if not isinstance(found, np.ndarray):
        msg = f"holds a {type(found).__name__} where an array was expected"
        raise ValueError(msg)  # noqa: TRY004 - the file's content is wrong, not a caller's type
    return found


class _ArraysOnly(pickle.Unpickler):
    """Knows the three names that a NumPy array needs, and no other."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _ALLOWED:
            msg = f"refused to load {module_name}.{global_name} out of a data file"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module_name, global_name)


def _read_split(
    path: Path, split: str, ranks: NDArray[Any], labels: NDArray[Any], words: Sequence[str]
) -> list[LabelledReview]:
    if ranks.ndim != 1 or labels.shape != ranks.shape:
        msg = f"{path}: x_{split} has shape {ranks.shape}, y_{split} {labels.shape}; wanted a label a review"
        raise DataError(msg)
    reviews = []
    for number, (review, label) in enumerate(zip(ranks.tolist(), labels.tolist(), strict=True)):
        if not isinstance(review, list) or not all(
            type(rank) is int and 1 <= rank <= len(words) for rank in review
        ):
            msg = f"{path}: x_{split}[{number}] is not a list of ranks from 1 to {len(words):,}"
            raise DataError(msg)
        if label not in (0, 1):
            msg = f"{path}: y_{split}[{number}] is {label!r}; a label is 0 or 1"
            raise DataError(msg)
        reviews.append(LabelledReview(" ".join([words[rank - 1] for rank in review]), int(label)))
    return reviews
