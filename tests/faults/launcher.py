"""Becomes ``resenha`` again and again, by forking a process that has most imports behind it.

It is told the arguments of a run by a line of JSON. The run then stands still until it gets SIGCONT,
so that a tracer can be attached, a limit be set, or several runs begin at one moment; its process id
is answered, and at its end its exit status, negative where a signal ended it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.cli import main

_NEEDED = (
    "pipeline.runtime.folder_runs",
    "pipeline.runtime.self_test",
    "pipeline.runtime.sources",
    "difflib",
)
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG, _PR_SET_PTRACER, _ANY = 1, 0x59616D61, -1


def serve() -> None:
    """Start one run after the other until standard input ends."""
    _end_with_parent()
    for name in _NEEDED:
        import_module(name)
    # A fork has no other threads, and what waits for one would wait for ever.
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            request = json.loads(line)
            _stand_still(request)
            main(request["arguments"])
        os.waitpid(pid, os.WUNTRACED)
        _say(pid)
        _, status = os.waitpid(pid, 0)
        _say(os.waitstatus_to_exitcode(status))


def _stand_still(request: dict[str, Any]) -> None:
    """Turn a fork into what a shell would have started, up to its first step."""
    os.chdir(request["cwd"])
    os.setsid()
    # A shell that starts something in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ways = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, (name, flags) in enumerate(zip(("stdin", "stdout", "stderr"), ways, strict=True)):
        opened = os.open(Path(request[name]), flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    # Some systems let only an ancestor trace a process, unless it says otherwise.
    _LIBC.prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
    _end_with_parent()
    os.kill(os.getpid(), signal.SIGSTOP)


def _end_with_parent() -> None:
    """Leave nothing behind that stands still for ever, however the tests end."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
