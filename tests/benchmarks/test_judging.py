from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.judging import Judged, Model, Way, judge_ways, judged_table, score_by_bundle
from benchmarks.pairing import Spread
from pipeline.corpora.corpus import LabelledReview
from pipeline.metrics import accuracy_interval
from tests.stand_ins import make_scorer

TEST = [
    LabelledReview("good", 1),
    LabelledReview("moving", 1),
    LabelledReview("bad", 0),
    LabelledReview("", 0),
]


def model(
    scores: Sequence[float], *, threshold: float = 0.5, size: int = 1000, peak: int | None = 5
) -> Model:
    def score(texts: Sequence[str]) -> NDArray[np.float32]:
        assert texts == [review.text for review in TEST]
        return np.array(scores, np.float32)

    return Model(lambda: (score, threshold), size, seconds=size / 1000, peak_bytes=peak)


def test_a_way_is_judged_by_the_mean_over_its_seeds_with_least_and_greatest() -> None:
    right, half, wrong = [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]
    models = [model(right), model(half, size=3000, peak=9), model(wrong, size=2000, peak=None)]
    found = judge_ways([Way("three", models), Way("one", [model(half)], has_seeds=False)], TEST)
    assert list(found) == ["three", "one"]
    three = found["three"]
    assert three.seeds == "3"
    assert three.accuracy == Spread(0.5, 0.0, 1.0)
    assert three.calibration == Spread(0.5, 0.0, 1.0)
    assert three.kilobytes == Spread(2.0, 1.0, 3.0)
    assert three.peak_bytes == 9
    assert found["one"].seeds == "one run"


def test_a_model_is_judged_at_its_own_threshold() -> None:
    scores = [0.4, 0.3, 0.2, 0.1]
    found = judge_ways([Way("low", [model(scores, threshold=0.3)]), Way("half", [model(scores)])], TEST)
    assert found["low"].accuracy.median == 1.0
    assert found["half"].accuracy.median == 0.5


def test_a_row_shows_the_interval_of_the_mean_on_the_reviews_of_one_seed() -> None:
    rate, same = Spread(100, 90, 110), Spread(1, 1, 1)
    judged = Judged(
        "3", Spread(0.9, 0.8, 0.95), 1000, same, Spread(1, 1, 445), same, None, rate, is_calibrated=False
    )
    table = judged_table("Title", {"way": judged}, TEST[1:], ["note"])
    low, high = accuracy_interval(900, 1000)
    row = table.rows[0]
    assert row[:4] == ["way", "3", "0.9000 (0.8000 to 0.9500)", f"{low:.4f} to {high:.4f}"]
    assert row[4:] == ["1.0000", "445 KB", "1.00", "–", "100 (90.0 to 110)"]
    assert len(row) == len(table.head)
    assert table.notes[0] == "note"
    assert "3 test reviews" in table.notes[1]
    assert "0.6667" in table.notes[1]


@pytest.mark.parametrize(("text", "is_positive"), [("good film", True), ("bad film", False), ("", False)])
def test_a_bundle_calls_a_text_without_a_word_negative(text: str, is_positive: bool) -> None:
    scorer = make_scorer()
    scores = score_by_bundle(scorer, [text, "good"])
    assert (scores[0] >= scorer.threshold) == is_positive
    assert scores[1] > 0.5
