from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.review_files import BROKEN, short_texts, write_reviews
from pipeline.runtime.listing import Inputs
from pipeline.runtime.reading import ReadOptions
from pipeline.runtime.rows import Reject, Row
from pipeline.runtime.sources import read_rows

TEXTS = ['She said "no",\nand left.', "Plain", "naïve, très naïve"]


def read(path: Path) -> list[Row | Reject]:
    return list(read_rows(Inputs((str(path),)), ReadOptions()))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_the_texts_come_over_and_over_with_ids_of_their_own(tmp_path: Path, count: int) -> None:
    assert write_reviews(tmp_path / "reviews.csv", TEXTS, count) == 0
    rows = read(tmp_path / "reviews.csv")
    assert [(row.id, row.text) for row in rows if isinstance(row, Row)] == [
        (str(number + 1), TEXTS[number % 3]) for number in range(count)
    ]


@pytest.mark.parametrize(("count", "broken"), [(9, 0), (10, 1), (11, 1), (60, 6)])
def test_every_so_manieth_row_cannot_be_scored(tmp_path: Path, count: int, broken: int) -> None:
    assert write_reviews(tmp_path / "reviews.csv", TEXTS, count, broken_every=10) == broken
    rows = read(tmp_path / "reviews.csv")
    assert [row.row for row in rows] == list(range(1, count + 1))
    is_broken = [isinstance(row, Reject) or not row.text for row in rows]
    assert [number for number, each in enumerate(is_broken, 1) if each] == list(range(10, count + 1, 10))
    codes = {row.code.value if isinstance(row, Reject) else "empty" for row in rows[9::10]}
    assert len(codes) == min(broken, len(BROKEN))


@pytest.mark.parametrize(("words", "cuts"), [(0, 0), (3, 0), (4, 1), (6, 1), (100, 16)])
def test_texts_are_cut_at_blanks(words: int, cuts: int) -> None:
    text = " ".join(f"w{number}" for number in range(words))
    found = short_texts([text, "too short"], fewest=4, most=6)
    assert all(4 <= len(each.split(" ")) <= 6 for each in found)
    assert text.startswith(" ".join(found))
    assert len(found) >= cuts
    assert found == short_texts([text, "too short"], fewest=4, most=6)
