"""What travels through a scoring run: rows, scored rows, and rejects with their reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

# A pattern of text is compiled when it is first needed, and kept by ``re``.
_UNSAFE_TO_PRINT = "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"


class RejectCode(StrEnum):
    """Why a row, or a whole file, was not scored."""

    NO_TOKENS = "no_tokens"
    INVALID_ENCODING = "invalid_encoding"
    BINARY = "binary"
    TOO_LONG = "too_long"
    BAD_JSON = "bad_json"
    TEXT_NOT_STRING = "text_not_string"
    LONE_SURROGATE = "lone_surrogate"
    COLUMN_COUNT = "column_count"
    UNCLOSED_QUOTE = "unclosed_quote"
    UNREADABLE = "unreadable"
    CORRUPTED = "corrupted"
    NOT_A_FILE = "not_a_file"
    NOT_FINITE = "not_finite"


# Rows and scores are made a million at a time: a named tuple takes a third of a frozen dataclass's time.
class Row(NamedTuple):
    """One review as it was read."""

    source: str
    """The file's path as it was given, or ``-`` for standard input."""
    row: int
    """1 for a file that holds one review, else the number of the record in its source, from 1."""
    id: str | None
    text: str
    kept: tuple[Any, ...] = ()
    """Values of the columns to be kept, each something that JSON knows."""
    line: int | None = None
    """The line, from 1, on which the row begins, where the source has lines."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that cannot be scored, or (``row`` 0) a file that cannot be read on."""

    source: str
    row: int
    code: RejectCode
    message: str
    line: int | None = None
    """The line, from 1, on which the row begins, where the source has lines."""
    offset: int | None = None
    """The byte, from 0, that is no text in the encoding, where that is the reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the scorer gave one review no score."""

    code: RejectCode
    message: str


class Score(NamedTuple):
    """What the network says of one review, and how much of the review it could use."""

    score: float
    """Probability of the positive label, 0 to 1, float32 in its shortest decimal form."""
    label: str
    tokens: int
    unknown_share: float
    truncated: bool


def printable(text: str) -> str:
    """Escape what could hide, reorder or break a line of a message."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNSAFE_TO_PRINT, lambda match: f"\\u{ord(match[0]):04x}", text)


def printable_message(text: str) -> str:
    """Escape a message of several lines, line by line."""
    return "\n".join(printable(line) for line in text.split("\n"))
