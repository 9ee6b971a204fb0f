"""A run is stopped where too many of its rows are rejects, and not before."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import TooManyRejects, UsageError
from pipeline.runtime.monitor import Monitor, RejectLimit
from pipeline.runtime.summary import Summary


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", RejectLimit(count=0)),
        ("100", RejectLimit(count=100)),
        ("2.5%", RejectLimit(share=0.025)),
        ("0%", RejectLimit(share=0)),
        ("100%", RejectLimit(share=1)),
    ],
)
def test_a_limit_is_a_number_or_a_share(text: str, limit: RejectLimit) -> None:
    assert RejectLimit.parse(text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "%", "-1", "-1%", "101%", "nan%", "inf%", "1.5", "many", "5 percent", "5%%", "0x5", "9" * 5_000],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no limit for rejects"):
        RejectLimit.parse(text)


@given(st.text(max_size=8) | st.text("0123456789.%+-_eE ", max_size=8))
@example("nan%")
@example("1_0")
@example("٣")
def test_any_text_is_a_limit_or_refused(text: str) -> None:
    try:
        limit = RejectLimit.parse(text)
    except UsageError:
        return
    assert (limit.count is None) != (limit.share is None)
    assert limit.count is None or limit.count >= 0
    assert limit.share is None or 0 <= limit.share <= 1


@pytest.mark.parametrize(("rejected", "stops"), [(2, False), (3, False), (4, True)])
@pytest.mark.parametrize("rows", [4, 5_000])
def test_a_number_of_rejects_is_allowed(rows: int, rejected: int, stops: bool) -> None:
    _check(RejectLimit(count=3), rows, rejected, stops=stops)


@pytest.mark.parametrize(
    ("rows", "rejected", "stops"),
    [(999, 999, False), (1_000, 100, False), (1_000, 101, True), (1_001, 100, False), (1_001, 101, True)],
)
def test_a_share_counts_once_it_says_something(rows: int, rejected: int, stops: bool) -> None:
    _check(RejectLimit(share=0.1), rows, rejected, stops=stops)


@pytest.mark.parametrize(("rejected", "stops"), [(0, False), (1, False), (2, True)])
def test_at_the_end_a_share_counts_of_few_rows_too(rejected: int, stops: bool) -> None:
    _check(RejectLimit(share=0.1), 10, rejected, stops=stops, is_end=True)


def test_nothing_read_is_no_reject() -> None:
    RejectLimit(share=0).check(0, 0, is_end=True)


def _check(limit: RejectLimit, rows: int, rejected: int, *, stops: bool, is_end: bool = False) -> None:
    if not stops:
        limit.check(rows, rejected, is_end=is_end)
        return
    with pytest.raises(TooManyRejects, match=f"{rejected:,} of {rows:,} rows .*--max-rejects"):
        limit.check(rows, rejected, is_end=is_end)


def test_a_monitor_adds_up_jobs_and_shows_what_is_new() -> None:
    shown: list[tuple[int, int]] = []
    monitor = Monitor(None, lambda rows, rejected: shown.append((rows, rejected)))
    monitor.add(10, 2, is_new=False)
    first, second = monitor.follow(), monitor.follow()
    first(Summary(rows_in=5, rejected=Counter(binary=1)))
    second(Summary(rows_in=4))
    first(Summary(rows_in=6, rejected=Counter(binary=1, no_tokens=1)))
    assert shown == [(15, 3), (19, 3), (20, 4)]
    assert (monitor.rows, monitor.rejected, monitor.new_rows) == (20, 4, 10)


def test_a_monitor_stops_at_its_limit_with_what_was_there_before() -> None:
    monitor = Monitor(RejectLimit(count=3))
    monitor.add(10, 3, is_new=False)
    with pytest.raises(TooManyRejects):
        monitor.add(1, 1)


def test_a_monitor_judges_the_whole_at_its_end() -> None:
    monitor = Monitor(RejectLimit(share=0.5))
    monitor.add(4, 3)
    with pytest.raises(TooManyRejects):
        monitor.check_end()
    Monitor().check_end()


def test_threads_lose_no_count() -> None:
    monitor = Monitor()

    def add() -> None:
        for _ in range(500):
            monitor.add(1, 1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (monitor.rows, monitor.rejected, monitor.new_rows) == (4_000, 4_000, 4_000)
