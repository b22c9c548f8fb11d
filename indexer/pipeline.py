"""Pass one: a video becomes an index. The story from top to bottom.

Each frame is decoded once, searched for faces and held against its neighbours for scene changes; faces are followed
inside their shots; each trail keeps its best looks; trails of one person are grouped; all is stored, whole or not
at all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from indexer.engine import FaceEngine
from indexer.exemplars import choose, embed, pool
from indexer.group import Evidence, as_people, number_people
from indexer.scan import Scan, View
from indexer.shots_plain import Shots, shot_detector
from indexer.split import split_mixed
from indexer.track import Stage, Tracker
from indexer.trail import Trail
from indexer.video import Probe, Reading, probe, read_frames
from store import pooled_file
from store.config import Config
from store.digest import hash_file
from store.errors import VideoError
from store.records import (
    DETECTED,
    Exemplar,
    IndexContents,
    IndexStats,
    Shot,
    Tracklet,
)
from store.video_index import write_index

# Frames beside a gradual change in which its faint rest may still be seen: the witness is not asked there.
BESIDE_CHANGE = 4

Progress = Callable[[int, int], None]  # frames done, frames in all as far as known


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A trail with its exemplars."""

    trail: Trail
    exemplars: tuple[Exemplar, ...]


def index_video(
    path: Path, store: Path, engine: FaceEngine, config: Config, progress: Progress, sha256: str | None = None
) -> tuple[Path, IndexContents]:
    """Look at a video once and keep what was seen; gives the index's folder and its contents.

    Raises VideoError for what cannot be decoded, UnwritableError when the store cannot be written.
    """
    contents = look_at(path, engine, config, progress, sha256)
    folder = write_index(store, contents)
    pooled_file.keep(folder)
    return folder, contents


def look_at(
    path: Path, engine: FaceEngine, config: Config, progress: Progress, sha256: str | None = None
) -> IndexContents:
    """Everything that can be known of a video after one pass over it."""
    started = time.monotonic()
    video = probe(path)
    reading = Reading()
    shots = shot_detector(video.frame_rate, config)
    views = _watched(_views(video, reading, engine, config), shots, video, reading, progress)
    followed = list(_follow(views, shots, video, engine, config))
    if not reading.pts:
        raise VideoError(f"{path} has no frame that can be decoded; the file may be damaged")
    followed.sort(key=lambda item: (item.trail.frames[0], item.trail.boxes[0].tolist()))
    people = number_people([_evidence(item) for item in followed], engine.bar.scale)
    stats = IndexStats(
        seconds=time.monotonic() - started,
        faces=sum(len(item.trail.frames) for item in followed),
        searched=reading.searched,
    )
    edges = [0, *shots.cuts(), len(reading.pts)]
    return IndexContents(
        video=video.video(sha256 or hash_file(path), reading),
        times=reading.times(video.frame_rate, video.time_base),
        engine=engine.info,
        config={**asdict(config), "bar": engine.bar.value},
        stats=stats,
        shots=tuple(Shot(number, edges[number], edges[number + 1]) for number in range(len(edges) - 1)),
        people=as_people(people),
        tracklets=tuple(
            _tracklet(number, item.trail, person)
            for number, (item, person) in enumerate(zip(followed, people, strict=True), start=1)
        ),
        sightings={number: item.trail.sightings() for number, item in enumerate(followed, start=1)},
        exemplars={number: item.exemplars for number, item in enumerate(followed, start=1)},
    )


def _views(video: Probe, reading: Reading, engine: FaceEngine, config: Config) -> Iterator[View]:
    search_every, look_every = (
        max(1, round(seconds * video.frame_rate))
        for seconds in (config.search_interval, config.look_interval)
    )
    scan = Scan(video.width, video.height, search_every, look_every, config)
    return scan.views(read_frames(video, reading, engine.threads), engine)


def _watched(
    views: Iterator[View], shots: Shots, video: Probe, reading: Reading, progress: Progress
) -> Iterator[View]:
    """Pass views on as soon as it is settled which shot they belong to."""
    waiting: deque[View] = deque()
    for view in views:
        shots.push(view.index, view.tiny)
        waiting.append(view)
        while waiting and waiting[0].index < shots.settled:
            yield waiting.popleft()
        reading.searched += view.searched
        progress(view.index + 1, max(video.frame_estimate, view.index + 1))
    shots.finish()
    yield from waiting


def _follow(
    views: Iterator[View], shots: Shots, video: Probe, engine: FaceEngine, config: Config
) -> Iterator[Followed]:
    """Faces followed inside their shots, each with its best looks."""
    tracker = Tracker(Stage(video.width, video.height, float(video.frame_rate)), config)
    ended: list[Future[list[Followed]]] = []
    # Looks are embedded beside the search of later frames.
    with ThreadPoolExecutor(1) as recogniser:
        for view in views:
            for trail in tracker.step(
                view, shots.shot_of(view.index), shots.mixed(view.index, BESIDE_CHANGE)
            ):
                trail.trim(shots.mixed)
                ended.append(recogniser.submit(_finished, trail, engine, config))
        for trail in tracker.finish():
            trail.trim(shots.mixed)
            ended.append(recogniser.submit(_finished, trail, engine, config))
        for work in ended:
            yield from work.result()


def _finished(trail: Trail, engine: FaceEngine, config: Config) -> list[Followed]:
    """A trail with its exemplars; several trails when it turns out to hold several people, none without a face."""
    if len(trail.frames) < config.min_detections:
        return []
    exemplars = embed(choose(trail.candidates, config.looks), engine)
    parts = split_mixed(trail, exemplars, engine)
    if parts == [trail]:
        looks = [exemplars]
    else:
        looks = [embed(choose(part.candidates, config.looks), engine) for part in parts]
    for part in parts:
        part.candidates = []  # two megabytes a trail: a long video has thousands
    return [Followed(part, own) for part, own in zip(parts, looks, strict=True) if own]


def _evidence(item: Followed) -> Evidence:
    frames, looks = item.trail.frames, item.exemplars
    return Evidence(pool(looks), max(look.quality for look in looks), frames[0], frames[-1] + 1)


def _tracklet(number: int, trail: Trail, person: int) -> Tracklet:
    detected = np.array(trail.sources) == DETECTED
    return Tracklet(
        number=number, shot=trail.shot, start=trail.frames[0], end=trail.frames[-1] + 1,
        start_reason=trail.start_reason, end_reason=trail.end_reason, person=person,
        face_width=float(np.median(np.array(trail.boxes)[:, 2])),
        score=float(np.array(trail.scores)[detected].mean()) if detected.any() else 0.0,
    )  # fmt: skip
