"""Cold start and warm latency: what one review costs from nothing, and what it costs afterwards."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.pairing import Spread, take_turns
from benchmarks.processes import Finished, run_process
from benchmarks.setting import Setting
from benchmarks.tables import Section, Table, number_text, spread_text
from benchmarks.targets import Figure
from pipeline.runtime.scorer import Scorer

_ROUNDS = 15
_WARM = 2_000
_REVIEW = "A quiet, moving film."
_NUMPY, _ONNXRUNTIME = "`import numpy`", "`import onnxruntime`"
_API, _COMMAND = "`Scorer.load(…).score_reviews([…])`", "`echo … | resenha score -`"


def measure(setting: Setting) -> Section:
    """Start fresh processes in turns, then score single reviews in this one."""
    cold, figures = _cold(setting)
    warm, more = _warm(setting)
    return Section([cold, warm], figures | more)


def _cold(setting: Setting) -> tuple[Table, dict[Figure, Spread]]:
    score = (
        "from pipeline.runtime.scorer import Scorer; "
        f"print(Scorer.load({str(setting.bundle)!r}).score_reviews([{_REVIEW!r}]))"
    )
    command = [sys.executable, "-m", "pipeline", "score", "-", "--bundle", str(setting.bundle)]
    contenders: dict[str, Callable[[], Finished]] = {
        _NUMPY: lambda: run_process([sys.executable, "-c", "import numpy"]),
        _ONNXRUNTIME: lambda: run_process([sys.executable, "-c", "import onnxruntime"]),
        _API: lambda: run_process([sys.executable, "-c", score]),
        _COMMAND: lambda: run_process(command, text=_REVIEW),
    }
    for start in contenders.values():
        start()
    rounds = take_turns(contenders, rounds=_ROUNDS)
    rows = [
        [
            name,
            spread_text(rounds.time(name, scale=1e3)),
            "" if name == _ONNXRUNTIME else spread_text(rounds.ratio(name, _ONNXRUNTIME), "×"),
        ]
        for name in contenders
    ]
    notes = [f"{_ROUNDS} rounds of fresh processes, files in the system's cache, one review each"]
    table = Table("Cold start", ["process", "ms to its end", "× `import onnxruntime`"], rows, notes)
    return table, {Figure.COLD_START: rounds.ratio(_API, _ONNXRUNTIME)}


def _warm(setting: Setting) -> tuple[Table, dict[Figure, Spread]]:
    scorer = Scorer.load(setting.bundle)
    texts = setting.some_test_texts(_WARM)
    for text in texts[:20]:
        scorer.score_reviews([text])
    taken = []
    for text in texts:
        started = time.perf_counter()
        scorer.score_reviews([text])
        taken.append(1e3 * (time.perf_counter() - started))
    hundredths = statistics.quantiles(taken, n=100)
    cells = [statistics.median(taken), hundredths[98], max(taken)]
    table = Table(
        "One warm review",
        ["reviews, one by one", "median, ms", "99th percentile, ms", "slowest, ms"],
        [[f"{len(texts):,}", *map(number_text, cells)]],
    )
    # The quartiles, since the slowest of thousands says more of the machine than of the scorer.
    return table, {Figure.WARM_REVIEW: Spread(cells[0], hundredths[24], hundredths[74])}
