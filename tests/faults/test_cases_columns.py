"""CSV, TSV and JSON lines: which rows they hold, and which of them are none."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pipeline.runtime import scorer as scorer_module
from pipeline.runtime.sinks import COLUMNS
from tests.faults.cases import case
from tests.faults.command import Rejected, Resenha, Scene, names_below, read_csv, read_folder


def csv_scene(content: bytes, *outcomes: str | Rejected, options: tuple[str, ...] = (), **more: int) -> Scene:
    expected = {("a.csv", number): outcome for number, outcome in enumerate(outcomes, start=1)}
    return Scene(expected, {"a.csv": content}, options, counted=more)


def json_scene(content: bytes, *outcomes: str | Rejected, **more: int) -> Scene:
    expected = {("a.jsonl", number): outcome for number, outcome in enumerate(outcomes, start=1)}
    return Scene(expected, {"a.jsonl": content}, counted=more)


BAD, NO_TEXT = "bad_json", "text_not_string"
CSV_SCENES = [
    ("quoted line ends, commas and doubled quotes", "CSV", csv_scene(
        b'id,text\n1,"good,\nbad\r\n""film"""\n2,"moving"\n', 'good,\nbad\r\n"film"', "moving")),
    ("quoted line ends, commas and doubled quotes", "TSV", Scene(
        {("a.tsv", 1): "good\tbad", ("a.tsv", 2): "a, film"}, {"a.tsv": b'id\ttext\n1\t"good\tbad"\n2\ta, film\n'})),
    ("a quote never closed", "in the middle", csv_scene(
        b'id,text\n1,good\n2,"bad\n3,film\n4,moving\n',
        "good", Rejected("unclosed_quote", 3), "film", "moving")),
    ("a quote never closed", "in the last row", csv_scene(
        b'id,text\n1,good\n2,"bad', "good", Rejected("unclosed_quote", 3))),
    ("a quote never closed", "followed by more than a delimiter", csv_scene(
        b'id,text\n1,"good" film\n2,bad\n', Rejected("unclosed_quote", 2), "bad")),
    ("a quote never closed", "behind quoted line ends", csv_scene(
        b'id,text\n1,"good\nfilm"\n2,"bad\n3,film\n', "good\nfilm", Rejected("unclosed_quote", 4), "film")),
    ("too few or too many columns", "both", csv_scene(
        b"id,text\n1\n2,good\n3,a,b\n4,bad,\n", Rejected("column_count", 2), "good",
        Rejected("column_count", 4), Rejected("column_count", 5))),
    ("header only", "with a line end", csv_scene(b"id,text\n")),
    ("header only", "without", csv_scene(b"id,text")),
    ("header only", "and blank lines", csv_scene(b"id,text\r\n\r\n\r\n", blank_lines=2)),
    ("delimiter only by option", "a semicolon asked for", csv_scene(
        b"id;text\n1;good, bad\n", "good, bad", options=("--delimiter", ";"))),
    ("delimiter only by option", "a comma all the same", csv_scene(
        b"text,more\ngood;bad;film,1\nbad,;;;\n", "good;bad;film", "bad")),
    ("ids that start with =, +, -, @", "and texts", csv_scene(
        b"id,text\n=1+1,=good\n+1,+good\n-1,-bad\n@a,@good\n", "=good", "+good", "-bad", "@good")),
]  # fmt: skip
JSON_SCENES = [
    ("malformed line", "cut off", json_scene(
        b'{"text": "good"}\n{"text": "bad\n{"text": "film"}\n', "good", Rejected(BAD, 2), "film")),
    ("malformed line", "a word, a number, two values, a list", json_scene(
        b'good\n7\n{"text": "good"} {"text": "bad"}\n["good"]\n{"text": "film"}\n',
        Rejected(BAD, 1), Rejected(BAD, 2), Rejected(BAD, 3), Rejected(BAD, 4), "film")),
    ("text null, number, list or missing", "each", json_scene(
        b'{"text": null}\n{"text": 1}\n{"text": ["good"]}\n{"review": "good"}\n{"text": {}}\n'
        b'{"text": true}\n{"text": "film"}\n',
        *(Rejected(NO_TEXT, line) for line in range(1, 7)), "film")),
    ("blank lines", "of all kinds", json_scene(
        b'\n{"text": "good"}\r\n\r\n  \t\n{"text": "film"}\n\n', "good", "film", blank_lines=4)),
    ("duplicate ids", "three of one", json_scene(
        b'{"id": 7, "text": "good"}\n{"id": 7, "text": "bad"}\n{"id": 8, "text": "bad"}\n{"id": 7, "text": "film"}\n',
        "good", "bad", "bad", "film")),
    ("very deep nesting", "lists and objects", json_scene(
        b'{"text": "good", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n" + b'{"text": ' * 100_000
        + b'\n{"text": "film"}\n', Rejected(BAD, 1), Rejected(BAD, 2), "film")),
    ("absurd integers", "as text, as another key", json_scene(
        b'{"text": ' + b"9" * 5_000 + b'}\n{"text": "good", "id": 1' + b"0" * 100_000
        + b'}\n{"text": "film", "id": 1e999999}\n', Rejected(BAD, 1), Rejected(BAD, 2), "film")),
]  # fmt: skip


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, id=f"{words}: {kind}", marks=case(section, words))
        for section, scenes in (("CSV / TSV", CSV_SCENES), ("JSON lines", JSON_SCENES))
        for words, kind, scene in scenes
    ],
)
def test_a_record_is_scored_as_its_text_or_rejected_with_its_line(
    scene: Scene, resenha: Resenha, work: Path
) -> None:
    scene.play(resenha, work)


@pytest.mark.parametrize(
    ("words", "header"),
    [
        pytest.param("no column 'text'", "id,review", marks=case("CSV / TSV", "text column missing")),
        pytest.param(
            "more than one column 'text'", "text,text", marks=case("CSV / TSV", "text column twice")
        ),
    ],
)
@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_a_text_column_that_is_not_clear_stops_before_any_scoring(
    words: str, header: str, output: str, resenha: Resenha, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer_module.Scorer, "score_ids", None)
    (work / "a.csv").write_text("text\ngood\n")
    (work / "b.csv").write_text(f"{header}\n1,good\n")
    ran = resenha("a.csv", "b.csv", "-o", output)
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err == (
        f"resenha: b.csv has {words}; its columns are: {header.replace(',', ', ')} "
        "(--text-column names the one to use)\n"
    )
    assert names_below(work) == {"a.csv", "b.csv"}


@case("CSV / TSV", "delimiter only by option")
def test_another_delimiter_is_hinted_at_and_never_guessed(resenha: Resenha, work: Path) -> None:
    (work / "a.csv").write_text("id;text\n1;good\n")
    ran = resenha("a.csv")
    assert ran.status == 2
    assert "--delimiter says what stands between them" in ran.err
    assert [each["id"] for each in resenha("a.csv", "--delimiter", ";").records] == ["1"]


@case("CSV / TSV", "header only")
@pytest.mark.parametrize("output", ["o.jsonl", "o.csv", "o.parquet", "o/"])
def test_no_rows_are_a_valid_output(output: str, resenha: Resenha, work: Path) -> None:
    (work / "a.csv").write_text("id,text\n")
    assert resenha("a.csv", "-o", output, "--keep-columns", "id=key").status == 0
    if output == "o.parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(work / output).column_names == [*COLUMNS, "key"]
    elif output == "o/":
        assert read_folder(work / "o") == []
        assert (work / "o" / "_SUCCESS").exists()
    else:
        assert (work / output).read_text() == (
            ",".join([*COLUMNS, "key"]) + "\n" if output == "o.csv" else ""
        )


FORMULAS = ["=1+1", "+1", "-1", "@a", "\t=1", '=HYPERLINK("x")']


@case("CSV / TSV", "ids that start with =, +, -, @")
def test_what_a_spreadsheet_would_run_is_neutralised_in_csv_alone(resenha: Resenha, work: Path) -> None:
    """Ids, sources, kept columns and their names; a number that was kept stays one."""
    with (work / "=a.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "+x"])
        writer.writerows([[formula, "good", formula] for formula in FORMULAS])
    resenha("--", "=a.csv")
    resenha("=a.csv", "-o", "o.csv", "--keep-columns", "+x")
    rows = read_csv(work / "o.csv")
    assert [row["id"] for row in rows] == [f"'{formula}" for formula in FORMULAS]
    assert {row["source"] for row in rows} == {"'=a.csv"}
    numbers = ("+1", "-1")
    assert [row["'+x"] for row in rows] == [f if f in numbers else f"'{f}" for f in FORMULAS]
    ran = resenha("=a.csv", "--keep-columns", "+x")
    assert [(each["source"], each["id"], each["+x"]) for each in ran.records] == [
        ("=a.csv", formula, formula) for formula in FORMULAS
    ]


@case("JSON lines", "duplicate ids")
def test_ids_that_came_before_are_counted_and_told(resenha: Resenha, work: Path) -> None:
    (work / "a.jsonl").write_text(
        '{"id": 7, "text": "good"}\n{"id": "7", "text": "bad"}\n{"text": "a film"}\n' * 2
    )
    ran = resenha("a.jsonl", "--summary", "s.json")
    assert [each["id"] for each in ran.records] == ["7", "7", None] * 2
    assert json.loads((work / "s.json").read_text())["repeated_ids"] == 3
    assert "ids that came before 3" in ran.err


@case("JSON lines", "a whole JSON array named .jsonl")
@pytest.mark.parametrize("indent", [None, 2], ids=["on one line", "on many lines"])
def test_a_json_array_is_one_hint_whose_remedy_is_named(
    indent: int | None, resenha: Resenha, work: Path
) -> None:
    records = [{"text": "good", "id": number} for number in range(1_000)]
    (work / "a.jsonl").write_text(json.dumps(records, indent=indent))
    (work / "b.jsonl").write_text('{"text": "good"}\n')
    scene = Scene({("a.jsonl", 0): Rejected("bad_json"), ("b.jsonl", 1): "good"}, {
        name: (work / name).read_bytes() for name in ("a.jsonl", "b.jsonl")
    })  # fmt: skip
    scene.play(resenha, work)
    ran = resenha("a.jsonl")
    assert ran.err.count("rejected: ") == 1
    assert "is a JSON array; every line has to be an object of its own (jq -c '.[]' makes it so)" in ran.err
    (work / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert len(resenha("a.jsonl").records) == 1_000


@case("CSV / TSV", "a quote never closed")
def test_a_stray_quote_at_the_beginning_of_many_rows_swallows_none(resenha: Resenha, work: Path) -> None:
    rows = io.StringIO()
    rows.write("text\n")
    for number in range(3_000):
        rows.write(f'"good {number}\n' if number == 10 else f"good {number}\n")
    (work / "a.csv").write_text(rows.getvalue())
    ran = resenha("a.csv")
    assert "rejected: a.csv row 11: unclosed_quote: a quote opens here and is not closed properly" in ran.err
    assert [each["row"] for each in ran.records] == [row for row in range(1, 3_001) if row != 11]
