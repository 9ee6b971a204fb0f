from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.corpora.review_files import read_review_files
from pipeline.errors import DataError
from pipeline.recipe import CorpusSettings

ROWS = [('Good, "very" good\nindeed', "pos"), ("bad", "neg"), ("", "pos")]


def settings(train: Path, **changes: object) -> CorpusSettings:
    fields: dict[str, object] = {"name": "files", "train": str(train), "negative": "neg", "positive": "pos"}
    return CorpusSettings.model_validate(fields | changes)


def write(folder: Path, form: str, rows: list[tuple[str, str]]) -> Path:
    path = folder / f"reviews.{form}"
    if form == "jsonl":
        path.write_text(
            "\n".join(json.dumps({"text": text, "label": label}) for text, label in rows) + "\n\n"
        )
    elif form == "folder":
        for number, (text, label) in enumerate(rows):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{number}.txt").write_text(text, newline="")
    else:
        quoted = ",".join if form == "csv" else "\t".join
        lines = [quoted(("text", "label"))]
        lines += [quoted(('"' + text.replace('"', '""') + '"', label)) for text, label in rows]
        path.write_text("\ufeff" + "\r\n".join(lines), "utf-8", newline="")
    return path


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "folder"])
def test_every_form_gives_the_same_reviews(form: str, tmp_path: Path) -> None:
    path = write(tmp_path, form, ROWS)
    corpus = read_review_files(settings(path, test=str(path)))
    expected = {(text, int(label == "pos")) for text, label in ROWS}
    assert {(review.text, review.label) for review in corpus.train} == expected
    assert corpus.test == corpus.train


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "folder"])
def test_unlabelled_reviews_come_in_every_form_and_only_where_they_are_asked_for(
    form: str, tmp_path: Path
) -> None:
    given = settings(write(tmp_path, "csv", ROWS), unlabelled=str(write(tmp_path, form, ROWS)))
    assert read_review_files(given).unlabelled == []
    corpus = read_review_files(given, with_unlabelled=True)
    assert sorted(corpus.unlabelled) == sorted(text for text, _ in ROWS)
    with_test = given.model_copy(update={"test": given.train})
    assert read_review_files(with_test, with_unlabelled=True).unlabelled == corpus.unlabelled


def test_unlabelled_reviews_need_no_label_and_no_folders_per_label(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("text\ngood\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/1.txt").write_text("good")
    for name in ("more.csv", "more"):
        given = settings(write(tmp_path, "csv", ROWS), unlabelled=str(tmp_path / name))
        assert read_review_files(given, with_unlabelled=True).unlabelled == ["good"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"review": "a"}\n', "more.jsonl line 1: 'text' is None"),
        ('{"text": "a"}\n{"text"\n', "more.jsonl line 2 is not JSON"),
        (None, "more.jsonl cannot be read: No such file .*corpus.unlabelled name it"),
    ],
)
def test_what_is_no_unlabelled_review_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    if content is not None:
        path.write_text(content)
    given = settings(write(tmp_path, "csv", ROWS), unlabelled=str(path))
    with pytest.raises(DataError, match=message):
        read_review_files(given, with_unlabelled=True)


def test_without_a_test_file_a_share_is_split_off_and_no_review_is_lost_or_doubled(tmp_path: Path) -> None:
    rows = [(f"review {number}", "pos") for number in range(50)]
    given = settings(write(tmp_path, "csv", rows), test_share=0.3)
    corpus = read_review_files(given)
    assert (len(corpus.train), len(corpus.test)) == (35, 15)
    assert {review.text for review in [*corpus.train, *corpus.test]} == {text for text, _ in rows}
    assert read_review_files(given) == corpus


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", "text,label\ngood,positive\n", r"r.csv line 2: the label is 'positive'; the recipe names 'neg' and 'pos'"),
        ("r.csv", "review,label\ngood,pos\n", "no single column 'text'; its columns are: review, label"),
        ("r.csv", "text,label,text\na,pos,b\n", "no single column 'text'"),
        ("r.csv", "", "no single column 'text'"),
        ("r.csv", 'text,label\n"good,pos\n', r"r.csv line \d+: "),
        ("r.csv", "text,label\ngood\n", "the label is None"),
        ("r.jsonl", '{"text": "a", "label": "pos"}\n{"text"\n', "r.jsonl line 2 is not JSON"),
        ("r.jsonl", "[1]\n", "line 1 is a JSON list"),
        ("r.jsonl", '{"text": null, "label": "pos"}\n', "line 1: 'text' is None"),
        ("r.xls", "", "neither a folder nor one of .csv, .tsv, .jsonl"),
    ],
)  # fmt: skip
def test_a_message_names_the_file_the_line_and_what_was_found(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_review_files(settings(path))


def test_a_file_that_is_not_utf8_is_refused_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"text,label\ncaf\xe9,pos\n")
    with pytest.raises(DataError, match="not UTF-8 at byte 14"):
        read_review_files(settings(path))
