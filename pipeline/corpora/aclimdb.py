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
_MEMBER = re.compile(r"(?:.*/)?(train|test)/(pos|neg)/(\d+)_(\d+)\.txt")
_MAX_REVIEW_BYTES = 1 << 20
_CHUNK = 1 << 20


def read_aclimdb(path: Path) -> Corpus:
    """Read the labelled reviews, ordered by split, label and number; the unlabelled are passed over.

    Nothing is unpacked to disk, and no name inside the archive is used as a path.

    Raises:
        DataError: If there is none, or one is too large or not UTF-8.
    """
    found: dict[tuple[str, str, int, int], str] = {}
    for name, content in _files_of_folder(path) if path.is_dir() else _files_of_archive(path):
        match = _MEMBER.fullmatch(name)
        if match is None:
            continue
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
        splits[key[0]].append(LabelledReview(found[key], int(key[1] == "pos")))
    for split, reviews in splits.items():
        if not reviews:
            msg = f"{path} holds no {split}/pos/<id>_<stars>.txt and {split}/neg/<id>_<stars>.txt"
            raise DataError(msg)
    return Corpus(splits["train"], splits["test"])


def _files_of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                if member.isreg() and _MEMBER.fullmatch(member.name):
                    stream = archive.extractfile(member)
                    yield member.name, stream.read(_MAX_REVIEW_BYTES + 1) if stream else b""
            # The checksum stands at the very end, behind the padding that tar does not read.
            while unzipped.read(_CHUNK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path} is not a whole .tar.gz archive: {error}"
        raise DataError(msg) from error


def _files_of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            for file in (path / split / label).glob("*.txt"):
                yield f"{split}/{label}/{file.name}", file.read_bytes()
