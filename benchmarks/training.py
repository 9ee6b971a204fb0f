"""Contest: an epoch of training, against the plain Keras layers and ``fit``, as the notebook has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from queue import Queue
from threading import Thread

from benchmarks.encoded_reviews import cut_arrays, encode_reviews
from benchmarks.kept_processes import Works, keep_process
from benchmarks.pairing import Rounds, take_turns
from benchmarks.same_training import compare_with_keras
from benchmarks.setting import RECIPE, Setting
from benchmarks.tables import Section, Table, spread_text
from benchmarks.targets import Figure
from pipeline.networks.cells import CELLS
from pipeline.networks.fitting import Arrays
from pipeline.recipe import NetworkSettings, TextSettings, TrainingSettings, load_recipe

_ROUNDS = 3
_SOME = 5_120
"""Reviews to learn from of all networks but the recipe's; a fourth as many are judged."""
_FEW = 640
"""Reviews of the comparison step by step."""


@dataclass(frozen=True)
class _Race:
    """One network that both train."""

    name: str
    network: NetworkSettings
    figure: Figure | None = None
    is_whole: bool = False
    """Whether on all reviews."""


@dataclass(frozen=True)
class _Task:
    """What an epoch is of."""

    text: TextSettings
    network: NetworkSettings
    training: TrainingSettings
    train: Arrays
    validation: Arrays


def _races() -> Iterator[_Race]:
    yield _Race("recipe `seed`", load_recipe(RECIPE).network, Figure.SEED_EPOCH, is_whole=True)
    figures = {("gru", True): Figure.GRU_EPOCH, ("lstm", True): Figure.LSTM_EPOCH}
    for cell, masked in product((*CELLS, "mingru"), (True, False)):
        if (cell, masked) != ("simple", False):
            network = NetworkSettings.model_validate(
                {"cell": cell, "embedding_size": 32, "units": 32, "masked": masked}
            )
            how = "without padding" if masked else "over padding"
            yield _Race(f"{cell} 32, {how}", network, figures.get((cell, masked)))


def measure(setting: Setting) -> Section:
    """Let both train the same networks from the same start, and see how far apart they end."""
    recipe, arrays = load_recipe(RECIPE), encode_reviews(setting)
    rows, figures = [], {}
    for race in _races():
        many = len(arrays[1]) * 4 // 5 if race.is_whole else _SOME
        task = _Task(
            recipe.text,
            race.network,
            recipe.training,
            cut_arrays(arrays, 0, many),
            cut_arrays(arrays, many, many + many // 4),
        )
        rounds = _race(task)
        ratio = rounds.ratio("plain", "ours")
        rows.append(
            [
                race.name,
                f"{many:,}",
                spread_text(rounds.time("plain")),
                spread_text(rounds.time("ours")),
                spread_text(ratio),
            ]
        )
        if race.figure is not None:
            figures[race.figure] = ratio
    notes = [
        f"median of {_ROUNDS} alternating rounds (least to greatest), after an epoch to warm up",
        "plain: Keras's layers and one `fit` over all rounds; both judge a fourth as many reviews as well",
    ]
    head = ["network", "reviews", "plain Keras, s an epoch", "ours, s an epoch", "times faster"]
    return Section([Table("Training", head, rows, notes), _sameness(arrays)], figures)


def _race(task: _Task) -> Rounds:
    with (
        keep_process(_begin_plain, task, is_deterministic=False) as plain,
        keep_process(_begin_ours, task, is_deterministic=True) as ours,
    ):
        contenders = {"plain": partial(plain.run, "epoch"), "ours": partial(ours.run, "epoch")}
        for run_epoch in contenders.values():
            run_epoch()
        return take_turns(contenders, rounds=_ROUNDS)


def _begin_plain(task: _Task) -> Works:
    """Begin one ``fit`` over all rounds, which waits before each epoch until it is that epoch's turn."""
    import keras

    from pipeline.networks.recurrent import build_network

    turn, end = Queue[None](), Queue[None]()
    keras.utils.set_random_seed(task.training.seed)
    model = build_network(task.text, task.network)
    model.compile(task.training.optimizer, "binary_crossentropy", metrics=["accuracy"])

    def fit() -> None:
        try:
            model.fit(
                *task.train,
                batch_size=task.training.batch_size,
                epochs=1 + _ROUNDS,
                validation_data=task.validation,
                callbacks=[
                    keras.callbacks.LambdaCallback(
                        on_epoch_begin=lambda *_: turn.get(), on_epoch_end=lambda *_: end.put(None)
                    )
                ],
                verbose=0,
            )
        finally:
            end.put(None)  # Nobody is to wait for a thread that has ended.

    Thread(target=fit, daemon=True).start()

    def run_epoch() -> None:
        turn.put(None)
        end.get()

    return {"epoch": run_epoch}


def _begin_ours(task: _Task) -> Works:
    import keras

    from pipeline.networks.fitting import Fitting
    from pipeline.networks.recurrent import build_network

    keras.utils.set_random_seed(task.training.seed)
    fitting = Fitting(task.network, task.training, build_network(task.text, task.network))
    return {"epoch": partial(fitting.run_epoch, task.train, task.validation, lambda _loss: None)}


def _sameness(arrays: Arrays) -> Table:
    recipe = load_recipe(RECIPE)
    some = cut_arrays(arrays, 0, _FEW)
    rows = []
    for cell, masked, bidirectional, pooling in product(
        (*CELLS, "mingru"), (False, True), (False, True), ("last", "mean", "max")
    ):
        network = NetworkSettings.model_validate(
            {
                "cell": cell,
                "embedding_size": 32,
                "units": 32,
                "masked": masked,
                "bidirectional": bidirectional,
                "pooling": pooling,
            }
        )
        found = compare_with_keras(recipe.text, network, recipe.training, some)
        shape = [cell, "both" if bidirectional else "one", pooling, "left out" if masked else "walked"]
        rows.append([*shape, *(f"{each:.1e}" for each in (found.gradients, found.losses, found.weights))])
    steps = -(-_FEW // recipe.training.batch_size)
    notes = [
        f"largest differences; {steps} steps of {recipe.training.batch_size}, {recipe.training.optimizer}",
        "gradients: of the first batch, in the share of the same weight's largest gradient",
    ]
    head = ["cell", "ways", "pooling", "padding", "gradients", "loss of a step", "weights at the end"]
    return Table("The fast training is the same training", head, rows, notes)
