"""A user's own reviews: CSV, TSV and JSON lines, or folders; those with labels have a folder per label."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.corpora.corpus import Corpus, LabelledReview
from pipeline.errors import DataError
from pipeline.recipe import CorpusSettings

_SPLIT_SEED = 20110615
"""Decides which reviews are split off for the test; fixed, so that runs can be compared."""
_MAX_FIELD = 1 << 20


def read_review_files(settings: CorpusSettings, *, with_unlabelled: bool = False) -> Corpus:
    """Read the files that a recipe names; without a test file, split one off at random.

    Args:
        settings: The recipe's.
        with_unlabelled: Read ``unlabelled``, too.

    Raises:
        DataError: If a file is missing, lacks a column, or holds a label that the recipe does not
            name; the message says where.
    """
    train = list(_read(Path(settings.train or ""), settings))
    unlabelled: list[str] = []
    if with_unlabelled and settings.unlabelled is not None:
        unlabelled = list(_read_texts(Path(settings.unlabelled), settings))
    if settings.test is not None:
        return Corpus(train, list(_read(Path(settings.test), settings)), unlabelled=unlabelled)
    order = list(range(len(train)))
    random.Random(_SPLIT_SEED).shuffle(order)
    test = set(order[: max(1, round(len(train) * settings.test_share))])
    return Corpus(
        [review for number, review in enumerate(train) if number not in test],
        [review for number, review in enumerate(train) if number in test],
        unlabelled=unlabelled,
    )


def _read(path: Path, settings: CorpusSettings) -> Iterator[LabelledReview]:
    with _refusing(path):
        if path.is_dir():
            for file in sorted(path.glob("*/*.txt")):
                yield LabelledReview(file.read_text("utf-8"), _label(file.parent.name, file, settings))
            return
        for where, record in _records(path, settings.text_column, settings.label_column):
            label = record.get(settings.label_column)
            yield LabelledReview(_text(record, where, settings), _label(label, where, settings))


def _read_texts(path: Path, settings: CorpusSettings) -> Iterator[str]:
    with _refusing(path):
        if path.is_dir():
            for file in sorted(path.rglob("*.txt")):
                yield file.read_text("utf-8")
            return
        for where, record in _records(path, settings.text_column):
            yield _text(record, where, settings)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Tell of what keeps a file from being read."""
    try:
        yield
    except OSError as error:
        msg = (
            f"{path} cannot be read: {error.strerror} "
            f"(the recipe's corpus.train, corpus.test and corpus.unlabelled name it)"
        )
        raise DataError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 at byte {error.start}; convert it first (iconv -t UTF-8)"
        raise DataError(msg) from error


def _records(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each row of a file, and where it stands; a table has to have the columns."""
    if path.suffix in (".csv", ".tsv"):
        yield from _read_table(path, columns)
    elif path.suffix == ".jsonl":
        yield from _read_json_lines(path)
    else:
        msg = f"{path} is neither a folder nor one of .csv, .tsv, .jsonl"
        raise DataError(msg)


def _read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(_MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        found = rows.fieldnames or []
        for column in columns:
            if list(found).count(column) != 1:
                msg = f"{path} has no single column {column!r}; its columns are: {', '.join(found)}"
                raise DataError(msg)
        try:
            for row in rows:
                yield f"{path} line {rows.line_num}", row
        except csv.Error as error:
            msg = f"{path} line {rows.line_num}: {error}"
            raise DataError(msg) from error


def _read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
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
            yield f"{path} line {number}", record


def _text(record: dict[str, Any], where: str, settings: CorpusSettings) -> str:
    text = record.get(settings.text_column)
    if not isinstance(text, str):
        msg = f"{where}: {settings.text_column!r} is {text!r}, not a text"
        raise DataError(msg)
    return text


def _label(found: object, where: object, settings: CorpusSettings) -> int:
    labels = {settings.negative: 0, settings.positive: 1}
    if str(found) not in labels:
        msg = (
            f"{where}: the label is {found!r}; the recipe names {settings.negative!r} and "
            f"{settings.positive!r} (corpus.negative, corpus.positive)"
        )
        raise DataError(msg)
    return labels[str(found)]
