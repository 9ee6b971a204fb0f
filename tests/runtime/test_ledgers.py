"""The last line of a ledger comes back as it was, or is none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.runtime.ledgers import Ledger, read_ledger
from pipeline.runtime.reading import Place
from pipeline.runtime.summary import Summary

LEDGER = Ledger(Place(), Place(1, 2, 3, 4), 5, "ab" * 32, Summary(blank_lines=6))
COUNTS = st.integers(0, 1 << 62)
PLACES = st.builds(Place, COUNTS, COUNTS, COUNTS, COUNTS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ANY_BYTES = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())


@given(PLACES, PLACES, COUNTS, st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_ledger_comes_back_from_its_line(start: Place, end: Place, size: int, sha256: str) -> None:
    ledger = Ledger(start, end, size, sha256, Summary(blank_lines=size))
    line = ledger.to_line()
    assert line.count(b"\n") == 1
    assert Ledger.from_line(line) == ledger


@given(ANY_BYTES)
@example(b"[" * 50_000)
@example(b'{"start": {}, "end": {"file": 0, "more": 1}}')
def test_a_line_of_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Ledger.from_line(line)


@given(key=st.sampled_from(["start", "end", "size", "sha256", "summary", "digest"]), value=JSON)
def test_a_ledger_with_anything_else_in_a_place_is_refused(key: str, value: Any) -> None:
    record = json.loads(LEDGER.to_line())
    if value != record[key]:
        with pytest.raises(ValueError, match=r"\w"):
            Ledger.from_line(json.dumps(record | {key: value}).encode())


def test_every_byte_of_a_ledger_counts() -> None:
    line = LEDGER.to_line()
    for place in range(len(line) - 1):
        changed = bytearray(line)
        changed[place] ^= 1
        try:
            found = Ledger.from_line(bytes(changed))
        except ValueError:
            continue
        assert found == LEDGER  # A blank that became another one, say.


@pytest.mark.parametrize("before", [0, 1, 1 << 16, 1 << 18], ids=["alone", "a byte", "a whole read", "more"])
def test_the_last_line_is_read_whatever_stands_before_it(tmp_path: Path, before: int) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"x" * before + b"\n" + LEDGER.to_line())
    assert read_ledger(path) == LEDGER


def test_the_longest_ledger_line_fits_into_what_is_read(tmp_path: Path) -> None:
    most = 1 << 62
    place = Place(most, most, most, most)
    codes = {f"code{number}": most for number in range(50)}
    summary = Summary(
        *(most,) * 2, rejected=Counter(codes), labels=Counter({"x" * 256: most, "y" * 256: most})
    )
    ledger = Ledger(place, place, most, "ab" * 32, summary)
    (tmp_path / "ledger").write_bytes(b"x\n" * (1 << 16) + ledger.to_line())
    assert read_ledger(tmp_path / "ledger") == ledger


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"\x85"], ids=repr)
def test_a_file_without_such_a_line_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        read_ledger(tmp_path / "ledger")
