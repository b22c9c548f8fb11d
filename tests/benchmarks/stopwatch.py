"""How long work takes: wall and processor time, in turn with a reference, by stage."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    wall: float  # seconds
    cpu: float  # seconds, of all threads


Costs: TypeAlias = dict[str, list[Cost]]


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts what a function is given."""

    what: str
    size: Callable[..., int]  # of the function's arguments


def cost_of(work: Callable[[], object]) -> Cost:
    """Do it once."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def measured_in_turn(rounds: int, measures: Mapping[str, Callable[[], Cost]]) -> Costs:
    """Measure each once a round, so that whatever else the machine does hits all alike."""
    costs: Costs = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            costs[name].append(measure())
    return costs


def in_turn(rounds: int, works: Mapping[str, Callable[[], object]]) -> Costs:
    """Do each once a round in this process."""
    return measured_in_turn(rounds, {name: partial(cost_of, work) for name, work in works.items()})


def wall(costs: Sequence[Cost]) -> float:
    """Median wall time, seconds."""
    return statistics.median(cost.wall for cost in costs)


def cpu(costs: Sequence[Cost]) -> float:
    """Median processor time, seconds."""
    return statistics.median(cost.cpu for cost in costs)


def wall_ratio(costs: Sequence[Cost], reference: Sequence[Cost]) -> float:
    """Median of the rounds' wall times over those of the reference in the same round."""
    return statistics.median(own.wall / other.wall for own, other in zip(costs, reference, strict=True))


def cpu_ratio(costs: Sequence[Cost], reference: Sequence[Cost]) -> float:
    """Median of the rounds' processor times over those of the reference in the same round."""
    return statistics.median(own.cpu / other.cpu for own, other in zip(costs, reference, strict=True))


class Stages:
    """Processor seconds of functions by stage; a function called inside another counts for its own stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        self._inside = threading.local()
        self._lock = threading.Lock()

    def timed(self, stage: str, function: Callable[..., Any], counter: Counter | None) -> Callable[..., Any]:
        """The same function, with its processor time noted, and how much work it was given."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if counter is not None:
                with self._lock:
                    self.counts[counter.what] += counter.size(*args, **kwargs)
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
    def watching(
        self, functions: Mapping[str, str], counters: Mapping[str, Counter] | None = None
    ) -> Iterator[None]:
        """Time `module:function` or `module:Class.method`, each for its stage; AttributeError for others.

        `counters` has some of the same places.
        """
        changed: list[tuple[Any, str, Any]] = []
        for place, stage in functions.items():
            module, _, name = place.partition(":")
            *owners, last = name.split(".")
            holder: Any = import_module(module)
            for owner in owners:
                holder = getattr(holder, owner)
            original = getattr(holder, last)
            changed.append((holder, last, original))
            setattr(holder, last, self.timed(stage, original, (counters or {}).get(place)))
        try:
            yield
        finally:
            for holder, last, original in reversed(changed):
                setattr(holder, last, original)


def run(*command: str) -> Cost:
    """Run a program to its end; raises RuntimeError with its last words when it fails."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        words = child.stderr.read().decode(errors="replace")
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {child.returncode}: {words[-400:]}")
    return Cost(wall, used.ru_utime + used.ru_stime)
