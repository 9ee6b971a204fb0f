"""How much memory a run takes at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.command import Run, run_process

GIGABYTE = 1 << 30
_TELL = """
import atexit, resource, sys
def tell():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak {peak * (1 if sys.platform == 'darwin' else 1024)}", file=sys.stderr)
atexit.register(tell)
"""


def peak_of(bundle: Path, *arguments: str | Path, **more: Any) -> tuple[Run, int]:
    """Run ``resenha score`` as a process, and give the bytes that it held at its peak, too."""
    ran = run_process(bundle, *arguments, prepared=_TELL, **more)
    return ran, int(ran.err.rpartition("peak ")[2])
