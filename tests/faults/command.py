"""The command ``resenha score``, called here or as a process, and a full account of what it left."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.rows import Score
from pipeline.runtime.scorer import Scorer
from tests.stand_ins import make_scorer

Place = tuple[str, int]
"""A source and a row of it."""
PATIENCE = 600.0
"""Seconds after which a process is taken for one that hangs."""
TELLING = re.compile(r"^(resenha|Error|rejected): .*", re.MULTILINE)
_NO_TEXT = ("row", "score", "tokens", "unknown_share", "truncated")
_SCORE_COLUMNS = ("score", "label", "tokens", "unknown_share", "truncated")


class Rejected(NamedTuple):
    """What a reject has to say."""

    code: str
    line: int | None = None
    offset: int | None = None


Outcome = str | Rejected
"""The text that a row has to be scored as, or its reject."""


@dataclass(frozen=True)
class Run:
    """What one call of the command line left behind."""

    status: int
    out: bytes
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What stands on standard output as JSON lines."""
        return [json.loads(line) for line in self.out.decode().split("\n") if line]

    @property
    def seen(self) -> str:
        """The first line that a user has to know of, or the counts."""
        if telling := TELLING.search(self.err):
            return telling[0]
        counts = re.search(r"^[\d,]+ rows: [^·\n]*(· [^·\n]*rejected[^·\n]*)?", self.err, re.MULTILINE)
        return counts[0] if counts else ""


Resenha = Callable[..., Run]
"""Takes the arguments after ``resenha score --bundle X``, and what stands on standard input."""


@cache
def stand_in() -> Scorer:
    """The network in the bundle of every test, to say what a text's score has to be."""
    return make_scorer()


@dataclass(frozen=True)
class Scene:
    """Inputs, a call, and what has to become of every row."""

    expected: Mapping[Place, Outcome]
    files: Mapping[str, bytes] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    """Those that say how to read; the files come behind them."""
    stdin: bytes | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    """What the summary has to count beside scores and rejects."""

    def play(self, resenha: Resenha, work: Path) -> None:
        """Score to standard output, to a CSV file and to a directory of Parquet, each fully accounted for."""
        for name, content in self.files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)
        before = names_below(work)
        inputs = ["-"] if self.stdin is not None else [*self.files]
        for ways in (
            ["--rejects", "r.jsonl", "--summary", "s.json"],
            ["--rejects", "r.jsonl", "--summary", "s.json", "-o", "o.csv"],
            ["--summary", "s.json", "-o", "o/", "--output-format", "parquet", "--part-rows", "2"],
        ):
            ran = resenha(*self.arguments, *ways, *inputs, stdin=self.stdin or b"")
            self._check(ran, work, is_folder="o/" in ways)
            left = names_below(work) - before
            assert left <= {"r.jsonl", "s.json", "o.csv"} | {name for name in left if name.startswith("o/")}
            for name in ("r.jsonl", "s.json", "o.csv"):
                (work / name).unlink(missing_ok=True)

    def _check(self, ran: Run, work: Path, *, is_folder: bool) -> None:
        assert "Traceback" not in ran.err
        has_rejects = any(isinstance(each, Rejected) for each in self.expected.values())
        assert ran.status == (3 if has_rejects else 0), ran.err
        output = work / "o.csv"
        scored = (
            read_folder(work / "o") if is_folder else read_csv(output) if output.exists() else ran.records
        )
        rejects = read_lines(work / ("o/rejects.jsonl" if is_folder else "r.jsonl"))
        check_account(scored, rejects, read_page(work / "s.json"), self.expected)
        page = read_page(work / "s.json")
        assert {key: page[key] for key in self.counted} == self.counted


def check_account(
    scored: Sequence[Mapping[str, Any]],
    rejects: Sequence[Mapping[str, Any]],
    page: Mapping[str, Any],
    expected: Mapping[Place, Outcome],
) -> None:
    """See to it that each row stands once where it has to, with what it has to say, and is counted."""
    places = [(each["source"], each["row"]) for each in [*scored, *rejects]]
    assert Counter(places) == Counter(expected.keys())
    assert places[: len(scored)] == [
        place for place, outcome in expected.items() if not isinstance(outcome, Rejected)
    ]
    for each in scored:
        text = expected[each["source"], each["row"]]
        assert isinstance(text, str), f"{each} was to be a reject: {text}"
        [wanted] = stand_in().score_reviews([text])
        assert isinstance(wanted, Score)
        assert [each[column] for column in _SCORE_COLUMNS] == list(wanted)
    for each in rejects:
        wanted_reject = expected[each["source"], each["row"]]
        assert Rejected(each["code"], each["line"], each["offset"]) == wanted_reject, each
        assert each["message"]
    codes = Counter(outcome.code for outcome in expected.values() if isinstance(outcome, Rejected))
    assert page["rejected"] == codes
    assert page["scored"] == len(expected) - codes.total()
    assert page["rows_in"] == page["scored"] + sum(page["rejected"].values()) == len(expected)
    assert page["truncated"] == sum(each["truncated"] for each in scored)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines of a file."""
    return [json.loads(line) for line in path.read_bytes().decode().split("\n") if line]


def read_page(path: Path) -> dict[str, Any]:
    """A file of JSON."""
    return dict(json.loads(path.read_bytes()))


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Scored rows of a CSV file, each cell as the type that it has elsewhere."""
    rows: list[dict[str, Any]] = [*csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))]
    for row in rows:
        row |= {name: json.loads(row[name]) for name in _NO_TEXT}
        # Standard input's name is one that a spreadsheet would run.
        row["source"] = "-" if row["source"] == "'-" else row["source"]
    return rows


def read_folder(path: Path) -> list[dict[str, Any]]:
    """Scored rows of the parts of a whole directory, in their order."""
    import pyarrow.parquet as pq

    assert (path / "_SUCCESS").exists()
    rows: list[dict[str, Any]] = []
    for part in sorted(path.glob("part-*")):
        rows += pq.read_table(part).to_pylist() if part.suffix == ".parquet" else read_lines(part)
    for row in rows:
        # A score of 32 bits as the decimal that it stands for.
        row["score"] = float(str(_float32(row["score"])))
    return rows


def _float32(value: float) -> Any:
    import numpy as np

    return np.float32(value)


def content_of(folder: Path) -> dict[str, bytes]:
    """What every file of a folder holds."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_below(folder: Path) -> set[str]:
    """Every file below a folder, by its path from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def command(
    bundle: Path, *arguments: str | Path, prepared: str = "", verb: Sequence[str] = ("score", "--bundle")
) -> list[str]:
    """The command line of a process that runs ``resenha score``, after some lines of Python."""
    code = f"{prepared}\nfrom pipeline.cli import main\nmain()"
    return [sys.executable, "-c", code, *verb, str(bundle), *map(str, arguments)]


def run_process(bundle: Path, *arguments: str | Path, prepared: str = "", **more: Any) -> Run:
    """Run ``resenha score`` as a process to its end."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    found: subprocess.CompletedProcess[bytes] = subprocess.run(
        command(bundle, *arguments, prepared=prepared), check=False, timeout=PATIENCE, **pipes
    )
    return Run(found.returncode, found.stdout or b"", os.fsdecode(found.stderr))
