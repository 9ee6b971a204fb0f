"""The limit: what the bare arithmetic of a simple recurrent network costs on this machine.

A step of a SimpleRNN with 32 units is a product ``[batch, 32] × [32, 32]`` and a tanh over
``[batch, 32]``. Nothing that keeps the network's exact form can do with less.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from threadpoolctl import threadpool_limits

from benchmarks import ours
from benchmarks.networks import MAIN, draw_network
from benchmarks.pairing import take_turns
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, spread_text
from benchmarks.targets import Figure
from pipeline.graphs.checks import OPSET
from pipeline.runtime.scorer import Scorer, open_session

_BATCHES = (32, 64, 128, 256, 512, 1024, 4096)
_UNROLLED = 64
_STEPS = 1_000_000
"""Rows times steps in one run of the bare arithmetic, at least."""
_REVIEWS = 2_048
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class _Bare:
    """One way to do nothing but the arithmetic."""

    name: str
    run: Callable[[], object]
    steps: int
    """Rows times steps in one run."""


def measure(setting: Setting) -> Section:
    """Find the quickest bare arithmetic, then let it take turns with the scorer."""
    source = np.random.default_rng(1)
    # Orthogonal, so that the state neither grows nor dies away: neither is what tanh usually meets.
    recurrent = np.linalg.qr(source.normal(size=(MAIN.settings.units, MAIN.settings.units)))[0].astype(
        np.float32
    )
    with threadpool_limits(1):
        ways = [make(recurrent, batch) for make in (_numpy_steps, _unrolled_steps) for batch in _BATCHES]
        for way in ways:
            way.run()
        search = take_turns({way.name: way.run for way in ways})
        return _against_ours(setting, min(ways, key=lambda way: search.time(way.name).median / way.steps))


def _against_ours(setting: Setting, bare: _Bare) -> Section:
    trained = Scorer.load(setting.bundle)
    network = draw_network(MAIN, trained.facts.text_rule)
    scorer = ours.make_scorer(ours.make_graph(network, MAIN, trained), threads=1)
    texts = setting.some_test_texts(_REVIEWS)
    encoded = scorer.tokenizer.encode_batch(texts)
    steps = len(encoded.token_ids)
    contenders: dict[str, Callable[[], object]] = {
        "bare": bare.run,
        "ours": partial(scorer.score_batch, encoded),
    }
    contenders["ours"]()
    rounds = take_turns(contenders)
    share = rounds.ratio("bare", "ours", scale=steps / bare.steps)
    rows = [
        [f"bare product and tanh: {bare.name}", spread_text(rounds.time("bare", scale=1e9 / bare.steps)), ""],
        [
            f"ours, {MAIN.name}, ids→score",
            spread_text(rounds.time("ours", scale=1e9 / steps)),
            spread_text(share),
        ],
    ]
    notes = [
        f"one thread, {steps:,} ids of {len(texts):,} test reviews",
        f"bare: the quickest of numpy and an unrolled graph at batches {', '.join(map(str, _BATCHES))}",
    ]
    table = Table("Against the bare arithmetic", ["what", "ns per id", "share of its speed"], rows, notes)
    return Section([table], {Figure.SHARE_OF_LIMIT: share})


def _numpy_steps(recurrent: Matrix, batch: int) -> _Bare:
    state = np.full((batch, len(recurrent)), 0.5, dtype=np.float32)
    product = np.empty_like(state)
    repeats = -(-_STEPS // batch)

    def run() -> None:
        for _ in range(repeats):
            np.matmul(state, recurrent, out=product)
            np.tanh(product, out=state)

    return _Bare(f"numpy, batch {batch}", run, repeats * batch)


def _unrolled_steps(recurrent: Matrix, batch: int) -> _Bare:
    names = [f"state{number}" for number in range(_UNROLLED + 1)]
    nodes = []
    for before, after in itertools.pairwise(names):
        nodes.append(helper.make_node("MatMul", [before, "recurrent"], [f"{after} before tanh"]))
        nodes.append(helper.make_node("Tanh", [f"{after} before tanh"], [after]))
    shape = [batch, len(recurrent)]
    face = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (names[0], names[-1])]
    weights = [numpy_helper.from_array(recurrent, "recurrent")]
    graph = helper.make_graph(nodes, "steps", face[:1], face[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    session = open_session(model.SerializeToString())
    state = np.full(shape, 0.5, dtype=np.float32)
    repeats = -(-_STEPS // (batch * _UNROLLED))

    def run() -> None:
        for _ in range(repeats):
            session.run(None, {names[0]: state})

    return _Bare(f"ONNX Runtime, batch {batch}", run, repeats * batch * _UNROLLED)
