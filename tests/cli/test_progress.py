"""How far a run has come: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import io
import sys
import time

import pytest

from pipeline.cli.progress import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the module takes for the time, in seconds."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    place = (0, 1_000)
    with progress("plain", lambda: place) as show:
        show(0, 0)
        for seconds in range(10, 100, 10):
            clock[0], place = float(seconds), (seconds * 10, 1_000)
            show(seconds * 1_000, seconds)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "progress: 30,000 rows · 30 rejected · 1,000/s · 30% · 0:01:10 left",
        "progress: 60,000 rows · 60 rejected · 1,000/s · 60% · 0:00:40 left",
        "progress: 90,000 rows · 90 rejected · 1,000/s · 90% · 0:00:10 left",
    ]


def test_what_was_published_before_is_no_part_of_the_rate(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    place = (500, 1_000)
    with progress("plain", lambda: place) as show:
        show(50_000, 0)
        clock[0], place = 30.0, (750, 1_000)
        show(80_000, 0)
    assert capsys.readouterr().err == "progress: 80,000 rows · 0 rejected · 1,000/s · 75% · 0:00:30 left\n"


def test_without_a_known_end_there_is_no_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("plain", lambda: None) as show:
        show(10, 0)
        clock[0] = 30.0
        show(3_010, 1)
    assert capsys.readouterr().err == "progress: 3,010 rows · 1 rejected · 100/s\n"


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_nothing_is_shown_where_nobody_looks(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(mode, lambda: (1, 2)) as show:
        show(10, 0)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("auto", lambda: (250, 1_000)) as show:
        show(1_000, 0)
        show(2_000, 7)
    assert "25%" in terminal.getvalue()
    assert "2.00k/8.00k" in terminal.getvalue()
    assert "7 rejected" in terminal.getvalue()
