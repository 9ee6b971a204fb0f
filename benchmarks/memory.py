"""Contest: which networks can learn to remember the first word of a long text.

The first token of a row is one of two, and decides its label; those that follow are drawn from others and
say nothing. A network that reads from the beginning and goes by its last state has to carry one bit over all
steps, and to learn that from a loss that is as many steps away (after the latching task of Bengio, Simard and
Frasconi, *Learning long-term dependencies with gradient descent is difficult*, 1994).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks.kept_processes import set_up
from benchmarks.pairing import Spread
from benchmarks.setting import Setting
from benchmarks.starts import Start, start_network
from benchmarks.tables import Section, Table, spread_text
from pipeline.networks.fitting import Arrays
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings

LENGTHS = (50, 100, 200, 500)
SEEDS = (1, 2, 3)
PASS = 0.95
"""Accuracy that every seed has to reach."""
_STEPS, _BATCH, _UNITS, _EMBEDDING = 300, 32, 16, 8
_JUDGED = 512
"""Fresh rows."""
_TOLD, _OTHERS = (4, 5), range(6, 16)
"""Token ids that decide a label, by the label, and those that say nothing."""


@dataclass(frozen=True)
class Rememberer:
    """A network with or without a remedy."""

    name: str
    cell: str
    start: Start = "keras"
    pooling: str = "last"
    bidirectional: bool = False
    clip_norm: float | None = None


REMEMBERERS = (
    Rememberer("simple, small start", "simple", "small"),
    Rememberer("simple", "simple"),
    Rememberer("simple, clipped", "simple", clip_norm=1.0),
    Rememberer("simple, mean of states", "simple", pooling="mean"),
    Rememberer("simple, largest states", "simple", pooling="max"),
    Rememberer("simple, both ways", "simple", bidirectional=True),
    Rememberer("gru", "gru"),
    Rememberer("lstm", "lstm"),
    Rememberer("mingru", "mingru"),
    Rememberer("mingru, largest states", "mingru", pooling="max"),
    Rememberer("gru, long memory", "gru", "long memory"),
    Rememberer("lstm, long memory", "lstm", "long memory"),
    Rememberer("mingru, long memory", "mingru", "long memory"),
)

Trial = tuple[int, Rememberer]
"""For how many steps who is to remember."""


def measure(setting: Setting) -> Section:
    """Let every network learn each length from several seeds, as many trials at once as there are cores."""
    found: dict[Trial, Spread] = {}
    for length in LENGTHS:
        # What TensorFlow compiles stays in a process's memory, some 40 MB a trial: so new ones each time.
        with ProcessPoolExecutor(
            setting.threads, mp_context=get_context("spawn"), initializer=set_up, initargs=(True, 1)
        ) as pool:
            verdicts = list(pool.map(partial(try_to_remember, length), REMEMBERERS))
        found |= {(length, who): verdict for who, verdict in zip(REMEMBERERS, verdicts, strict=True)}
    return Section([to_table(REMEMBERERS, found)])


def try_to_remember(length: int, who: Rememberer, *, steps: int = _STEPS) -> Spread:
    """Train with the project's own training, once for each seed; gives the accuracies on fresh rows."""
    from pipeline.networks.fitting import Fitting

    network = NetworkSettings.model_validate(
        {
            "cell": who.cell,
            "embedding_size": _EMBEDDING,
            "units": _UNITS,
            "pooling": who.pooling,
            "bidirectional": who.bidirectional,
        }
    )
    text = TextSettings(num_words=_OTHERS.stop, max_length=length)
    accuracies = []
    for seed in SEEDS:
        training = TrainingSettings(
            optimizer="adam",
            learning_rate=0.01,
            epochs=1,
            batch_size=_BATCH,
            validation_split=0.5,
            seed=seed,
            clip_norm=who.clip_norm,
        )
        model = start_network(text, network, who.start, seed=seed, memory=length)
        fitting = Fitting(network, training, model)
        learnt, judged = (make_rows(rows, length, (seed, rows)) for rows in (steps * _BATCH, _JUDGED))
        accuracies.append(fitting.run_epoch(learnt, judged, lambda _loss: None)["val_accuracy"])
    return Spread.over(accuracies)


def make_rows(rows: int, length: int, seed: Sequence[int]) -> Arrays:
    """Draw rows of token ids ``(rows, length)`` whose first one decides their label, and the labels."""
    source = np.random.default_rng(seed)
    ids = source.integers(_OTHERS.start, _OTHERS.stop, (rows, length), dtype=np.int32)
    labels = source.integers(0, len(_TOLD), rows, dtype=np.int32)
    ids[:, 0] = np.take(_TOLD, labels)
    return ids, labels


def to_table(who: Sequence[Rememberer], found: Mapping[Trial, Spread]) -> Table:
    """Give a row for each network, a column for each length."""
    rows = [[each.name, *(_verdict(found[length, each]) for length in LENGTHS)] for each in who]
    notes = [
        f"accuracy on {_JUDGED} fresh rows, median of {len(SEEDS)} seeds (least to greatest)",
        f"pass: at least {PASS} with every seed; chance is one half",
        f"{_STEPS} steps of {_BATCH} rows, adam at 0.01, {_UNITS} units",
        "long memory: biases with which gates keep a state for up to as many steps as the text has",
    ]
    head = ["network", *(f"{length} steps" for length in LENGTHS)]
    return Table("Remembering the first word", head, rows, notes)


def _verdict(accuracies: Spread) -> str:
    return f"{'pass' if accuracies.low >= PASS else '**fail**'} {spread_text(accuracies)}"
