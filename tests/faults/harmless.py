"""Which calls on an output may fail and leave it as good as without."""

from __future__ import annotations

import re

from tests.faults.tracing import OUTPUT, Call

HARMLESS = (
    # What was written is published by now and has no temporary name any more.
    ("unlink", r"\.tmp$"),
    ("rmdir", "out$"),
    # Python asks only to choose the size of a buffer, or to find out that a file is no terminal.
    ("stat", r"/(\.tmp|_inputs\.jsonl|_part-[0-9]+\.jsonl)$"),
    ("ioctl", "jsonl$"),
    ("lseek", r"(\.tmp|jsonl)$"),
    # Names were listed, or the lock is let go: nothing that was written waits for it.
    ("close", "out$"),
    # What is there already is found out again when a file gets its name, which takes nothing's place.
    ("stat", r"OUT/(scores\.csv|rejects\.jsonl|summary\.json)$"),
    # Without a second name for the file, it is renamed.
    ("link", "(csv|jsonl|json)$"),
    # What the output's path resolves to is asked for only to compare it with the inputs'.
    ("stat", f"{OUTPUT}(/out)?$"),
)
"""Calls whose failure may leave a run as good as without it; all others have to end it."""


def is_harmless(call: Call) -> bool:
    """Tell whether a run may go on, and end well, when a call fails."""
    return any(call.deed == name and re.search(path, call.paths[-1]) for name, path in HARMLESS)
