"""Everything that Resenha refuses, in one tree, each with its exit status.

::

    ResenhaError            1  unexpected, or without a status of its own
    ├── UsageError          2  wrong usage, or a named input that is not there
    │   ├── RecipeError     2  a recipe that cannot be used
    │   └── MissingExtra    2  the command needs an extra that is not installed
    ├── TooManyRejects      4  stopped: more rejects than were allowed
    ├── OutputInUse         7  another run writes to the output directory
    ├── PlanError           8  what is there is not what a directory's plan says
    ├── DataError           1  labelled reviews that cannot be learnt from
    ├── BundleError         5  a bundle, or a candidate for one, is refused
    │   └── GateError       5  a gate refused it, with figure and limit
    ├── InputOutputError    6  disk, permission or transfer
    │   └── DownloadError   6  a file could not be fetched whole
    └── InterruptedRun    130  stopped by Ctrl-C, or by another signal (128 + its number)

A message says where, what was found, what was expected and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ResenhaError(Exception):
    """Anything Resenha reports in one line instead of a traceback."""

    exit_status = 1


class UsageError(ResenhaError):
    """The command was called wrongly, or names an input that is not there."""

    exit_status = 2


class RecipeError(UsageError):
    """A recipe is missing, unreadable, or holds a setting that cannot be used."""


class MissingExtra(UsageError):
    """A package of an extra is not installed."""

    @classmethod
    def for_training(cls, error: ModuleNotFoundError) -> MissingExtra:
        """Say what training lacks; an own module that is not there is a bug, and is raised as it is."""
        if (error.name or "").partition(".")[0] == "pipeline":
            raise error
        return cls(
            f"training needs the package {error.name!r}: pip install '.[train]' in the project's folder"
        )


class TooManyRejects(ResenhaError):
    """A run was stopped because more of its rows were rejects than it was allowed."""

    exit_status = 4


class OutputInUse(ResenhaError):
    """Another run holds the output directory."""

    exit_status = 7


class PlanError(ResenhaError):
    """A run cannot go on as its output directory's plan says: something differs from it."""

    exit_status = 8


class DataError(ResenhaError):
    """Labelled reviews cannot be read or cannot be learnt from."""


class BundleError(ResenhaError):
    """A bundle is not what was published, or a network is not fit to become one."""

    exit_status = 5


class GateError(BundleError):
    """A gate refused a network; the message carries gate, figure and limit."""

    gates: Sequence[Mapping[str, Any]] = ()
    """Records of all that were asked."""
    report: Path | None = None
    """Where the figures can be read."""


class InputOutputError(ResenhaError):
    """A disk, a permission or a transfer failed."""

    exit_status = 6


class DownloadError(InputOutputError):
    """A file could not be fetched whole from its address."""


class InterruptedRun(ResenhaError):
    """Work was stopped by a signal."""

    exit_status = 130
