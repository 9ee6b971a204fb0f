"""Contest: what has no step to wait for, against what has: a parallel cell, and several networks at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from benchmarks.encoded_reviews import cut_arrays, encode_reviews
from benchmarks.kept_processes import Kept, Works, keep_process
from benchmarks.pairing import Rounds, ask_in_turns, take_turns
from benchmarks.setting import RECIPE, Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from pipeline.networks.cells import CELLS
from pipeline.networks.fitting import Arrays
from pipeline.recipe import NetworkSettings, TextSettings, load_recipe

LENGTHS = (50, 100, 200, 400, 800)
PARALLEL = "mingru"
_CELLS = (PARALLEL, *CELLS)
_BATCHES = 3
_SOME = 2_560
"""Reviews that each of two networks learns from at a turn."""
_ROUNDS = 3
_SEEDS = (1, 2)
ONE_THREAD, ALL_THREADS, SIDE_BY_SIDE = "one thread", "all threads", "side by side"
"""Ways to let two networks learn: after one another, or each in a process of one thread."""


def measure(setting: Setting) -> Section:
    """Time steps of every cell and length in turns, then two networks one after the other and at once."""
    by_length = {length: _time_steps(length) for length in LENGTHS}
    arrays = encode_reviews(setting)
    many = cut_arrays(arrays, 0, _SOME), cut_arrays(arrays, _SOME, _SOME + _SOME // 4)
    at_once = {cell: _time_two(cell, *many) for cell in _CELLS}
    return Section([lengths_table(by_length), two_table(at_once, threads=setting.threads)])


def _time_steps(length: int) -> Rounds:
    with (
        keep_process(_begin_plain, length, is_deterministic=False) as plain,
        keep_process(_begin_ours, length, is_deterministic=True) as ours,
    ):
        asked = {
            f"{who} {cell}": partial(kept.run, cell)
            for cell in _CELLS
            for who, kept in (("plain", plain), ("ours", ours))
        }
        for run in asked.values():
            run()
        return ask_in_turns(asked, rounds=_ROUNDS)


def _begin_plain(length: int) -> Works:
    from benchmarks.training_steps import prepare_plain

    return _begin(prepare_plain, length)


def _begin_ours(length: int) -> Works:
    from benchmarks.training_steps import prepare_ours

    return _begin(prepare_ours, length)


def _begin(prepare: Callable[..., Callable[[], float]], length: int) -> Works:
    training = load_recipe(RECIPE).training
    text = TextSettings(num_words=load_recipe(RECIPE).text.num_words, max_length=length)
    source, rows = np.random.default_rng(1), _BATCHES * training.batch_size
    ids = source.integers(1, text.num_words, (rows, length), dtype=np.int32)
    arrays = ids, source.integers(0, 2, rows, dtype=np.int32)
    return {cell: prepare(text, _network(cell), training, arrays) for cell in _CELLS}


def _network(cell: str) -> NetworkSettings:
    return NetworkSettings.model_validate({"cell": cell, "embedding_size": 32, "units": 32, "masked": True})


def _time_two(cell: str, train: Arrays, judged: Arrays) -> Rounds:
    """Let two seeds learn an epoch, after one another and side by side."""
    begin = partial(keep_process, _begin_seeds, cell, train, judged, is_deterministic=True)
    with begin() as all_threads, begin(threads=1) as one, begin(threads=1) as other:

        def after_one_another(kept: Kept) -> None:
            for seed in _SEEDS:
                kept.run(str(seed))

        def side_by_side() -> None:
            started = [kept.start(str(seed)) for kept, seed in zip((one, other), _SEEDS, strict=True)]
            for each in started:
                each.result()

        ways: dict[str, Callable[[], None]] = {
            ONE_THREAD: partial(after_one_another, one),
            ALL_THREADS: partial(after_one_another, all_threads),
            SIDE_BY_SIDE: side_by_side,
        }
        for run in ways.values():
            run()
        return take_turns(ways, rounds=_ROUNDS)


def _begin_seeds(cell: str, train: Arrays, judged: Arrays) -> Works:
    from pipeline.networks.fitting import Fitting
    from pipeline.networks.seeds import build_seeded_network

    recipe, network = load_recipe(RECIPE), _network(cell)
    works = {}
    for seed in _SEEDS:
        training = recipe.training.model_copy(update={"seed": seed})
        fitting = Fitting(network, training, build_seeded_network(recipe.text, network, seed))
        works[str(seed)] = partial(fitting.run_epoch, train, judged, lambda _loss: None)
    return works


def lengths_table(by_length: Mapping[int, Rounds]) -> Table:
    """Give a row for each length and way, and how many times longer each cell takes than the parallel one."""
    rows = []
    scale = 1_000 / load_recipe(RECIPE).training.batch_size
    for length, rounds in by_length.items():
        for who in ("ours", "plain"):
            medians = [rounds.time(f"{who} {cell}", scale=scale).median for cell in _CELLS]
            ratios = [rounds.ratio(f"{who} {cell}", f"{who} {PARALLEL}") for cell in CELLS]
            cells = [*map(number_text, medians), *map(spread_text, ratios)]
            rows.append([f"{length} steps, {'ours' if who == 'ours' else 'plain Keras'}", *cells])
    notes = [
        f"medians of {_ROUNDS} rounds in turns (least to greatest); 32 units, no padding",
        f"plain {PARALLEL}: Keras's `RNN` around its cell, step by step",
    ]
    head = ["length", *(f"{cell}, s per 1,000" for cell in _CELLS)]
    head += [f"{cell} ÷ {PARALLEL}" for cell in CELLS]
    return Table("Seconds of training per 1,000 reviews, by length", head, rows, notes)


def two_table(at_once: Mapping[str, Rounds], *, threads: int) -> Table:
    """Give a row for each cell: two seeds in each way, and how many times faster side by side is."""
    rows = []
    for cell, rounds in at_once.items():
        times = [rounds.time(way) for way in (ONE_THREAD, ALL_THREADS, SIDE_BY_SIDE)]
        ratios = [rounds.ratio(way, SIDE_BY_SIDE) for way in (ONE_THREAD, ALL_THREADS)]
        rows.append([cell, *map(spread_text, (*times, *ratios))])
    notes = [
        f"an epoch of {_SOME:,} reviews for each of two seeds, padding left out; {_ROUNDS} rounds in turns",
        f"one thread, all {threads} threads: one network after the other, in one process",
        "side by side: two processes with one thread each",
    ]
    head = ["cell", *(f"{way}, s" for way in (ONE_THREAD, ALL_THREADS, SIDE_BY_SIDE))]
    head += ["× one thread", "× all threads"]
    return Table("Two networks, after one another and side by side", head, rows, notes)
