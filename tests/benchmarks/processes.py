"""A program and the processes it starts, watched from outside: memory, open files, processor time. Linux only."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED = "ZX"


@dataclass(frozen=True, slots=True)
class Sample:
    """A program with all it started, at one moment."""

    done: int  # how far its work was, in whatever is counted
    seconds: float  # since it began
    cpu: float  # seconds, of all processes that are there
    largest: int  # bytes of the largest process
    total: int  # bytes of all; pages that they share count once
    handles: int  # open files of the process that has most


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A program that ran to its end."""

    samples: list[Sample]
    stdout: str


def watch(command: Sequence[str], every: float, done: Callable[[], int], folder: Path) -> Watched:
    """Run a program in a folder and look at it now and then; raises RuntimeError with its last words when it fails."""
    samples: list[Sample] = []
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    start = time.monotonic()
    try:
        while True:
            try:
                stdout, _ = process.communicate(timeout=every)
                break
            except subprocess.TimeoutExpired:
                now = sample(process.pid, done(), time.monotonic() - start)
                samples += [now] if now.largest else []  # it ends just now
    finally:
        process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:5])} ended with {process.returncode}: {stdout[-400:]}")
    return Watched(samples, stdout)


def sample(root: int, done: int = 0, seconds: float = 0.0) -> Sample:
    """How a process and all it started are at this moment; processes that end meanwhile are left out."""
    sizes, handles, cpu = [0], [0], 0.0
    for pid, ticks in _tree(root):
        with suppress(OSError):
            handles.append(len(os.listdir(_PROC / str(pid) / "fd")))
            sizes.append(_size(pid))
            cpu += ticks / _TICKS
    return Sample(done, seconds, cpu, max(sizes), sum(sizes), max(handles))


def _size(pid: int) -> int:
    """Its share of what is in memory, bytes: of pages that several have, an equal part."""
    lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10


def _tree(root: int) -> list[tuple[int, int]]:
    """Number and processor ticks of a process and of all below it."""
    below: dict[int, list[tuple[int, int]]] = defaultdict(list)
    own = None
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            entry = int(path.parent.name), int(fields[11]) + int(fields[12])
            if fields[0] not in _ENDED:
                below[int(fields[1])].append(entry)
                own = entry if entry[0] == root else own
    tree, todo = [], [own] if own else []
    while todo:
        tree.append(todo.pop())
        todo += below[tree[-1][0]]
    return tree
