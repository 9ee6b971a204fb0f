"""What tests of faults share."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import cli
from tests.faults.command import Resenha, Run


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether all faults are asked for (``make test-faults``), not some of each kind."""
    return bool(request.config.getoption("--long"))


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
