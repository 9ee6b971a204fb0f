"""How much memory a run takes at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import Run, run_process

GIGABYTE = 1 << 30
_TELL = """
import atexit, sys
from pathlib import Path
def tell():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(f"peak {int(status['VmHWM'].split()[0]) * 1024}", file=sys.stderr)
atexit.register(tell)
"""


def peak_of(bundle: Path, *arguments: str | Path, **more: Any) -> tuple[Run, int]:
    """Run ``resenha score`` as a process, and give the bytes that it held at its peak, too.

    By its own account: what ``getrusage`` tells of a process begins with that of the one that started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is told by Linux")
    ran = run_process(bundle, *arguments, prepared=_TELL, **more)
    return ran, int(ran.err.rpartition("peak ")[2])
