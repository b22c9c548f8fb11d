"""A program and the processes it starts, watched from outside: memory, open files, processor time. Linux only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.stopwatch import Cost

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED = "ZX"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


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
    cost: Cost  # of all its processes, those that ended meanwhile too


def watch(command: Sequence[str], every: float, done: Callable[[], int], folder: Path) -> Watched:
    """Run a program in a folder and look at it now and then; raises RuntimeError with its last words when it fails."""
    samples: list[Sample] = []
    _adopt_orphans()
    before, start = _children_seconds(), time.monotonic()
    # Where Python writes no bytecode each process would compile the program again: 0.6 s of an index command.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        while True:
            try:
                stdout, _ = process.communicate(timeout=every)
                break
            except subprocess.TimeoutExpired:
                now = sample(process.pid, done(), time.monotonic() - start)
                samples += [now] if now.largest else []  # it ends just now
        seconds = time.monotonic() - start
        _wait_for_group(process.pid)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:5])} ended with {process.returncode}: {stdout[-400:]}")
    return Watched(samples, stdout, Cost(seconds, _children_seconds() - before))


def _adopt_orphans() -> None:
    """Let processes whose parents end become children of this one: the server that starts workers ends last."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait_for_group(group: int) -> None:
    """Wait for all children of a process group, so that their processor time counts."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def _children_seconds() -> float:
    """Processor seconds of all children that ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
