"""Thousands of hostile inputs, each from its own seed, in processes that may die, hang or grow without harm.

`python -m tests.benchmarks fuzz`; a case is run again alone with `--only NUMBER`.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import at_least, at_most
from tests.benchmarks.fuzz_cases import Range
from tests.benchmarks.fuzz_outcome import Outcome
from tests.benchmarks.report import Report

CASES, SEED = 2200, 1
SECONDS = 60.0  # a case takes a tenth of a second
MEMORY = 1 << 30  # bytes; indexing a small film takes 200 MB
_ENDED = ("hang", "crash", "memory")


def fuzz(only: str) -> Iterator[Report]:
    """All cases, or the one whose number `only` is; the table counts what came of each kind."""
    numbers = range(CASES) if not only.isdigit() else range(int(only), int(only) + 1)
    results = []
    for number, outcome in run_cases(numbers, SEED):
        results.append(outcome)
        if outcome.finding:
            print(
                f"case {number}: {outcome.kind}: {outcome.result}: {outcome.finding}",
                file=sys.stderr,
                flush=True,
            )
    table = Counter((outcome.kind, outcome.result) for outcome in results)
    rows = [
        {"kind": kind, "result": result, "cases": count} for (kind, result), count in sorted(table.items())
    ]
    findings = sum(bool(outcome.finding) for outcome in results)
    enough = [at_least("hostile cases", len(results), 2000)] if not only else []
    yield "fuzz", rows, [*enough, at_most("findings", findings, 0)]


def run_cases(numbers: Iterable[int], seed: int) -> Iterator[tuple[int, Outcome]]:
    """Run cases one after the other; what came of each."""
    with tempfile.TemporaryDirectory() as scratch:
        hired, process, line = 0, None, None
        try:
            for number in numbers:
                if process is None or not process.is_alive():
                    hired += 1
                    process, line = _spawn(Path(scratch) / str(hired), seed)
                outcome = _outcome(process, line, number)
                if outcome.result in _ENDED:
                    _end(process)
                yield number, outcome
        finally:
            if process is not None:
                _end(process)


def _spawn(folder: Path, seed: int) -> tuple[BaseProcess, Any]:
    context = multiprocessing.get_context("spawn")
    line, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, folder, seed), daemon=True)
    process.start()
    other.close()
    line.recv()
    return process, line


def _outcome(process: BaseProcess, line: Any, number: int) -> Outcome:
    line.send(number)
    try:
        if not line.poll(SECONDS):
            return Outcome("?", "hang", f"more than {SECONDS:.0f} s")
        outcome: Outcome = line.recv()
        return outcome
    except (EOFError, OSError):
        process.join()
        return Outcome("?", "crash", f"exit code {process.exitcode}")


def _end(process: BaseProcess) -> None:
    process.kill()
    process.join()


def _peak() -> int:
    """Bytes that this process had in memory at most; not what the one that started it had, as getrusage says."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _serve(line: Any, folder: Path, seed: int) -> None:
    """Run cases in this process until nobody asks for more."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Address space, not memory: libraries map a gigabyte and never touch it.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    field = Range(folder)
    line.send(None)
    while True:
        number = line.recv()
        outcome = field.run(number, seed)
        peak = _peak()
        if peak > MEMORY:
            outcome = Outcome(outcome.kind, "memory", f"{peak >> 20} MiB after {outcome.result}")
        line.send(outcome)
        if peak > MEMORY:
            return
