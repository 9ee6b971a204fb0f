"""Runs into a directory over a few small inputs, and what each has to leave, reckoned by hand."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runtime.bundle import MODEL, Bundle
from pipeline.runtime.folder_runs import FolderRun, prepare, run_folder
from pipeline.runtime.listing import Inputs
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.output_folder import claim_folder
from pipeline.runtime.plan import BATCH_SHARES, WHOLE, InputTotals, Plan, Shard, WriteOptions
from pipeline.runtime.reading import ReadOptions
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat
from tests.stand_ins import make_model

_PACKED = gzip.compress(b'{"text": "good"}\n\n{"text": "dull film"}\n', 1, mtime=0)


def _parquet() -> bytes:
    stream = io.BytesIO()
    texts = ["moving", None, "a bad film"]
    pq.write_table(pa.table({"text": texts, "id": ["x", "y", "z"]}), stream, row_group_size=2)
    return stream.getvalue()


FILES: dict[str, tuple[bytes, Sequence[int]]] = {
    "a.csv": (b'id,text\n\n1,good\n2\n3,"bad\nfilm"\n\n4,"dull\n5,?!\n6,a film\n\n', [1, 2, 3, 4, 5, 6]),
    "b.jsonl": (
        b'\n{"text": "good", "id": 1}\nnonsense\n \n{"text": null}\n{"text": "not bad"}\n',
        [1, 2, 3, 4],
    ),
    "c.txt": (b"a moving\nfilm", [1]),
    "empty.txt": (b"", [1]),
    "blank.csv": (b"text\n\n\n", []),
    "d.jsonl.gz": (_PACKED, [1, 2]),
    "cut.csv.gz": (gzip.compress(b"text\ngood\n", 1, mtime=0)[:-3], [0]),
    "e.parquet": (_parquet(), [1, 2, 3]),
}
"""Content, and the numbers of its rows."""
BUNDLE = {"name": "stand-in", "digest": "ab" * 32}


@dataclass(frozen=True)
class Choice:
    """What a run is asked for."""

    inputs: tuple[str, ...]
    output_format: OutputFormat = OutputFormat.JSONL
    part_rows: int = 2
    limit: int | None = None
    shard: Shard = WHOLE
    bundle: str = BUNDLE["digest"]
    text_column: str = "text"

    def run(self, **asked: Any) -> FolderRun:
        """Give what the command line would make of it."""
        plan = Plan(
            bundle=BUNDLE | {"digest": self.bundle},
            read=ReadOptions(text_column=self.text_column),
            write=WriteOptions(self.output_format),
            inputs=InputTotals(0, 0, ""),
            part_rows=self.part_rows,
            limit=self.limit,
            shard=self.shard,
        )
        return FolderRun(Inputs(self.inputs), plan, Path("stand-in"), None, **asked)

    def parts(self) -> dict[int, list[tuple[str, int]]]:
        """Give source and row of all that belongs into each part of the shard."""
        rows = iter([(name, row) for name in self.inputs for row in FILES[name][1]][: self.limit])
        found, number = {}, 0
        while part := list(islice(rows, self.part_rows)):
            found[number] = part
            number += 1
        if not found and self.limit != 0:
            found[0] = []  # Nothing to score still makes one part, so that the columns are told.
        return {number: part for number, part in found.items() if self.shard.owns(number)}


@cache
def shared_scorer() -> Scorer:
    """Give the stand-in network, with batches cut as in every directory."""
    return Scorer(Bundle(Path("stand-in"), {MODEL: make_model()}, None), threads=1, shares=BATCH_SHARES)


def write_inputs(folder: Path) -> None:
    """Write the inputs into a folder; each has another time of change."""
    for number, (name, (content, _)) in enumerate(FILES.items()):
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000 + number))


def score_into(path: Path, choice: Choice, **asked: Any) -> dict[str, Any]:
    """Score the inputs, which lie in the working folder, into a directory; give the summary."""
    run = choice.run(**asked)
    with claim_folder(path) as folder:
        plan = prepare(folder, run)
        return run_folder(folder, plan, run, shared_scorer(), monitor=Monitor())


def contents(path: Path) -> dict[str, bytes]:
    """Give the content of every file in a directory, by name."""
    return {each.name: each.read_bytes() for each in path.iterdir()} if path.is_dir() else {}


def check_reference(found: dict[str, bytes], choice: Choice) -> None:
    """Hold what an uninterrupted run left against what was reckoned by hand.

    Raises:
        AssertionError: If a row is missing, double, or in another part than its own.
    """
    parts = choice.parts()
    names = {f"part-{number:05}.{choice.output_format}" for number in parts}
    ledgers = {f"_part-{number:05}.jsonl" for number in parts}
    assert set(found) == {
        *names,
        *ledgers,
        "_plan.json",
        "_inputs.jsonl",
        "rejects.jsonl",
        "_summary.json",
        "_SUCCESS",
    }
    rejects = b""
    for number, wanted in parts.items():
        *lines, closing = found[f"_part-{number:05}.jsonl"].splitlines(keepends=True)
        rejects += b"".join(lines)
        rejected = [(each["source"], each["row"]) for each in map(json.loads, lines)]
        scored = _scored(found[f"part-{number:05}.{choice.output_format}"], choice.output_format)
        assert sorted(scored + rejected) == sorted(wanted)
        assert [each for each in wanted if each in scored] == scored
        assert json.loads(closing)["summary"]["rows_in"] == len(wanted)
    assert found["rejects.jsonl"] == rejects
    assert json.loads(found["_summary.json"])["rows_in"] == sum(map(len, parts.values()))


def _scored(content: bytes, output_format: OutputFormat) -> list[tuple[str, int]]:
    if output_format is OutputFormat.PARQUET:
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    elif output_format is OutputFormat.JSONL:
        rows = [json.loads(line) for line in content.splitlines()]
    else:
        header, *lines = content.decode().splitlines()
        rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return [(row["source"], int(row["row"])) for row in rows]


def otherwise(choice: Choice) -> list[Choice]:
    """Give runs that differ from one in one thing each."""
    more = [name for name in FILES if name not in choice.inputs][:1]
    return [
        replace(choice, inputs=(*choice.inputs, *more) if more else choice.inputs[::-1]),
        replace(choice, inputs=choice.inputs[1:] or ("c.txt",)),
        replace(choice, part_rows=choice.part_rows + 1),
        replace(choice, limit=7 if choice.limit is None else None),
        replace(choice, shard=Shard(2, 3)),
        replace(choice, bundle="cd" * 32),
        replace(choice, text_column="id"),
        replace(
            choice, output_format=next(each for each in OutputFormat if each is not choice.output_format)
        ),
    ]
