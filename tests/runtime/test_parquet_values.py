"""Values as text; what a column's values become is tested where files are read."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.runtime.parquet_values import as_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [("é", "é"), ("", ""), (None, None), (7, "7"), (1.5, "1.5"), (True, "true"), ({"a": ["é"]}, '{"a": ["é"]}')],
    ids=repr,
)  # fmt: skip
def test_strings_stay_and_other_values_become_json(value: Any, expected: str | None) -> None:
    assert as_text(value) == expected
