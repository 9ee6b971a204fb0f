"""CSV files of reviews to score: as many rows as wanted, each with an id of its own."""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

BROKEN = (b'""', b"text,and a column too many", b"caf\xe9 in Latin-1")
"""What may stand behind an id and costs its row: no word, no row of two columns, no UTF-8."""
_BLOCK = 10_000


def write_reviews(path: Path, texts: Sequence[str], count: int, *, broken_every: int = 0) -> int:
    """Write a CSV file with the columns ``id`` and ``text``, the texts over and over.

    Args:
        path: The file to write.
        texts: At least one.
        count: Rows.
        broken_every: Every so manieth row is one that cannot be scored, of each kind by turns;
            0: none is.

    Returns:
        How many rows cannot be scored.
    """
    rows = _rows(texts, count, broken_every)
    with path.open("wb") as stream:
        stream.write(b"id,text\n")
        while block := list(itertools.islice(rows, _BLOCK)):
            stream.writelines(block)
    return count // broken_every if broken_every else 0


def _rows(texts: Sequence[str], count: int, broken_every: int) -> Iterator[bytes]:
    cells, broken = itertools.cycle(map(_cell, texts)), itertools.cycle(BROKEN)
    for number, cell in zip(range(1, count + 1), cells, strict=False):
        is_broken = broken_every and number % broken_every == 0
        yield b"%d,%b\n" % (number, next(broken) if is_broken else cell)


def _cell(text: str) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow([text])
    return stream.getvalue().encode()


def short_texts(texts: Sequence[str], *, fewest: int, most: int) -> list[str]:
    """Cut texts at blanks into such of ``fewest`` to ``most`` words; what is left at an end is dropped."""
    source = random.Random(1)
    cuts = []
    for text in texts:
        words = text.split()
        while len(words) >= fewest:
            size = source.randint(fewest, most)
            cuts.append(" ".join(words[:size]))
            words = words[size:]
    return cuts
