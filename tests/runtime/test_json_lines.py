"""Reviews out of lines of JSON, read as the standard library reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.runtime.json_lines import UnfitJsonError, load_json, parse_review
from pipeline.runtime.rows import RejectCode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SPACE = st.text(" \t\r\n\ufeff\u00a0", max_size=2)
SCRAPS = st.lists(st.sampled_from([*'{}[]",: 1-e\\', "null", "NaN", '"a"', "\\ud800"]), max_size=12).map(
    "".join
)


def outcome(load: Callable[[str], object], text: str) -> str:
    try:
        return repr(load(text))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


@given(SPACE, VALUES.map(json.dumps) | SCRAPS, SPACE)
@example("", "", "")
@example("", '"a"', " ")
@example("", "1", "2")
@example("", "9" * 5_000, "")
def test_json_is_read_as_the_standard_library_reads_it(before: str, value: str, after: str) -> None:
    text = before + value + after
    assert outcome(load_json, text) == outcome(json.loads, text)


def parsed(line: str) -> tuple[str, str | None] | RejectCode:
    try:
        text, review_id, kept = parse_review(line, text_key="text", id_key="id")
    except UnfitJsonError as error:
        return error.code
    assert kept == ()
    return text, review_id


@given(st.text(st.characters()), st.none() | st.text(st.characters()), st.booleans())
@example("é\ud800", None, False)
@example("a", "\udc00", False)
@example("\ud83c\udfac", None, True)
def test_what_cannot_be_written_is_refused_and_nothing_else(
    text: str, review_id: str | None, is_escaped: bool
) -> None:
    line = json.dumps({"text": text, "id": review_id}, ensure_ascii=is_escaped)
    # Escaped halves that stand together are one character.
    wanted = json.loads(line)
    is_whole = not re.search("[\ud800-\udfff]", wanted["text"] + (wanted["id"] or ""))
    assert parsed(line) == ((wanted["text"], wanted["id"]) if is_whole else RejectCode.LONE_SURROGATE)


def test_an_id_of_any_depth_is_text_or_refused() -> None:
    ids = ["[" * depth + "]" * depth for depth in range(900, 1_010)]
    found = [parsed(f'{{"text": "good", "id": {each}}}') for each in ids]
    refused = found.count(RejectCode.BAD_JSON)
    assert refused
    assert found == [("good", each) for each in ids[:-refused]] + [RejectCode.BAD_JSON] * refused


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('"a"', "a"), ("null", None), ("7", 7), ("1.5", 1.5), ("true", True), ('[1, {"a": "b"}]', [1, {"a": "b"}]),
    ],
)  # fmt: skip
def test_values_to_keep_come_as_they_are(value: str, kept: object) -> None:
    line = f'{{"text": "good", "label": {value}}}'
    found = parse_review(line, text_key="text", id_key="id", keep=("label", "none"))
    assert found == ("good", None, (kept, None))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("NaN", RejectCode.BAD_JSON),
        ("[-Infinity]", RejectCode.BAD_JSON),
        ('{"a": "\\ud800"}', RejectCode.LONE_SURROGATE),
    ],
)
def test_a_value_to_keep_that_cannot_be_written_is_refused(value: str, code: RejectCode) -> None:
    with pytest.raises(UnfitJsonError) as refused:
        parse_review(f'{{"text": "good", "a": {value}}}', text_key="text", id_key="id", keep=("a",))
    assert refused.value.code is code
