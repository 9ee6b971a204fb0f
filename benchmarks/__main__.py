"""``python -m benchmarks``: run contests, print their tables and what was reached."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import describe_machine
from benchmarks.pairing import ROUNDS, Spread
from benchmarks.setting import Setting, prepare_setting
from benchmarks.tables import Table
from benchmarks.targets import TARGETS, Figure, judge
from pipeline.errors import ResenhaError
from pipeline.quiet_tensorflow import import_tensorflow_quietly
from pipeline.stages.acquire import Sourcing

CONTESTS = (
    "ids-to-score", "text-to-ids", "text-to-score", "scaling", "durable-output", "flow-overhead", "scale-out",
    "cold-start", "limit", "training", "gradients", "memory", "step-parts", "parallel-training",
)  # fmt: skip
LONGEST = ("recipes",)
"""Contests that run only where they are named."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice((*CONTESTS, *LONGEST)), metavar="[NAMES]...")
@click.option(
    "--long",
    "is_long",
    is_flag=True,
    help="Also score a file of a million rows, and one of five million that is killed on the way.",
)
@click.option(
    "--reviews",
    type=click.Path(path_type=Path),
    envvar="RESENHA_ARCHIVE",
    help="Your imdb.npz or aclImdb_v1.tar.gz, or its folder.  [default: $RESENHA_ARCHIVE, else fetched]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the tables, beside the screen.",
)
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts/benchmarks"),
    show_default=True,
    help="Where the trained bundle and trained rivals are kept for the next run.",
)
def main(
    names: tuple[str, ...], is_long: bool, reviews: Path | None, output: Path | None, artifacts: Path
) -> None:
    """Measure Resenha beside its rivals, turn by turn, on the same reviews.

    NAMES are some of ids-to-score, text-to-ids, text-to-score, scaling, durable-output, flow-overhead,
    scale-out, cold-start, limit, training, gradients, memory, step-parts, parallel-training; all of them
    where none is given. On two cores all take about three quarters of an hour; the first time six minutes
    more, to train the bundles and the rivals, and with --long half an hour more and 4 GB of disk. One more,
    recipes, is run only where it is named: it trains every shipped recipe three times, which takes most of
    an hour; it may be killed, and goes on. Whatever else runs at the time is in the figures too.

    \b
    Examples:
      python -m benchmarks --reviews aclImdb_v1.tar.gz --output benchmarks.md
      python -m benchmarks text-to-ids limit
    """
    try:
        setting = prepare_setting(artifacts, Sourcing(None, reviews), is_long=is_long)
        parts = []
        # Shown as they come: a run takes minutes, and a later contest may fail.
        for part in _report(names or CONTESTS, setting):
            click.echo(part)
            parts.append(part)
            if output is not None:
                output.write_text("\n".join(parts), "utf-8")
    except ResenhaError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_status)


def _report(names: tuple[str, ...], setting: Setting) -> Iterator[str]:
    import_tensorflow_quietly()
    # It warns of things inside graphs that it converts, which are none of the reader's.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warning = "SYNTHETIC REVIEWS: " if setting.is_synthetic else ""
    facts = [*describe_machine(), f"Reviews: {setting.reviews}"]
    facts.append(
        f"Figures: median of {ROUNDS} alternating rounds (least to greatest), unless a table says otherwise"
    )
    yield from (f"## {warning}Resenha beside its rivals\n", *(f"- {fact}" for fact in facts), "")
    figures: dict[Figure, Spread] = {}
    for name in names:
        started = time.perf_counter()
        section = _measure(name, setting)
        click.echo(f"{name}: {time.perf_counter() - started:.0f} s", err=True)
        figures |= section.figures
        yield from (table.to_markdown(warning=warning) for table in section.tables)
    rows = [judge(target, figures) for target in TARGETS]
    yield Table("Targets", ["what", "target", "measured", "reached"], rows).to_markdown(warning=warning)


def _measure(name: str, setting: Setting) -> Any:
    """Import a contest only when it is run: some bring packages that others can do without."""
    return importlib.import_module(f"benchmarks.{name.replace('-', '_')}").measure(setting)


if __name__ == "__main__":
    main()
