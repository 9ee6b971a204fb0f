"""Scaling: against the number of rows, the length of reviews, and threads."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.pairing import Spread, take_turns
from benchmarks.processes import Finished, run_process
from benchmarks.review_files import write_reviews
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from benchmarks.targets import Figure
from pipeline.runtime.batching import WINDOW
from pipeline.runtime.listing import Inputs
from pipeline.runtime.reading import ReadOptions
from pipeline.runtime.rows import Row, Score
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.sinks import OutputFormat, RowSink
from pipeline.runtime.sources import read_rows

_BASE, _MILLION = 100_000, 1_000_000
_ROWS = (1_000, 10_000, _BASE)
_PATIENCE = 60.0
"""Seconds that one file may be expected to take in a run that is not --long."""
_LENGTHS = (10, 30, 100, 200, 300, 400, 500)
_REVIEWS = 1_024
_PART_ROWS = 10_000


def measure(setting: Setting) -> Section:
    """Measure ``resenha score`` on files, then lengths and threads inside this process."""
    files, figures = _against_rows(setting)
    tables = [files, _by_part(setting), _against_length(setting), _against_threads(setting)]
    return Section(tables, figures)


def _against_rows(setting: Setting) -> tuple[Table, dict[Figure, Spread]]:
    done: dict[int, Finished] = {}
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (*_ROWS, *([_MILLION] if setting.is_long else [])):
            last = max(done, default=0)
            expected = done[last].seconds * count / last if last else 0.0
            if expected > _PATIENCE and not setting.is_long:
                rows.append([f"{count:,}", f"left out: about {expected:,.0f} s, --long waits", "", ""])
                continue
            done[count] = _score_file(setting, Path(folder), count)
            rate = count / done[count].seconds
            peak = done[count].peak_bytes / 1e6
            rows.append([f"{count:,}", number_text(done[count].seconds), f"{rate:,.0f}", f"{peak:,.0f}"])
    figures = {}
    if _MILLION in done:
        peak, growth = (done[_MILLION].peak_bytes / by for by in (1e6, done[_BASE].peak_bytes))
        figures = {
            Figure.PEAK_MEMORY: Spread(peak, peak, peak),
            Figure.MEMORY_GROWTH: Spread(growth, growth, growth),
        }
    head = ["rows", "seconds", "reviews/s", "peak memory, MB"]
    notes = [
        "`resenha score in.csv -o out.jsonl`, one run each, the start of the process included",
        "the test reviews over and over, each with an id of its own",
    ]
    return Table("Scaling with rows", head, rows, notes), figures


def _by_part(setting: Setting) -> Table:
    """Let every part of a run work by itself on the same rows, one thread each."""
    scorer = Scorer.load(setting.bundle, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.csv"
        write_reviews(source, [review.text for review in setting.test], _PART_ROWS)
        rows = [row for row in read_rows(Inputs((str(source),)), ReadOptions()) if isinstance(row, Row)]
        windows = [rows[first : first + WINDOW] for first in range(0, len(rows), WINDOW)]
        texts = [[row.text for row in window] for window in windows]
        batches = [scorer.tokenizer.encode_batch(window) for window in texts]
        results = [
            [(row, score) for row, score in zip(window, found, strict=True) if isinstance(score, Score)]
            for window, found in zip(windows, map(scorer.score_reviews, texts), strict=True)
        ]
        sink = RowSink((Path(folder) / "out.jsonl").open("wb"), OutputFormat.JSONL)
        parts: dict[str, Callable[[], object]] = {
            "reading CSV": lambda: deque(read_rows(Inputs((str(source),)), ReadOptions()), maxlen=0),
            "text→ids": lambda: deque(map(scorer.tokenizer.encode_batch, texts), maxlen=0),
            "ids→score": lambda: deque(map(scorer.score_batch, batches), maxlen=0),
            "writing JSON lines": lambda: deque(map(sink.write, results), maxlen=0),
        }
        rounds = take_turns(parts, clock=time.process_time)
    whole = sum(rounds.time(name).median for name in parts)
    cells = [
        [
            name,
            spread_text(rounds.time(name, scale=1e6 / _PART_ROWS)),
            f"{rounds.time(name).median / whole:.0%}",
        ]
        for name in parts
    ]
    notes = [f"processor time, {_PART_ROWS:,} rows; in a run, ids→score has threads of its own"]
    return Table("Where the time goes", ["part", "µs a row", "share"], cells, notes)


def _score_file(setting: Setting, folder: Path, count: int) -> Finished:
    source, target = folder / f"{count}.csv", folder / f"{count}.jsonl"
    write_reviews(source, [review.text for review in setting.test], count)
    command = [sys.executable, "-m", "pipeline", "score", str(source), "-o", str(target)]
    finished = run_process([*command, "--bundle", str(setting.bundle), "--quiet"])
    source.unlink()
    target.unlink()
    return finished


def _against_length(setting: Setting) -> Table:
    scorer = Scorer.load(setting.bundle, threads=setting.threads)
    words = " ".join(review.text for review in setting.test).split(" ")
    encoded = {
        str(length): scorer.tokenizer.encode_batch(_texts_of(scorer, words, length)) for length in _LENGTHS
    }
    contenders = {name: partial(scorer.score_batch, reviews) for name, reviews in encoded.items()}
    for run in contenders.values():
        run()
    rounds = take_turns(contenders)
    rows = [
        [
            name,
            spread_text(rounds.rate(name, _REVIEWS)),
            spread_text(rounds.time(name, scale=1e9 / _REVIEWS / int(name))),
        ]
        for name in contenders
    ]
    head = ["ids per review", "reviews/s", "ns per id"]
    notes = [f"ids→score, {_REVIEWS:,} reviews of one length, {setting.threads} threads"]
    return Table("Scaling with length", head, rows, notes)


def _texts_of(scorer: Scorer, words: Sequence[str], length: int) -> list[str]:
    """Cut a stretch of words into texts that have ``length`` ids each, the start mark included."""
    words = words[: _REVIEWS * 600]
    is_one_word = scorer.tokenizer.encode_batch(words).tokens == 1
    kept = list(itertools.compress(words, is_one_word))
    size = length - 1
    chosen = itertools.islice(itertools.cycle(kept), _REVIEWS * size)
    return [" ".join(itertools.islice(chosen, size)) for _ in range(_REVIEWS)]


def _against_threads(setting: Setting) -> Table:
    texts = setting.some_test_texts(_REVIEWS)
    counts = range(1, setting.threads + 1)
    scorers = {str(count): Scorer.load(setting.bundle, threads=count) for count in counts}
    encoded = scorers["1"].tokenizer.encode_batch(texts)
    by_ids = {name: partial(scorer.score_batch, encoded) for name, scorer in scorers.items()}
    by_text = {name: partial(scorer.score_reviews, texts) for name, scorer in scorers.items()}
    rows = [[name] for name in scorers]
    for contenders in (by_ids, by_text):
        for run in contenders.values():
            run()
        rounds = take_turns(contenders)
        for name, cells in zip(scorers, rows, strict=True):
            cells += [spread_text(rounds.rate(name, len(texts))), spread_text(rounds.ratio("1", name), "×")]
    head = ["threads", "ids→score, reviews/s", "× one", "text→score, reviews/s", "× one"]
    return Table("Scaling with threads", head, rows, [f"{len(texts):,} test reviews"])
