from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from pipeline.networks.recurrent import fit_network
from pipeline.recipe import parse_recipe
from tests.conftest import TINY_RECIPE

RECIPE = parse_recipe("tiny", TINY_RECIPE)


@contextmanager
def others_drawing() -> Iterator[None]:
    """Let another thread draw from the process's generator all the time, as a client's threads do now and then."""
    is_over = threading.Event()

    def draw() -> None:
        while not is_over.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def fitted_weights() -> list[np.ndarray]:
    ids = np.arange(96, dtype=np.int32).reshape(8, 12) % 40
    arrays = ids, np.arange(8, dtype=np.int32) % 2
    training = RECIPE.training.model_copy(update={"epochs": 1})
    model, _ = fit_network(RECIPE.text, RECIPE.network, training, arrays, arrays, callbacks=[])
    return list(model.get_weights())


@pytest.mark.slow
def test_what_other_threads_draw_does_not_move_the_weights() -> None:
    alone = fitted_weights()
    with others_drawing():
        crowded = fitted_weights()
    for one, other in zip(alone, crowded, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_processs_generator_is_as_before() -> None:
    drawn = random.randint
    fitted_weights()
    assert random.randint is drawn
