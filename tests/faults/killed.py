"""Runs that are killed before one of their calls."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.faults.material import Material
from tests.faults.starting import Launcher
from tests.faults.tracing import Call, faulty

KILLED = -signal.SIGKILL
"""Status of a process that was."""


def kill_at(launcher: Launcher, material: Material, folder: Path, call: Call) -> Path:
    """Give the directory of a run that was killed before a call."""
    home = folder / f"{call.name}-{call.number}"
    home.mkdir()
    run = launcher.prepare(material.arguments(home / "out"), material.folder)
    assert faulty(run, home, call, "signal=KILL").status == KILLED
    return home / "out"
