"""A user's own labelled reviews: CSV, TSV and JSON lines, or a folder with a folder per label."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.corpora.corpus import Corpus, LabelledReview
from pipeline.errors import DataError
from pipeline.recipe import CorpusSettings

_SPLIT_SEED = 20110615
"""Decides which reviews are split off for the test; fixed, so that runs can be compared."""
_MAX_FIELD = 1 << 20


def read_review_files(settings: CorpusSettings) -> Corpus:
    """Read the files that a recipe names; without a test file, split one off at random.

    Raises:
        DataError: If a file is missing, lacks a column, or holds a label that the recipe does not
            name; the message says where.
    """
    train = list(_read(Path(settings.train or ""), settings))
    if settings.test is not None:
        return Corpus(train, list(_read(Path(settings.test), settings)))
    order = list(range(len(train)))
    random.Random(_SPLIT_SEED).shuffle(order)
    test = set(order[: max(1, round(len(train) * settings.test_share))])
    return Corpus(
        [review for number, review in enumerate(train) if number not in test],
        [review for number, review in enumerate(train) if number in test],
    )


def list_files(path: Path) -> list[Path]:
    """Give every file that reading ``path`` would open, in a fixed order."""
    return sorted(path.glob("*/*.txt")) if path.is_dir() else [path]


def _read(path: Path, settings: CorpusSettings) -> Iterator[LabelledReview]:
    readers = {".csv": _read_table, ".tsv": _read_table, ".jsonl": _read_json_lines}
    try:
        if path.is_dir():
            yield from _read_folder(path, settings)
        elif path.suffix in readers:
            yield from readers[path.suffix](path, settings)
        else:
            msg = f"{path} is neither a folder nor one of {', '.join(readers)}"
            raise DataError(msg)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror} (the recipe's corpus.train and corpus.test name it)"
        raise DataError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 at byte {error.start}; convert it first (iconv -t UTF-8)"
        raise DataError(msg) from error


def _read_folder(path: Path, settings: CorpusSettings) -> Iterator[LabelledReview]:
    for file in list_files(path):
        yield LabelledReview(file.read_text("utf-8"), _label(file.parent.name, file, settings))


def _read_table(path: Path, settings: CorpusSettings) -> Iterator[LabelledReview]:
    csv.field_size_limit(_MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        found = rows.fieldnames or []
        for column in (settings.text_column, settings.label_column):
            if list(found).count(column) != 1:
                msg = f"{path} has no single column {column!r}; its columns are: {', '.join(found)}"
                raise DataError(msg)
        try:
            for row in rows:
                yield _review(row, f"{path} line {rows.line_num}", settings)
        except csv.Error as error:
            msg = f"{path} line {rows.line_num}: {error}"
            raise DataError(msg) from error


def _read_json_lines(path: Path, settings: CorpusSettings) -> Iterator[LabelledReview]:
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                msg = f"{path} line {number} is not JSON: {error}"
                raise DataError(msg) from error
            if not isinstance(record, dict):
                msg = f"{path} line {number} is a JSON {type(record).__name__}, not an object"
                raise DataError(msg)
            yield _review(record, f"{path} line {number}", settings)


def _review(record: dict[str, Any], where: str, settings: CorpusSettings) -> LabelledReview:
    text = record.get(settings.text_column)
    if not isinstance(text, str):
        msg = f"{where}: {settings.text_column!r} is {text!r}, not a text"
        raise DataError(msg)
    return LabelledReview(text, _label(record.get(settings.label_column), where, settings))


def _label(found: object, where: object, settings: CorpusSettings) -> int:
    labels = {settings.negative: 0, settings.positive: 1}
    if str(found) not in labels:
        msg = (
            f"{where}: the label is {found!r}; the recipe names {settings.negative!r} and "
            f"{settings.positive!r} (corpus.negative, corpus.positive)"
        )
        raise DataError(msg)
    return labels[str(found)]
