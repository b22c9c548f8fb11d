"""What this process may use of the machine: cores and memory, less what affinity and a container take away."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
# What a process may always try to take, bytes: it reserves more than it uses.
_LEAST_LIMIT = 4 << 30


def cores(cgroup: Path = _CGROUP) -> int:
    """Cores that are really there for this process, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, count if quota is None else min(count, round(quota)))


def threads(wanted: int = 0, cgroup: Path = _CGROUP) -> int:
    """How many threads to use: as many as were `wanted` (0: any number), never more than there are cores."""
    there = cores(cgroup)
    return min(wanted, there) if wanted > 0 else there


def limit_memory(free: int) -> None:
    """Let this process fail alone when memory runs out, as far as the system can: Linux.

    It takes no more than is `free` (bytes) now, and is the one that the system ends first.
    """
    if sys.platform != "linux":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = max(free, _LEAST_LIMIT)
    resource.setrlimit(resource.RLIMIT_DATA, (min(limit, most) if most > 0 else limit, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def free_memory(cgroup: Path = _CGROUP, told: Path = Path("/proc/meminfo")) -> int:
    """Bytes that may still be taken; as good as endless where nobody says."""
    bounds = [1 << 62]
    with suppress(OSError, ValueError, IndexError):
        (line,) = (line for line in told.read_text().splitlines() if line.startswith("MemAvailable:"))
        bounds.append(int(line.split()[1]) * 1024)
    # cgroup 2, cgroup 1; what a bound is not set to is a word, or a number that no machine has.
    for limit, used in (
        ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):  # fmt: skip
        with suppress(OSError, ValueError):
            taken = int((cgroup / used).read_text()) - _reclaimable((cgroup / used).with_name("memory.stat"))
            bounds.append(int((cgroup / limit).read_text()) - taken)
    return max(0, min(bounds))


def _reclaimable(told: Path) -> int:
    """Bytes of files that were read once, which count as used until somebody needs their place."""
    with suppress(OSError, ValueError, IndexError):
        for line in told.read_text().splitlines():
            if line.split()[0] == "inactive_file":
                return int(line.split()[1])
    return 0


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time that a container allows; None when it sets no bound."""
    files = ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")  # cgroup 2, cgroup 1
    for names in files:
        try:
            words = " ".join((cgroup / name).read_text() for name in names).split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):
            continue  # not there, or "max"
        if quota > 0 and period > 0:
            return quota / period
    return None
