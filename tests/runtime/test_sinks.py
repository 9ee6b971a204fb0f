"""Scored rows and rejects as they are written."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.rows import Reject, RejectCode, Row, Score, printable, printable_message
from pipeline.runtime.sinks import COLUMNS, OutputFormat, RowSink, neutralised, reject_line

SCORE = Score(0.1, "negative", 3, 0.3333, truncated=False)


def written(output_format: OutputFormat, *rows: Row, score: Score = SCORE) -> str:
    stream = io.BytesIO()
    RowSink(stream, output_format).write([(row, score) for row in rows])
    return stream.getvalue().decode()


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_json_line_holds_every_column_in_order() -> None:
    line = written(OutputFormat.JSONL, Row("a.csv", 7, "x", "good"))
    assert json.loads(line) == {
        "source": "a.csv",
        "row": 7,
        "id": "x",
        "score": 0.1,
        "label": "negative",
        "tokens": 3,
        "unknown_share": 0.3333,
        "truncated": False,
    }
    assert tuple(json.loads(line)) == COLUMNS


def test_a_csv_row_holds_every_column_in_order() -> None:
    assert written(OutputFormat.CSV, Row("a.csv", 7, "x", "good")) == (
        ",".join(COLUMNS) + "\na.csv,7,x,0.1,negative,3,0.3333,false\n"
    )


def test_csv_without_rows_is_a_header() -> None:
    assert written(OutputFormat.CSV) == ",".join(COLUMNS) + "\n"


def test_json_lines_without_rows_are_nothing() -> None:
    assert written(OutputFormat.JSONL) == ""


def test_the_header_is_written_once() -> None:
    stream = io.BytesIO()
    sink = RowSink(stream, OutputFormat.CSV)
    for _ in range(3):
        sink.write([(Row("a", 1, None, ""), SCORE)])
    assert stream.getvalue().count(b"source") == 1


def test_a_row_without_an_id_is_null_or_empty() -> None:
    row = Row("a", 1, None, "")
    assert json.loads(written(OutputFormat.JSONL, row))["id"] is None
    assert csv_rows(written(OutputFormat.CSV, row))[0]["id"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"], ids=repr)
@pytest.mark.parametrize("column", ["id", "source"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(column: str, start: str) -> None:
    value = f"{start}1+1"
    row = Row("a", 1, value, "") if column == "id" else Row(value, 1, None, "")
    assert csv_rows(written(OutputFormat.CSV, row))[0][column] == f"'{value}"


@pytest.mark.parametrize("value", ["=1+1", "-x", "@a"])
def test_json_lines_are_not_neutralised(value: str) -> None:
    assert json.loads(written(OutputFormat.JSONL, Row("a", 1, value, "")))["id"] == value


@pytest.mark.parametrize("value", ["", "a=1", "1-2", "'=1", " =1"])
def test_other_cells_stay_as_they_are(value: str) -> None:
    assert neutralised(value) == value


AWKWARD = [
    "a\nb", "a\rb", "a\r\nb", 'a"b', "a,b", "a\u2028b", "a\u0085b", "é 🎬", "a\x0bb", "\\", "a\tb", "\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("value", AWKWARD, ids=ascii)
def test_an_awkward_id_is_one_cell_of_one_row(value: str) -> None:
    rows = csv_rows(written(OutputFormat.CSV, Row("a", 1, value, ""), Row("a", 2, "next", "")))
    assert [row["id"] for row in rows] == [value, "next"]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_json_lines_give_back_every_name_and_id(source: str, review_id: str) -> None:
    text = written(OutputFormat.JSONL, Row(source, 1, review_id, ""))
    assert text.count("\n") == 1
    record = json.loads(text)
    assert (record["source"], record["id"]) == (source, review_id)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_csv_gives_back_every_id_but_for_the_apostrophe(review_id: str) -> None:
    rows = csv_rows(written(OutputFormat.CSV, Row("a", 1, review_id, "")))
    assert [row["id"] for row in rows] == [neutralised(review_id)]


NAME = st.text(
    st.sampled_from([*'",=+-@\t\r\n\\\x00\x1f\x7f', "é", "\u2028", "🎬"])
    | st.characters(exclude_categories=["Cs"]),
    max_size=8,
)
SCORES = st.builds(
    Score,
    st.floats(0, 1, width=32).map(lambda value: float(str(np.float32(value)))),
    NAME,
    st.integers(1, 10**6),
    st.integers(0, 10_000).map(lambda share: share / 10_000),
    st.booleans(),
)
ROWS = st.builds(Row, NAME, st.integers(0), st.none() | NAME, NAME, st.just(()), st.none())
SCORED = st.lists(st.tuples(ROWS, SCORES), max_size=5)


def plain_cells(row: Row, score: Score) -> list[Any]:
    return [row.source, row.row, row.id, *score]


@given(SCORED)
def test_json_lines_are_what_the_standard_library_writes(scored: list[tuple[Row, Score]]) -> None:
    stream = io.BytesIO()
    RowSink(stream, OutputFormat.JSONL).write(scored)
    records = (dict(zip(COLUMNS, plain_cells(*each), strict=True)) for each in scored)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    assert stream.getvalue().decode() == "".join(lines)


@given(SCORED)
def test_csv_is_each_cell_as_text_quoted_where_it_has_to_be(scored: list[tuple[Row, Score]]) -> None:
    stream = io.BytesIO()
    RowSink(stream, OutputFormat.CSV).write(scored)
    assert stream.getvalue().decode() == "".join(
        ",".join(plain_csv_cell(column, cell) for column, cell in zip(COLUMNS, cells, strict=True)) + "\n"
        for cells in [list(COLUMNS), *(plain_cells(*each) for each in scored)]
    )


def plain_csv_cell(column: str, value: object) -> str:
    if column in ("source", "id"):
        value = neutralised(str(value or ""))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",\r\n') else text


def test_a_sink_hands_every_line_on_at_once() -> None:
    raw = io.BytesIO()
    stream = io.BufferedWriter(raw)
    RowSink(stream, OutputFormat.JSONL).write([(Row("a", 1, None, ""), SCORE)])
    assert raw.getvalue().endswith(b"}\n")


def test_a_reject_is_one_json_line() -> None:
    line = reject_line(Reject("a\nb", 3, RejectCode.BAD_JSON, "é", 4))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "source": "a\nb",
        "row": 3,
        "code": "bad_json",
        "message": "é",
        "line": 4,
        "offset": None,
    }


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "a\nb", "\u202e", "\u2028", "\ud800", "\x00", "\x9b"], ids=ascii
)
def test_what_could_spoil_a_message_is_escaped(text: str) -> None:
    shown = printable(text)
    assert shown.encode().decode().isprintable()
    assert "\\u" in shown


def test_other_text_is_shown_as_it_is() -> None:
    assert printable("café 映画 🎬 a b") == "café 映画 🎬 a b"


def test_a_message_keeps_its_own_lines() -> None:
    assert printable_message("a\nb\x1b") == "a\nb\\u001b"
