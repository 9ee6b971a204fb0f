from __future__ import annotations

import sys

import pytest

from benchmarks.processes import run_process
from pipeline.errors import ResenhaError


def test_a_peak_is_the_processs_own_and_not_that_of_who_started_it() -> None:
    held = bytearray(300_000_000)
    small = run_process([sys.executable, "-c", "pass"])
    large = run_process([sys.executable, "-c", "held = b'1' * 150_000_000"])
    del held
    assert small.peak_bytes < 60_000_000
    assert 150_000_000 < large.peak_bytes < 250_000_000
    assert small.seconds > 0


def test_text_reaches_standard_input() -> None:
    check = "import sys; sys.exit(sys.stdin.read() != 'A quiet, moving film – café.')"
    run_process([sys.executable, "-c", check], text="A quiet, moving film – café.")


def test_a_process_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(ResenhaError, match="exit status 3: no bundle here"):
        run_process([sys.executable, "-c", "print('no bundle here'); raise SystemExit(3)"])
