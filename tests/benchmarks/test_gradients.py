from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.gradients import VARIANTS, Course, draw_courses, long_reviews, to_table


def make_course(name: str, half_life: float) -> Course:
    norms = 0.5 ** (np.arange(401) / half_life)
    return Course(name, [norms, 2 * norms], [0.75])


def test_a_row_for_each_epoch_says_what_reaches_the_first_word() -> None:
    text = to_table([make_course("gru", 100)], reviews=7, picture=Path("drawn.png")).to_markdown()
    assert (
        "| gru | 0 | 1.0e+00 | 9.3e-01 | 8.4e-01 | 7.1e-01 | 5.0e-01 | 2.5e-01 | 6.2e-02 | 6.2e-02 |  |"
        in text
    )
    assert (
        "| gru | 1 | 2.0e+00 | 1.9e+00 | 1.7e+00 | 1.4e+00 | 1.0e+00 | 5.0e-01 | 1.2e-01 | 6.2e-02 | 0.750 |"
        in text
    )
    assert "mean over 7 reviews" in text
    assert "drawn.png" in text


def test_only_reviews_that_are_long_enough_are_looked_at() -> None:
    ids = np.zeros((3, 500), np.int32)
    for row, words in enumerate((400, 401, 500)):
        ids[row, -words:] = np.arange(1, words + 1)
    found, labels = long_reviews((ids, np.array([0, 1, 0], np.int32)))
    assert found.shape == (2, 401)
    assert found.all()
    assert found[:, -1].tolist() == [401, 500]
    assert labels.tolist() == [1, 0]


def test_the_picture_has_a_panel_for_each_network() -> None:
    few, many = (draw_courses([make_course("simple", 10)] * count) for count in (3, 4))
    assert few.startswith(b"\x89PNG")
    width, *heights = (
        int.from_bytes(png[start : start + 4]) for png, start in ((few, 16), (few, 20), (many, 20))
    )
    assert width == 1_100
    assert heights == [340, 620]
    assert few != draw_courses([make_course("simple", 20)] * 3)


def test_variants_differ_in_name_and_in_what_they_are() -> None:
    assert len({each.name for each in VARIANTS}) == len(VARIANTS)
    assert len({(each.network.model_dump_json(), each.start, each.clip_norm) for each in VARIANTS}) == len(
        VARIANTS
    )
