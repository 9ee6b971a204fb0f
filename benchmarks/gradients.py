"""Contest: how much of the loss reaches the words far from the end, network by network and epoch by epoch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.encoded_reviews import cut_arrays, encode_reviews
from benchmarks.kept_processes import set_up
from benchmarks.setting import RECIPE, Setting
from benchmarks.starts import Start, start_network
from benchmarks.tables import Section, Table
from pipeline.networks.fitting import Arrays
from pipeline.recipe import NetworkSettings, TextSettings, load_recipe

_DISTANCES = (0, 10, 25, 50, 100, 200, 400)
"""From the end, in steps."""
_SOME = 5_120
"""Reviews to learn from; a fourth as many are judged."""
_PROBED = 128
"""Long reviews, from neither, whose gradients are looked at."""
_EPOCHS = 3
_LEAST, _MOST = 1e-14, 10.0
"""Norms that the picture shows."""


@dataclass(frozen=True)
class Variant:
    """A network with or without a remedy."""

    name: str
    cell: str
    start: Start = "keras"
    pooling: str = "last"
    clip_norm: float | None = None

    @property
    def network(self) -> NetworkSettings:
        """Its settings: padding is left out."""
        settings = {"cell": self.cell, "pooling": self.pooling, "masked": True}
        return NetworkSettings.model_validate({**settings, "embedding_size": 32, "units": 32})


VARIANTS = (
    Variant("simple, small start", "simple", "small"),
    Variant("simple", "simple"),
    Variant("simple, clipped", "simple", clip_norm=1.0),
    Variant("simple, mean of states", "simple", pooling="mean"),
    Variant("simple, largest states", "simple", pooling="max"),
    Variant("lstm, forget bias 0", "lstm", "no forget bias"),
    Variant("gru", "gru"),
    Variant("lstm", "lstm"),
    Variant("mingru", "mingru"),
    Variant("gru, long memory", "gru", "long memory"),
    Variant("lstm, long memory", "lstm", "long memory"),
    Variant("mingru, long memory", "mingru", "long memory"),
)


@dataclass(frozen=True)
class Course:
    """What became of a variant."""

    name: str
    norms: list[NDArray[np.float64]] = field(default_factory=list)
    """Before the first epoch and after each: the mean over reviews, by distance from the end."""
    accuracies: list[float] = field(default_factory=list)
    """On held-back reviews, after each epoch."""


def measure(setting: Setting) -> Section:
    """Train each network for some epochs, and look at its gradients in between."""
    arrays = encode_reviews(setting)
    train, judged = cut_arrays(arrays, 0, _SOME), cut_arrays(arrays, _SOME, _SOME + _SOME // 4)
    probe = long_reviews(cut_arrays(arrays, _SOME + _SOME // 4, len(arrays[1])))
    run = partial(_train, train=train, judged=judged, probe=probe)
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=set_up, initargs=(True, None)
    ) as pool:
        courses = list(pool.map(run, VARIANTS))
    picture = setting.folder / "pictures" / "gradients.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(draw_courses(courses))
    return Section([to_table(courses, reviews=len(probe[1]), picture=picture)])


def long_reviews(arrays: Arrays) -> Arrays:
    """Take the last words of reviews that have as many as the largest distance asks for."""
    steps = _DISTANCES[-1] + 1
    chosen = np.flatnonzero(np.count_nonzero(arrays[0], axis=1) >= steps)[:_PROBED]
    return arrays[0][chosen, -steps:], arrays[1][chosen]


def _train(variant: Variant, *, train: Arrays, judged: Arrays, probe: Arrays) -> Course:
    from benchmarks.state_gradients import prepare_norms
    from pipeline.networks.fitting import Fitting

    recipe = load_recipe(RECIPE)
    text = TextSettings(num_words=recipe.text.num_words, max_length=train[0].shape[1])
    training = recipe.training.model_copy(update={"clip_norm": variant.clip_norm})
    model = start_network(text, variant.network, variant.start, memory=_DISTANCES[-1])
    fitting, course = Fitting(variant.network, training, model), Course(variant.name)
    norms = prepare_norms(model, *probe)
    course.norms.append(norms().mean(axis=0))
    for _ in range(_EPOCHS):
        course.accuracies.append(fitting.run_epoch(train, judged, lambda _loss: None)["val_accuracy"])
        course.norms.append(norms().mean(axis=0))
    return course


def to_table(courses: Sequence[Course], *, reviews: int, picture: Path) -> Table:
    """Give a row for each network and epoch, and what of the last state's gradient reaches the first one."""
    rows = []
    for course in courses:
        for epoch, norms in enumerate(course.norms):
            accuracy = f"{course.accuracies[epoch - 1]:.3f}" if epoch else ""
            shown = [f"{norms[distance]:.1e}" for distance in _DISTANCES]
            share = norms[_DISTANCES[-1]] / norms[0] if norms[0] else 0.0
            rows.append([course.name, str(epoch), *shown, f"{share:.1e}", accuracy])
    notes = [
        f"norm of d loss / d h_t, mean over {reviews} reviews of more than {_DISTANCES[-1]} words",
        "computed in float32, which ends at about 1e-37: what is less is 0 or some 1e-37",
        f"recipe `{RECIPE}` with padding left out, on {_SOME:,} reviews; accuracy: on {_SOME // 4:,} others",
        "small start: recurrent kernel from N(0, 0.05²), else orthogonal; lstm: forget bias 1",
        f"long memory: biases with which gates keep a state for up to {_DISTANCES[-1]} steps",
        "clipped: norm of all gradients at most 1; epoch 0: before the first",
        f"picture: {picture}",
    ]
    head = ["network", "epoch", *(f"at {distance}" for distance in _DISTANCES)]
    head += [f"at {_DISTANCES[-1]} of that at 0", "accuracy"]
    return Table("Gradients by distance from the end", head, rows, notes)


def draw_courses(courses: Sequence[Course]) -> bytes:
    """Draw a panel for each network with a line for each epoch; gives a PNG."""
    rows = -(-len(courses) // 3)
    figure = Figure(figsize=(11, 0.6 + 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(courses) :]:
        axes.set_visible(False)
    for axes, course in zip(panels.flat, courses, strict=False):
        _draw_course(axes, course)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=8, frameon=False
    )
    figure.supxlabel("steps from the end of the review")
    figure.supylabel("norm of d loss / d h")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()


def _draw_course(axes: Any, course: Course) -> None:
    last = len(course.norms) - 1
    for epoch, norms in enumerate(course.norms):
        color = "#9aa0a6" if epoch == 0 else (0.9, 0.35, 0.2, 0.3 + 0.7 * epoch / last)
        label = "at the start" if epoch == 0 else f"after epoch {epoch}"
        axes.plot(np.maximum(norms, _LEAST / 10), color=color, linewidth=1.4, label=label)
    axes.set(yscale="log", ylim=(_LEAST, _MOST), title=course.name)
    axes.grid(color="#e6e8ea", linewidth=0.6)
