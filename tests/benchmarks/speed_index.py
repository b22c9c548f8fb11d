"""What indexing a video costs, held against decoding alone and against a plain loop of the same models."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2

from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.model.config import Config
from tests.benchmarks.plain_loop import with_onnx_runtime
from tests.benchmarks.processes import watch
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.speed_stages import COUNTERS, STAGES, by_stage
from tests.benchmarks.speed_videos import Input
from tests.benchmarks.stopwatch import Costs, Stages, cpu, cpu_ratio, in_turn, wall, wall_ratio
from tests.factories import IndexContents, index_contents


@dataclass(slots=True, eq=False)
class Measured:
    """One video's figures."""

    source: Input
    frames: int
    costs: Costs  # decode, index, every (frame searched), plain
    stages: dict[str, float]  # processor seconds a run, by stage
    index_bytes: int
    people: int
    peak: int  # bytes, of the whole command

    def row(self) -> dict[str, Any]:
        """The line of the table."""
        index, decode = self.costs["index"], self.costs["decode"]
        return {
            "video": self.source.name,
            "decode s": wall(decode),
            "index s": wall(index),
            "index / decode": wall_ratio(index, decode),
            "in CPU": cpu_ratio(index, decode),
            "scan every / decode": wall_ratio(self.costs["every"], decode),
            "plain loop / decode": wall_ratio(self.costs["plain"], decode),
            "x real time": self.source.seconds / wall(index),
            "peak MiB": self.peak / 2**20,
            "MiB a minute": self.index_bytes / 2**20 / self.source.seconds * 60,
            "people": self.people,
        }

    def stage_row(self) -> dict[str, Any]:
        """Where the processor's time goes, in hundredths of what indexing takes of it."""
        whole = cpu(self.costs["index"])
        shares = by_stage(self.stages, whole, cpu(self.costs["decode"]))
        return {"video": self.source.name, "CPU s": whole} | {
            f"{stage} %": 100 * seconds / whole for stage, seconds in shares.items()
        }


@dataclass(slots=True, eq=False)
class IndexRuns:
    """Runs of index in this process, the engine loaded before."""

    engine: FaceEngine
    config: Config
    stages: Stages
    contents: IndexContents | None = None  # of the last run

    def index(self, video: Path, store: Path | None = None) -> None:
        """Index a video once more."""
        with self.stages.watching(STAGES, COUNTERS), threads_of_a_worker():
            self.contents = index_contents(video, self.engine, self.config, store)


@contextmanager
def threads_of_a_worker() -> Iterator[None]:
    """OpenCV without threads of its own, as in the worker that indexes for the command.

    They spin while they wait for work: of 22 CPU seconds for a film of television 2, which no user pays.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def measure(source: Input, engine: FaceEngine, rounds: int, config: Config) -> Measured:
    """Decode, index and run the plain loop in turn; the engine is loaded before."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        store = Path(temporary)
        runs = IndexRuns(engine, config, Stages())
        every = replace(config, search_interval=0.0)
        works: dict[str, Callable[[], object]] = {
            "decode": lambda: decode(source.path),
            "index": lambda: runs.index(source.path, store / "default"),
            "every": lambda: IndexRuns(engine, every, Stages()).index(source.path, store / "every"),
            "plain": lambda: with_onnx_runtime(source.path, engine),
        }
        costs = in_turn(rounds, works)
        size = sum(file.stat().st_size for file in (store / "default").rglob("*") if file.is_file())
        peak = peak_memory(source.path, config)
    assert runs.contents is not None
    return Measured(
        source, len(runs.contents.times.pts), costs,
        {stage: seconds / rounds for stage, seconds in runs.stages.seconds.items()},
        size, len(runs.contents.clusters), peak,
    )  # fmt: skip


def decode(path: Path) -> int:
    """Decode a video with PyAV, threads on, and do nothing with it; how many frames it has."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def peak_memory(video: Path, config: Config) -> int:
    """Most memory that the whole command takes for a video, its workers included, bytes."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as store:
        options = ("--store", store, "--min-face", str(config.min_face))
        command = (sys.executable, str(ROOT / "cli.py"), "index", str(video), *options)
        return max(one.total for one in watch(command, 0.05, lambda: 0, ROOT).samples)


def memory_rows(sources: Sequence[Input]) -> Iterator[dict[str, Any]]:
    """The same video, short and long: memory must not grow."""
    for source in sources:
        peak = peak_memory(source.path, Config())
        yield {"video": source.name, "minutes": source.seconds / 60, "peak MiB": peak / 2**20}
