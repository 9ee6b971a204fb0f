"""Commands in a world of their own: with other mounts, or without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

RESENHA = (sys.executable, "-m", "pipeline")


@cache
def why_not_apart(option: str) -> str | None:
    """Give why no command can be started with ``unshare`` and an option; None where one can."""
    probe = {"--mount": "mount -t tmpfs none /mnt", "--net": "true"}[option]
    try:
        tried = subprocess.run(
            ["unshare", option, "sh", "-c", probe], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unshare is not installed"
    return f"unshare {option} does not work here: {tried.stderr.strip()}" if tried.returncode else None


def apart(
    option: str, script: str, *arguments: str | Path, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell with ``unshare`` and an option; it must not fail itself."""
    command: Sequence[str | Path] = ["unshare", option, "sh", "-euc", script, "sh", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
