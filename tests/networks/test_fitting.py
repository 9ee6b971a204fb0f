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

from pipeline.network_shape import NGRAMS, weight_names
from pipeline.networks.fitting import Arrays, Fitting, History, fit_network
from pipeline.networks.noise import Noise
from pipeline.networks.recurrent import build_network
from pipeline.networks.seeds import build_seeded_network
from pipeline.recipe import NetworkSettings, parse_recipe
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
    checkpoint: Path, watching: Watching | None = None, *, train: Arrays = ARRAYS, **changes: object
) -> tuple[list[np.ndarray], History]:
    training = RECIPE.training.model_copy(update={"batch_size": 4, "epochs": 3, **changes})
    model = build_seeded_network(RECIPE.text, RECIPE.network, training.seed)
    history, seconds = fit_network(
        model,
        RECIPE.network,
        training,
        train,
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


NOISE: dict[str, Any] = {
    "dropout": 0.3,
    "word_dropout": 0.2,
    "averaging": 0.6,
    "schedule": "triangular",
    "clip_norm": 0.01,
}


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
@pytest.mark.parametrize("keep", ["last", "best"])
@pytest.mark.parametrize("others", [{}, NOISE], ids=["plain", "noise"])
def test_one_that_was_ended_goes_on_and_ends_where_it_would_have(
    tmp_path: Path, optimizer: str, keep: str, others: dict[str, Any]
) -> None:
    settings = {"optimizer": optimizer, "keep": keep, **others}
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


@pytest.mark.parametrize("name", sorted(NOISE))
def test_each_of_these_settings_changes_what_is_learnt(tmp_path: Path, name: str) -> None:
    plain, _ = fit(tmp_path / "plain")
    changed, _ = fit(tmp_path / "changed", **{name: NOISE[name]})
    assert all((one != other).any() for one, other in zip(plain, changed, strict=True))


@pytest.mark.parametrize("rows", [1, 4, 5, 203, 400, 403])
def test_batches_of_like_length_hold_every_row_once_in_another_order_each_epoch(rows: int) -> None:
    lengths = np.random.default_rng(3).permutation(rows) % 90 + 1
    ids = (np.arange(90) >= 90 - lengths[:, None]).astype(np.int32)
    training = RECIPE.training.model_copy(update={"bucket_by_length": True, "batch_size": 4})
    fitting = Fitting(RECIPE.network, training, build_network(RECIPE.text, RECIPE.network))
    first = fitting._order(ids)
    np.testing.assert_array_equal(np.sort(first), np.arange(rows))
    np.testing.assert_array_equal(fitting._order(ids), first)
    whole = rows // 4 * 4
    of_batches = lengths[first[:whole]].reshape(-1, 4)
    assert np.ptp(of_batches, axis=1).max(initial=0) <= 8
    if rows >= 203:
        fitting.seconds.append(1.0)
        assert (fitting._order(ids) != first).any()
        # Short and long batches come mixed.
        assert abs(np.corrcoef(np.arange(whole // 4), of_batches.mean(axis=1))[0, 1]) < 0.4


def test_batches_of_many_shapes_bring_no_advice(caplog: pytest.LogCaptureFixture) -> None:
    lengths = np.repeat(np.arange(64, 640, 64), 4)
    ids = (np.arange(640) >= 640 - lengths[:, None]).astype(np.int32)
    network = RECIPE.network.model_copy(update={"masked": True})
    training = RECIPE.training.model_copy(update={"bucket_by_length": True, "batch_size": 4})
    text = RECIPE.text.model_copy(update={"max_length": 640})
    fitting = Fitting(network, training, build_network(text, network))
    tensorflow = logging.getLogger("tensorflow")
    with caplog.at_level(logging.WARNING, "tensorflow"):
        tensorflow.addHandler(caplog.handler)  # It hands nothing on.
        try:
            arrays = ids, np.arange(len(ids), dtype=np.int32) % 2
            fitting.run_epoch(arrays, OTHERS, lambda _loss: None)
            tensorflow.warning("news")
        finally:
            tensorflow.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"news"}


def test_averages_are_those_of_the_weights_after_each_batch(tmp_path: Path) -> None:
    """With one batch an epoch, the weights after each are seen by training up to there."""
    average, _ = fit(tmp_path / "averaged", averaging=0.25, batch_size=8, epochs=3)
    kept = build_start()
    for epochs, share in ((1, 2 / 11), (2, 0.25), (3, 0.25)):
        weights, _ = fit(tmp_path / f"{epochs}", batch_size=8, epochs=epochs)
        kept = [share * before + (1 - share) * now for before, now in zip(kept, weights, strict=True)]
    for found, expected in zip(average, kept, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def build_start() -> list[np.ndarray]:
    """The weights that the tiny training begins with."""
    return list(build_seeded_network(RECIPE.text, RECIPE.network, RECIPE.training.seed).get_weights())


def test_a_triangular_schedule_rises_and_falls_once() -> None:
    training = RECIPE.training.model_copy(
        update={"schedule": "triangular", "epochs": 2, "batch_size": 4, "learning_rate": 0.1}
    )
    fitting = Fitting(RECIPE.network, training, build_network(RECIPE.text, RECIPE.network))
    rates = []
    for _epoch in range(2):
        rates += [float(fitting._rate(batch, 100)) for batch in range(25)]
        fitting.seconds.append(1.0)
    # 50 batches: the first five rise.
    assert rates[:5] == pytest.approx([0.01, 0.03, 0.05, 0.07, 0.09])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.0012


def test_forgotten_words_are_unknown_and_padding_and_start_stay() -> None:
    ids = np.tile(np.array([0, 0, 1, 2, *range(3, 40)], np.int32), (500, 1))
    noise = Noise(RECIPE.training.model_copy(update={"word_dropout": 0.25}), 0)
    found = noise.forget_words(ids)
    assert (found[:, :4] == ids[:, :4]).all()
    assert set(np.unique(found[found != ids])) == {2}
    assert (found != ids)[:, 4:].mean() == pytest.approx(0.25, abs=0.01)


def test_dropped_features_leave_sums_as_they_are_on_average() -> None:
    noise = Noise(RECIPE.training.model_copy(update={"dropout": 0.25}), 0)
    (shares,) = noise.keep_features(500, 40)
    assert set(np.unique(shares)) == {0.0, np.float32(1 / 0.75)}
    assert shares.mean() == pytest.approx(1, abs=0.02)


def test_ngrams_apart_are_seen_without_the_others_and_the_mean_of_both_is_the_network() -> None:
    apart = {"ngrams_apart": True, "dropout": 0.25}
    others, ngrams = Noise(RECIPE.training.model_copy(update=apart), 0).keep_features(500, 40)
    assert set(np.unique(others[:, :-1])) == {0.0, np.float32(2 / 0.75)}
    assert (others[:, -1] == 0).all()
    assert (ngrams[:, :-1] == 0).all()
    assert (ngrams[:, -1] == 2).all()
    others, ngrams = Noise(RECIPE.training.model_copy(update=apart | {"dropout": 0.0}), 0).keep_features(5, 4)
    np.testing.assert_array_equal((others + ngrams) / 2, np.ones((5, 4)))


@pytest.mark.parametrize("apart", [False, True])
def test_what_ngrams_know_reaches_the_recurrence_only_where_they_learn_together(apart: bool) -> None:
    shape = {"ngrams": {"longest": 2, "buckets": 64}, "masked": True}
    network = NetworkSettings.model_validate(RECIPE.network.model_dump() | shape)
    training = RECIPE.training.model_copy(update={"batch_size": 8, "epochs": 1, "ngrams_apart": apart})
    learnt = []
    for known in (0.0, 0.5):
        model = build_seeded_network(RECIPE.text, network, training.seed)
        named = dict(zip(weight_names(network), model.get_weights(), strict=True))
        named[NGRAMS] += np.random.default_rng(1).normal(0, known, named[NGRAMS].shape)
        named["dense_kernel"][-1] = 1
        model.set_weights(list(named.values()))
        fitting = Fitting(network, training, model)
        fitting.run_epoch(ARRAYS, OTHERS, lambda _loss: None)
        fitting.finish()
        learnt.append(dict(zip(weight_names(network), model.get_weights(), strict=True)))
    one, other = learnt
    assert (one[NGRAMS] != other[NGRAMS]).any()
    for name in one.keys() - {NGRAMS, "dense_kernel", "dense_bias"}:
        assert (one[name] == other[name]).all() == apart


def test_labels_may_lie_between_0_and_1_and_their_larger_half_counts_as_positive(tmp_path: Path) -> None:
    hard, _ = fit(tmp_path / "hard")
    as_floats, _ = fit(tmp_path / "floats", train=(IDS, ARRAYS[1].astype(np.float32)))
    assert_same(hard, as_floats)
    soft = np.where(np.arange(8) < 6, 0.8, 0.3).astype(np.float32)
    _, history = fit(tmp_path / "soft", train=(IDS, soft), epochs=60)
    # What is left is the entropy of the labels themselves.
    entropy = -(soft * np.log(soft) + (1 - soft) * np.log1p(-soft)).mean()
    assert history["loss"][-1] == pytest.approx(entropy, abs=0.02)
    assert history["accuracy"][-1] == 1


def test_training_ends_where_the_loss_is_no_number(tmp_path: Path) -> None:
    weights, history = fit(tmp_path / "checkpoint", learning_rate=1e38)
    assert not np.isfinite(history["loss"]).all()
    assert len(history["loss"]) < 3 or not np.isfinite(weights[0]).all()
