"""Processes that are stopped, and what the network must never be given; sweeps over every step stand beside."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime import scorer as scorer_module
from tests.faults.cases import case
from tests.faults.command import PATIENCE, Resenha, command, content_of, names_below, read_folder, run_process

Record = Callable[[str, object], None]
IN_PARTS = ["a.csv", "-o", "o/", "--part-rows", "30", "-q"]
KILLED = """
import os, signal
from pipeline.runtime import durable
publish, left = durable.Draft.publish, {left}
def publish_or_die(self, **options):
    global left
    left -= 1
    if not left and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    publish(self, **options)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
durable.Draft.publish = publish_or_die
"""
SLOW = """
import numpy as np
from pipeline.runtime.scorer import Scorer
score_ids = Scorer.score_ids
def score_slowly(self, ids):
    # Within compiled code, as a real network is: no signal is answered in there.
    for _ in range(2):
        np.ones((1000, 1000)) @ np.ones((1000, 1000))
    return score_ids(self, ids)
Scorer.score_ids = score_slowly
"""


@pytest.fixture
def rows(work: Path) -> str:
    """A hundred rows, a third of them without a word."""
    texts = ["good film", "?!", "bad, dull"]
    (work / "a.csv").write_text("id,text\n" + "".join(f'{n},"{texts[n % 3]} "\n' for n in range(100)))
    return "a.csv"


@case("Process and disk", "kill -9 at any point")
@case("Promises", "P2 exactly once")
@pytest.mark.parametrize(
    ("left", "after"),
    [(2, False), (3, True), (4, True), (12, True), (13, False)],
    ids=[
        "before the plan",
        "between ledger and part",
        "after a part",
        "after the summary",
        "before the mark",
    ],
)
def test_after_kills_and_resumes_a_directory_is_that_of_a_run_that_was_never_stopped(
    left: int, after: bool, resenha: Resenha, bundle: Path, rows: str, work: Path
) -> None:
    """A listing, a plan, four times a ledger and a part, rejects, a summary, the mark at the end."""
    assert resenha(*IN_PARTS).status == 3
    whole = content_of(work / "o")
    (work / "o").rename(work / "whole")
    killed = run_process(bundle, *IN_PARTS, prepared=KILLED.format(left=left, after=after))
    assert killed.status == -signal.SIGKILL
    assert (work / "o" / "_SUCCESS").exists() == (left == 13 and after)
    again = run_process(bundle, *IN_PARTS, "--resume", prepared=KILLED.format(left=2, after=True))
    assert again.status in (3, -signal.SIGKILL)
    assert resenha(*IN_PARTS, "--resume").status == 3
    assert content_of(work / "o") == whole


@case("Process and disk", "SIGTERM during a batch")
@case("Exit statuses", "130/143")
@pytest.mark.parametrize(
    ("number", "status", "workers"),
    [
        (signal.SIGTERM, 143, "1"),
        (signal.SIGTERM, 143, "2"),
        (signal.SIGINT, 130, "1"),
        (signal.SIGINT, 130, "2"),
    ],
    ids=["TERM", "TERM, workers", "INT", "INT, workers"],
)
def test_a_run_that_is_told_to_stop_stops_and_can_be_gone_on_with(
    number: signal.Signals, status: int, workers: str, is_long: bool, resenha: Resenha, bundle: Path, work: Path,
    record_property: Record,
) -> None:  # fmt: skip
    (work / "a.txt").write_text("good film\nbad\n?!\n" * 2_000)
    arguments = ["--lines", "a.txt", "-o", "o/", "--part-rows", "300", "-q", "--workers", workers]
    prepared = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{SLOW}"
    with subprocess.Popen(
        command(bundle, *arguments, prepared=prepared),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not (work / "o" / "part-00001.jsonl").exists():
            time.sleep(0.01)
        sent = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        took = time.monotonic() - sent
    record_property("seen", err)
    assert process.returncode == status, err
    assert err.count("\n") == 1
    assert "no output file was left half-written" in err
    # A busy machine may take its time.
    assert took < (2 if is_long else 20)
    left = names_below(work / "o")
    assert "_SUCCESS" not in left
    assert not [name for name in left if name.endswith(".tmp")]
    # Every worker is gone, or it would hold the lock.
    assert resenha(*arguments, "--resume").status == 3
    assert len(read_folder(work / "o")) == 4_000


# What the network must never be given


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ONNX Runtime is given to score from here on."""
    given: list[Any] = []
    open_session = scorer_module.open_session

    class Watched:
        def __init__(self, model: bytes) -> None:
            self._session = open_session(model)

        def run(self, names: Any, feed: Any) -> Any:
            given.append(feed["token_ids"])
            return self._session.run(names, feed)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    monkeypatch.setattr(scorer_module, "open_session", Watched)
    return given


@case("Process and disk", "zero rows in a batch")
@pytest.mark.parametrize(
    "text", ["", "text\n", "text\n\n\n", "text\n?!\n", "text\n" + "?!\n" * 20_000, "text\ngood\n" + "?!\n" * 5_000],
    ids=["nothing", "header", "blank lines", "one reject", "windows of rejects", "a row and a window of rejects"],
)  # fmt: skip
@pytest.mark.parametrize("output", ["-", "o/"])
def test_no_batch_is_ever_empty(
    text: str, output: str, resenha: Resenha, work: Path, batches: list[Any]
) -> None:
    (work / "b.csv").write_text("text\n?!\n")
    (work / "a.csv").write_text(text or "text\n")
    resenha("b.csv")
    known = len(batches)
    ran = resenha("a.csv", "-o", output)
    assert ran.status == (3 if "?!" in text else 0)
    assert all(len(batch) for batch in batches)
    # Two are of the check of the table, whenever a bundle is loaded.
    assert len(batches) - known == 2 + ("good" in text)


@case("Process and disk", "token id −1")
@case("Exit statuses", "1")
def test_a_token_id_below_zero_is_an_unexpected_failure_and_never_a_score(
    bundle: Path, work: Path, record_property: Record
) -> None:
    """No input leads to it: a fault of this program has to be planted."""
    planted = (
        "from pipeline.runtime import scorer\n"
        "pad = scorer.pad_batch\n"
        "scorer.pad_batch = lambda *arguments: pad(*arguments) - 2\n"
    )
    (work / "a.txt").write_text("good\n")
    alone = bundle / "model.onnx"
    ran = run_process(alone, "--lines", "a.txt", "-o", "o.jsonl", prepared=planted)
    record_property("seen", ran.err.strip().splitlines()[-1])
    assert ran.status == 1
    assert ran.err.strip().splitlines()[-1] == "ValueError: token ids from -1 to 2; wanted 0 to 13"
    assert names_below(work) == {"a.txt"}


@case("Exit statuses", "reader closed the pipe")
@pytest.mark.parametrize(("output_format", "lines"), [("jsonl", 0), ("csv", 1), ("jsonl", 5_000)])
def test_a_reader_that_leaves_stops_the_run_at_once(
    output_format: str, lines: int, bundle: Path, work: Path, record_property: Record
) -> None:
    (work / "a.txt").write_text("good\n" * 200_000)
    arguments = ["--lines", "a.txt", "--output-format", output_format, "--summary", "s.json"]
    with subprocess.Popen(
        command(bundle, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(lines):
            assert process.stdout.readline().endswith(b"\n")
        process.stdout.close()
        err = process.stderr.read().decode()
        status = process.wait(PATIENCE)
    record_property("seen", "(nothing: as other programs that get SIGPIPE)")
    assert status == 141
    assert [line.partition(":")[0] for line in err.splitlines()] == ["bundle"]
    assert names_below(work) == {"a.txt"}
