"""A plugin for pytest that prints how each case fared: ``python -m pytest -p tests.faults.case_table``.

A case of which no test ran fails the session.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.errors import ResenhaError
from tests.faults.cases import CASES
from tests.faults.command import TELLING

_SEEN_WIDTH = 110
_ORDER = ("FAILED", "passed", "NOT RUN")
"""What is told of a case with several tests is the first of these that one of them has."""
_FOLDERS = re.compile(r"(?:/[^/\s:]+)*/test_[^/\s]*?[0-9]+/(?:here/)?")
"""Of a test; what a user sees has another one."""


@dataclass(frozen=True)
class Held:
    """How a test that holds a case ended."""

    test: str
    outcome: str
    seen: str


_held: dict[tuple[str, str], list[Held]] = defaultdict(list)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Keep the last message that was made for a user, for a test that keeps none by itself."""
    before = ResenhaError.__init__

    def remember(self: ResenhaError, *arguments: object) -> None:
        item.stash[_MESSAGE] = str(arguments[0]) if arguments else ""
        before(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResenhaError, "__init__", remember)
        yield


_MESSAGE = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a test ended under each of its cases."""
    report = yield
    if report.when != "call" and report.passed:
        return report
    told = [str(value) for name, value in item.user_properties if name == "seen" and value]
    message = item.stash.get(_MESSAGE, "")
    # A test may call the command several times; what went wrong tells most.
    seen = next((each for each in told if TELLING.match(each)), None) or (told[-1] if told else message)
    outcome = {"passed": "passed", "failed": "FAILED"}.get(report.outcome, "NOT RUN")
    for mark in item.iter_markers("case"):
        _held[mark.args].append(Held(item.nodeid.removeprefix("tests/"), outcome, _shortened(seen)))
    return report


def _shortened(seen: str) -> str:
    line = " ".join(_FOLDERS.sub("", seen).split())
    return line if len(line) <= _SEEN_WIDTH else f"{line[: _SEEN_WIDTH - 1]}…"


def _rows() -> list[tuple[str, str, Held]]:
    """Give every case with the test that tells of it."""
    rows = []
    for section, cases in CASES.items():
        for words in cases:
            tests = sorted(_held[section, words], key=lambda held: _ORDER.index(held.outcome))
            first = tests[0] if tests else Held("no test", "NOT RUN", "")
            more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            rows.append((section, words, Held(first.test + more, first.outcome, first.seen)))
    return rows


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that has left out a case."""
    is_whole = all(held.outcome == "passed" for _, _, held in _rows())
    if not is_whole and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each case: how it fared, where it is tested, what a user sees."""
    rows = _rows()
    write = terminalreporter.write_line
    write("")
    for section, words, held in rows:
        is_good = held.outcome == "passed"
        write(
            f"{held.outcome:<7} | {section}: {words} | {held.test} | {held.seen or '-'}",
            **({} if is_good else {"red": True, "bold": True}),
        )
    counts = {outcome: sum(held.outcome == outcome for _, _, held in rows) for outcome in _ORDER}
    write(f"{len(rows)} cases: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
