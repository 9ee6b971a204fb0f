from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.processes import own_peak_bytes, run_process
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


def test_standard_output_goes_to_a_file_as_a_shell_sends_it(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("what stood there before and is longer than what comes")
    run_process([sys.executable, "-c", "print('scores')"], output=target)
    assert target.read_bytes() == b"scores\n"
    with pytest.raises(ResenhaError, match="exit status 1: no scores"):
        run_process([sys.executable, "-c", "import sys; sys.exit('no scores')"], output=target)


@pytest.mark.parametrize(("status", "is_allowed"), [(0, False), (2, False), (3, True)])
def test_another_exit_status_than_allowed_is_a_failure(status: int, is_allowed: bool) -> None:
    command = [sys.executable, "-c", f"raise SystemExit({status})"]
    if is_allowed:
        assert not run_process(command, allowed=[3]).was_killed
    else:
        with pytest.raises(ResenhaError, match=f"exit status {status}"):
            run_process(command, allowed=[3])


def test_a_process_is_killed_if_it_has_not_ended_by_then(tmp_path: Path) -> None:
    sleeper = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    command = [sys.executable, "-S", "-c", sleeper, str(tmp_path / "began")]
    finished = run_process(command, kill_after=2)
    assert finished.was_killed
    assert 2 <= finished.seconds < 60
    assert (tmp_path / "began").exists()
    assert not run_process([sys.executable, "-S", "-c", "pass"], kill_after=60).was_killed


def test_a_process_that_kills_itself_was_not_killed_by_us() -> None:
    command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with pytest.raises(ResenhaError, match="exit status -9"):
        run_process(command)


def test_what_is_said_on_standard_error_can_be_passed_on_as_it_comes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    speak = "import sys; print('epoch 1', file=sys.stderr); print('broken'); sys.exit(1)"
    with pytest.raises(ResenhaError, match="exit status 1: broken"):
        run_process([sys.executable, "-c", speak], shows_errors=True)
    assert capfd.readouterr().err == "epoch 1\n"


def test_a_process_below_knows_its_own_peak() -> None:
    held = bytearray(300_000_000)
    script = (
        "from benchmarks.processes import own_peak_bytes; raise SystemExit(own_peak_bytes() > 200_000_000)"
    )
    run_process([sys.executable, "-c", script])
    assert own_peak_bytes() > len(held)


def test_whoever_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    sleeper = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, "-S", "-c", sleeper, str(tmp_path / "began")]
    above = (
        "import json, sys; from benchmarks.processes import run_process; run_process(json.loads(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", above, json.dumps(command)])
    wait_for(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
    process.kill()
    process.wait()
    below = int((tmp_path / "began").read_text())
    wait_for(lambda: not is_running(below))


def wait_for(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
