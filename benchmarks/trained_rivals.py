"""Rivals that learn from the same reviews, each in a process of its own, and kept for the next run."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import is_installed
from benchmarks.processes import own_peak_bytes, run_process
from pipeline.corpora.corpus import LabelledReview
from pipeline.corpora.splits import load_reviews
from pipeline.runtime.cores import usable_cores

FASTTEXT: dict[str, dict[str, Any]] = {
    "fastText unigrams": {"dim": 100, "wordNgrams": 1},
    "fastText unigrams, 10 dimensions": {"dim": 10, "wordNgrams": 1},
    "fastText bigrams, 10 dimensions": {"dim": 10, "wordNgrams": 2, "lr": 0.5, "epoch": 10},
}
"""Options beside fastText's own defaults. Ten dimensions are what its authors use for sentiment:
Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016, section 3.1; so small a
network takes more learning with bigrams."""
TFIDF = "TF-IDF, 1 and 2 words, + logistic regression"
NB_SVM = "NB-SVM, 1 to 3 words"
POSITIVE = "__label__1"

ScoreTexts = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class School:
    """What rivals learn from, and with."""

    train_file: Path
    """Reviews as JSON lines."""
    cache: Path
    """Where trained rivals are kept; it belongs to these very reviews."""
    threads: int


@dataclass(frozen=True)
class TrainedRival:
    """A rival that has learnt."""

    file: Path
    seconds: float
    """From reviews in memory to the model."""
    peak_bytes: int
    """Most memory of the process that did it."""


def school_of(folder: Path, train_file: Path, digest: str) -> School:
    """Give the school of some reviews, whose file's SHA-256 is ``digest``, with all the machine's cores."""
    return School(train_file, folder / "rivals" / digest[:16], usable_cores())


def rivals_here() -> list[str]:
    """Name the rivals whose packages are installed."""
    return [*(FASTTEXT if is_installed("fasttext-community") else ()), TFIDF, NB_SVM]


def has_seed(name: str) -> bool:
    """Tell whether chance has a say in what a rival learns."""
    return name in FASTTEXT


def train_rival(name: str, school: School, seed: int = 1) -> TrainedRival:
    """Give a trained rival; what an earlier run trained is used again."""
    stem = name.replace(" ", "-").replace(",", "").replace("+", "and") + (f"-{seed}" * has_seed(name))
    file = school.cache / f"{stem}{'.bin' if name in FASTTEXT else '.joblib'}"
    told = file.with_suffix(".json")
    if not told.exists():
        school.cache.mkdir(parents=True, exist_ok=True)
        job = [name, str(school.train_file), str(file), seed, school.threads]
        run_process([sys.executable, "-m", __name__, json.dumps(job)])
    return TrainedRival(file, *json.loads(told.read_bytes()))


def open_rival(name: str, file: Path) -> ScoreTexts:
    """Load a rival; it gives the probability of the positive label per text."""
    if name in FASTTEXT:
        return _scores_of_fasttext(load_fasttext(file))
    import joblib

    model = joblib.load(file)
    if name == TFIDF:
        return lambda texts: model.predict_proba(texts)[:, 1].astype(np.float32)
    return lambda texts: 1 / (1 + np.exp(-model.logits(texts)))


def on_one_line(texts: Sequence[str]) -> list[str]:
    """Give texts as fastText takes them: it reads a line end as the end of the text."""
    return [text.replace("\n", " ") for text in texts]


def load_fasttext(file: Path) -> Any:
    """Load a model of fastText."""
    import fasttext

    return fasttext.load_model(str(file))


def _scores_of_fasttext(model: Any) -> ScoreTexts:
    def score(texts: Sequence[str]) -> NDArray[np.float32]:
        labels, chances = model.predict(on_one_line(texts))
        pairs = zip(labels, chances, strict=True)
        # A text without a word gets no label at all.
        found = [
            (chance[0] if label[0] == POSITIVE else 1 - chance[0]) if len(label) else 0.0
            for label, chance in pairs
        ]
        # Its probabilities pass 1 by a rounding.
        return np.clip(np.array(found, np.float32), 0, 1)

    return score


def _train_fasttext(
    options: dict[str, Any], reviews: Sequence[LabelledReview], file: Path, seed: int, threads: int
) -> float:
    import fasttext

    # It learns line by line, and archives lie in the order of labels.
    mixed = random.Random(1).sample(list(reviews), len(reviews))
    lines = file.with_suffix(".txt")
    texts = on_one_line([review.text for review in mixed])
    lines.write_text(
        "".join(f"__label__{review.label} {text}\n" for review, text in zip(mixed, texts, strict=True)),
        "utf-8",
    )
    started = time.perf_counter()
    model = fasttext.train_supervised(str(lines), thread=threads, seed=seed, verbose=0, **options)
    seconds = time.perf_counter() - started
    model.save_model(str(file))
    lines.unlink()
    return seconds


def _fit_tfidf(texts: list[str], labels: list[int]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit(texts, labels)


def _fit_nb_svm(texts: list[str], labels: list[int]) -> Any:
    from pipeline.nb_svm import fit_nb_svm

    return fit_nb_svm(texts, np.array(labels, np.int32), ngrams=3)


def _train_linear(name: str, reviews: Sequence[LabelledReview], file: Path) -> float:
    import joblib

    fit = _fit_tfidf if name == TFIDF else _fit_nb_svm
    texts, labels = [review.text for review in reviews], [review.label for review in reviews]
    started = time.perf_counter()
    model = fit(texts, labels)
    seconds = time.perf_counter() - started
    joblib.dump(model, file)
    return seconds


def _main(job: str) -> None:
    name, train_file, final, seed, threads = json.loads(job)
    file, reviews = Path(final), load_reviews(Path(train_file))
    temporary = file.with_name(f"{file.stem}.{os.getpid()}.tmp")
    if name in FASTTEXT:
        seconds = _train_fasttext(FASTTEXT[name], reviews, temporary, seed, threads)
    else:
        seconds = _train_linear(name, reviews, temporary)
    temporary.replace(file)
    # It is last, since it says that the model is there.
    told = temporary.with_suffix(".told")
    told.write_text(json.dumps([seconds, own_peak_bytes()]), "utf-8")
    told.replace(file.with_suffix(".json"))


if __name__ == "__main__":
    _main(sys.argv[1])
