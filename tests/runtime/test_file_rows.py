"""One file's rows, from its beginning and from every place between two of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.runtime import file_rows
from pipeline.runtime.file_rows import FileReader
from pipeline.runtime.listing import InputFile
from pipeline.runtime.reading import InputFormat, Place, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, RejectCode, Row

ODD_BYTES = st.lists(
    st.sampled_from(
        [b'"', b",", b"\t", b"\n", b"\r", b"\r\n", b"a", b"[", b"[{", b"\0", b"\xff", "é\u2028".encode()]
    )
    | st.sampled_from(
        [b'{"text": "good"}', b'{"text": 7}', b'{"id": "x", "text": "b"}\n', b'x,"a\nb"\n', b"x,y\n"]
    ),
    max_size=30,
).map(b"".join)


def reader(
    path: Path, input_format: InputFormat, *, place: Place | None = None, **options: Any
) -> FileReader:
    chosen = ReadOptions(**options)
    return FileReader(InputFile(str(path), input_format), chosen, ReadTally(), place or Place())


def rows(path: Path, input_format: InputFormat, **options: Any) -> list[Row | Reject]:
    return list(reader(path, input_format, **options).rows())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=ODD_BYTES,
    chosen=st.sampled_from([each for each in InputFormat if each.value != "parquet"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe"]),
    encoding=st.sampled_from([None, "latin-1", "utf-8"]),
)
@example(b"x,y\n" * 3, InputFormat.CSV, b"\xef\xbb\xbf", None)
@example(b"a\n\nb\r\n\r\n", InputFormat.LINES, b"", "latin-1")
def test_reading_goes_on_from_every_place(
    file: Path, content: bytes, chosen: InputFormat, mark: bytes, encoding: str | None
) -> None:
    file.write_bytes(mark + b"text,id\n" + content)
    whole = reader(file, chosen, encoding=encoding)
    try:
        found = [(item, replace(whole.place)) for item in whole.rows()]
    except UsageError:
        return
    assert whole.place == Place(file=1)
    for behind, (_, place) in enumerate(found, start=1):
        rest = [item for item, _ in found[behind:]]
        if place.file:
            assert not rest
        else:
            again = reader(file, chosen, place=replace(place), encoding=encoding)
            assert list(again.rows()) == rest
            assert again.place == Place(file=1)


@pytest.mark.parametrize(
    ("chosen", "content", "lines"),
    [
        (InputFormat.LINES, "a\n\nb", [1, 3]),
        (InputFormat.JSONL, '\n{"text": "a"}\n{"text": "b"}\n', [2, 3]),
        (InputFormat.CSV, 'text\n"a\nb"\n\nc\n', [2, 5]),
        (InputFormat.TEXT, "a\nb", [1]),
    ],
)
def test_a_row_knows_on_which_line_it_begins(
    file: Path, chosen: InputFormat, content: str, lines: list[int]
) -> None:
    file.write_text(content)
    assert [row.line for row in rows(file, chosen)] == lines


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"text": "good"}] * 9),
        json.dumps([{"text": "good"}] * 9, indent=1),
        "[" + ",\n".join(['{"text": "good"}'] * 9) + "]",
        " [\n" + ",\n".join(['{"text": "good"}'] * 9) + "\n]",
        "[",
    ],
    ids=["one line", "indented", "an object a line", "brackets apart", "only begun"],
)
def test_a_file_that_is_one_json_array_is_one_hint(file: Path, content: str) -> None:
    file.write_text(content)
    [found] = rows(file, InputFormat.JSONL)
    assert isinstance(found, Reject)
    assert (found.row, found.code) == (0, RejectCode.BAD_JSON)
    assert "jq -c" in found.message


@pytest.mark.parametrize("first", ["[", "[]", '[{"text": "bad"}]', "[7]", '["text"'])
def test_a_first_line_that_is_an_array_costs_itself(file: Path, first: str) -> None:
    file.write_text(first + '\n{"text": "good"}\n{"text": "good"}\n')
    assert [getattr(row, "text", None) for row in rows(file, InputFormat.JSONL)] == [None, "good", "good"]


def test_columns_are_kept(file: Path) -> None:
    file.write_text('text,when,stars\n"good, very",=1,5\nbad,,\n')
    found = rows(file, InputFormat.CSV, keep_columns=("stars", "when"))
    assert [getattr(row, "kept", None) for row in found] == [("5", "=1"), ("", "")]


@pytest.mark.parametrize("header", ["text,stars,stars", "text,star"])
def test_a_column_to_keep_has_to_be_there_once(file: Path, header: str) -> None:
    file.write_text(header + "\n")
    with pytest.raises(UsageError, match=r"column 'stars'; its columns are: text, .*--keep-columns"):
        reader(file, InputFormat.CSV, keep_columns=("stars",)).check_header()


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_every_value_under_the_text_key_is_a_row_or_a_reject(value: object) -> None:
    found = file_rows._json_row(Row("a", 1, None, json.dumps({"text": value})), 1, ReadOptions())
    wanted = Row("a", 1, None, value, (), 1) if isinstance(value, str) else None
    assert found == wanted or (wanted is None and isinstance(found, Reject))
