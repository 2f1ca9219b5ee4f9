"""What this machine has to offer to a process: processor cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

_UNKNOWN = 4 * 10**9  # bytes taken for granted where the system does not say what it has


def cores() -> int:
    """Return how many processor cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes of memory that can be had without swapping, the limit of a container included."""
    return min([_available(), *_container()])


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # where only the total is known
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def _container() -> list[int]:
    """Return what is left below the limit of a Linux control group, if there is one."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cache = int(statistics["inactive_file"])  # counted as used, but given up when memory is needed
    except (OSError, ValueError, KeyError):  # no control groups, or the limit is "max"
        return []
    return [max(0, limit - used + cache)]
