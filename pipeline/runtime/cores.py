"""How many cores this process may use: what it is allowed to, not what the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_PROC, _CGROUP = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable_cores(own_groups: Path = _PROC, root: Path = _CGROUP) -> int:
    """Give the cores of the affinity mask, or fewer where a control group grants less time.

    A container with ``--cpus 1.5`` sees every core of its machine and is stopped for the rest of
    each period once it has used its share; a quota of 1.5 cores counts as 2.

    Args:
        own_groups: Lists the control groups of this process (``cgroups(7)``).
        root: Where control groups are mounted, of version 2 or 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(own_groups, root)]
    return max(1, min([cores, *quotas]))


def _quotas(own_groups: Path, root: Path) -> Iterator[float]:
    """Yield the quota, in cores, of each control group on the way up from this process's own."""
    for line in _read(own_groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        home = root / "cpu" if controllers else root
        group = home / path.lstrip("/")
        while group.is_relative_to(home):
            limit, _, period = _read(group / "cpu.max").partition(" ")
            limit = limit or _read(group / "cpu.cfs_quota_us")
            period = period or _read(group / "cpu.cfs_period_us")
            if limit.strip().isdecimal() and period.strip().isdecimal() and int(period):
                yield int(limit) / int(period)
            group = group.parent


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
