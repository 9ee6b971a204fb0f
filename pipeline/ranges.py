"""Ranges: which values of a recipe's settings ``resenha tune`` may try.

A range is known by the dotted name of its setting alone, and what the setting takes is asked of the recipe
itself: a setting that is new needs nothing here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

RANGES = "ranges"
"""The table's name in a recipe."""
DEFAULT_RANGES: Mapping[str, Any] = {
    "text.max_length": [100, 200, 400],
    "network.cell": ["gru", "lstm", "mingru"],
    "network.embedding_size": [16, 32, 64],
    "network.units": [16, 32, 64],
    "network.bidirectional": [False, True],
    "network.pooling": ["last", "mean", "max"],
    "network.masked": [False, True],
    "training.learning_rate": {"from": 0.0005, "to": 0.01, "scale": "log"},
    "training.batch_size": [32, 64, 128],
}
"""For a recipe that has none."""
_FIXED = {
    "name": "names folders",
    "description": "says what the recipe is for",
    RANGES: "is what is searched",
    "corpus": "decides which reviews there are",
    "training.validation_split": "decides which reviews candidates are judged on",
    "training.order": "decides which reviews candidates are judged on",
    "training.order_seed": "decides which reviews candidates are judged on",
    "evaluation": "has no part in the validation accuracy that candidates are judged by",
    "gates": "has no part in the validation accuracy that candidates are judged by",
}
"""What stays as it is, alone or with all that is below it, and why."""
_SCALES = ("linear", "log")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Choices:
    """Some values, each as good as any other."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        """Tell whether it is one of them."""
        return value in self.values


@dataclass(frozen=True)
class Interval:
    """Every number between two, both included; whole numbers where both ends are."""

    low: float
    high: float
    is_log: bool
    """Whether 1 and 10 are as far apart as 10 and 100."""

    def __contains__(self, value: object) -> bool:
        """Tell whether it is a number between the two."""
        return isinstance(value, int | float) and self.low <= value <= self.high


Range = Choices | Interval


def read_ranges(recipe: BaseModel, given: Mapping[str, Any]) -> dict[str, Range]:
    """Check ranges, as TOML holds them, against the settings that they are of.

    Args:
        recipe: Has the settings.
        given: Dotted names of settings to lists of choices, or to tables with ``from``, ``to`` and ``scale``.

    Raises:
        ValueError: If one names no setting, names one that cannot be searched over, is empty, or holds a
            value that its setting refuses; the message names each.
    """
    ranges, problems = {}, []
    for name, content in given.items():
        try:
            _check_name(recipe, name)
            ranges[name] = _read_range(recipe, name, content)
        except ValueError as error:
            problems.append(f"{RANGES}: {name} {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return ranges


def with_settings(recipe: Model, settings: Mapping[str, Any]) -> Model:
    """Give a copy of a recipe, without ranges, that has other settings, by their dotted names.

    Raises:
        ValueError: If the recipe does not take them; the message says why.
    """
    try:
        return _validated(recipe, settings)
    except ValidationError as error:
        reasons = (problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ValueError("; ".join(reasons)) from error


def _validated(recipe: Model, settings: Mapping[str, Any]) -> Model:
    record = recipe.model_dump(exclude={RANGES})
    for name, value in settings.items():
        *tables, key = name.split(".")
        reduce(lambda table, each: table[each], tables, record)[key] = value
    return type(recipe).model_validate(record)


def setting(recipe: BaseModel, name: str) -> Any:
    """Give a setting by its dotted name."""
    return reduce(getattr, name.split("."), recipe)


def _check_name(recipe: BaseModel, name: str) -> None:
    for fixed, reason in _FIXED.items():
        if name == fixed or name.startswith(f"{fixed}."):
            msg = f"cannot be searched over: {fixed} {reason}"
            raise ValueError(msg)
    record = recipe.model_dump(exclude={RANGES})
    known = list(_dotted_names(record))
    if any(each.startswith(f"{name}.") for each in known):
        msg = f'is a table: write a setting of it in quotation marks, as "{name}.…" = …'
        raise ValueError(msg)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise ValueError("is not a setting" + (f" (did you mean {close[0]}?)" if close else ""))


def _dotted_names(record: Mapping[str, Any]) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{below}" for below in _dotted_names(value))
        else:
            yield name


def _read_range(recipe: BaseModel, name: str, content: object) -> Range:
    if isinstance(content, list):
        if not content:
            msg = "is empty: name the values to choose from"
            raise ValueError(msg)
        return Choices(tuple(_accepted(recipe, name, value) for value in content))
    if not isinstance(content, Mapping) or not {"from", "to"} <= {*content} <= {"from", "to", "scale"}:
        msg = f'is {content!r}: wanted [a, b, …] or {{ from = a, to = b, scale = "log" }}'
        raise ValueError(msg)
    low, high = (_number(recipe, name, content[key]) for key in ("from", "to"))
    scale = content.get("scale", _SCALES[0])
    if scale not in _SCALES:
        msg = f"has the scale {scale!r}: wanted {' or '.join(map(repr, _SCALES))}"
        raise ValueError(msg)
    if low >= high:
        msg = f"is empty: from {low} has to be below to {high}"
        raise ValueError(msg)
    if scale == "log" and low <= 0:
        msg = f"begins at {low}: on the scale 'log' it has to begin above 0"
        raise ValueError(msg)
    return Interval(low, high, scale == "log")


def _number(recipe: BaseModel, name: str, value: object) -> float:
    found = _accepted(recipe, name, value)
    if isinstance(found, bool) or not isinstance(found, int | float):
        msg = f"goes from {value!r} on: from and to are for numbers, a list for anything else"
        raise ValueError(msg)  # noqa: TRY004 - a refusal as the others are
    return found


def _accepted(recipe: BaseModel, name: str, value: object) -> Any:
    """Give a value as its setting holds it, whatever the other settings say to it."""
    try:
        return setting(_validated(recipe, {name: value}), name)
    except ValidationError as error:
        place = tuple(name.split("."))
        for problem in error.errors():
            if problem["loc"][: len(place)] == place:
                reason = problem["msg"][0].lower() + problem["msg"][1:]
                msg = f"holds {value!r}: {reason}"
                raise ValueError(msg) from error
        return value
