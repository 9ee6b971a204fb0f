from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.networks.fitting import History, fit_network
from pipeline.recipe import parse_recipe
from tests.conftest import TINY_RECIPE

RECIPE = parse_recipe("tiny", TINY_RECIPE)
IDS = np.arange(96, dtype=np.int32).reshape(8, 12) % 40
ARRAYS = IDS, np.arange(8, dtype=np.int32) % 2


OTHERS = IDS, 1 - ARRAYS[1]
"""The more is learnt, the worse these are judged: the first epoch is the best one."""


class Ended(Exception):
    """What a watcher ends a fitting with."""


class Watching:
    """Counts, and ends the fitting in the middle of an epoch if it is to."""

    def __init__(self, end_in: int | None = None) -> None:
        self.begun: list[int] = []
        self._end_in = end_in

    def begin_epoch(self, number: int) -> None:
        self.begun.append(number)

    def end_batch(self, loss: float) -> None:
        if self.begun[-1] == self._end_in:
            raise Ended

    def end_epoch(self, number: int, figures: Mapping[str, float], seconds: float) -> None:
        assert number == self.begun[-1]
        assert seconds > 0
        assert set(figures) == {"accuracy", "loss", "val_accuracy", "val_loss"}


def fit(
    checkpoint: Path, watching: Watching | None = None, **changes: object
) -> tuple[list[np.ndarray], History]:
    training = RECIPE.training.model_copy(update={"batch_size": 4, "epochs": 3, **changes})
    model, history, seconds = fit_network(
        RECIPE.text,
        RECIPE.network,
        training,
        ARRAYS,
        OTHERS,
        watcher=watching or Watching(),
        checkpoint=checkpoint,
    )
    assert len(seconds) == len(history["loss"])
    return list(model.get_weights()), history


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


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


@pytest.mark.slow
def test_what_other_threads_draw_does_not_move_the_weights(tmp_path: Path) -> None:
    alone, _ = fit(tmp_path / "alone")
    with others_drawing():
        crowded, _ = fit(tmp_path / "crowded")
    assert_same(alone, crowded)


def test_the_processs_generator_is_as_before(tmp_path: Path) -> None:
    drawn = random.randint
    fit(tmp_path / "checkpoint", epochs=1)
    assert random.randint is drawn


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_one_that_was_ended_goes_on_and_ends_where_it_would_have(
    tmp_path: Path, optimizer: str, keep: str
) -> None:
    settings: dict[str, Any] = {"optimizer": optimizer, "keep": keep}
    whole, history = fit(tmp_path / "whole", **settings)
    assert np.argmin(history["val_loss"]) == 0
    for number in (1, 2, 3):
        with pytest.raises(Ended):
            fit(tmp_path / "ended", Watching(end_in=number), **settings)
    watching = Watching()
    resumed, as_resumed = fit(tmp_path / "ended", watching, **settings)
    assert watching.begun == [3]
    assert as_resumed == history
    assert_same(resumed, whole)
    # What is done is not done again.
    watching = Watching()
    assert_same(fit(tmp_path / "ended", watching, **settings)[0], whole)
    assert watching.begun == []


def test_what_cannot_be_read_is_not_gone_on_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = fit(tmp_path / "whole")
    kept = (tmp_path / "whole").read_bytes()
    for number, broken in enumerate((b"", kept[:-9], kept[:900] + bytes([kept[900] ^ 1]) + kept[901:])):
        path, watching = tmp_path / str(number), Watching()
        path.write_bytes(broken)
        with caplog.at_level(logging.WARNING, "resenha"):
            found, _ = fit(path, watching)
        assert "training starts from its first epoch" in caplog.text
        caplog.clear()
        assert watching.begun == [1, 2, 3]
        assert_same(found, whole)


def test_training_ends_where_the_loss_is_no_number(tmp_path: Path) -> None:
    weights, history = fit(tmp_path / "checkpoint", learning_rate=1e38)
    assert not np.isfinite(history["loss"]).all()
    assert len(history["loss"]) < 3 or not np.isfinite(weights[0]).all()
