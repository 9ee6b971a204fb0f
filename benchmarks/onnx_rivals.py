"""Other people's graphs in ONNX Runtime, at their best: every thread layout and batch is tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.runtime.scorer import INPUT, OUTPUT

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Way:
    """One way to run a graph over the same rows."""

    name: str
    score: Callable[[], NDArray[np.float32]]


def best_way(graph: bytes, rows: Rows, *, batches: Sequence[int], threads: int) -> Way:
    """Find the quickest way by trying each three times; the first time warms it up.

    Args:
        graph: From int32 ``[batch, time]`` to float32 ``[batch]``.
        rows: Padded token ids, shape ``(reviews, max_length)``.
        batches: Batch sizes to try.
        threads: Threads to use: all in one session, and one in each of as many sessions.
    """
    timed = []
    for way in _ways(graph, rows, batches, threads):
        way.score()
        timed.append((min(_seconds(way), _seconds(way)), way))
    return min(timed, key=lambda entry: entry[0])[1]


def _seconds(way: Way) -> float:
    started = time.perf_counter()
    way.score()
    return time.perf_counter() - started


def _ways(graph: bytes, rows: Rows, batches: Sequence[int], threads: int) -> Iterator[Way]:
    for sessions in sorted({1, threads}):
        layout = f"{sessions}×{threads // sessions} thread" + ("s" if sessions < threads else "")
        pool = [_open(graph, threads // sessions) for _ in range(sessions)]
        for batch in batches:
            yield Way(f"{batch}, {layout}", _scoring(pool, rows, batch))


def _open(graph: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _scoring(
    sessions: Sequence[ort.InferenceSession], rows: Rows, batch: int
) -> Callable[[], NDArray[np.float32]]:
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    scores = np.empty(len(rows), dtype=np.float32)

    def run(worker: int) -> None:
        for number in range(worker, len(parts), len(sessions)):
            found = sessions[worker].run([OUTPUT], {INPUT: parts[number]})[0]
            scores[number * batch : number * batch + len(found)] = found

    def score_alone() -> NDArray[np.float32]:
        run(0)
        return scores

    def score_together() -> NDArray[np.float32]:
        list(pool.map(run, range(len(sessions))))
        return scores

    if len(sessions) == 1:
        return score_alone
    pool = ThreadPoolExecutor(len(sessions))
    return score_together
