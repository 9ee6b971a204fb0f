"""What stands in an input, found out by other means than the reader that is tested."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence

from pipeline.runtime.lines import MAX_ROW_BYTES
from pipeline.runtime.reading import InputFormat, ReadOptions

csv.field_size_limit(1 << 24)
REJECT = None
"""Stands where a row has to be a reject."""
Rows = list[str | None]


class BrokenError(Exception):
    """The file cannot be read to its end."""


def plain_rows(content: bytes, chosen: InputFormat, options: ReadOptions) -> Rows | None:
    """Give the text of every row, or None where nothing that is independent can say.

    Raises:
        BrokenError: If the file ends with a reject of its own.
    """
    plain = plain_bytes(content, options.encoding)
    if chosen is InputFormat.TEXT:
        return [_text(plain)]
    if chosen is InputFormat.LINES:
        return [_text(line) for line in _lines(plain)]
    if chosen is InputFormat.JSONL:
        lines = [line for line in _lines(plain) if line.strip(b" \t\r\n")]
        is_array = lines[:1] and lines[0].lstrip().startswith(b"[")
        return None if is_array else [_json_text(_text(line), options) for line in lines]
    if chosen in (InputFormat.CSV, InputFormat.TSV):
        return _delimited(plain, "\t" if chosen is InputFormat.TSV else ",", options)
    return None


def plain_bytes(content: bytes, encoding: str | None) -> bytes:
    """Give what is in a file, unpacked and as UTF-8 without a mark; BrokenError where it has no end."""
    return _in_utf8(_unpacked(content), encoding)


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b\x08"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BrokenError from error


def _in_utf8(content: bytes, encoding: str | None) -> bytes:
    if encoding is None and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    if encoding in (None, "utf-8"):
        return content.removeprefix(b"\xef\xbb\xbf")
    if encoding == "utf-16" and content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BrokenError  # Which half of a character comes first, nobody says.
    try:
        return content.decode(encoding).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BrokenError from error


def _lines(content: bytes) -> list[bytes]:
    return [line for line in re.split(rb"\r\n|\n|\r", content) if line]


def _text(content: bytes) -> str | None:
    if b"\0" in content or len(content) > MAX_ROW_BYTES:
        return REJECT
    try:
        return content.decode()
    except UnicodeDecodeError:
        return REJECT


def _json_text(line: str | None, options: ReadOptions) -> str | None:
    try:
        record = json.loads(line or "")
        text, review_id = record["text"], record.get("id")
        if not isinstance(text, str):
            return REJECT
        # Text, id and what is kept have to be fit to be written.
        (text + (review_id if isinstance(review_id, str) else json.dumps(review_id))).encode()
        kept = [record.get(column) for column in options.keep_columns]
        json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
        return REJECT
    return text


def _delimited(content: bytes, delimiter: str, options: ReadOptions) -> Rows | None:
    """Read by Python's own reader, which has no word for damage: None where it meets any."""
    if len(content) > MAX_ROW_BYTES or content.count(b"\n") + content.count(b"\r") > 1_000:
        return None
    text = io.StringIO(content.decode(errors="surrogateescape"), newline="")
    try:
        header, *records = (each for each in csv.reader(text, delimiter=delimiter, strict=True) if each)
    except (csv.Error, ValueError):
        return None
    place = header.index("text")
    return [_cell(record, place) if len(record) == len(header) else REJECT for record in records]


def _cell(record: Sequence[str], place: int) -> str | None:
    if any("\0" in cell or re.search("[\udc80-\udcff]", cell) for cell in record):
        return REJECT
    return record[place]


def plain_paths(content: bytes) -> Iterator[bytes]:
    """Yield the paths of a list."""
    if b"\0" in content:
        yield from filter(None, content.split(b"\0"))
    else:
        yield from filter(None, (line.removesuffix(b"\r") for line in content.split(b"\n")))
