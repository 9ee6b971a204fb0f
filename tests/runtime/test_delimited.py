"""CSV and TSV records, and how much damage a stray quote does."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.runtime import delimited, lines
from pipeline.runtime.delimited import Record, RecordReader
from pipeline.runtime.rows import RejectCode


@pytest.fixture(autouse=True)
def _field_size_limit() -> Iterator[None]:
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


def records(data: bytes, delimiter: str = ",", *, max_bytes: int = 1 << 20) -> list[Record]:
    return list(RecordReader(io.BytesIO(data), delimiter, max_bytes=max_bytes))


def fields(data: bytes, delimiter: str = ",") -> list[list[str] | None]:
    return [record.fields for record in records(data, delimiter)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_quoted_line_end_belongs_to_its_field(end: str) -> None:
    data = f'a,"one{end}two"{end}b,c{end}'.encode()
    assert fields(data) == [["a", f"one{end}two"], ["b", "c"]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'"a ""b"" c",d\n', ['a "b" c', "d"]),
        (b'"""",d\n', ['"', "d"]),
        (b'"a,b",c\n', ["a,b", "c"]),
        (b'"",\n', ["", ""]),
        (b",\n", ["", ""]),
        (b'a"b,c\n', ['a"b', "c"]),
        (b" a , b \n", [" a ", " b "]),
        (b'"a",b', ["a", "b"]),
        ('"a\u2028b",c\u0085d\n'.encode(), ["a\u2028b", "c\u0085d"]),
        (b"a,b\x0bc\x0c\n", ["a", "b\x0bc\x0c"]),
    ],
    ids=[
        "doubled quotes",
        "only a quote",
        "quoted delimiter",
        "quoted nothing",
        "two nothings",
        "quote inside a bare field",
        "blanks stay",
        "no line end",
        "line separators",
        "vertical tab and form feed",
    ],
)
def test_fields_are_read_as_written(data: bytes, expected: list[str]) -> None:
    assert fields(data) == [expected]


def test_a_quote_that_is_never_closed_costs_one_row() -> None:
    found = records(b'a,b\nc,"d\ne,f\ng,h\n')
    assert [record.fields for record in found] == [["a", "b"], None, ["e", "f"], ["g", "h"]]
    assert (found[1].line, found[1].code) == (2, RejectCode.UNCLOSED_QUOTE)


def test_the_rows_after_an_unclosed_quote_keep_their_line_numbers() -> None:
    assert [record.line for record in records(b'"a\nb\nc\nd')] == [1, 2, 3, 4]


def test_several_unclosed_quotes_cost_a_row_each() -> None:
    assert fields(b'"a\nb\n"c\nd\n') == [None, ["b"], None, ["d"]]


@pytest.mark.parametrize("row", [b'"a"b,c', b'x,"a" ,c', b'"a""b"c'])
def test_a_stray_quote_costs_its_row(row: bytes) -> None:
    found = records(row + b"\nd,e\n")
    assert [(record.fields, record.code) for record in found] == [
        (None, RejectCode.UNCLOSED_QUOTE),
        (["d", "e"], None),
    ]


def test_two_stray_quotes_far_apart_do_not_swallow_what_lies_between() -> None:
    found = fields(b'"a\n' + b"b\n" * 1_500 + b'c"\n')
    assert found == [None, *[["b"]] * 1_500, ['c"']]


def test_a_record_that_is_too_long_over_its_lines_costs_its_first_line() -> None:
    found = records(b'"aaaa\nbbbb\ncccc"\nd\n', max_bytes=10)
    assert (found[0].fields, found[-1].fields) == (None, ["d"])


def test_a_line_that_is_too_long_costs_itself() -> None:
    found = records(b"a,b\n" + b"x" * 50 + b"\nc,d\n", max_bytes=10)
    assert [record.code for record in found] == [None, RejectCode.TOO_LONG, None]
    assert found[2] == Record(3, ["c", "d"])


def test_a_line_too_long_inside_quotes_costs_no_row_after_it() -> None:
    found = records(b'"a\n' + b"x" * 50 + b"\nc,d\n", max_bytes=10)
    assert [record.code for record in found] == [RejectCode.UNCLOSED_QUOTE, RejectCode.TOO_LONG, None]


def test_lines_without_any_character_have_no_fields() -> None:
    found = [(record.line, record.fields) for record in records(b"\na,b\n\r\n\nc,d\n\n")]
    assert found == [(1, []), (2, ["a", "b"]), (3, []), (4, []), (5, ["c", "d"]), (6, [])]


def test_bytes_that_are_not_utf_8_cost_their_row_and_say_where() -> None:
    found = records(b"a,b\nc,\xff\nd,e\n")
    assert [record.code for record in found] == [None, RejectCode.INVALID_ENCODING, None]
    assert "byte 6" in found[1].message


@pytest.mark.parametrize("data", [b"a\0,b\n", b'"a\nb\0",c\n'], ids=["first line", "quoted line"])
def test_a_nul_byte_costs_its_row(data: bytes) -> None:
    assert records(data)[0].code is RejectCode.BINARY


@pytest.mark.parametrize("delimiter", [";", "|", "\t", " "])
def test_another_delimiter_can_be_chosen(delimiter: str) -> None:
    data = f'a{delimiter}"b{delimiter}c"{delimiter}d,e\n'.encode()
    assert fields(data, delimiter) == [["a", f"b{delimiter}c", "d,e"]]


FIELD = st.text(
    st.sampled_from(["a", "B", '"', ",", ";", "\t", " ", "\n", "\r", "\u2028", "\u0085", "é", "🎬", "\x0b"])
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    max_size=12,
)


@settings(deadline=None)
@given(
    st.lists(st.lists(FIELD, min_size=2, max_size=4), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(
        # Python 3.11 leaves a lone CR unquoted where it is no part of the line end.
        [("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]
    ),
)
def test_what_a_csv_writer_wrote_is_read_back(
    rows: list[list[str]], delimiter: str, style: tuple[str, Literal[0, 1]]
) -> None:
    text, (end, quoting) = io.StringIO(newline=""), style
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    assert fields(text.getvalue().encode(), delimiter) == rows


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"\0", b"\xff", b'""']), max_size=40).map(
        b"".join
    ),
    st.integers(0, 20),
)
def test_no_bytes_are_too_odd_to_read(data: bytes, max_bytes: int) -> None:
    found = records(data, max_bytes=max_bytes)
    assert all((record.fields is None) == (record.code is not None) for record in found)
    numbers = [record.line for record in found]
    assert numbers == sorted(set(numbers))


@settings(deadline=None)
@given(st.lists(st.sampled_from([b'"', b",", b"a", b'""', b"b "]), max_size=10).map(b"".join))
def test_a_damaged_row_never_costs_the_last_one(row: bytes) -> None:
    data = b"x,y\n" + row + b"\n" + b"good,film\n" * 3
    assert fields(data)[-1] == ["good", "film"] or row.count(b'"') % 2


def plain_records(data: bytes, delimiter: str, max_bytes: int) -> Iterator[Record]:
    """Read all at once, line by line through Python's own reader of CSV."""
    ends = [match.end() for match in re.finditer(rb"\r\n|\n|\r|[^\r\n]\Z", data)]
    whole = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    contents = [line.rstrip(b"\r\n") for line in whole]
    at = 0
    while at < len(whole):
        number, last, fields = at + 1, at, None
        if len(contents[at]) > max_bytes:
            yield Record(number, None, RejectCode.TOO_LONG, f"longer than {max_bytes:,} bytes")
        elif not contents[at]:
            yield Record(number, [])
        else:
            record = contents[at]
            while last < len(whole) and len(record) <= max_bytes and last - at < delimited._MAX_QUOTED_LINES:
                fields, is_open = plain_fields(record, delimiter)
                if not is_open:
                    break
                last += 1
                record = b"".join(whole[at:last]) + b"".join(contents[last : last + 1])
            if fields is None:
                last = at
            yield plain_record(number, sum(map(len, whole[:at])), record, fields)
        at = last + 1


def plain_fields(record: bytes, delimiter: str) -> tuple[list[bytes] | None, bool]:
    try:
        (fields,) = csv.reader([record.decode("latin-1")], delimiter=delimiter, strict=True)
    except csv.Error as error:
        return None, str(error) == "unexpected end of data"
    return [field.encode("latin-1") for field in fields], False


def plain_record(number: int, offset: int, record: bytes, fields: list[bytes] | None) -> Record:
    if fields is None:
        message = "a quote opens here and is not closed properly"
        return Record(number, None, RejectCode.UNCLOSED_QUOTE, message)
    if b"\0" in record:
        return Record(number, None, RejectCode.BINARY, "holds a NUL byte")
    try:
        record.decode()
    except UnicodeDecodeError as error:
        where = offset + error.start
        message = f"not UTF-8 at byte {where} (--encoding reads other encodings)"
        return Record(number, None, RejectCode.INVALID_ENCODING, message, where)
    return Record(number, [field.decode() for field in fields])


ODD_BYTES = st.lists(
    st.sampled_from([b'"', b'""', b",", b'",', b',"', b"\t", b"\n", b"\r", b"\r\n", b"a", b"bc", b"x" * 9])
    | st.sampled_from([b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", "é\u2028".encode()]),
    max_size=40,
).map(b"".join)


@settings(deadline=None, max_examples=500)
@given(
    data=ODD_BYTES | st.binary(),
    size=st.integers(1, 9) | st.just(1 << 16),
    delimiter=st.sampled_from([",", "\t", "a"]),
    max_bytes=st.integers(0, 40) | st.just(1 << 20),
    max_lines=st.sampled_from([1, 2, 3, 1_000]),
)
@example(b'"a","b\r', 1, ",", 1 << 20, 1_000)
@example(b'"a"\n', 1, ",", 3, 1_000)
@example(b'x,"a\nb"\n', 1, ",", 7, 2)
@example(b'"a\n\xff""","\xff', 2, ",", 100, 1_000)
def test_records_are_those_of_a_plain_reading(
    data: bytes, size: int, delimiter: str, max_bytes: int, max_lines: int
) -> None:
    csv.field_size_limit(1 << 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_MAX_QUOTED_LINES", max_lines)
        patch.setattr(lines, "_CHUNK", size)
        found = records(data, delimiter, max_bytes=max_bytes)
        assert found == list(plain_records(data, delimiter, max_bytes))
        reader = RecordReader(io.BytesIO(data), delimiter, max_bytes=max_bytes)
        for behind, _ in enumerate(reader, start=1):
            number, offset = reader.following
            rest = RecordReader(
                io.BytesIO(data[offset:]), delimiter, offset=offset, number=number, max_bytes=max_bytes
            )
            assert list(rest) == found[behind:]
