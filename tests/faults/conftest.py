"""What tests of faults share: launchers, material, and figures that are shown at the end."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import cli
from pipeline.runtime.cores import usable_cores
from tests.faults.command import Resenha, Run
from tests.faults.material import Material, make_material, snapshot
from tests.faults.starting import Launcher, environment
from tests.faults.tracing import Call, traced, why_not_traced

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here, so that it can be run together with the cases that other rooms hold."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("fault")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures, and aloud what was not run."""
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)
    here = Path(__file__).parent.name
    for report in terminalreporter.stats.get("skipped", []):
        if f"/{here}/" in report.nodeid:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"NOT RUN {report.nodeid}: {reason}")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be printed when all tests are done."""
    lines: list[str] = request.config.stash[FIGURES]
    return lines


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether all faults are asked for (``make test-faults``), not some of each kind."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A bundle and inputs that no test changes."""
    return make_material(tmp_path_factory.mktemp("material") / "here")


@pytest.fixture(scope="session")
def run_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of runs."""
    return environment(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def launchers(
    tmp_path_factory: pytest.TempPathFactory, run_environment: dict[str, str], material: Material
) -> Iterator[list[Launcher]]:
    """One launcher for each core; the bundle was tested before on this machine."""
    if sys.platform != "linux":
        pytest.skip("faults are made with the means of Linux")
    folder = tmp_path_factory.mktemp("launchers")
    with ExitStack() as stack:
        made = [
            stack.enter_context(closing(Launcher(folder / str(number), run_environment)))
            for number in range(usable_cores())
        ]
        first = made[0].run(material.arguments(folder / "first"), material.folder)
        assert first.status == 3, first.err
        yield made


@pytest.fixture
def launcher(launchers: list[Launcher]) -> Launcher:
    """One launcher."""
    return launchers[0]


@pytest.fixture(scope="session")
def reference(
    launchers: list[Launcher], material: Material, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], list[Call]]:
    """What an uninterrupted run leaves, and its calls on the output."""
    home = tmp_path_factory.mktemp("reference") / "home"
    home.mkdir()
    if why_not_traced():
        launchers[0].run(material.arguments(home / "out"), material.folder)
        return snapshot(home / "out"), []
    ended, calls = traced(launchers[0].prepare(material.arguments(home / "out"), material.folder), home)
    assert (ended.status, ended.err) == (3, "")
    return snapshot(home / "out"), calls


@pytest.fixture
def whole(reference: tuple[dict[str, bytes], list[Call]]) -> dict[str, bytes]:
    """What an uninterrupted run leaves."""
    return reference[0]


@pytest.fixture
def output_calls(reference: tuple[dict[str, bytes], list[Call]]) -> list[Call]:
    """All calls on the output of an uninterrupted run; skips where they cannot be traced."""
    if reason := why_not_traced():
        pytest.skip(reason)
    return reference[1]


@pytest.fixture
def resenha(
    bundle: Path,
    work: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Resenha:
    """Call ``resenha score`` here, in the folder ``work``; the last call is what a user sees of the test."""

    def call(*arguments: str | Path, stdin: bytes = b"", model: Path = bundle) -> Run:
        stream = io.BufferedReader(io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
        capsysbinary.readouterr()
        status = cli.run(["score", "--bundle", str(model), *map(str, arguments)])
        out, err = capsysbinary.readouterr()
        ran = Run(status, out, err.decode())
        record_property("seen", ran.seen)
        return ran

    return call


@pytest.fixture(scope="session")
def measured(
    launchers: list[Launcher], material: Material, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """What an uninterrupted run leaves, and the seconds that it takes."""
    out = tmp_path_factory.mktemp("many") / "out"
    began = time.monotonic()
    assert launchers[0].run(material.many(out), material.folder).status == 3
    return snapshot(out), time.monotonic() - began
