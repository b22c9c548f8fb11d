"""What indexing costs, held against decoding alone and against the same models in a plain loop."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from facereel.indexer.engines.opencv_zoo import DETECTOR, RECOGNIZER
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.weights import model_path
from facereel.store.model.config import Config
from tests.benchmarks.processes import watch
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.speed_videos import Input
from tests.benchmarks.stopwatch import Costs, Stages, in_turn, median, ratio
from tests.factories import IndexContents, index_contents

# Where each stage's work is done. What is called in another's stage counts for its own.
STAGES = {
    "facereel.indexer.media.frame:Frame.image": "convert",
    "facereel.indexer.media.frame:Frame.grey": "convert",
    "facereel.indexer.media.frame:Frame.small": "convert",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.push": "shots",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.finish": "shots",
    "facereel.indexer.shots.adaptive:AdaptiveShotDetector.cuts": "shots",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.detect": "detect",
    "facereel.indexer.scan.scan:interpolate": "interpolate",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.embed": "embed",
    "facereel.indexer.track.tracker:Tracker.step": "track",
    "facereel.indexer.track.tracker:Tracker.finish": "track",
    "facereel.indexer.scan.scan:cut_out": "exemplars",
    "facereel.indexer.scan.scan:clothes_histogram": "clothes",
    "facereel.indexer.engines.opencv_zoo:OpenCVZoo.landmarks": "landmarks",
    "facereel.indexer.segments:choose": "exemplars",
    "facereel.store.resume.unfinished:UnfinishedIndex.add": "write",
}
ORDER = (
    "convert",
    "shots",
    "detect",
    "interpolate",
    "track",
    "exemplars",
    "clothes",
    "landmarks",
    "embed",
    "write",
)
PLAIN_FRAMES = 60


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

    @property
    def index_ratio(self) -> float:
        """Indexing over decoding alone."""
        return ratio(self.costs["index"], self.costs["decode"])

    def row(self) -> dict[str, Any]:
        """The line of the table."""
        index, decode = self.costs["index"], self.costs["decode"]
        return {
            "video": self.source.name,
            "decode s": median(decode),
            "index s": median(index),
            "index / decode": self.index_ratio,
            "scan every / decode": ratio(self.costs["every"], decode),
            "plain loop / decode": ratio(self.costs["plain"], decode) * self.frames / PLAIN_FRAMES,
            "x real time": self.source.seconds / median(index),
            "CPU s": statistics.median(cost.cpu for cost in index),
            "CPU decode s": statistics.median(cost.cpu for cost in decode),
            "peak MiB": self.peak / 2**20,
            "MiB a minute": self.index_bytes / 2**20 / self.source.seconds * 60,
            "people": self.people,
        }

    def stage_row(self) -> dict[str, Any]:
        """Where the processor's time goes, in hundredths of what indexing takes of it."""
        whole = statistics.median(cost.cpu for cost in self.costs["index"])
        decode = statistics.median(cost.cpu for cost in self.costs["decode"])
        measured = {stage: self.stages.get(stage, 0.0) for stage in ORDER}
        shares = {"decode": decode, **measured, "rest": whole - decode - sum(measured.values())}
        return {"video": self.source.name, "CPU s": whole} | {
            f"{stage} %": 100 * seconds / whole for stage, seconds in shares.items()
        }


def measure(source: Input, engine: FaceEngine, rounds: int, config: Config) -> Measured:
    """Decode, index and run the plain loop in turn; the engine is loaded before."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        store, stages = Path(temporary), Stages()
        runs: list[IndexContents] = []

        def index() -> None:
            with stages.watching(STAGES):
                runs.append(_index(source, store / "default", engine, config))

        works: dict[str, Callable[[], object]] = {
            "decode": lambda: decode(source.path),
            "index": index,
            "every": lambda: _index(source, store / "every", engine, replace(config, search_interval=0.0)),
            "plain": lambda: plain_loop(source.path, PLAIN_FRAMES),
        }
        costs = in_turn(rounds, works)
        size = sum(file.stat().st_size for file in (store / "default").rglob("*") if file.is_file())
        peak = peak_memory(source, store / "command", config)
    return Measured(
        source, len(runs[-1].times.pts), costs,
        {stage: seconds / rounds for stage, seconds in stages.seconds.items()},
        size, len(runs[-1].clusters), peak,
    )  # fmt: skip


def decode(path: Path) -> int:
    """Decode a video with PyAV, threads on, and do nothing with it; how many frames it has."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def plain_loop(path: Path, frames: int) -> int:
    """What one would write without us: read, find faces, embed each, frame by frame; how many faces.

    The models are the same (unpacked too: OpenCV cannot run the recogniser as it comes), on as many threads as OpenCV
    likes, in pictures of the size we search.
    """
    capture = cv2.VideoCapture(str(path))
    longest = max(capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    scale = Config().analysis_side(int(longest)) / longest
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    detector = cv2.FaceDetectorYN.create(str(model_path(DETECTOR)), "", (320, 320), Config().strong_score)
    recognizer = cv2.FaceRecognizerSF.create(str(model_path(RECOGNIZER)), "")
    count = 0
    for _ in range(frames):
        there, picture = capture.read()
        if not there:
            break
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        detector.setInputSize((small.shape[1], small.shape[0]))
        faces = detector.detect(small)[1]
        for face in faces if faces is not None else ():
            row = np.asarray(face, np.float32).copy()
            row[:14] /= scale
            recognizer.feature(recognizer.alignCrop(picture, row))
            count += 1
    capture.release()
    return count


def peak_memory(source: Input, store: Path, config: Config) -> int:
    """Most memory that the whole command takes for a video, its workers included, bytes."""
    options = ("--store", str(store), "--force", "--min-face", str(config.min_face))
    command = (sys.executable, str(ROOT / "cli.py"), "index", str(source.path), *options)
    return max(one.total for one in watch(command, 0.05, lambda: 0, ROOT).samples)


def memory_rows(sources: Sequence[Input]) -> Iterator[dict[str, Any]]:
    """The same video, short and long: memory must not grow."""
    for source in sources:
        with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
            peak = peak_memory(source, Path(temporary), Config())
        yield {"video": source.name, "minutes": source.seconds / 60, "peak MiB": peak / 2**20}


def _index(source: Input, store: Path, engine: FaceEngine, config: Config) -> IndexContents:
    return index_contents(source.path, engine, config, store)
