"""Clustering a video of 50,000 tracklets, as of a day with a crowd: seconds and memory, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from facereel.indexer.identity.clustering import TrackletIdentity, make_clusters
from facereel.store.model.records import CLOTHES_BINS
from tests.benchmarks.figures import at_most
from tests.benchmarks.report import Report
from tests.benchmarks.run_facereel import ROOT

TRACKLETS, PEOPLE, IN_A_SHOT = 50_000, 500, 4
FRAMES, RATE = 50, 25  # of a shot; frames a second
SPREAD, DIMENSIONS = 0.8, 128  # two tracklets of one person agree by about 0.6
SECONDS, MEMORY_MIB = 60.0, 1024.0


def large_video() -> Iterator[Report]:
    """A row: what clustering takes, beside a process that only makes the tracklets."""
    made, clustered = (
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.large_video", what],
                cwd=ROOT, capture_output=True, text=True, check=True,
            ).stdout
        )
        for what in ("make", "cluster")
    )  # fmt: skip
    yield "clusters of a large video", [clustered | {"memory of the tracklets MiB": made["memory MiB"]}], [
        at_most(f"clustering {TRACKLETS:,} tracklets, s", clustered["wall s"], SECONDS),
        at_most(f"memory for {TRACKLETS:,} tracklets, MiB", clustered["memory MiB"], MEMORY_MIB),
    ]  # fmt: skip


def _tracklets() -> list[TrackletIdentity]:
    """Shots of four people each, in clothes that change every few hundred shots."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((PEOPLE, DIMENSIONS))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    found = []
    for shot in range(TRACKLETS // IN_A_SHOT):
        start = shot * FRAMES
        for place, person in enumerate(rng.choice(PEOPLE, IN_A_SHOT, replace=False).tolist()):
            look = people[person] + SPREAD * rng.standard_normal(DIMENSIONS) / np.sqrt(DIMENSIONS)
            dress = np.random.default_rng([person, shot // 300])
            clothes = (dress.random(CLOTHES_BINS) ** 8 * 200).astype(np.uint8)
            box = np.array([200 * place, 80, 60, 70], np.float32)
            found.append(
                TrackletIdentity(
                    embedding=(look / np.linalg.norm(look)).astype(np.float32),
                    quality=float(rng.uniform(0.2, 0.9)), shot=shot + 1, start=start, end=start + FRAMES,
                    start_seconds=start / RATE, seconds=FRAMES / RATE, ends=np.stack([box, box]),
                    clothes=clothes.tobytes(), joinable=True,
                )
            )  # fmt: skip
    return found


def _main(what: str) -> dict[str, Any]:
    tracklets = _tracklets()
    wall, cpu = time.perf_counter(), time.process_time()
    clusters = make_clusters(tracklets) if what == "cluster" else ()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    import resource  # Windows has none

    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << (20 if sys.platform == "darwin" else 10)
    )
    return {
        "tracklets": len(tracklets), "people": PEOPLE, "clusters": len(clusters), "wall s": wall, "CPU s": cpu,
        "memory MiB": memory, "cores": os.cpu_count(),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1])))
