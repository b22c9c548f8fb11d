"""What this process may use of the machine: cores and memory, within its affinity and its container's limits."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
# Bytes that a process may always try to take: it reserves more than it uses.
_MIN_MEMORY_LIMIT = 4 << 30
# Parameters of glibc's mallopt (malloc.h) and their values. By default each thread keeps the pictures that it freed in
# a heap of its own, which takes a quarter more memory. Smaller blocks, and less to keep, would cost a fault for each
# page of each picture again: with 2 MiB and the usual 128 KiB, twice as many faults and a twentieth of all time.
_MALLOC_OPTIONS = {
    -8: 2,  # M_ARENA_MAX: heaps
    -3: 8
    << 20,  # M_MMAP_THRESHOLD: blocks from this size on, bytes, go back to the system when they are freed
    -1: 16 << 20,  # M_TRIM_THRESHOLD: bytes at its end that a heap keeps
}
# New objects that can refer to each other, until Python looks for garbage among them: as many as the scan makes in some
# ten seconds of film, where by default it looks after 700.
_GARBAGE_OBJECTS = 20_000


def cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may really use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, count if quota is None else min(count, round(quota)))


def threads(wanted: int = 0, cgroup: Path = _CGROUP) -> int:
    """How many threads to use: as many as are `wanted` (0: any number), never more than there are cores."""
    available = cores(cgroup)
    return min(wanted, available) if wanted > 0 else available


def limit_memory(free: int) -> None:
    """Make this process fail alone when memory runs out, as far as the system can (Linux).

    From now on it gets `free` bytes at most, and it is the first that the system kills.
    """
    if sys.platform != "linux":
        return
    import resource

    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    limit = max(free, _MIN_MEMORY_LIMIT)
    resource.setrlimit(
        resource.RLIMIT_DATA, (min(limit, hard_limit) if hard_limit > 0 else limit, hard_limit)
    )
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def return_freed_memory() -> None:
    """Make this process return memory to the system when it is freed, where the C library can (glibc)."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library has no mallopt
        library = ctypes.CDLL(None)
        for option, value in _MALLOC_OPTIONS.items():
            library.mallopt(option, value)


def collect_garbage_rarely() -> None:
    """Make Python look for garbage that refers to itself seldom, and not among what is there now.

    Frames, views and tracks are freed when nothing refers to them; looking for more takes 3% of all time.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS)


def free_memory(cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that may still be taken; 2^62 where the system does not say."""
    limits = [1 << 62]
    with suppress(OSError, ValueError, IndexError):
        (line,) = (line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
        limits.append(int(line.split()[1]) * 1024)
    # cgroup 2, cgroup 1. Without a limit the file holds a word, or a number larger than any machine's memory.
    for limit, used in (
        ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):  # fmt: skip
        with suppress(OSError, ValueError):
            taken = int((cgroup / used).read_text())
            taken -= _reclaimable((cgroup / used).with_name("memory.stat"))
            limits.append(int((cgroup / limit).read_text()) - taken)
    return max(0, min(limits))


def _reclaimable(memory_stat: Path) -> int:
    """Bytes of the file cache that count as used but are given up as soon as memory is needed."""
    with suppress(OSError, ValueError, IndexError):
        for line in memory_stat.read_text().splitlines():
            if line.split()[0] == "inactive_file":
                return int(line.split()[1])
    return 0


def _cpu_quota(cgroup: Path) -> float | None:
    """Cores' worth of time that a container allows; None without a limit."""
    files = ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")  # cgroup 2, cgroup 1
    for names in files:
        try:
            words = " ".join((cgroup / name).read_text() for name in names).split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):
            continue  # no such file, or the word "max"
        if quota > 0 and period > 0:
            return quota / period
    return None
