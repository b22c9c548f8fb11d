"""How long work takes: wall and processor time, in turn with a reference, by stage, and memory of a process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    wall: float  # seconds
    cpu: float  # seconds, of all threads


Costs: TypeAlias = dict[str, list[Cost]]


def cost_of(work: Callable[[], object]) -> Cost:
    """Do it once."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_turn(rounds: int, works: Mapping[str, Callable[[], object]]) -> Costs:
    """Do each once a round, so that whatever else the machine does hits all alike."""
    costs: Costs = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            costs[name].append(cost_of(work))
    return costs


def median(costs: Sequence[Cost]) -> float:
    """Median wall time, seconds."""
    return statistics.median(cost.wall for cost in costs)


def ratio(costs: Sequence[Cost], reference: Sequence[Cost]) -> float:
    """Median of the rounds' wall times over those of the reference in the same round."""
    return statistics.median(own.wall / other.wall for own, other in zip(costs, reference, strict=True))


class Stages:
    """Processor seconds of functions by stage; a function called inside another counts for its own stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = threading.local()
        self._lock = threading.Lock()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with its processor time noted."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            outer: float = getattr(self._inside, "seconds", 0.0)
            self._inside.seconds = 0.0
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - start
                with self._lock:
                    self.seconds[stage] += spent - self._inside.seconds
                self._inside.seconds = outer + spent

        return wrapper

    @contextmanager
    def watching(self, functions: Mapping[str, str]) -> Iterator[None]:
        """Time `module:function` or `module:Class.method`, each for its stage; those that are gone are left."""
        changed: list[tuple[Any, str, Any]] = []
        for place, stage in functions.items():
            module, _, name = place.partition(":")
            *owners, last = name.split(".")
            holder: Any = import_module(module)
            for owner in owners:
                holder = getattr(holder, owner, None)
            found = getattr(holder, last, None)
            if found is not None:
                changed.append((holder, last, found))
                setattr(holder, last, self.timed(stage, found))
        try:
            yield
        finally:
            for holder, last, found in reversed(changed):
                setattr(holder, last, found)


# Run between us and the program: the largest size of a child counts that of the process it was started from. What works
# may be a process far below: all are summed up twenty times a second, pages that they share counted once.
_MEASURE = """
import glob, json, os, resource, subprocess, sys, threading, time

def tree(pid):
    yield pid
    for file in glob.glob(f"/proc/{pid}/task/*/children"):
        for child in open(file).read().split():
            yield from tree(child)

def size(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0

def watch():
    global peak
    while not over.wait(0.05):
        try:
            peak = max(peak, sum(map(size, tree(child.pid))))
        except OSError:
            pass  # a process ended just now

peak, over, start = 0, threading.Event(), time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
watcher = threading.Thread(target=watch)
if WATCHED:
    watcher.start()
words = child.stderr.read()
_, status, used = os.wait4(child.pid, 0)
wall = time.perf_counter() - start
over.set()
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime,
                  "peak": max(peak, used.ru_maxrss * unit), "code": os.waitstatus_to_exitcode(status),
                  "words": words.decode(errors="replace")[-400:]}))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a program took, its start included."""

    cost: Cost
    peak: int  # bytes


def run(*command: str, watched: bool = False) -> Run:
    """Run a program to its end; raises RuntimeError with its last words when it fails.

    `watched` counts the memory of all processes below it, too (Linux only), which costs it time.
    """
    code = _MEASURE.replace("WATCHED", str(watched))
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    if said["code"] != 0:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {said['code']}: {said['words']}")
    return Run(Cost(said["wall"], said["cpu"]), int(said["peak"]))
