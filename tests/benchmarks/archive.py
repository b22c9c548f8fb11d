"""python -m tests.benchmarks.archive [--hours N] [--core-hour PRICE] [--seed N] [--measure STORE ...]

Prints the tables of docs/archive.md: what a large archive costs in processor time, disk, memory and money, from the
figures below, and how long it takes on some numbers of machines, from a simulation in which videos differ in length,
some cannot be read, and machines fail. `--measure` measures what indexes and a search take here instead of computing.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from facereel.store.library.vectors import ClusterSearch

# Times real time on two cores, of README "How fast it is": film with grain, six films as people have them, television.
SPEEDS = (3.0, 5.3, 7.4)
SPEED = 5.3  # of the six films together
CORES = 2  # on which that was measured: what a worker of the simulation has
# Of the 15 indexes of the hand-checked footage and the sample, 6.3 minutes in all (--measure): megabytes an hour of
# video together and the least and the most of one, and of the television programme alone.
STORE_MB, STORE_MB_LEAST, STORE_MB_MOST, STORE_MB_TELEVISION = 91.0, 26.0, 403.0, 74.0
CLUSTERS_TELEVISION = 496  # an hour, by a minute of it: an hour has the same people again and again
CLUSTER_BYTES = 128 + 16  # in library.vectors: a vector and whose it is
CLUSTER_DB_BYTES = 580  # in library.db, of what 14 videos with 183 clusters added to it
SEARCH_MS = 80.0  # a million clusters on two cores that had other work, too (--measure)
REKOGNITION = 0.10 * 60  # dollars an hour of video

MEAN_HOURS, SIGMA, LONGEST = (
    1.0,
    1.0,
    24.0,
)  # of a video: log-normal, as programmes, clips and day-long recordings mix
UNREADABLE = 0.005  # share of videos that fail in each attempt, somewhere on the way
ATTEMPTS = 3
WORKERS = 4  # of a machine, with two cores each
FAILURE_DAYS = 30.0  # from one failure of a machine to the next, on average
REPAIR_HOURS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """A video to index on one worker."""

    hours: float  # that it takes, all attempts together
    number: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a simulated run went."""

    hours: float  # until the last video was done
    done: int  # videos
    lost: float  # hours of work that was done again
    busy: float  # share of the workers' time that was of use, 0..1


def archive(hours: float, seed: int) -> list[Task]:
    """Videos of so many hours in all, in no order."""
    rng, tasks, total = random.Random(seed), list[Task](), 0.0
    mean = np.log(MEAN_HOURS) - SIGMA**2 / 2
    while total < hours:
        length = min(rng.lognormvariate(float(mean), SIGMA), LONGEST, hours - total)
        total += length
        work = length / rng.choice(SPEEDS)
        if rng.random() < UNREADABLE:
            work *= sum(rng.random() for _ in range(ATTEMPTS))
        tasks.append(Task(work, len(tasks)))
    return tasks


def simulate(
    tasks: Sequence[Task], machines: int, seed: int, resumes: bool, failures: bool = True
) -> Schedule:
    """Let the workers of some machines take tasks from one queue, in the given order.

    A machine that fails is away for REPAIR_HOURS; its videos go back to the queue, whole, or what is left of them where
    the next worker `resumes` at the checkpoint.
    """
    rng = random.Random(seed)
    down = [_failures(rng, sum(task.hours for task in tasks)) if failures else [] for _ in range(machines)]
    free = [(0.0, machine, worker) for machine in range(machines) for worker in range(WORKERS)]
    heapq.heapify(free)
    waiting = list(reversed(tasks))
    returned: list[tuple[float, int, Task]] = []  # since when it waits
    end, lost, done = 0.0, 0.0, 0
    while waiting or returned:
        now, machine, worker = heapq.heappop(free)
        if returned and returned[0][0] <= now:
            task = heapq.heappop(returned)[2]
        elif waiting:
            task = waiting.pop()
        else:
            heapq.heappush(free, (returned[0][0], machine, worker))
            continue
        failure = next((moment for moment in down[machine] if moment > now), float("inf"))
        if failure < now + task.hours:
            spent = failure - now
            left = Task(task.hours - spent if resumes else task.hours, task.number)
            lost += 0.0 if resumes else spent
            heapq.heappush(returned, (failure, task.number, left))
            heapq.heappush(free, (failure + REPAIR_HOURS, machine, worker))
        else:
            done += 1
            end = max(end, now + task.hours)
            heapq.heappush(free, (now + task.hours, machine, worker))
    work = sum(task.hours for task in tasks)
    return Schedule(end, done, lost, work / (end * machines * WORKERS))


def parts(tasks: Sequence[Task], machines: int, seed: int) -> Schedule:
    """Let each machine index a fixed share, as `index --part` does, with its own store."""
    rng = random.Random(seed)
    shares: list[list[Task]] = [[] for _ in range(machines)]
    for task in tasks:
        shares[rng.randrange(machines)].append(task)
    runs = [simulate(share, 1, seed + at, resumes=True) for at, share in enumerate(shares) if share]
    end = max(run.hours for run in runs)
    work = sum(task.hours for task in tasks)
    return Schedule(end, sum(run.done for run in runs), 0.0, work / (end * machines * WORKERS))


def _failures(rng: random.Random, horizon: float) -> list[float]:
    """When a machine fails, hours from the start."""
    moments, now = list[float](), 0.0
    while now < horizon and len(moments) < 1000:
        now += rng.expovariate(1 / (FAILURE_DAYS * 24)) + REPAIR_HOURS
        moments.append(now)
    return moments


def costs(hours: float, core_hour: float) -> list[tuple[str, str]]:
    """What an archive of so many hours takes."""
    cores, clusters = hours * CORES / SPEED, hours * CLUSTERS_TELEVISION
    return [
        ("processor time", f"{cores:,.0f} core hours, {CORES / SPEED:.2f} an hour of video"),
        ("indexes", f"{hours * STORE_MB / 1e6:.1f} TB, {STORE_MB:.0f} MB an hour ({STORE_MB_LEAST:.0f} to "
                    f"{STORE_MB_MOST:.0f}; television {STORE_MB_TELEVISION:.0f})"),
        ("clusters", f"{clusters / 1e6:.0f} million at most, as television"),
        ("library.vectors, mapped into memory by a query", f"{clusters * CLUSTER_BYTES / 1e9:.1f} GB"),
        ("library.db", f"{clusters * CLUSTER_DB_BYTES / 1e9:.0f} GB"),
        ("search of all clusters, two cores", f"{clusters / 1e6 * SEARCH_MS / 1000:.1f} s"),
        ("machines' price, an hour of video", f"${CORES / SPEED * core_hour:.3f} at ${core_hour} a core hour"),
        ("the same by Rekognition, at $0.10 a minute", f"${REKOGNITION:.2f}"),
        ("machines' price, all", f"${cores * core_hour:,.0f}; by Rekognition ${hours * REKOGNITION:,.0f}"),
    ]  # fmt: skip


def measure(stores: Sequence[Path]) -> list[tuple[str, str]]:
    """What the indexes of some stores take an hour of video, and a search of a million made-up clusters here."""
    rows, folders = [], [folder for store in stores for folder in index_folders(store)]
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.iterdir())
        with VideoIndex(folder) as index:
            hours = index.video.length(index.times()) / 3600
            rows.append((size / 1e6, hours, len(index.clusters()), index.video.name))
    total = sum(row[1] for row in rows)
    single = sorted(row[0] / row[1] for row in rows)
    found = [
        ("indexes", f"{len(rows)}, {60 * total:.1f} minutes"),
        (
            "MB an hour",
            f"{sum(row[0] for row in rows) / total:.0f} together, {single[0]:.0f} to {single[-1]:.0f}",
        ),
    ]
    found += [
        (name, f"{size / hours:.0f} MB and {clusters / hours:.0f} clusters an hour")
        for size, hours, clusters, name in rows
    ]
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1_000_000, 128), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    search = ClusterSearch(128, 0, ()).plus([(1, np.arange(len(vectors)), vectors)])
    times = []
    for query in range(9):
        started = time.perf_counter()
        search.above(vectors[query : query + 1], [0.5])
        times.append(1000 * (time.perf_counter() - started))
    return [*found, ("search of 1,000,000 clusters", f"{statistics.median(times):.0f} ms")]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.archive", description="What an archive costs."
    )
    parser.add_argument("--hours", type=float, default=100_000, help="of video")
    parser.add_argument("--core-hour", type=float, default=0.05, help="dollars for a core for an hour")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--measure", type=Path, nargs="+", metavar="STORE", help="measure these stores instead"
    )
    options = parser.parse_args()
    rows = measure(options.measure) if options.measure else costs(options.hours, options.core_hour)
    print(*(f"| {name} | {value} |" for name, value in rows), sep="\n")
    if options.measure:
        return 0
    tasks = archive(options.hours, options.seed)
    print(f"\n{len(tasks):,} videos, the longest takes {max(task.hours for task in tasks):.1f} h\n")
    print("| machines | way | days | of use | done again, h |\n| --- | --- | --- | --- | --- |")
    longest_first = sorted(tasks, key=lambda task: -task.hours)
    for machines in (4, 16, 64, 256):
        for way, run in (
            ("a part each", parts(tasks, machines, options.seed)),
            ("one store, next video", simulate(tasks, machines, options.seed, resumes=True)),
            ("next video, nothing resumed", simulate(tasks, machines, options.seed, resumes=False)),
            ("the same, longest first", simulate(longest_first, machines, options.seed, resumes=False)),
        ):
            assert run.done == len(tasks)
            print(f"| {machines} | {way} | {run.hours / 24:.1f} | {run.busy:.1%} | {run.lost:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
