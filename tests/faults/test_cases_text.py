"""Rows and text: what a row may hold, and where one ends."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.golden import golden_reviews
from tests.faults.cases import case
from tests.faults.command import Rejected, Resenha, Scene, read_lines
from tests.faults.memory import GIGABYTE, peak_of
from tests.stand_ins import MAX_LENGTH, make_bundle, make_model

TEXTS = ["a good film", "the café, bad", "moving"]
LINES = ["--input-format", "lines"]
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"


def rows(*outcomes: str | Rejected, source: str = "a.txt") -> dict[tuple[str, int], str | Rejected]:
    return {(source, number): outcome for number, outcome in enumerate(outcomes, start=1)}


def lines(content: bytes, *outcomes: str | Rejected, options: list[str] | None = None) -> Scene:
    return Scene(rows(*outcomes), {"a.txt": content}, [*LINES, *(options or [])])


def of_lines(text: str, encoding: str = "utf-8") -> bytes:
    return "".join(f"{line}\n" for line in text.split("|")).encode(encoding)


PLAIN = "|".join(TEXTS)
SCENES = [
    ("empty text", "a file", Scene(
        {("a.txt", 1): Rejected("no_tokens", 1), ("b.txt", 1): "good"}, {"a.txt": b"", "b.txt": b"good"})),
    ("empty text", "JSON", Scene(
        rows(Rejected("no_tokens", 1), "good", source="a.jsonl"),
        {"a.jsonl": b'{"text": ""}\n{"text": "good"}\n'})),
    ("empty text", "CSV", Scene(
        rows(Rejected("no_tokens", 2), "good", source="a.csv"), {"a.csv": b"id,text\n1,\n2,good\n"})),
    ("only blanks, punctuation or markup", "lines", lines(
        b"  \t \n?!...\ngood\n()[]{}<>\n", Rejected("no_tokens", 1), Rejected("no_tokens", 2), "good",
        Rejected("no_tokens", 4))),
    ("every word unknown", "lines", lines(b"xyzzy plugh\nxyzzy good\n", "xyzzy plugh", "xyzzy good")),
    ("UTF-8 byte-order mark", "lines", lines(of_lines(PLAIN, "utf-8-sig"), *TEXTS)),
    ("UTF-8 byte-order mark", "CSV", Scene(
        rows(*TEXTS[::2], source="a.csv"), {"a.csv": b"\xef\xbb\xbftext\n" + of_lines("|".join(TEXTS[::2]))})),
    ("UTF-16 with a mark", "little end first", lines(b"\xff\xfe" + of_lines(PLAIN, "utf-16-le"), *TEXTS)),
    ("UTF-16 with a mark", "big end first", lines(b"\xfe\xff" + of_lines(PLAIN, "utf-16-be"), *TEXTS)),
    ("bytes that are not UTF-8", "lines", lines(
        b"good\ncaf\xe9 bad\nfilm\n", "good", Rejected("invalid_encoding", 2, 8), "film")),
    ("bytes that are not UTF-8", "CSV", Scene(
        rows("good", Rejected("invalid_encoding", 3, 17), "film", source="a.csv"),
        {"a.csv": b"id,text\n1,good\n2,\xff\n3,film\n"})),
    ("bytes that are not UTF-8", "JSON lines", Scene(
        rows(Rejected("invalid_encoding", 1, 13), "film", source="a.jsonl"),
        {"a.jsonl": b'{"text": "caf\xe9"}\n{"text": "film"}\n'})),
    ("bytes that are not UTF-8", "cut within a character", lines(
        b"good\ncaf\xc3", "good", Rejected("invalid_encoding", 2, 8))),
    ("--encoding latin-1", "lines", lines(
        of_lines(PLAIN, "latin-1"), *TEXTS, options=["--encoding", "latin-1"])),
    ("NUL bytes", "lines", lines(b"good\nba\0d\nfilm\n", "good", Rejected("binary", 2), "film")),
    ("NUL bytes", "CSV", Scene(
        rows(Rejected("binary", 2), "film", source="a.csv"), {"a.csv": b"id,text\n1,b\0d\n2,film\n"})),
    ("a PNG named .txt", "as a review", Scene(
        {("a.txt", 1): Rejected("binary", 1), ("b.txt", 1): "good"}, {"a.txt": PNG, "b.txt": b"good"})),
    ('lone surrogate from JSON "\\ud800"', "text and id", Scene(
        rows(Rejected("lone_surrogate", 1), Rejected("lone_surrogate", 2), "good \U0001f44d", source="a.jsonl"),
        {"a.jsonl": b'{"text": "good \\ud800"}\n{"text": "good", "id": "\\udfff"}\n'
                    b'{"text": "good \\ud83d\\udc4d"}\n'})),
    ("U+2028, U+0085, vertical tab, form feed inside a row", "lines", lines(
        "good\u2028film\nbad\u0085film\ndull\vfilm\nmoving\ffilm\nthe\u2029\x1c\x1d\x1efilm\n".encode(),
        "good\u2028film", "bad\u0085film", "dull\vfilm", "moving\ffilm", "the\u2029\x1c\x1d\x1efilm")),
    ("U+2028, U+0085, vertical tab, form feed inside a row", "CSV", Scene(
        rows("good\u2028film", "bad\u0085\v\ffilm", source="a.csv"),
        {"a.csv": "text\ngood\u2028film\nbad\u0085\v\ffilm\n".encode()})),
    ("U+2028, U+0085, vertical tab, form feed inside a row", "JSON lines", Scene(
        rows("good\u2028film", "bad\u0085film", source="a.jsonl"),
        {"a.jsonl": '{"text": "good\u2028film"}\n{"text": "bad\u0085film"}\n'.encode()})),
    ("CRLF", "lines", lines(of_lines(PLAIN).replace(b"\n", b"\r\n"), *TEXTS)),
    ("lone CR", "lines", lines(of_lines(PLAIN).replace(b"\n", b"\r"), *TEXTS)),
    ("no line end at the end", "LF", lines(of_lines(PLAIN)[:-1], *TEXTS)),
    ("no line end at the end", "CRLF", lines(of_lines(PLAIN)[:-1].replace(b"\n", b"\r\n"), *TEXTS)),
    ("no line end at the end", "CSV", Scene(
        rows("good", "bad", source="a.csv"), {"a.csv": b"text\r\ngood\r\nbad"})),
    ("no line end at the end", "standard input", Scene(
        rows("good", "bad", source="-"), arguments=LINES, stdin=b"good\r\nbad")),
    ("longer than the bundle's max_length", "an id below, at and above", lines(
        of_lines("|".join(" ".join(["bad", *["good"] * words]) for words in range(5, 9))),
        *(" ".join(["bad", *["good"] * words]) for words in range(5, 9)))),
]  # fmt: skip


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, id=f"{words}: {kind}", marks=case("Rows and text", words))
        for words, kind, scene in SCENES
    ],
)
def test_a_row_is_scored_as_its_text_or_rejected_with_its_place(
    scene: Scene, resenha: Resenha, work: Path
) -> None:
    scene.play(resenha, work)


@case("Rows and text", "every word unknown")
def test_unknown_words_are_scored_and_their_share_is_told(resenha: Resenha) -> None:
    ran = resenha("-", stdin=b"xyzzy plugh\nxyzzy good\n")
    assert [record["unknown_share"] for record in ran.records] == [1.0, 0.5]
    assert ran.status == 0


@case("Rows and text", "--encoding latin-1")
def test_the_encoding_that_a_reject_names_as_its_remedy_reads_the_row(resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_bytes("good café\n".encode("latin-1"))
    refused = resenha("--lines", "a.txt")
    assert "rejected: a.txt row 1: invalid_encoding: not UTF-8 at byte 8 (--encoding" in refused.err
    assert resenha("--lines", "a.txt", "--encoding", "latin-1").status == 0


@case("Rows and text", "longer than the bundle's max_length")
@pytest.mark.parametrize("words", [MAX_LENGTH - 2, MAX_LENGTH - 1, MAX_LENGTH], ids=["below", "at", "above"])
def test_what_is_cut_is_told_and_counted(words: int, resenha: Resenha, work: Path) -> None:
    """The start mark takes a place, and training keeps the end."""
    ran = resenha("-", "--summary", "s.json", stdin=b"bad " + b"good " * (words - 1))
    [record] = ran.records
    is_cut = words == MAX_LENGTH
    assert (record["truncated"], record["tokens"]) == (is_cut, words)
    assert json.loads((work / "s.json").read_text())["truncated"] == is_cut
    assert ("1 cut to the bundle's length" in ran.err) == is_cut


CAFE, CAFE_APART = "café", unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        pytest.param(CAFE, 0, id="composed", marks=case("Rows and text", "combining vs composed accents")),
        pytest.param(
            CAFE_APART, 1, id="combining", marks=case("Rows and text", "combining vs composed accents")
        ),
        pytest.param(
            "CAFÉ", 0, id="upper case", marks=case("Rows and text", "combining vs composed accents")
        ),
        pytest.param("it’s", 0, id="curly", marks=case("Rows and text", "curly apostrophes")),
        pytest.param("it's", 1, id="straight", marks=case("Rows and text", "curly apostrophes")),
        pytest.param("ＧＯＯＤ", 0, id="full-width", marks=case("Rows and text", "full-width letters")),
        pytest.param("GOOD", 1, id="plain", marks=case("Rows and text", "full-width letters")),
    ],
)
def test_letters_are_what_the_text_rule_says(
    text: str, unknown: int, resenha: Resenha, tmp_path: Path
) -> None:
    """Lower case, and nothing else: no two ways to write a word are made one."""
    make_bundle(tmp_path / "letters", model=make_model(words=(CAFE, "it’s", "ｇｏｏｄ", "film")))
    ran = resenha("-", model=tmp_path / "letters", stdin=f"{text} FILM\n".encode())
    assert [record["unknown_share"] for record in ran.records] == [unknown / 2]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(CAFE, id="composed", marks=case("Rows and text", "combining vs composed accents")),
        pytest.param(
            CAFE_APART, id="combining", marks=case("Rows and text", "combining vs composed accents")
        ),
        pytest.param("it’s", id="curly", marks=case("Rows and text", "curly apostrophes")),
        pytest.param("ＧＯＯＤ", id="full-width", marks=case("Rows and text", "full-width letters")),
    ],
)
def test_golden_reviews_hold_every_kind_of_letter(form: str) -> None:
    """A machine on which one is read otherwise refuses the bundle: test_the_golden_self_test_... shows it."""
    assert any(form in review for review in golden_reviews(["good", "film"], MAX_LENGTH))


@case("Rows and text", "1 GB without a line end")
@case("Promises", "P5 bounded memory")
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_a_line_without_end_costs_itself_and_no_memory(
    way: str, is_long: bool, bundle: Path, work: Path, record_property: Callable[[str, object], None]
) -> None:
    size = GIGABYTE if is_long else 48 << 20
    with (work / "a.txt").open("wb") as stream:
        stream.write(b"good\n")
        stream.truncate(size)
        stream.seek(size)
        stream.write(b"x\r\nmoving\n")
    arguments = ["--lines", "-", "-o", "o.jsonl", "--rejects", "r.jsonl"]
    (work / "small.txt").write_bytes(b"good\n" * 10)
    if way == "file":
        arguments[1] = "a.txt"
    with (work / "a.txt").open("rb") as stdin:
        ran, peak = peak_of(bundle, *arguments, stdin=stdin)
    record_property("seen", "too_long")
    assert ran.status == 3
    assert [(each["row"], each["label"]) for each in read_lines(work / "o.jsonl")] == [
        (1, "positive"),
        (3, "positive"),
    ]
    [reject] = read_lines(work / "r.jsonl")
    assert (reject["row"], reject["code"], reject["line"]) == (2, "too_long", 2)
    _, small = peak_of(bundle, "--lines", "small.txt", "-q")
    assert peak - small < 24 << 20
