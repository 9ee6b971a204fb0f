"""Contest: where the time of a training step goes, here and with the plain Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.encoded_reviews import cut_arrays, encode_reviews
from benchmarks.kept_processes import Kept, Works, keep_process
from benchmarks.pairing import Rounds, Spread, ask_in_turns
from benchmarks.setting import RECIPE, Setting
from benchmarks.tables import Section, Table, spread_text
from pipeline.networks.fitting import Arrays
from pipeline.recipe import NetworkSettings, load_recipe

_BATCHES = 8
PARTS = ("input projection", "recurrence", "embedding gradient, optimizer")
WHOLE, ELSE = "whole step", "everything else"


def measure(setting: Setting) -> Section:
    """Time whole steps and their parts in turns, in a process for each of the two."""
    gru = {"cell": "gru", "embedding_size": 32, "units": 32, "masked": True}
    networks = {
        f"recipe `{RECIPE}`": load_recipe(RECIPE).network,
        "gru 32, without padding": NetworkSettings.model_validate(gru),
    }
    arrays = cut_arrays(encode_reviews(setting), 0, _BATCHES * load_recipe(RECIPE).training.batch_size)
    return Section([to_table(name, _time(network, arrays)) for name, network in networks.items()])


def _time(network: NetworkSettings, arrays: Arrays) -> dict[str, Rounds]:
    with (
        keep_process(_begin_plain, network, arrays, is_deterministic=False) as plain,
        keep_process(_begin_ours, network, arrays, is_deterministic=True) as ours,
    ):
        asked = {f"{who} {name}": partial(kept.run, name) for who, kept, name in _all(plain, ours)}
        for run in asked.values():
            run()
        rounds = ask_in_turns(asked)
    return {
        who: Rounds({name: rounds.seconds[f"{who} {name}"] for name in plain.names})
        for who in ("plain", "ours")
    }


def _all(plain: Kept, ours: Kept) -> list[tuple[str, Kept, str]]:
    # The same part of both stands side by side.
    return [(who, kept, name) for name in plain.names for who, kept in (("plain", plain), ("ours", ours))]


def _begin_plain(network: NetworkSettings, arrays: Arrays) -> Works:
    from benchmarks.training_steps import prepare_parts_of_plain

    recipe = load_recipe(RECIPE)
    return prepare_parts_of_plain(recipe.text, network, recipe.training, arrays)


def _begin_ours(network: NetworkSettings, arrays: Arrays) -> Works:
    from benchmarks.training_steps import prepare_parts_of_ours

    recipe = load_recipe(RECIPE)
    return prepare_parts_of_ours(recipe.text, network, recipe.training, arrays)


def split_step(rounds: Rounds) -> Rounds:
    """Give the seconds of a step and of its parts, round by round; in each they add up to the whole.

    Args:
        rounds: Of the works of ``training_steps``.
    """
    columns = (rounds.seconds[name] for name in ("whole", "walk", "bare walk", "optimizer"))
    found: dict[str, list[float]] = {name: [] for name in (WHOLE, *PARTS, ELSE)}
    for whole, walk, bare, optimizer in zip(*columns, strict=True):
        parts = (walk - bare, bare, optimizer)
        for name, seconds in zip(found, (whole, *parts, whole - sum(parts)), strict=True):
            found[name].append(seconds)
    return Rounds(found)


def to_table(name: str, timed: Mapping[str, Rounds]) -> Table:
    """Give a row for each part, and the whole; the medians of a column's parts add up to its whole."""
    columns = {who: split_step(rounds) for who, rounds in timed.items()}
    rows = []
    for part in (*PARTS, ELSE, WHOLE):
        cells = [spread_text(_milliseconds(columns[who], part)) for who in ("plain", "ours")]
        pairs = zip(columns["plain"].seconds[part], columns["ours"].seconds[part], strict=True)
        saved = Spread.over(1e3 * (plain - ours) for plain, ours in pairs)
        rows.append([part, *cells, spread_text(saved)])
    notes = [
        f"a batch of {load_recipe(RECIPE).training.batch_size} real reviews",
        "recurrence: the recurrent layer, forward and back, over words of one number each",
        "input projection: what the layer takes longer over the real words",
        f"{ELSE}: what is left of the whole step; parts are compiled for themselves, and may be slower so",
    ]
    return Table(
        f"A training step, {name}", ["part", "plain Keras, ms", "ours, ms", "saved, ms"], rows, notes
    )


def _milliseconds(column: Rounds, part: str) -> Spread:
    spread = column.time(part, scale=1e3)
    if part != ELSE:
        return spread
    others = sum(column.time(each, scale=1e3).median for each in PARTS)
    return Spread(column.time(WHOLE, scale=1e3).median - others, spread.low, spread.high)
