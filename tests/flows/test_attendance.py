from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings

from flows.attendance import attend, forget_all_but, hold, is_attended
from flows.processes import MARK
from pipeline.errors import InputOutputError

RUN = "11111111-2222-3333-4444-555555555555"
HOLD = "import sys, time; from pathlib import Path; from flows.attendance import hold; hold(Path(sys.argv[1]), sys.argv[2]); "


def start(home: Path, then: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOLD + then, str(home), RUN], stdout=subprocess.PIPE)


def test_a_run_is_attended_until_its_process_dies(tmp_path: Path) -> None:
    assert is_attended(tmp_path, RUN) is None
    process = start(tmp_path, "print(flush=True); time.sleep(60)")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert is_attended(tmp_path, RUN) is True
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_attended(tmp_path, RUN) is False


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_a_process_that_ends_by_itself_leaves_nothing(tmp_path: Path, end: str) -> None:
    process = start(tmp_path, f"\n{end}")
    process.communicate()
    assert is_attended(tmp_path, RUN) is None
    assert not list((tmp_path / "alive").iterdir())


def test_a_second_attempt_in_another_process_takes_over(tmp_path: Path) -> None:
    start(tmp_path, "import os; os._exit(0)").communicate()
    assert is_attended(tmp_path, RUN) is False
    hold(tmp_path, RUN)
    assert is_attended(tmp_path, RUN) is True


def test_files_of_runs_that_are_over_go_and_others_stay(tmp_path: Path) -> None:
    start(tmp_path, "import os; os._exit(0)").communicate()
    hold(tmp_path, "held")
    forget_all_but(tmp_path, {RUN})
    assert is_attended(tmp_path, RUN) is False
    forget_all_but(tmp_path, set())
    assert is_attended(tmp_path, RUN) is None
    assert is_attended(tmp_path, "held") is True


def test_where_no_run_was_there_is_nothing_to_forget(tmp_path: Path) -> None:
    forget_all_but(tmp_path, set())
    assert not list(tmp_path.iterdir())


def test_no_place_for_the_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "alive").touch()
    with pytest.raises(InputOutputError, match=r"alive/1111.* cannot be locked: .*PREFECT_HOME"):
        hold(tmp_path, RUN)


def test_outside_a_flow_run_nothing_is_held(tmp_path: Path) -> None:
    with temporary_settings({PREFECT_HOME: tmp_path}):
        attend()
    assert not list(tmp_path.iterdir())


def test_a_flow_that_attends_keeps_its_output_from_the_workers_pipe(tmp_path: Path) -> None:
    code = (
        "import os, sys; from flows.attendance import attend; attend(); "
        "os.system('echo from a child'); print('from the flow'); print('of errors', file=sys.stderr)"
    )
    # As a worker's process that names its run, with a reader who is gone.
    environment = {
        **os.environ,
        "PREFECT__FLOW_RUN_ID": RUN,
        "PREFECT_HOME": str(tmp_path),
        MARK: str(tmp_path),
    }
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=writer, stderr=writer, check=False
    )
    os.close(writer)
    assert process.returncode == 0
    assert sorted((tmp_path / "runs.log").read_text().split("\n")) == [
        "",
        "from a child",
        "from the flow",
        "of errors",
    ]
