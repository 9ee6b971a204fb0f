"""Rows out of every kind of input, and a reject for everything that cannot be one."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputOutputError, UsageError
from pipeline.runtime import lines, opening, sources
from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.listing import Inputs
from pipeline.runtime.opening import name_without_loss
from pipeline.runtime.reading import InputFormat, ReadOptions, ReadTally
from pipeline.runtime.rows import Reject, RejectCode, Row
from pipeline.runtime.sources import check_inputs, read_rows


def write(folder: Path, name: str, content: bytes | str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(*inputs: str, tally: ReadTally | None = None, **options: object) -> list[Row | Reject]:
    return list(read_rows(Inputs(inputs), ReadOptions(**options), tally))  # type: ignore[arg-type]  # each test names known options


def texts(found: Sequence[Row | Reject]) -> list[str | RejectCode]:
    return [each.text if isinstance(each, Row) else each.code for each in found]


def ids(found: Sequence[Row | Reject]) -> list[str | None]:
    return [each.id for each in found if isinstance(each, Row)]


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    stream = io.BufferedReader(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))


# Whole files and folders


def test_a_text_file_is_one_review_named_by_its_stem(tmp_path: Path) -> None:
    name = write(tmp_path, "ten.txt", "a good\nfilm\r\n")
    assert read(name) == [Row(name, 1, "ten", "a good\nfilm\r\n")]


def test_a_folder_inside_a_folder_is_no_review(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "good")
    (tmp_path / "b.txt").mkdir()
    assert [type(each) for each in read(str(tmp_path))] == [Row, Reject]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors cannot be listed here")
def test_a_folder_named_like_a_text_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "b.txt").mkdir()
    before = open_descriptors()
    read(str(tmp_path))
    assert open_descriptors() == before


def test_a_text_file_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    long = write(tmp_path, "long.txt", "x" * (MAX_ROW_BYTES + 1))
    fits = write(tmp_path, "fits.txt", "x" * MAX_ROW_BYTES)
    assert texts(read(long, fits)) == [RejectCode.TOO_LONG, "x" * MAX_ROW_BYTES]


def test_an_empty_text_file_is_a_row_without_text(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, "a.txt", ""))) == [""]


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_each_line_is_a_row(tmp_path: Path, end: str) -> None:
    name = write(tmp_path, "a.txt", f"one{end}two{end}three")
    expected = [Row(name, number, None, text) for number, text in enumerate(("one", "two", "three"), start=1)]
    assert read(name, input_format=InputFormat.LINES) == expected


def test_empty_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    tally = ReadTally()
    name = write(tmp_path, "a.txt", "\none\n\n\ntwo\n")
    assert texts(read(name, tally=tally, input_format=InputFormat.LINES)) == ["one", "two"]
    assert tally.blank_lines == 3


def test_a_line_that_is_too_long_costs_itself(tmp_path: Path) -> None:
    name = write(tmp_path, "a.txt", "x" * (MAX_ROW_BYTES + 1) + "\nnext\n")
    assert texts(read(name, input_format=InputFormat.LINES)) == [RejectCode.TOO_LONG, "next"]


def test_a_rejected_line_says_where_it_stands(tmp_path: Path) -> None:
    name = write(tmp_path, "a.txt", b"\none\n\xff\n")
    found = read(name, input_format=InputFormat.LINES)[1]
    assert isinstance(found, Reject)
    assert (found.source, found.row, found.line) == (name, 2, 3)


# CSV and TSV


@pytest.mark.parametrize(("suffix", "comma"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_the_suffix_says_what_stands_between_columns(tmp_path: Path, suffix: str, comma: str) -> None:
    name = write(tmp_path, f"a{suffix}", f'id{comma}text\n7{comma}"a good{comma}film"\n')
    assert read(name) == [Row(name, 1, "7", f"a good{comma}film")]


def test_another_delimiter_can_be_named(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "id;text\n7;good, film\n")
    assert texts(read(name, delimiter=";")) == ["good, film"]


def test_text_and_id_can_have_other_columns(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "text,review,key\nx,good,k1\n")
    found = read(name, text_column="review", id_column="key")
    assert (texts(found), ids(found)) == (["good"], ["k1"])


def test_a_column_named_id_is_not_needed(tmp_path: Path) -> None:
    assert ids(read(write(tmp_path, "a.csv", "text\ngood\n"))) == [None]


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "id,text\n")
    check_inputs(Inputs((name,)), ReadOptions())
    assert read(name) == []


@pytest.mark.parametrize("row", ["7", "7,good,more", '7,"good",'], ids=["few", "many", "one more"])
def test_a_row_with_other_columns_than_the_header_is_rejected(tmp_path: Path, row: str) -> None:
    found = read(write(tmp_path, "a.csv", f"id,text\n{row}\n8,film\n"))
    assert texts(found) == [RejectCode.COLUMN_COUNT, "film"]
    assert [each.row for each in found] == [1, 2]


def test_an_unclosed_quote_costs_one_row_and_says_where_it_opened(tmp_path: Path) -> None:
    found = read(write(tmp_path, "a.csv", 'id,text\n1,"good\n2,film\n3,bad\n'))
    assert texts(found) == [RejectCode.UNCLOSED_QUOTE, "film", "bad"]
    assert isinstance(found[0], Reject)
    assert found[0].line == 2


def test_blank_lines_of_a_csv_file_are_skipped_and_counted(tmp_path: Path) -> None:
    tally = ReadTally()
    assert texts(read(write(tmp_path, "a.csv", "id,text\n\n1,good\n\n\n2,bad\n"), tally=tally)) == [
        "good",
        "bad",
    ]
    assert tally.blank_lines == 3


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("id,review", {}),
        ("text,text", {}),
        ("id,text", {"text_column": "review"}),
        ("id,text", {"id_column": "key"}),
        ("id,text,id", {}),
        ("id,Text", {}),
    ],
    ids=["missing", "twice", "not the one named", "id not the one named", "id twice", "other case"],
)
def test_a_header_without_its_columns_is_refused_naming_those_found(
    tmp_path: Path, header: str, options: dict[str, str]
) -> None:
    name = write(tmp_path, "a.csv", f"{header}\n1,2\n")
    with pytest.raises(UsageError) as refusal:
        check_inputs(Inputs((name,)), ReadOptions(**options))  # type: ignore[arg-type]  # only names of columns
    assert header.replace(",", ", ") in str(refusal.value)
    assert name in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b'"id,text\n1,2\n', b"\xff,text\n"], ids=repr)
def test_a_file_without_a_readable_header_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError):
        check_inputs(Inputs((write(tmp_path, "a.csv", content),)), ReadOptions())


def test_a_remedy_that_is_named_works(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "id,review\n1,good\n")
    with pytest.raises(UsageError, match="--text-column"):
        check_inputs(Inputs((name,)), ReadOptions())
    check_inputs(Inputs((name,)), ReadOptions(text_column="review"))
    assert texts(read(name, text_column="review")) == ["good"]


# JSON lines


def json_line(tmp_path: Path, line: str | bytes) -> Row | Reject:
    content = line if isinstance(line, bytes) else line.encode()
    found = read(write(tmp_path, "a.jsonl", content + b'\n{"text": "next"}\n'))
    assert texts(found[1:]) == ["next"]
    return found[0]


def code_of(found: Row | Reject) -> RejectCode | None:
    return found.code if isinstance(found, Reject) else None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{'text': 'good'}",
        '{"text": "good"',
        "nonsense",
        '{"text": "good"} x',
        "[",
        '"good"',
        "7",
        "[]",
        "null",
    ],
    ids=repr,
)
def test_a_line_that_is_no_json_object_costs_itself(tmp_path: Path, line: str) -> None:
    assert code_of(json_line(tmp_path, line)) is RejectCode.BAD_JSON


@pytest.mark.parametrize(
    "line",
    [
        '{"text": null}',
        '{"text": 7}',
        '{"text": ["good"]}',
        '{"text": {}}',
        '{"text": true}',
        "{}",
        '{"Text": ""}',
    ],
)
def test_a_text_that_is_no_string_costs_its_line(tmp_path: Path, line: str) -> None:
    assert code_of(json_line(tmp_path, line)) is RejectCode.TEXT_NOT_STRING


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "good", "id": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"text": "good", "id": ' + "9" * 5_000 + "}",
    ],
    ids=["deep list", "deep object", "absurd integer"],
)
def test_absurd_json_costs_its_line(tmp_path: Path, line: str) -> None:
    assert code_of(json_line(tmp_path, line)) is RejectCode.BAD_JSON


@pytest.mark.parametrize("depth", range(900, 1_000, 7))
def test_json_of_any_depth_is_a_row_or_a_reject(tmp_path: Path, depth: int) -> None:
    line = '{"text": "good", "id": ' + "[" * depth + "]" * depth + "}"
    assert code_of(json_line(tmp_path, line)) in (None, RejectCode.BAD_JSON)


@pytest.mark.parametrize(
    "line",
    [r'{"text": "good \ud800"}', r'{"text": "\udc00\ud800"}', r'{"text": "good", "id": "\ud800"}'],
    ids=["text", "wrong order", "id"],
)
def test_half_of_a_surrogate_pair_costs_its_line(tmp_path: Path, line: str) -> None:
    assert code_of(json_line(tmp_path, line)) is RejectCode.LONE_SURROGATE


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    assert texts([json_line(tmp_path, r'{"text": "\ud83c\udfac"}')]) == ["🎬"]


def test_a_message_never_holds_half_of_a_surrogate_pair(tmp_path: Path) -> None:
    name = write(tmp_path, "a.jsonl", "{}\n")
    found = read(name, text_column="\udcff")[0]
    assert isinstance(found, Reject)
    found.message.encode()


def test_blank_lines_of_a_json_file_are_skipped_and_counted(tmp_path: Path) -> None:
    tally = ReadTally()
    name = write(tmp_path, "a.jsonl", '\n{"text": "one"}\n \t\n\r\n{"text": "two"}\n')
    assert texts(read(name, tally=tally)) == ["one", "two"]
    assert tally.blank_lines == 3


def test_rows_with_the_same_id_are_all_read(tmp_path: Path) -> None:
    name = write(tmp_path, "a.jsonl", '{"text": "one", "id": 1}\n{"text": "two", "id": 1}\n')
    found = read(name)
    assert (ids(found), [each.row for each in found]) == (["1", "1"], [1, 2])


@pytest.mark.parametrize(
    ("value", "expected"),
    [('"a"', "a"), ("7", "7"), ("1.5", "1.5"), ("null", None), ("true", "true"), ('["é"]', '["\\u00e9"]')],
)
def test_an_id_of_any_kind_becomes_text(tmp_path: Path, value: str, expected: str | None) -> None:
    assert ids([json_line(tmp_path, f'{{"text": "good", "id": {value}}}')]) == [expected]


def test_text_and_id_can_have_other_keys(tmp_path: Path) -> None:
    name = write(tmp_path, "a.ndjson", '{"review": "good", "key": "k1", "id": 9}\n')
    found = read(name, text_column="review", id_column="key")
    assert (texts(found), ids(found)) == (["good"], ["k1"])


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_every_value_under_the_text_key_is_a_row_or_a_reject(value: object) -> None:
    found = sources._json_row(Row("a", 1, None, json.dumps({"text": value})), 1, ReadOptions())
    assert found == Row("a", 1, None, value) if isinstance(value, str) else isinstance(found, Reject)


# Encodings


ENCODED = {
    "plain": b"%s",
    "UTF-8 mark": b"\xef\xbb\xbf%s",
    "UTF-16 LE mark": b"\xff\xfe%s",
    "UTF-16 BE mark": b"\xfe\xff%s",
}
CODECS = {
    "plain": "utf-8",
    "UTF-8 mark": "utf-8",
    "UTF-16 LE mark": "utf-16-le",
    "UTF-16 BE mark": "utf-16-be",
}
CONTENTS = {
    "a.txt": "good café",
    "a.csv": "text\ngood café\n",
    "a.tsv": "text\ngood café\n",
    "a.jsonl": '{"text": "good café"}\n',
}


@pytest.mark.parametrize("mark", ENCODED)
@pytest.mark.parametrize("name", CONTENTS)
def test_a_byte_order_mark_changes_nothing_but_the_decoding(tmp_path: Path, name: str, mark: str) -> None:
    path = write(tmp_path, name, ENCODED[mark] % CONTENTS[name].encode(CODECS[mark]))
    check_inputs(Inputs((path,)), ReadOptions())
    assert texts(read(path)) == ["good café"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"good \xff film"),
        ("a.jsonl", b'{"text": "\xff"}\n'),
        ("a.csv", b"text\n\xff\n"),
    ],
    ids=["text", "json", "csv"],
)
def test_bytes_that_are_not_utf_8_are_rejected_with_their_place(
    tmp_path: Path, name: str, content: bytes
) -> None:
    found = read(write(tmp_path, name, content))[0]
    assert isinstance(found, Reject)
    assert found.code is RejectCode.INVALID_ENCODING
    assert f"byte {content.index(0xFF)}" in found.message


def test_the_place_counts_a_byte_order_mark(tmp_path: Path) -> None:
    found = read(write(tmp_path, "a.txt", b"\xef\xbb\xbfok\n\xff\n"), input_format=InputFormat.LINES)[1]
    assert isinstance(found, Reject)
    assert "byte 6" in found.message


def test_the_place_in_another_encoding_is_that_in_the_file(tmp_path: Path) -> None:
    name = write(tmp_path, "a.txt", b"good\n" * 20_000 + b"\xff\n")
    found = read(name, input_format=InputFormat.LINES, encoding="ascii")[-1]
    assert isinstance(found, Reject)
    assert found.code is RejectCode.INVALID_ENCODING
    assert "100000" in found.message.replace(",", "")


def test_latin_1_reads_what_utf_8_cannot(tmp_path: Path) -> None:
    name = write(tmp_path, "a.txt", b"caf\xe9")
    assert texts(read(name)) == [RejectCode.INVALID_ENCODING]
    assert texts(read(name, encoding="latin-1")) == ["café"]


def test_a_file_that_breaks_its_encoding_costs_itself(tmp_path: Path) -> None:
    broken = write(tmp_path, "a.txt", b"\xff\xfeg\x00o")
    whole = write(tmp_path, "b.txt", "good")
    assert texts(read(broken, whole)) == [RejectCode.INVALID_ENCODING, "good"]


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"


@pytest.mark.parametrize("content", [b"good\0film", b"\0", PNG], ids=["NUL inside", "NUL alone", "PNG"])
def test_a_file_with_nul_bytes_is_binary(tmp_path: Path, content: bytes) -> None:
    assert texts(read(write(tmp_path, "a.txt", content))) == [RejectCode.BINARY]


@pytest.mark.parametrize("content", [b"a\0b\n", b'"a\nb\0"\n'], ids=["bare", "over two lines"])
def test_a_csv_row_with_a_nul_byte_is_binary(tmp_path: Path, content: bytes) -> None:
    assert texts(read(write(tmp_path, "a.csv", b"text\n" + content + b"next\n")))[0] == RejectCode.BINARY


@pytest.mark.parametrize(
    "encoding", ["", "nonsense", "undefined", "hex", "base64", "a\0b", "rot13", "zlib", "bz2"], ids=repr
)
def test_what_is_no_text_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    name = write(tmp_path, "a.txt", "good")
    with pytest.raises(UsageError, match="text encoding"):
        check_inputs(Inputs((name,)), ReadOptions(encoding=encoding))


# What cannot be read


@pytest.mark.parametrize("delimiter", ["", ",,", "é", '"', "\n", "\r", "\0"], ids=ascii)
def test_what_cannot_stand_between_columns_is_refused(tmp_path: Path, delimiter: str) -> None:
    name = write(tmp_path, "a.csv", "text\ngood\n")
    with pytest.raises(UsageError, match="delimiter"):
        check_inputs(Inputs((name,)), ReadOptions(delimiter=delimiter))


def test_a_file_without_permission_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut, open_ = write(tmp_path, "a.csv", "text\nbad\n"), write(tmp_path, "b.csv", "text\ngood\n")
    os_open = os.open

    def refuse(path: str, flags: int) -> int:
        if path == shut:
            raise PermissionError(13, "Permission denied", path)
        return os_open(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    check_inputs(
        Inputs(
            (
                shut,
                open_,
            )
        ),
        ReadOptions(),
    )
    found = read(shut, open_)
    assert found == [Reject(shut, 0, RejectCode.UNREADABLE, "Permission denied"), Row(open_, 1, None, "good")]


def test_a_link_to_nothing_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nothing")
    (tmp_path / "b.txt").symlink_to("b.txt")
    write(tmp_path, "c.txt", "good")
    check_inputs(Inputs((str(tmp_path),)), ReadOptions())
    assert texts(read(str(tmp_path))) == [RejectCode.UNREADABLE, RejectCode.UNREADABLE, "good"]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_a_fifo_never_blocks(tmp_path: Path, suffix: str) -> None:
    fifo = tmp_path / f"fifo{suffix}"
    os.mkfifo(fifo)
    check_inputs(Inputs((str(fifo),)), ReadOptions())
    assert texts(read(str(fifo))) == [RejectCode.NOT_A_FILE]


def test_a_socket_never_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # The address of a socket has to be short.
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("a.txt")
        check_inputs(Inputs(("a.txt",)), ReadOptions())
        assert [type(each) for each in read("a.txt")] == [Reject]


def test_a_device_never_blocks() -> None:
    options = ReadOptions(input_format=InputFormat.LINES)
    check_inputs(Inputs(("/dev/zero",)), options)
    assert texts(list(read_rows(Inputs(("/dev/zero",)), options))) == [RejectCode.NOT_A_FILE]


# Names


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.txt",
        b"a\nb.txt",
        b"a\rb.txt",
        b'"a",b.txt',
        b"-rf.txt",
        b"=1+1.txt",
        b" .txt",
        b"a\x1b[2J.txt",
    ],
    ids=repr,
)
def test_a_file_of_any_name_is_read(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_text("good")
    for given_name in (str(path), str(tmp_path)):
        check_inputs(Inputs((given_name,)), ReadOptions())
        assert texts(read(given_name)) == ["good"]


@pytest.mark.parametrize(
    ("name", "shown"), [(b"caf\xe9", "caf\\xe9"), ("café".encode(), "café"), (b"a\nb", "a\nb"), (b"-", "-")]
)
def test_a_name_is_given_as_text_without_loss(name: bytes, shown: str) -> None:
    assert name_without_loss(os.fsdecode(name)) == shown


def test_a_name_that_only_looks_escaped_is_another_name() -> None:
    assert name_without_loss(os.fsdecode(b"\xe9")) != name_without_loss("\\xe9")


# Standard input


def test_standard_input_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"good\r\nbad")
    assert read("-") == [Row("-", 1, None, "good"), Row("-", 2, None, "bad")]


@pytest.mark.parametrize(
    ("chosen", "content", "expected"),
    [
        (InputFormat.TEXT, b"a\nb\n", ["a\nb\n"]),
        (InputFormat.CSV, b"text\na\n", ["a"]),
        (InputFormat.TSV, b"id\ttext\n1\ta\n", ["a"]),
        (InputFormat.JSONL, b'{"text": "a"}', ["a"]),
    ],
)
def test_standard_input_can_have_every_format(
    monkeypatch: pytest.MonkeyPatch, chosen: InputFormat, content: bytes, expected: list[str]
) -> None:
    pipe_in(monkeypatch, content)
    assert texts(read("-", input_format=chosen)) == expected


def test_standard_input_can_be_utf_16(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"\xff\xfe" + "good\n".encode("utf-16-le"))
    assert texts(read("-")) == ["good"]


def test_standard_input_without_its_column_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"review\na\n")
    with pytest.raises(UsageError, match="its columns are: review"):
        read("-", input_format=InputFormat.CSV)


def test_standard_input_that_breaks_off_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Broken())))
    with pytest.raises(InputOutputError, match="standard input"):
        read("-")


# However the bytes arrive


ODD_BYTES = st.lists(
    st.sampled_from(
        [b'"', b",", b"\t", b"\n", b"\r", b"\r\n", b"a", b" ", b"\0", b"\xff", "é".encode(), b"\xc3"]
    )
    | st.sampled_from(
        [b'{"text": "a"}\n', b'{"text": "\\ud800"}', b'{"text": "b", "id": 7}\r', b"{}", b"[1]", b"{"]
    ),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("chosen", InputFormat)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=ODD_BYTES,
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    encoding=st.sampled_from([None, "utf-8", "latin-1"]),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_rows_do_not_depend_on_how_the_bytes_arrive(
    tmp_path: Path,
    chosen: InputFormat,
    content: bytes,
    mark: bytes,
    encoding: str | None,
    sizes: tuple[int, int],
) -> None:
    name = write(tmp_path, "a", mark + b"text\n" + content)
    whole, pieces = ReadTally(), ReadTally()
    expected = read_or_refuse(name, whole, chosen, encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_CHUNK", sizes[0])
        patch.setattr(opening, "_CHUNK", sizes[1])
        assert read_or_refuse(name, pieces, chosen, encoding) == expected
    assert pieces == whole


def read_or_refuse(
    name: str, tally: ReadTally, chosen: InputFormat, encoding: str | None
) -> list[Row | Reject] | str:
    try:
        return read(name, tally=tally, input_format=chosen, encoding=encoding)
    except UsageError as refusal:
        return str(refusal)


@given(content=ODD_BYTES)
def test_lines_and_json_lines_are_those_of_a_plain_reading(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    name = write(tmp_path_factory.getbasetemp(), "a.jsonl", content)
    plain = [line for line in re.split(rb"\r\n|\n|\r", content) if line]
    found = read(name, input_format=InputFormat.LINES)
    assert texts(found) == [plain_text(line) for line in plain]
    assert [each.row for each in found] == list(range(1, len(plain) + 1))
    filled = [line for line in plain if line.strip()]
    assert texts(read(name)) == [plain_json(line) for line in filled]


def plain_text(line: bytes) -> str | RejectCode:
    if b"\0" in line:
        return RejectCode.BINARY
    try:
        return line.decode()
    except UnicodeDecodeError:
        return RejectCode.INVALID_ENCODING


def plain_json(line: bytes) -> str | RejectCode:
    text = plain_text(line)
    if isinstance(text, RejectCode):
        return text
    try:
        record = json.loads(text)
    except ValueError:
        return RejectCode.BAD_JSON
    if not isinstance(record, dict):
        return RejectCode.BAD_JSON
    if "text" not in record:
        return RejectCode.TEXT_NOT_STRING
    return RejectCode.LONE_SURROGATE if record["text"] == "\ud800" else str(record["text"])
