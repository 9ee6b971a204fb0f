"""``resenha score`` into a directory, and ``resenha merge`` out of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from pipeline import cli
from pipeline.cli.score import score
from pipeline.cli.score_run import open_run
from pipeline.runtime.folder_runs import Crew
from pipeline.runtime.monitor import Monitor
from pipeline.runtime.part_scorer import Assignment, PartScorer
from pipeline.runtime.reading import Place
from tests.stand_ins import make_bundle

Command = Callable[..., tuple[int, bytes, str]]
REVIEWS = [
    "a good film",
    "a bad, dull film",
    "",
    "moving\nmoving",
    "not good",
    "?!",
    "the film",
    "good",
    "bad",
    "a",
]


@pytest.fixture
def command(
    bundle: Path, work: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Call ``resenha`` here; ``score`` finds the bundle in the environment."""
    monkeypatch.setenv("RESENHA_BUNDLE", str(bundle))

    def call(*arguments: str | Path) -> tuple[int, bytes, str]:
        capsysbinary.readouterr()
        status = cli.run([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return status, out, err.decode()

    return call


@pytest.fixture
def reviews(work: Path) -> str:
    """Ten rows of CSV, two of them without a word."""
    with (work / "reviews.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "stars"])
        writer.writerows([f"r{number}", text, number] for number, text in enumerate(REVIEWS))
    return "reviews.csv"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def parts(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().splitlines() for path in sorted(folder.glob("part-*"))}


def test_a_directory_holds_parts_and_what_became_of_every_row(
    command: Command, reviews: str, work: Path
) -> None:
    status, out, err = command("score", reviews, "-o", "out/", "--part-rows", "4")
    assert (status, out) == (3, b"")
    assert "10 rows: 8 scored · 2 rejected (no_tokens 2)" in err
    found = parts(work / "out")
    assert {name: len(lines) for name, lines in found.items()} == {
        "part-00000.jsonl": 3, "part-00001.jsonl": 3, "part-00002.jsonl": 2,
    }  # fmt: skip
    rejects = [json.loads(line) for line in (work / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(each["row"], each["code"], each["line"]) for each in rejects] == [
        (3, "no_tokens", 4),
        (6, "no_tokens", 8),
    ]
    summary = json.loads((work / "out" / "_summary.json").read_text())
    assert (summary["rows_in"], summary["scored"], summary["parts"]) == (10, 8, 3)
    assert (work / "out" / "_SUCCESS").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("output_format", ["jsonl", "csv", "parquet"])
def test_merged_parts_are_what_one_file_would_be(
    command: Command, reviews: str, work: Path, output_format: str, workers: str
) -> None:
    options = ["--output-format", output_format, "--keep-columns", "stars,text=review"]
    assert command("score", reviews, "-o", f"whole.{output_format}", *options)[0] == 3
    command("score", reviews, "-o", "out/", "--part-rows", "4", "--workers", workers, *options)
    status, _, err = command(
        "merge",
        "out",
        "-o",
        f"merged.{output_format}",
        "--rejects",
        "rejects.jsonl",
        "--summary",
        "summary.json",
    )
    assert status == 3
    assert "10 rows: 8 scored" in err
    assert rows_of(work / f"merged.{output_format}") == rows_of(work / f"whole.{output_format}")
    assert (work / "rejects.jsonl").read_bytes() == (work / "out" / "rejects.jsonl").read_bytes()
    merged, own = (json.loads(Path(name).read_text()) for name in ("summary.json", "out/_summary.json"))
    assert merged == {key: value for key, value in own.items() if key != "shard"}


def rows_of(path: Path) -> Any:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    return path.read_bytes()


def test_workers_and_threads_change_no_byte(command: Command, reviews: str, work: Path) -> None:
    for name, options in {"a": ["--workers", "1"], "b": ["--workers", "3"], "c": ["--threads", "4"]}.items():
        command("score", reviews, "-o", f"{name}/", "--part-rows", "3", *options)
    assert content(work / "a") == content(work / "b") == content(work / "c")


def test_shards_come_together_in_any_order_and_not_without_each_other(
    command: Command, reviews: str, work: Path
) -> None:
    whole = command("score", reviews)[1]
    for shard in ("1", "2", "3"):
        command("score", reviews, "-o", f"shard-{shard}/", "--part-rows", "2", "--shard", f"{shard}/3")
    assert command("merge", "shard-3", "shard-1", "shard-2")[1] == whole
    summaries = [json.loads((work / f"shard-{shard}/_summary.json").read_text()) for shard in (1, 2, 3)]
    assert sum(each["rows_in"] for each in summaries) == 10
    for names in (["shard-1", "shard-2"], ["shard-1", "shard-1", "shard-2"]):
        status, out, err = command("merge", *names)
        assert (status, out) == (2, b"")
        assert "all shards are needed, each once" in err


@pytest.mark.parametrize("change", ["flip", "cut", "remove", "ledger"])
def test_a_part_that_is_not_as_published_is_not_merged(
    command: Command, reviews: str, work: Path, change: str
) -> None:
    command("score", reviews, "-o", "out/", "--part-rows", "4")
    part = work / "out" / "part-00001.jsonl"
    if change == "flip":
        part.write_bytes(part.read_bytes().replace(b"0", b"1", 1))
    elif change == "cut":
        part.write_bytes(part.read_bytes()[:-1])
    elif change == "remove":
        part.unlink()
    else:
        (work / "out" / "_part-00001.jsonl").unlink()
    status, _, err = command("merge", "out", "-o", "merged.jsonl")
    assert status == 8
    assert "part-00001.jsonl" in err
    assert not (work / "merged.jsonl").exists()


def test_what_is_not_finished_is_not_merged(command: Command, reviews: str, work: Path) -> None:
    command("score", reviews, "-o", "out/")
    (work / "out" / "_SUCCESS").unlink()
    assert "go on with --resume" in command("merge", "out")[2]
    (work / "empty").mkdir()
    assert command("merge", "empty")[0] == 2
    assert command("merge", "nowhere")[0] == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--part-rows", "5"], "part_rows is 5, planned was 4"),
        (["--part-rows", "4", "--threshold", "0.9"], "write.threshold is 0.9, planned was null"),
        (["--part-rows", "4", "--limit", "3"], "limit is 3, planned was null"),
        (["--part-rows", "4", "--output-format", "csv"], 'write.output_format is "csv", planned was "jsonl"'),
        (["--part-rows", "4", "--shard", "1/2"], "shard is [1, 2], planned was [1, 1]"),
        (["--part-rows", "4", "--input-check", "sha256"], 'check is "sha256", planned was "stat"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_run_is_only_gone_on_with_as_it_was_planned(
    command: Command, reviews: str, work: Path, options: list[str], told: str
) -> None:
    command("score", reviews, "-o", "out/", "--part-rows", "4")
    (work / "out" / "_SUCCESS").unlink()
    before = content(work / "out")
    status, _, err = command("score", reviews, "-o", "out/", "--resume", *options)
    assert status == 8
    assert told in err
    assert content(work / "out") == before


def test_another_bundle_and_another_input_are_refused(
    command: Command, reviews: str, work: Path, tmp_path: Path
) -> None:
    command("score", reviews, "-o", "out/")
    make_bundle(tmp_path / "other", accuracy=0.8)
    status, _, err = command("score", reviews, "-o", "out/", "--resume", "--bundle", tmp_path / "other")
    assert status == 8
    assert "bundle.digest is" in err
    with (work / reviews).open("a") as stream:
        stream.write("r10,good,1\n")
    status, _, err = command("score", reviews, "-o", "out/", "--resume")
    assert status == 8
    assert "reviews.csv: found" in err


def test_a_directory_that_is_there_is_only_taken_where_that_was_asked_for(
    command: Command, reviews: str, work: Path
) -> None:
    first = command("score", reviews, "-o", "out/")
    assert command("score", reviews, "-o", "out/")[0] == 2
    assert command("score", reviews, "-o", "out", "--resume")[0] == first[0]
    assert command("score", reviews, "-o", "out", "--overwrite", "--part-rows", "3")[0] == first[0]
    assert len(parts(work / "out")) == 4
    (work / "out" / "notes.txt").write_text("mine")
    for option in ("--overwrite", "--resume"):
        status, _, err = command("score", reviews, "-o", "out/", option)
        assert status == 2
        assert "notes.txt, which no run has written" in err
    assert (work / "out" / "notes.txt").read_text() == "mine"


def test_a_dry_run_tells_the_plan_and_writes_nothing(command: Command, reviews: str, work: Path) -> None:
    status, out, _ = command("score", reviews, "-o", "out/", "--part-rows", "4", "--dry-run")
    told = json.loads(out)
    assert status == 0
    assert (told["kind"], told["published_parts"], told["plan"]["inputs"]["files"]) == ("directory", 0, 1)
    assert [path.name for path in work.iterdir()] == [reviews]
    command("score", reviews, "-o", "out/", "--part-rows", "4")
    again = json.loads(command("score", reviews, "-o", "out/", "--part-rows", "4", "--dry-run")[1])
    assert (again["published_parts"], again["published_by_this_plan"]) == (3, True)


def test_too_many_rejects_stop_a_run_that_a_higher_limit_goes_on_with(
    command: Command, reviews: str, work: Path
) -> None:
    whole = command("score", reviews, "-o", "whole/", "--part-rows", "4")
    status, _, err = command("score", reviews, "-o", "out/", "--part-rows", "4", "--max-rejects", "1")
    assert status == 4
    assert "--max-rejects" in err
    assert [*parts(work / "out")] == ["part-00000.jsonl"]
    assert not (work / "out" / "_SUCCESS").exists()
    assert (
        command("score", reviews, "-o", "out/", "--part-rows", "4", "--max-rejects", "2", "--resume")[0] == 3
    )
    assert content(work / "out") == content(work / "whole")
    assert whole[0] == 3


def test_a_copy_of_the_inputs_is_the_same_by_content(command: Command, reviews: str, work: Path) -> None:
    options = ["-o", "out/", "--input-check", "sha256"]
    command("score", reviews, *options)
    (work / "out" / "_SUCCESS").unlink()
    (work / reviews).touch()
    assert command("score", reviews, *options, "--resume")[0] == 3
    text = (work / reviews).read_text()
    (work / reviews).write_text(text.replace("dull", "good"))
    assert command("score", reviews, *options, "--resume")[0] == 8


def test_a_plan_that_was_changed_is_refused(command: Command, reviews: str, work: Path) -> None:
    command("score", reviews, "-o", "out/", "--part-rows", "4")
    plan = work / "out" / "_plan.json"
    plan.write_text(plan.read_text().replace('"part_rows": 4', '"part_rows": 5'))
    for arguments in (["score", reviews, "-o", "out/", "--part-rows", "5", "--resume"], ["merge", "out"]):
        status, _, err = command(*arguments)
        assert status == 8
        assert "_plan.json cannot be read: it was changed" in err


class LateCrew:
    """Scores every part when all of them are handed out."""

    def __init__(self, assignment: Assignment, monitor: Monitor) -> None:
        self.scorer, self.monitor = PartScorer(assignment), monitor
        self.parts: list[tuple[int, Place]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def score(self, number: int, start: Place) -> None:
        self.parts.append((number, start))

    def finish(self) -> None:
        for number, start in self.parts:
            summary = self.scorer.score(number, start, lambda _summary: None)
            self.monitor.add(summary.rows_in, summary.rejected.total())


@pytest.mark.parametrize("crew", [None, LateCrew], ids=["here", "elsewhere"])
def test_a_run_can_be_followed_by_what_share_of_its_inputs_is_scored(
    bundle: Path, reviews: str, work: Path, crew: Crew | None
) -> None:
    options = [reviews, "-o", "out/", "--part-rows", "3", "--bundle", str(bundle), "--quiet"]
    given = score.make_context("score", options).params
    shown: list[tuple[int, int, float | None]] = []
    with open_run(given.pop("inputs"), given) as run:
        page, new_rows = run.score_in_parts(crew=crew, show=lambda *told: shown.append(told))
    assert (page["rows_in"], new_rows) == (10, 10)
    assert [told[:2] for told in shown] == [(3, 1), (6, 2), (9, 2), (10, 2)]
    shares = [share or 0.0 for *_, share in shown]
    # Bytes are read ahead, and no row has the length of the next one.
    assert shares == pytest.approx([0.3, 0.6, 0.9, 1.0], abs=0.25)
    assert sorted(shares) == shares
    assert shares[-1] == 1.0
