"""Contest: text to score, against other ways to tell good reviews from bad on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours
from benchmarks.keras_text_model import KERAS_BATCH, KerasTextModel
from benchmarks.machine import is_installed
from benchmarks.networks import Network
from benchmarks.pairing import Spread, take_turns
from benchmarks.setting import RECIPE, Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from benchmarks.targets import Figure
from benchmarks.trained_rivals import (
    FASTTEXT,
    POSITIVE,
    TFIDF,
    load_fasttext,
    on_one_line,
    open_rival,
    train_rival,
)
from pipeline.networks.recurrent import load_network
from pipeline.recipe import load_recipe
from pipeline.reports import Trained
from pipeline.runtime.bundle import MODEL
from pipeline.runtime.rows import Score
from pipeline.runtime.scorer import Scorer

_KERAS = f"Keras `predict`, {KERAS_BATCH}, behind `TextVectorization`"
_OURS = f"**Resenha**, bundle `{RECIPE}`"
_OURS_SMALL = f"{_OURS}, int8"


@dataclass(frozen=True)
class _Entry:
    label: Callable[[Sequence[str]], NDArray[np.bool_]]
    """Tells which texts are positive."""
    size: int
    """Bytes on disk."""
    threads: str


def measure(setting: Setting) -> Section:
    """Compare accuracy, size on disk and speed, all on test reviews as they were written."""
    entries = dict(_entries(setting))
    labels = np.array([review.label for review in setting.test], dtype=bool)
    every_text = [review.text for review in setting.test]
    # It warms everybody up, too.
    accuracy = {name: float((entry.label(every_text) == labels).mean()) for name, entry in entries.items()}
    rounds = take_turns({name: partial(entry.label, every_text) for name, entry in entries.items()})
    rows = [
        [
            name,
            f"{accuracy[name]:.4f}",
            f"{number_text(entry.size / 1e6)} MB",
            entry.threads,
            spread_text(rounds.rate(name, len(every_text))),
            "" if name == _OURS else spread_text(rounds.ratio(name, _OURS), "×"),
        ]
        for name, entry in entries.items()
    ]
    if not is_installed("fasttext-community"):
        rows.append(["fastText", *["not installed"] * 5])
    sizes = {name: entries[name].size / 1e3 for name in (_OURS, _OURS_SMALL)}
    figures = {
        Figure.FLOAT_SIZE: Spread.over([sizes[_OURS]]),
        Figure.INT8_SIZE: Spread.over([sizes[_OURS_SMALL]]),
        Figure.TEXT_OVER_TFIDF: rounds.ratio(TFIDF, _OURS),
    }
    if (name := next(iter(FASTTEXT))) in entries:
        figures[Figure.TEXT_OVER_FASTTEXT] = rounds.ratio(name, _OURS)
    notes = [
        f"accuracy and speed on {len(labels):,} test reviews, as they were written",
        "fastText: its own defaults but for what the name says; `predict` gains nothing from threads",
        "size on disk: of Keras the weights alone, of Resenha the whole bundle, vocabulary and all",
    ]
    head = ["way", "accuracy", "size on disk", "threads", "reviews/s", "ours is"]
    return Section([Table("text→score", head, rows, notes)], figures)


def _entries(setting: Setting) -> list[tuple[str, _Entry]]:
    scorer = Scorer.load(setting.bundle, threads=setting.threads)
    entries = [(name, _fasttext(name, setting)) for name in FASTTEXT if is_installed("fasttext-community")]
    keras_model = KerasTextModel(setting.network, scorer.tokenizer)
    return [
        *entries,
        (TFIDF, _tfidf(setting)),
        (
            _KERAS,
            _Entry(
                lambda texts: keras_model.predict(texts) >= scorer.threshold,
                setting.network.with_name(Trained.WEIGHTS).stat().st_size,
                str(setting.threads),
            ),
        ),
        (_OURS, _our_entry(scorer, _folder_size(setting.bundle))),
        (_OURS_SMALL, _small_entry(setting, scorer)),
    ]


def _our_entry(scorer: Scorer, size: int) -> _Entry:
    return _Entry(lambda texts: _our_labels(scorer, texts), size, str(scorer.threads))


def _small_entry(setting: Setting, scorer: Scorer) -> _Entry:
    """The same bundle with its weights in int8; speed, accuracy and size are those of that graph."""
    recipe = load_recipe(RECIPE)
    network = load_network(recipe.text, recipe.network, setting.network.with_name(Trained.WEIGHTS))
    graph = ours.make_graph(network, Network(RECIPE, recipe.network), scorer, "int8")
    size = _folder_size(setting.bundle) - (setting.bundle / MODEL).stat().st_size + len(graph)
    return _our_entry(ours.make_scorer(graph, threads=setting.threads), size)


def _tfidf(setting: Setting) -> _Entry:
    file = train_rival(TFIDF, setting.school).file
    score = open_rival(TFIDF, file)
    return _Entry(lambda texts: score(texts) >= 0.5, file.stat().st_size, "1")


def _fasttext(name: str, setting: Setting) -> _Entry:
    path = train_rival(name, setting.school).file
    model = load_fasttext(path)

    def label(texts: Sequence[str]) -> NDArray[np.bool_]:
        labels, _ = model.predict(texts)
        return np.array([each[0] == POSITIVE for each in labels])

    return _Entry(lambda texts: label(on_one_line(texts)), path.stat().st_size, "1")


def _our_labels(scorer: Scorer, texts: Sequence[str]) -> NDArray[np.bool_]:
    results = scorer.score_reviews(texts)
    return np.array([isinstance(each, Score) and each.score >= scorer.threshold for each in results])


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
