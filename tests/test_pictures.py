from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from pipeline.pictures import draw_evaluation

HISTORY = {"loss": [0.6, 0.3], "val_loss": [0.5, 0.4]}


def draw(scores: list[float], labels: list[int], history: dict[str, list[float]] = HISTORY) -> bytes:
    return draw_evaluation(history, 1, np.array(scores, np.float32), np.array(labels, np.int32))


def test_the_picture_is_a_png_that_equal_figures_give_again() -> None:
    picture = draw([0.1, 0.6, 0.9], [0, 1, 1])
    assert matplotlib.image.imread(io.BytesIO(picture)).shape == (400, 1000, 4)
    assert draw([0.1, 0.6, 0.9], [0, 1, 1]) == picture
    assert draw([0.1, 0.6, 0.9], [0, 0, 1]) != picture


@pytest.mark.parametrize(
    ("scores", "history"),
    [
        pytest.param([1.0, 0.0], HISTORY, id="both ends"),
        pytest.param([0.5, 0.5], {"loss": [0.6], "val_loss": [0.5]}, id="one epoch, one bin"),
        pytest.param(
            [0.2, 0.7], {"loss": [0.6, float("nan")], "val_loss": [0.5, float("nan")]}, id="no number"
        ),
    ],
)
def test_the_edges_can_be_drawn(scores: list[float], history: dict[str, list[float]]) -> None:
    assert draw(scores, [0, 1], history).startswith(b"\x89PNG")
