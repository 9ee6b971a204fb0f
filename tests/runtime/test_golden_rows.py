"""Golden rows come back as they were written, or are refused."""

from __future__ import annotations

import pytest

from pipeline.errors import BundleError
from pipeline.runtime.bundle import GOLDEN
from pipeline.runtime.golden_rows import GoldenRow, read_golden, write_golden


def test_golden_rows_are_read_as_they_were_written() -> None:
    rows = [GoldenRow("a\nb \u2028 é", [1, 2], 0.25), GoldenRow("", [], None)]
    assert read_golden(write_golden(rows)) == rows


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{\n",
        b"7\n",
        b"{}\n",
        b'{"review": "a", "token_ids": [], "score": 1, "more": 1}\n',
        b"\xff\n",
    ],
    ids=repr,
)
def test_a_line_that_is_no_golden_row_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=GOLDEN):
        read_golden(content)
