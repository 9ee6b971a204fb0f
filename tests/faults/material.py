"""Inputs of several formats, with rows that are rejected, and what a run of them leaves."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from tests.stand_ins import make_bundle

_WORDS = "good bad film the a dull moving not 3 strange".split()


MANY = 3_000
"""Rows of the inputs of a run that takes about half a second."""


@dataclass(frozen=True)
class Material:
    """A bundle, and a folder of inputs."""

    bundle: Path
    folder: Path
    """Where the command is to be called: inputs are named from there."""

    def command(self, *more: str, inputs: str = "quoted.csv lines.jsonl.gz folder") -> list[str]:
        """Give the arguments of a run that does the same steps each time."""
        bundle = ("--bundle", str(self.bundle))
        return ["score", *bundle, *inputs.split(), "--threads", "1", "-q", *more]

    def arguments(self, output: Path, *more: str, part_rows: int = 9) -> list[str]:
        """Give the arguments of a run into a directory, in four parts."""
        return self.command("-o", f"{output}/", "--part-rows", str(part_rows), *more)

    def many(self, output: Path, *more: str) -> list[str]:
        """Give the arguments of a run that takes about half a second, in 30 parts."""
        into = ("-o", f"{output}/", "--part-rows", str(MANY // 30))
        return self.command(*into, *more, inputs="many.csv many.jsonl.gz")


def make_material(folder: Path) -> Material:
    """Write a bundle and inputs into a new folder."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    make_bundle(folder / "bundle")
    write_csv(inputs / "quoted.csv", 16)
    write_json_lines(inputs / "lines.jsonl.gz", 14)
    write_csv(inputs / "many.csv", MANY // 2)
    write_json_lines(inputs / "many.jsonl.gz", MANY // 2)
    (inputs / "folder").mkdir()
    for number in range(5):
        (inputs / "folder" / f"{number}.txt").write_text("?!" if number == 3 else review(number), "utf-8")
    (inputs / "folder" / "notes.md").touch()
    return Material(folder / "bundle", inputs)


def review(number: int) -> str:
    """Give a review of some words."""
    return " ".join(_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, number % 7 + 3))


def write_csv(path: Path, rows: int) -> None:
    """Write reviews with quoted line ends, blank lines, and some rows that are rejected."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        for number in range(rows):
            text = "?!" if number % 7 == 4 else f'{review(number)}\n"so", they\r\nsay,\n'
            writer.writerow([f"r{number}", text])
            if number % 5 == 2:
                stream.write("\n")


def write_json_lines(path: Path, rows: int) -> None:
    """Write reviews as compressed JSON lines, with blank lines, and some rows that are rejected."""
    content = ""
    for number in range(rows):
        content += json.dumps({"id": f"j{number}", "text": 1 if number % 6 == 5 else review(number)}) + "\n"
        content += "\n" if number % 4 == 3 else ""
    path.write_bytes(gzip.compress(content.encode(), mtime=0))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Give all files of a folder; empty where it is not there."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
