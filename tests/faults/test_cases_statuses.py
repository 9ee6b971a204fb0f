"""The exit statuses that no case brings up by itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.faults.cases import case
from tests.faults.command import (
    Resenha,
    names_below,
)


@case("Exit statuses", "0")
def test_all_scored_is_status_0_and_a_summary(resenha: Resenha, work: Path) -> None:
    (work / "a.txt").write_text("good\nbad\n")
    ran = resenha("--lines", "a.txt", "--summary", "s.json")
    assert (ran.status, len(ran.records)) == (0, 2)
    page = json.loads((work / "s.json").read_text())
    assert (page["rows_in"], page["scored"], page["rejected"]) == (2, 2, {})


@case("Exit statuses", "2")
@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing.txt"], ["--nonsense"], ["a.txt", "--resume"], ["a.txt", "--max-rejects", "-1"],
     ["a.txt", "--max-rejects", "101%"], ["a.txt", "--max-rejects", "nan%"], ["a.txt", "-b", "nowhere"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_status_2_and_nothing_is_written(
    arguments: list[str], resenha: Resenha, work: Path
) -> None:
    (work / "a.txt").write_text("good")
    ran = resenha(*arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert names_below(work) == {"a.txt"}


LIMITS = [
    pytest.param("0", 1, 10, id="none allowed"),
    pytest.param("1", 2, 10, id="a number, one too many"),
    pytest.param("10%", 2, 10, id="a share of few rows"),
    pytest.param("10%", 141, 1_400, id="a share of many rows"),
]


@case("Exit statuses", "4")
@pytest.mark.parametrize(("limit", "rejects", "rows"), LIMITS)
@pytest.mark.parametrize("output", ["-", "o.csv", "o/"])
def test_one_reject_more_than_allowed_stops_the_run(
    limit: str, rejects: int, rows: int, output: str, resenha: Resenha, work: Path
) -> None:
    # A share is looked at from the thousandth row on: rejects at the beginning would count for more.
    (work / "a.txt").write_text("good\n" * (rows - rejects) + "?!\n" * rejects)
    (work / "b.txt").write_text("good\n" * (rows - rejects + 1) + "?!\n" * (rejects - 1))
    ran = resenha("--lines", "a.txt", "-o", output, "--max-rejects", limit, "--summary", "s.json")
    assert ran.status == 4
    assert "(--max-rejects)" in ran.err
    assert not (work / "s.json").exists()
    assert not [name for name in names_below(work) if name.endswith(".tmp")]
    assert output == "o/" or not (work / output).exists()
    assert resenha("--lines", "b.txt", "-o", "other/", "--max-rejects", limit).status == (
        3 if rejects > 1 else 0
    )


@case("Exit statuses", "4")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_published_before_too_many_rejects_stays_and_is_gone_on_with(
    workers: str, resenha: Resenha, work: Path
) -> None:
    """The limit is none of what decides the output's bytes."""
    with (work / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([["good"]] * 10), *([["?!"]] * 10), *([["bad"]] * 10)])
    arguments = ["a.csv", "--part-rows", "5", "--workers", workers]
    assert resenha(*arguments, "-o", "whole/").status == 3
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "3").status == 4
    published = {path.name: path.read_bytes() for path in (work / "o").glob("part-*")}
    assert workers == "2" or len(published) >= 2
    assert not (work / "o/_SUCCESS").exists()
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "3", "--resume").status == 4
    assert resenha(*arguments, "-o", "o/", "--max-rejects", "10", "--resume").status == 3
    whole, found = (
        {path.name: path.read_bytes() for path in (work / name).iterdir()} for name in ("whole", "o")
    )
    assert found == whole
    assert published.items() <= found.items()
