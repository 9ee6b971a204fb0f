"""What Resenha means to reach, held against what a run measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.pairing import Spread


class Figure(StrEnum):
    """A measured quantity that a target speaks of; the value says what it is."""

    SIMPLE_OVER_PLAIN = "SimpleRNN 32, ids→score: times the plain tf2onnx graph at its best"
    SIMPLE_OVER_KERAS = "SimpleRNN 32, ids→score: times `model.predict` at its default batch"
    GRU_OVER_BEST = "GRU 32, ids→score: times the better of tf2onnx's graph and ONNX Runtime's own node"
    LSTM_OVER_BEST = "LSTM 32, ids→score: times the better of tf2onnx's graph and ONNX Runtime's own node"
    TEXT_OVER_FASTTEXT = "text→score: times fastText unigrams"
    TEXT_OVER_TFIDF = "text→score: times TF-IDF and logistic regression"
    IDS_OVER_TOKENIZERS = "text→ids on one core: times Hugging Face tokenizers on all"
    INT8_SIZE = "bundle `seed` on disk, int8"
    FLOAT_SIZE = "bundle `seed` on disk, float"
    WARM_REVIEW = "one warm review, median"
    COLD_START = "process start to first score, against importing onnxruntime"
    PEAK_MEMORY = "a million rows: peak memory"
    MEMORY_GROWTH = "a million rows: peak memory against that of 100,000"
    SHARE_OF_LIMIT = "SimpleRNN 32, ids→score on one thread: share of the bare arithmetic's speed"
    DURABLE_SPEED = "a file into a directory of parts: share of the speed to plain standard output"
    DURABLE_SPEED_WITH_REJECTS = (
        "the same with 1 % of the rows broken, against the whole file to standard output"
    )
    DAMAGED_ROWS = "five million rows, killed twenty times: rows lost or doubled"
    DAMAGED_FILES = "five million rows, killed twenty times: files that differ from those of one run"
    DURABLE_PEAK_MEMORY = "five million rows into a directory: peak memory"
    SEED_EPOCH = "an epoch of `seed`: times faster than the plain Keras layers"
    GRU_EPOCH = "an epoch of GRU 32, padding left out: times faster than the plain Keras layers"
    LSTM_EPOCH = "an epoch of LSTM 32, padding left out: times faster than the plain Keras layers"
    SMALL_ACCURACY = "recipe `small`: test accuracy, mean over seeds"
    SMALL_BUNDLE = "recipe `small`: bundle on disk"
    BEST_ACCURACY = "recipe `best`: test accuracy, mean over seeds"
    BEST_BUNDLE = "recipe `best`: bundle on disk"
    BEST_SPEED = "recipe `best`: text→score"
    BEST_TRAINING = "recipe `best`: from texts to a trained network"
    RECIPE_OVER_PLAIN = "shipped recipes, ids→score: times the plain tf2onnx graph, the least of them"
    CALIBRATION = "recipes that calibrate: calibration error, mean over seeds, the largest of them"


@dataclass(frozen=True)
class Target:
    """A limit for one figure."""

    figure: Figure
    limit: float
    unit: str
    """Follows the number; `×` for a ratio."""
    is_floor: bool
    """Whether the figure has to reach the limit; else it may not pass it."""

    def is_reached(self, measured: Spread) -> bool:
        """Judge by the median."""
        return measured.median >= self.limit if self.is_floor else measured.median <= self.limit


def _at_least(figure: Figure, limit: float, unit: str = "×") -> Target:
    return Target(figure, limit, unit, is_floor=True)


def _at_most(figure: Figure, limit: float, unit: str = "×") -> Target:
    return Target(figure, limit, unit, is_floor=False)


TARGETS = (
    _at_least(Figure.SIMPLE_OVER_PLAIN, 6),
    _at_least(Figure.SIMPLE_OVER_KERAS, 30),
    _at_least(Figure.GRU_OVER_BEST, 1.7),
    _at_least(Figure.LSTM_OVER_BEST, 1.2),
    _at_least(Figure.TEXT_OVER_FASTTEXT, 3.5),
    _at_least(Figure.TEXT_OVER_TFIDF, 15),
    _at_least(Figure.IDS_OVER_TOKENIZERS, 6),
    _at_most(Figure.INT8_SIZE, 450, " KB"),
    _at_most(Figure.FLOAT_SIZE, 1500, " KB"),
    _at_most(Figure.WARM_REVIEW, 1, " ms"),
    _at_most(Figure.COLD_START, 1.3),
    _at_most(Figure.PEAK_MEMORY, 400, " MB"),
    _at_most(Figure.MEMORY_GROWTH, 1.1),
    _at_least(Figure.SHARE_OF_LIMIT, 0.4, ""),
    _at_least(Figure.DURABLE_SPEED, 0.9),
    _at_least(Figure.DURABLE_SPEED_WITH_REJECTS, 0.9),
    _at_most(Figure.DAMAGED_ROWS, 0, ""),
    _at_most(Figure.DAMAGED_FILES, 0, ""),
    _at_most(Figure.DURABLE_PEAK_MEMORY, 400, " MB"),
    _at_least(Figure.SEED_EPOCH, 3),
    _at_least(Figure.GRU_EPOCH, 3),
    _at_least(Figure.LSTM_EPOCH, 3),
    _at_least(Figure.SMALL_ACCURACY, 0.905, ""),
    _at_most(Figure.SMALL_BUNDLE, 450, " KB"),
    _at_least(Figure.BEST_ACCURACY, 0.925, ""),
    _at_most(Figure.BEST_BUNDLE, 3000, " KB"),
    _at_least(Figure.BEST_SPEED, 5000, " reviews/s"),
    _at_most(Figure.BEST_TRAINING, 60, " min"),
    _at_least(Figure.RECIPE_OVER_PLAIN, 2),
    _at_most(Figure.CALIBRATION, 0.02, ""),
)


def judge(target: Target, figures: Mapping[Figure, Spread]) -> tuple[str, str, str, str]:
    """Give the cells of a target's row: what, target, measured, reached."""
    sign = "≥" if target.is_floor else "≤"
    wanted = f"{sign} {target.limit:,g}{target.unit}"
    measured = figures.get(target.figure)
    if measured is None:
        return target.figure, wanted, "not measured", "–"
    found = f"{_digits(measured.median)}{target.unit}"
    if measured.low != measured.high:
        found += f" ({_digits(measured.low)} to {_digits(measured.high)})"
    return target.figure, wanted, found, "yes" if target.is_reached(measured) else "**no**"


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    # An accuracy of 0.9049 is not to read as 0.905.
    return f"{value:.3g}" if value >= 1 else f"{value:.4g}"
