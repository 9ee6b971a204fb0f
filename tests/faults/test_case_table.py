"""The table of cases, and that it fails where one is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.cases import CASES, case
from tests.light_environment import ROOT

TESTS = """
import pytest
from tests.faults.cases import CASES, case

ALL = [(section, words) for section, cases in CASES.items() for words in cases]

@pytest.mark.parametrize("way", [pytest.param(words, marks=case(section, words)) for section, words in ALL])
def test_a_case(way, record_property):
    record_property("seen", "1 rows: 1 scored")
    record_property("seen", "resenha: what went wrong")
    record_property("seen", "2 rows: 2 scored")
    {fault}
"""
ALL = sum(len(cases) for cases in CASES.values())


@pytest.mark.parametrize(
    ("fault", "outcome", "options"),
    [
        ("pass", "passed", []),
        ('assert way != "P3 atomic"', "FAILED", []),
        ('way == "P3 atomic" and pytest.skip("no means")', "NOT RUN", []),
        ("pass", "NOT RUN", ["-k", "not atomic"]),
    ],
    ids=["all hold", "one fails", "one is skipped", "one is left out"],
)
def test_a_case_that_does_not_hold_fails_the_session_and_is_told_aloud(
    fault: str, outcome: str, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_all.py").write_text(TESTS.format(fault=fault))
    plugin = ["-p", "tests.faults.case_table", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *options, str(tmp_path / "test_all.py")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    [line] = [line for line in found.stdout.splitlines() if "| Promises: P3 atomic |" in line]
    seen = "-" if options else "resenha: what went wrong"
    assert line.startswith(f"{outcome:<7} | ")
    assert line.endswith(f" | {seen}")
    held = ALL if outcome == "passed" else ALL - 1
    assert f"{ALL} cases: {int(outcome == 'FAILED')} FAILED, {held} passed, " in found.stdout
    assert found.returncode == (0 if outcome == "passed" else 1)


def test_a_case_that_the_contract_does_not_know_cannot_be_held() -> None:
    with pytest.raises(KeyError):
        case("Promises", "P12 speed")
