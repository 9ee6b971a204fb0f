"""Golden rows: reviews with the token ids and scores that they had when a bundle was published."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pipeline.errors import BundleError
from pipeline.runtime.bundle import GOLDEN, check_types
from pipeline.runtime.rows import printable


@dataclass(frozen=True)
class GoldenRow:
    """One line of ``golden.jsonl``."""

    review: str
    token_ids: list[int]
    score: float | None
    """None where the review holds no word and so has no score."""


def read_golden(content: bytes) -> list[GoldenRow]:
    """Parse ``golden.jsonl``.

    Raises:
        BundleError: If a line is not a golden row, or there is none.
    """
    try:
        rows = [GoldenRow(**json.loads(line)) for line in content.decode().split("\n") if line]
        for row in rows:
            check_types(row.review, str)
            check_types(row.score, float, type(None))
            for token_id in row.token_ids:
                check_types(token_id, int)
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"{GOLDEN} holds a line that is not a golden row: {printable(str(error))}"
        raise BundleError(msg) from error
    if not rows:
        msg = f"{GOLDEN} holds no row: nothing would be tested"
        raise BundleError(msg)
    return rows


def write_golden(rows: list[GoldenRow]) -> bytes:
    """Give golden rows as JSON lines."""
    return "".join(json.dumps(asdict(row), separators=(",", ":")) + "\n" for row in rows).encode()
