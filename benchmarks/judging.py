"""Ways to tell good reviews from bad, each trained some times, judged on the same test reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pairing import Spread, take_turns
from benchmarks.tables import Table, number_text, spread_text
from benchmarks.trained_recipes import LEARNING, SEEDS, TrainedRecipe
from benchmarks.trained_rivals import School, ScoreTexts, has_seed, open_rival, rivals_here, train_rival
from pipeline.corpora.corpus import LabelledReview
from pipeline.metrics import accuracy_interval, calibration_error
from pipeline.recipe import load_recipe
from pipeline.runtime.cores import usable_cores
from pipeline.runtime.rows import Score
from pipeline.runtime.scorer import Scorer

_HEAD = (
    "way|seeds|accuracy|95 % interval|calibration error|size on disk|s of training|peak memory, MB|reviews/s"
).split("|")


@dataclass(frozen=True)
class Model:
    """What one training came to."""

    open: Callable[[], tuple[ScoreTexts, float]]
    """Loads it: what scores, and the score from which a review is positive."""
    size: int
    """Bytes on disk."""
    seconds: float
    """From texts to the model."""
    peak_bytes: int | None


@dataclass(frozen=True)
class Way:
    """One way, trained once per seed, or once where chance has no say."""

    name: str
    models: Sequence[Model]
    has_seeds: bool = True
    is_calibrated: bool = False


@dataclass(frozen=True)
class Judged:
    """What was measured of one way."""

    seeds: str
    accuracy: Spread
    """Mean, least and greatest over the seeds; so are the next ones."""
    reviews: int
    calibration: Spread
    kilobytes: Spread
    seconds: Spread
    peak_bytes: int | None
    """The most over the seeds."""
    rate: Spread
    """Reviews a second from text, of the first seed's model."""
    is_calibrated: bool
    """Whether its scores were made to be frequencies."""

    def cells(self) -> Iterator[str]:
        """Give a row of the table, without its name."""
        yield self.seeds
        yield _share_text(self.accuracy)
        low, high = accuracy_interval(round(self.accuracy.median * self.reviews), self.reviews)
        yield f"{low:.4f} to {high:.4f}"
        yield _share_text(self.calibration)
        yield _size_text(self.kilobytes.high)
        yield number_text(self.seconds.median) if self.is_one else spread_text(self.seconds)
        yield "–" if self.peak_bytes is None else f"{self.peak_bytes / 1e6:,.0f}"
        yield spread_text(self.rate)

    @property
    def is_one(self) -> bool:
        """Whether there is nothing that could differ."""
        return self.seconds.low == self.seconds.high


def recipe_way(name: str, trained: Sequence[TrainedRecipe], threads: int) -> Way:
    """Give the way of a recipe's bundles; ``name`` as ``load_recipe`` takes it."""
    return Way(
        f"**Resenha**, recipe `{Path(name).stem}`",
        [_model_of(each, threads) for each in trained],
        is_calibrated=load_recipe(name).training.calibrate,
    )


def rival_ways(school: School, tell: Callable[[str], None]) -> Iterator[Way]:
    """Train every rival that is installed, with seeds where it has any; ``tell`` hears of each."""
    for name in rivals_here():
        models = []
        for seed in SEEDS if has_seed(name) else SEEDS[:1]:
            trained = train_rival(name, school, seed)
            tell(f"{name}, seed {seed}: {trained.seconds:.1f} s of training")
            opened = partial(_open_rival, name, trained.file)
            models.append(Model(opened, trained.file.stat().st_size, trained.seconds, trained.peak_bytes))
        yield Way(name, models, has_seeds=has_seed(name))


def judge_ways(ways: Sequence[Way], test: Sequence[LabelledReview]) -> dict[str, Judged]:
    """Measure every model's accuracy and calibration, and by turns the speed of each way's first model.

    Args:
        ways: With at least one model each.
        test: Reviews that no way has learnt from.

    Returns:
        By the ways' names.
    """
    texts = [review.text for review in test]
    labels = np.array([review.label for review in test], np.int32)
    first = {way.name: way.models[0].open()[0] for way in ways}
    found = {way.name: [judge_scores(model, texts, labels) for model in way.models] for way in ways}
    rounds = take_turns({name: partial(score, texts) for name, score in first.items()})
    return {
        way.name: _sum_up(way, found[way.name], len(texts), rounds.rate(way.name, len(texts))) for way in ways
    }


def judge_scores(model: Model, texts: Sequence[str], labels: NDArray[np.int32]) -> tuple[float, float]:
    """Give a model's accuracy and calibration error."""
    score, threshold = model.open()
    scores = score(texts)
    return float(((scores >= threshold) == (labels == 1)).mean()), calibration_error(scores, labels)


def judged_table(
    title: str, judged: Mapping[str, Judged], test: Sequence[LabelledReview], notes: Sequence[str]
) -> Table:
    """Show what was measured, and what the columns mean."""
    positive = sum(review.label for review in test)
    chance = max(positive, len(test) - positive) / len(test)
    meaning = [
        f"{len(test):,} test reviews; their more frequent label alone has an accuracy of {chance:.4f}",
        "accuracy, calibration error and seconds: mean over the seeds (least to greatest)",
        "95 % interval: Wilson's, of that mean on as many reviews: of the reviews' luck, not of the seeds'",
        "calibration error: expected, over ten bins, of the probability of the positive label",
        "size on disk: of Resenha the whole bundle, of the others the model's file",
        f"s of training: from texts to the model; for recipes the stages {', '.join(LEARNING)}",
        "peak memory: of the process that learnt, the most over the seeds",
        f"reviews/s: from text, of the first seed's model; {usable_cores()} threads, where it can use them",
    ]
    return Table(title, _HEAD, [[name, *each.cells()] for name, each in judged.items()], [*notes, *meaning])


def score_by_bundle(scorer: Scorer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Score texts; one without a word is called negative."""
    results = scorer.score_reviews(texts)
    return np.array([each.score if isinstance(each, Score) else 0.0 for each in results], np.float32)


def _sum_up(way: Way, found: Sequence[tuple[float, float]], reviews: int, rate: Spread) -> Judged:
    accuracies, errors = zip(*found, strict=True)
    peaks = [model.peak_bytes for model in way.models if model.peak_bytes is not None]
    return Judged(
        seeds=str(len(way.models)) if way.has_seeds else "one run",
        accuracy=Spread.around_mean(accuracies),
        reviews=reviews,
        calibration=Spread.around_mean(errors),
        kilobytes=Spread.around_mean(model.size / 1e3 for model in way.models),
        seconds=Spread.around_mean(model.seconds for model in way.models),
        peak_bytes=max(peaks, default=None),
        rate=rate,
        is_calibrated=way.is_calibrated,
    )


def _model_of(trained: TrainedRecipe, threads: int) -> Model:
    bundle = Path(trained.bundle)
    size = sum(path.stat().st_size for path in bundle.iterdir())
    opened = partial(_open_bundle, bundle, threads)
    return Model(opened, size, sum(trained.seconds.values()), trained.peak_bytes)


def _open_bundle(bundle: Path, threads: int) -> tuple[ScoreTexts, float]:
    scorer = Scorer.load(bundle, threads=threads)
    return partial(score_by_bundle, scorer), scorer.threshold


def _open_rival(name: str, file: Path) -> tuple[ScoreTexts, float]:
    return open_rival(name, file), 0.5


def _share_text(share: Spread) -> str:
    text = f"{share.median:.4f}"
    return text if share.low == share.high else f"{text} ({share.low:.4f} to {share.high:.4f})"


def _size_text(kilobytes: float) -> str:
    return f"{number_text(kilobytes / 1e3)} MB" if kilobytes >= 1000 else f"{kilobytes:,.0f} KB"
