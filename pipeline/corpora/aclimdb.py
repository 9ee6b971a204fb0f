"""The Large Movie Review Dataset as raw text: the archive, or the folder it unpacks to.

Source: Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpora.corpus import Corpus, LabelledReview
from pipeline.corpora.download import Remote
from pipeline.errors import DataError

ARCHIVE = Remote(
    "aclImdb_v1.tar.gz",
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    "md5:7c2ac02c03563afcf9b574c7e56c153a",
)
_MEMBER = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt")
_LABELLED = frozenset({("train", "pos"), ("train", "neg"), ("test", "pos"), ("test", "neg")})
_UNLABELLED = ("train", "unsup")
_MAX_REVIEW_BYTES = 1 << 20
_CHUNK = 1 << 20

_Folders = frozenset[tuple[str, str]]
"""Those that are read: split and label."""


def read_aclimdb(path: Path, *, with_unlabelled: bool = False) -> Corpus:
    """Read the reviews, ordered by split, label and number.

    Nothing is unpacked to disk, and no name inside the archive is used as a path.

    Args:
        path: The archive, or the folder that it unpacks to.
        with_unlabelled: Read ``train/unsup``, too; otherwise it is passed over.

    Raises:
        DataError: If there is no labelled review, or one is too large or not UTF-8.
    """
    folders = _LABELLED | {_UNLABELLED} if with_unlabelled else _LABELLED
    files = _files_of_folder if path.is_dir() else _files_of_archive
    found: dict[tuple[str, str, int, int], str] = {}
    for name, match, content in files(path, folders):
        if len(content) > _MAX_REVIEW_BYTES:
            msg = f"{path}: {name} is larger than {_MAX_REVIEW_BYTES:,} bytes"
            raise DataError(msg)
        split, label, number, stars = match.groups()
        try:
            found[split, label, int(number), int(stars)] = content.decode()
        except UnicodeDecodeError as error:
            msg = f"{path}: {name} is not UTF-8 at byte {error.start}"
            raise DataError(msg) from error
    splits: dict[str, list[LabelledReview]] = {"train": [], "test": []}
    for key in sorted(found):
        if key[:2] != _UNLABELLED:
            splits[key[0]].append(LabelledReview(found[key], int(key[1] == "pos")))
    for split, reviews in splits.items():
        if not reviews:
            msg = f"{path} holds no {split}/pos/<id>_<stars>.txt and {split}/neg/<id>_<stars>.txt"
            raise DataError(msg)
    unlabelled = [found[key] for key in sorted(found) if key[:2] == _UNLABELLED]
    return Corpus(splits["train"], splits["test"], unlabelled=unlabelled)


def _match(name: str, folders: _Folders) -> re.Match[str] | None:
    match = _MEMBER.fullmatch(name)
    return match if match and match.group(1, 2) in folders else None


def _files_of_archive(path: Path, folders: _Folders) -> Iterator[tuple[str, re.Match[str], bytes]]:
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                if member.isreg() and (match := _match(member.name, folders)):
                    stream = archive.extractfile(member)
                    yield member.name, match, stream.read(_MAX_REVIEW_BYTES + 1) if stream else b""
            # The checksum stands at the very end, behind the padding that tar does not read.
            while unzipped.read(_CHUNK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path} is not a whole .tar.gz archive: {error}"
        raise DataError(msg) from error


def _files_of_folder(path: Path, folders: _Folders) -> Iterator[tuple[str, re.Match[str], bytes]]:
    for split, label in sorted(folders):
        for file in (path / split / label).glob("*.txt"):
            name = f"{split}/{label}/{file.name}"
            if match := _match(name, folders):
                yield name, match, file.read_bytes()
