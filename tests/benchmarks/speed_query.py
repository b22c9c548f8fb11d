"""What a query costs: its start, matching in a store of a thousand videos, cutting."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.video import probe
from facereel.indexer.pipeline import index_video
from facereel.query.clips.cutter import cut_clips
from facereel.query.clips.plan import plan_clips
from facereel.query.records import ClipPlan, MatchingTracklet
from facereel.query.search import search
from facereel.query.search.scope import scope_of
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import index_folders
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import LIBRARY_VECTORS
from facereel.store.model.config import Config
from facereel.store.model.records import FrameTimes, Video
from tests.benchmarks import speed_targets as asked
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.run_facereel import ROOT
from tests.benchmarks.speed_index import decode
from tests.benchmarks.speed_store import person_query, thousand
from tests.benchmarks.speed_videos import Input
from tests.benchmarks.stopwatch import Costs, cost_of, cpu, in_turn, run, wall, wall_ratio
from tests.factories import make_criterion


def start_up(source: Input, engine: FaceEngine, rounds: int) -> tuple[list[dict[str, Any]], list[Figure]]:
    """Help, and a query of one indexed video that cuts nothing, whole commands; beside Python's own start."""
    photo = str(source.references[0])
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        index_video(
            probe(source.path),
            hash_file(source.path),
            Path(temporary),
            engine,
            Config(),
            lambda done, expected: None,
        )
        costs = _commands(
            rounds,
            {
                "python -c pass": ("-c", "pass"),
                "python -c 'import cv2, onnxruntime'": ("-c", "import cv2, onnxruntime"),
                "--help": (str(ROOT / "cli.py"), "--help"),
                "query": (str(ROOT / "cli.py"), "query", photo, "--store", temporary, "--dry-run"),
            },
        )
    return _rows(costs, "python -c pass"), [
        at_most("--help, s", wall(costs["--help"]), asked.HELP),
        at_most("query, one video indexed, nothing cut, s", wall(costs["query"]), asked.QUERY),
    ]


def matching(engine: FaceEngine, rounds: int) -> tuple[list[dict[str, Any]], list[Figure]]:
    """A thousand videos with a hundred thousand tracklets, asked for one person."""
    store, photo = thousand(engine)
    person = person_query(photo, engine)
    answers: list[search.PersonMatches] = []

    def ask() -> None:
        where = scope_of(Catalogue(store), [], engine.info)
        answers[:] = search.search([person], where, make_criterion())

    first = [cost_of(lambda: _forgotten(store, ask))]
    warm = in_turn(rounds, {"warm": ask})["warm"]
    cold = _commands(
        rounds,
        {
            "python -c pass": ("-c", "pass"),
            "cold": (str(ROOT / "cli.py"), "query", str(photo), "--store", str(store), "--dry-run"),
        },
    )
    costs = {
        "first (without library.vectors)": first,
        "warm (same process)": warm,
        "cold (whole command)": cold["cold"],
    }
    rows = [
        {
            "matching": name, "wall s": wall(own), "CPU s": cpu(own),
            "videos": len(index_folders(store)), "matches": len(answers[0].matches),
            "near": len(answers[0].near_misses),
        }
        for name, own in costs.items()
    ]  # fmt: skip
    return rows, [
        at_most("matching, warm, s", wall(warm), asked.WARM_MATCHING),
        at_most("matching, cold, s", wall(cold["cold"]), asked.COLD_MATCHING),
    ]


def cutting(source: Input, engine: FaceEngine, rounds: int) -> tuple[list[dict[str, Any]], list[Figure]]:
    """One follow clip as long as the video, beside decoding the same frames."""
    with tempfile.TemporaryDirectory(prefix="facereel-bench-") as temporary:
        folder = index_video(
            probe(source.path),
            hash_file(source.path),
            Path(temporary),
            engine,
            Config(),
            lambda done, expected: None,
        )
        cut = _longest(folder)
        costs = in_turn(
            rounds,
            {
                "decode": lambda: decode(source.path),
                "cut": lambda: cut_clips(cut.video, [cut.clip], cut.times, Path(temporary)),
            },
        )
    row = {
        "video": source.name, "clip": f"{cut.clip.width}x{cut.clip.height}", "clip s": cut.seconds,
        "wall s": wall(costs["cut"]), "wall / duration": wall(costs["cut"]) / cut.seconds,
        "wall / decode": wall_ratio(costs["cut"], costs["decode"]),
        "CPU s": cpu(costs["cut"]),
    }  # fmt: skip
    what = f"follow clip, wall time / duration, {source.name}"
    return [row], [at_most(what, wall(costs["cut"]) / cut.seconds, asked.CUTTING)]


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    video: Video
    clip: ClipPlan
    times: FrameTimes
    seconds: float


def _longest(folder: Path) -> _Cut:
    with VideoIndex(folder) as index:
        video, times = index.video, index.times()
        tracklet = max(index.tracklets(), key=lambda item: item.end - item.start)
        sightings = index.sightings([tracklet.number])[tracklet.number]
    match = MatchingTracklet(video, tracklet, 1.0, 0.5, "photo", "")
    (clip,), _ = plan_clips([(match, sightings)], {video.sha256: times})
    ticks = times.end_pts(tracklet.end) - int(times.pts[tracklet.start])
    return _Cut(video, clip, times, float(ticks * video.time_base))


def _forgotten(store: Path, ask: Callable[[], None]) -> None:
    (store / LIBRARY_VECTORS).unlink(missing_ok=True)
    ask()


def _commands(rounds: int, commands: dict[str, tuple[str, ...]]) -> Costs:
    costs: Costs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            costs[name].append(run(sys.executable, *arguments))
    return costs


def _rows(costs: Costs, reference: str) -> list[dict[str, Any]]:
    return [
        {
            "command": name, "wall s": wall(own), "CPU s": cpu(own),
            f"/ {reference}": wall_ratio(own, costs[reference]),
        }
        for name, own in costs.items()
    ]  # fmt: skip
