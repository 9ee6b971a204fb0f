"""The ledger of a part: its rejects, then one line that tells what the part comes to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.runtime.plan import digest_of
from pipeline.runtime.reading import Place
from pipeline.runtime.summary import Summary

_MAX_LEDGER_LINE = 1 << 16


@dataclass(frozen=True)
class Ledger:
    """What the last line of a part's ledger says."""

    start: Place
    end: Place
    """Where the part after it begins."""
    size: int
    """Bytes of the part."""
    sha256: str
    """Of the part."""
    summary: Summary

    def to_line(self) -> bytes:
        """Give a line of JSON."""
        record = {
            "start": asdict(self.start),
            "end": asdict(self.end),
            "size": self.size,
            "sha256": self.sha256,
            "summary": self.summary.to_record(),
        }
        return (json.dumps(record | {"digest": digest_of(record)}) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> Ledger:
        """Read what ``to_line`` gave.

        Raises:
            ValueError: If it is something else.
        """
        try:
            record = json.loads(line)
            if record["digest"] != digest_of(record):
                msg = "it was changed after it was written"
                raise ValueError(msg)
            return cls(
                Place(**record["start"]),
                Place(**record["end"]),
                record["size"],
                record["sha256"],
                Summary.from_record(record["summary"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            msg = f"not the last line of a ledger: {error}"
            raise ValueError(msg) from error


def read_ledger(path: Path) -> Ledger:
    """Read a ledger's last line, which tells what the part comes to.

    Raises:
        ValueError: If it is something else.
        OSError: If it cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _MAX_LEDGER_LINE))
        *_, line = stream.read().splitlines() or [b""]
        return Ledger.from_line(line)
