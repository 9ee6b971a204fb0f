"""Options and arguments that several commands share."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_BUNDLE = Path("artifacts/current")
BUNDLE_HELP = "Bundle folder, or a model.onnx alone.  [default: $RESENHA_BUNDLE, else artifacts/current]"
_DIGEST = "[0-9a-fA-F]{64}"
_MOST_BYTES = 1 << 20
"""Of a file that begins with a digest."""

Command = TypeVar("Command", bound=Callable[..., Any])


def bundle_path(chosen: Path | None) -> Path:
    """Give the bundle that was named, or the promoted one; say what to do where there is none."""
    path = chosen or DEFAULT_BUNDLE
    if not path.exists():
        hint = "make one with `make pipeline`, or name one" if chosen is None else "check the path"
        msg = f"there is no bundle at {path}: {hint}"
        raise click.UsageError(msg)
    return path


def digest_option(command: Command) -> Command:
    """Add ``--digest``, whose value is given as 64 hexadecimal digits in lower case."""
    return click.option(
        "--digest",
        callback=_read_digest,
        metavar="HEX|FILE",
        help="The digest to expect, as `resenha inspect` shows it, or a file that starts with it.",
    )(command)


def _read_digest(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if not re.fullmatch(_DIGEST, value):
        value = _first_word(value)
    return value.lower()


def _first_word(path: str) -> str:
    """Read a digest from a file as ``sha256sum`` writes it."""
    from pipeline.runtime.plain_files import opened, read_plain
    from pipeline.runtime.rows import printable

    reason = "it does not begin with them"
    try:
        with opened(path, may_be_link=True) as descriptor:
            words = read_plain(descriptor, _MOST_BYTES).decode("ascii", "replace").split(maxsplit=1)
        # A backslash before it says that the file's name was escaped.
        word = words[0].removeprefix("\\") if words else ""
        if re.fullmatch(_DIGEST, word):
            return word
    except OSError as error:
        reason = str(error.strerror or error)
    msg = f"{printable(path)} is neither 64 hexadecimal digits nor a file that begins with them: {reason}"
    raise click.BadParameter(msg)


def show_log(name: str) -> None:
    """Show on standard error what a logger tells, and the warnings of all."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger(name).setLevel(logging.INFO)


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
