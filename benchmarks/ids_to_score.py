"""Contest: token ids to scores, against Keras and against other graphs of the same networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks import ours
from benchmarks.networks import MAIN, NETWORKS, Network, draw_network
from benchmarks.onnx_rivals import Rows, Way, best_way
from benchmarks.operator_graph import export_operator, is_one_operator
from benchmarks.pairing import Rounds, Spread, take_turns
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, spread_text
from benchmarks.targets import Figure
from pipeline.errors import ResenhaError
from pipeline.graphs.portable import export_portable
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.scorer import Scorer

TOLERANCE = 5e-5
"""Largest difference from Keras's score, as a bundle's parity gate has it."""
BATCHES = (1, 32, 256, 1024)
KERAS_DEFAULT, KERAS_LARGE = 32, 512
_REVIEWS, _REVIEWS_ALONE = 2048, 64
"""In one round; fewer where a batch is one review, which takes some milliseconds each."""
_HEAD = (
    "network|Keras predict, 32|Keras predict, 512|tf2onnx graph|ORT operator|ours|"
    "ours × Keras, 32|ours × tf2onnx|ours × operator|difference"
).split("|")
_FIGURES = {"GRU 32": Figure.GRU_OVER_BEST, "LSTM 32": Figure.LSTM_OVER_BEST}

Scoring = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class _Contest:
    """One network in every form, over the same reviews."""

    model: keras.Model
    graphs: Mapping[str, bytes]
    scorer: Scorer
    texts: Sequence[str]
    rows: Rows
    threads: int

    def ways(self, count: int, batches: Sequence[int]) -> dict[str, Way]:
        """Give each graph's best way over the first ``count`` reviews, and ours."""
        found = {
            name: best_way(graph, self.rows[:count], batches=batches, threads=self.threads)
            for name, graph in self.graphs.items()
        }
        found["ours"] = self._our_best(count, batches)
        return found

    def _our_best(self, count: int, batches: Sequence[int]) -> Way:
        """All at once where a batch may be chosen: what they are cut into is the scorer's own affair."""
        batch = batches[0] if len(batches) == 1 else count
        parts = [
            self.scorer.tokenizer.encode_batch(self.texts[start : start + batch])
            for start in range(0, count, batch)
        ]
        return Way(str(batch), lambda: np.concatenate([self.scorer.score_batch(part) for part in parts]))

    def keras(self, count: int, batch: int) -> Scoring:
        """Give ``model.predict`` over the first ``count`` reviews."""
        rows = self.rows[:count]
        return lambda: np.asarray(self.model.predict(rows, batch_size=batch, verbose=0)[:, 0])


def measure(setting: Setting) -> Section:
    """Compare every network at everybody's best batch, and the main one batch by batch."""
    texts = setting.some_test_texts(_REVIEWS)
    rows: list[list[str]] = []
    figures: dict[Figure, Spread] = {}
    largest = 0.0
    by_batch: list[list[str]] = []
    for network in NETWORKS:
        contest = _set_up(network, setting, texts)
        count = len(texts) if network is MAIN else len(texts) // 2
        cells, found, difference = _compare(network, contest, count)
        rows.append(cells)
        figures |= found
        largest = max(largest, difference)
        if network is MAIN:
            by_batch = [_compare_at(batch, contest) for batch in BATCHES]
    scorer = Scorer.load(setting.bundle)
    rule, ids = scorer.facts.text_rule, len(scorer.tokenizer.encode_batch(texts).token_ids)
    shape = f"max_length {rule.max_length}, num_words {rule.num_words:,}, drawn weights"
    networks = Table(
        f"ids→score: reviews/s at everybody's best batch ({shape})",
        _HEAD,
        rows,
        [
            f"{setting.threads} threads each; {len(texts):,} test reviews, half of them below the first row",
            "in brackets: the rival's best batch, and sessions × threads in each",
            f"difference: anybody's largest from Keras's score; {TOLERANCE:.0e} is allowed",
            f"the largest of all differences: {largest:.1e}",
            "ORT operator: – where ONNX has no node that is the network's recurrence",
            f"the {len(texts):,} reviews hold {ids:,} ids, padding left out",
        ],
    )
    batches = Table(
        f"ids→score by batch: reviews/s, {MAIN.name} ({shape})",
        ["batch", "tf2onnx graph", "ORT operator", "ours", "ours × tf2onnx", "ours × operator"],
        by_batch,
    )
    return Section([networks, batches], figures)


def _set_up(network: Network, setting: Setting, texts: Sequence[str]) -> _Contest:
    trained = Scorer.load(setting.bundle)
    rule = trained.facts.text_rule
    model = draw_network(network, rule)
    graphs = {
        "plain": export_portable(model, rule.max_length).SerializeToString(),
    }
    if is_one_operator(network.settings):
        graphs["operator"] = export_operator(model, rule.max_length).SerializeToString()
    scorer = ours.make_scorer(ours.make_graph(model, network, trained), threads=setting.threads)
    rows = pad_batch(trained.tokenizer.encode_batch(texts), np.arange(len(texts)), width=rule.max_length)
    return _Contest(model, graphs, scorer, texts, rows, setting.threads)


def _compare(
    network: Network, contest: _Contest, count: int
) -> tuple[list[str], dict[Figure, Spread], float]:
    ways = contest.ways(count, [batch for batch in BATCHES if batch > 1])
    contenders: dict[str, Scoring] = {
        "default": contest.keras(count, KERAS_DEFAULT),
        "large": contest.keras(count, KERAS_LARGE),
        **{name: way.score for name, way in ways.items()},
    }
    difference = _largest_difference(network.name, contenders)
    rounds = take_turns(contenders)
    return (
        [network.name, *_cells(rounds, ways, count), f"{difference:.1e}"],
        _figures(network, rounds),
        difference,
    )


def _cells(rounds: Rounds, ways: Mapping[str, Way], count: int) -> Iterator[str]:
    """Give everybody's rates, then our ratios; a dash for who did not take part."""
    for name in ("default", "large", "plain", "operator", "ours"):
        note = f" [{ways[name].name}]" if name in ways and name != "ours" else ""
        yield spread_text(rounds.rate(name, count)) + note if name in rounds.seconds else "–"
    for name in ("default", "plain", "operator"):
        yield spread_text(rounds.ratio(name, "ours"), "×") if name in rounds.seconds else "–"


def _figures(network: Network, rounds: Rounds) -> dict[Figure, Spread]:
    if network is MAIN:
        return {
            Figure.SIMPLE_OVER_PLAIN: rounds.ratio("plain", "ours"),
            Figure.SIMPLE_OVER_KERAS: rounds.ratio("default", "ours"),
        }
    if network.name not in _FIGURES:
        return {}
    ratios = (rounds.ratio(name, "ours") for name in ("plain", "operator"))
    return {_FIGURES[network.name]: min(ratios, key=lambda ratio: ratio.median)}


def _compare_at(batch: int, contest: _Contest) -> list[str]:
    count = _REVIEWS_ALONE if batch == 1 else len(contest.texts)
    contenders = {name: way.score for name, way in contest.ways(count, [batch]).items()}
    rounds = take_turns(contenders)
    rates = [spread_text(rounds.rate(name, count)) for name in contenders]
    ratios = [spread_text(rounds.ratio(name, "ours"), "×") for name in contest.graphs]
    return [str(batch), *rates, *ratios]


def _largest_difference(network: str, contenders: Mapping[str, Scoring]) -> float:
    """Hold everybody's scores against Keras's; what scores otherwise is no rival, nor are we."""
    expected = contenders["default"]()
    largest = 0.0
    for name, score in contenders.items():
        difference = float(np.abs(score() - expected).max())
        if not difference <= TOLERANCE:
            msg = f"{network}: {name} differs from Keras by {difference:.1e}, allowed are {TOLERANCE:.0e}"
            raise ResenhaError(msg)
        largest = max(largest, difference)
    return largest
