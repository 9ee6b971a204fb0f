"""How far a run has come: a bar on a terminal, or plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import click

Show = Callable[[int, int], object]
"""Told the rows done and the rejects among them."""
Position = Callable[[], tuple[int, int] | None]
"""Gives bytes read and bytes in all; None where nobody knows."""

_LINE_SECONDS = 30.0


@contextmanager
def progress(mode: str, position: Position) -> Iterator[Show]:
    """Give what shows the progress of a run.

    Args:
        mode: ``bar``, ``plain``, ``none``, or ``auto``: a bar on a terminal, else nothing.
        position: Asked how far reading has come.
    """
    if mode == "auto":
        mode = "bar" if sys.stderr.isatty() else "none"
    if mode == "bar":
        with _bar(position) as show:
            yield show
    elif mode == "plain":
        yield _PlainLines(position).show
    else:
        yield lambda _rows, _rejected: None


@contextmanager
def _bar(position: Position) -> Iterator[Show]:
    from tqdm import tqdm  # A fifth of the time to a first score, where nobody sees it.

    with tqdm(unit=" reviews", unit_scale=True) as bar:

        def show(rows: int, rejected: int) -> None:
            if not bar.n:
                # What was published before this run is no part of its rate.
                bar.initial = max(0, rows - 1)
            place = position()
            if place and place[0]:
                bar.total = max(rows, round(rows * place[1] / place[0]))
            if rejected:
                bar.set_postfix_str(f"{rejected:,} rejected", refresh=False)
            bar.update(rows - bar.n)

        yield show


class _PlainLines:
    """Writes a line now and then."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._started = self._told = time.monotonic()
        self._first: tuple[int, int] | None = None

    def show(self, rows: int, rejected: int) -> None:
        now, place = time.monotonic(), self._position() or (0, 0)
        if self._first is None:
            self._first = rows, place[0]
        if now - self._told < _LINE_SECONDS:
            return
        self._told = now
        seconds = now - self._started
        parts = [f"{rows:,} rows", f"{rejected:,} rejected", f"{(rows - self._first[0]) / seconds:,.0f}/s"]
        done, total = place[0] - self._first[1], place[1]
        if done > 0:
            left = timedelta(seconds=round(seconds * (total - place[0]) / done))
            parts += [f"{place[0] / total:.0%}", f"{left} left"]
        click.echo("progress: " + " · ".join(parts), err=True)
