"""How many CPUs this process may use: where somebody bounds it, fewer than the machine has.

Two bounds count: on which CPUs the system lets the process run (`taskset`, a batch system), and, on Linux, how much CPU
time the control groups that it is in may take, which is how containers are bounded (`docker run --cpus`, a limit of
Kubernetes). Threads beyond either only wait for one another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """The CPUs that the process may run on, and no more than its quota of CPU time, rounded up; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *_quotas()])


def _quotas() -> Iterator[int]:
    """The quotas, in CPUs, of the groups that the process is in, and of those that these are in: all of them hold."""
    try:
        lines = _GROUPS.read_text("utf-8").splitlines()
    except (OSError, ValueError):  # no control groups here
        return
    for line in lines:
        names, _, path = line.partition(":")[2].partition(":")
        if names and "cpu" not in names.split(","):
            continue
        # Version 2 has one hierarchy without a name; in version 1 it bears the names of what it controls, or one.
        group = PurePosixPath(path.lstrip("/"))
        for mount in [_MOUNT / names, _MOUNT / "cpu"] if names else [_MOUNT]:
            # In a container the path may be the host's, which is not there: its own group is then the mounted one.
            for folder in (group, *group.parents):
                quota = _quota(mount / folder)
                if quota is not None:
                    yield quota


def _quota(folder: Path) -> int | None:
    """That of one group, rounded up; None where it has none."""
    try:
        if (both := folder / "cpu.max").is_file():
            quota, period = both.read_text("ascii").split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        time, every = int(quota), int(period)  # `max` is none in version 2, -1 in version 1
    except (OSError, ValueError):
        return None
    return -(-time // every) if time > 0 and every > 0 else None
