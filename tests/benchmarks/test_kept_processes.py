from __future__ import annotations

import os
import time
from functools import partial

from benchmarks.kept_processes import Works, keep_process


def begin_counting(start: int) -> Works:
    counted = [start]

    def count() -> int:
        counted[0] += 1
        return counted[0]

    return {"count": count, "process": os.getpid, "sleep": partial(time.sleep, 0.4), "threads": threads}


def threads() -> tuple[int, int]:
    import tensorflow as tf

    threading = tf.config.threading
    return threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()


def test_kept_processes_remember_and_work_side_by_side() -> None:
    with (
        keep_process(begin_counting, 5, is_deterministic=True, threads=1) as one,
        keep_process(begin_counting, 7, is_deterministic=False) as other,
    ):
        assert [one.run("count"), one.run("count"), other.run("count")] == [6, 7, 8]
        assert len({one.run("process"), other.run("process"), os.getpid()}) == 3
        assert one.run("threads") == (1, 1)
        started = time.perf_counter()
        for waiting in [each.start("sleep") for each in (one, other)]:
            waiting.result()
        assert 0.4 <= time.perf_counter() - started < 0.75
