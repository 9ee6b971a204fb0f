"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_BUNDLE = Path("artifacts/current")
BUNDLE_HELP = "Bundle folder, or a model.onnx alone.  [default: $RESENHA_BUNDLE, else artifacts/current]"

Command = TypeVar("Command", bound=Callable[..., Any])


def bundle_path(chosen: Path | None) -> Path:
    """Give the bundle that was named, or the promoted one; say what to do where there is none."""
    path = chosen or DEFAULT_BUNDLE
    if not path.exists():
        hint = "make one with `make pipeline`, or name one" if chosen is None else "check the path"
        msg = f"there is no bundle at {path}: {hint}"
        raise click.UsageError(msg)
    return path


def chain_options(command: Command) -> Command:
    """Add what every way of training takes: recipe, corpus, archive, its checksum, artifacts."""
    for option in (
        click.option(
            "--artifacts",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("artifacts"),
            show_default=True,
            help="Where runs and bundles are kept.",
        ),
        click.option(
            "--archive-sha256",
            envvar="RESENHA_ARCHIVE_SHA256",
            help="The checksum it has to have; without it, results say 'unverified'.",
        ),
        click.option(
            "--archive",
            type=click.Path(path_type=Path),
            envvar="RESENHA_ARCHIVE",
            help="Your own copy of the corpus's archive.",
        ),
        click.option(
            "--corpus",
            type=click.Choice(["auto", "imdb", "aclimdb", "files", "sample"]),
            help="Where the reviews come from.  [default: the recipe's]",
        ),
        click.argument("recipe", default="quick", metavar="[RECIPE]"),
    ):
        command = option(command)
    return command
