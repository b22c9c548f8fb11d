"""Pass one: a video becomes an index. The story from top to bottom.

Each frame is decoded once, looked at for faces and held against its neighbours for scene changes; faces are followed
inside their shots; each keeps its best looks; tracklets of one person are grouped; all is stored, whole or not at
all. What is done with is kept meanwhile, so that a run that was interrupted need not be done again.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np

from facereel.indexer.engines.engine import FaceEngine
from facereel.indexer.identity.clustering import Evidence, as_people, number_people, stands_alone
from facereel.indexer.identity.exemplars import pool
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, read_frames
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.scan import Scan
from facereel.indexer.segments import Setting, mark, segments
from facereel.store.files.folders import printable
from facereel.store.index import pooled_file
from facereel.store.index.reader import write_index
from facereel.store.model.config import Config
from facereel.store.model.errors import VideoError
from facereel.store.model.records import DETECTED, IndexContents, IndexStats, Shot, Tracklet
from facereel.store.resume.checkpoint import Checkpoint
from facereel.store.resume.segments import Segment, TrackRecord

# Of decoded pictures, 12 bits a pixel, from one searched frame to the next; three such stretches are in memory at once.
STRETCH_BYTES = 56 << 20

Progress = Callable[[int, int], None]  # frames done, frames in all as far as known


def index_video(
    video: Probe, sha256: str, store: Path, engine: FaceEngine, config: Config, progress: Progress,
    note: Callable[[str], None] = lambda text: None,
) -> Path:  # fmt: skip
    """Look at a video once and keep what was seen, going on where an earlier run stopped; gives the index's folder.

    Raises VideoError for what cannot be decoded, or was written to since it was probed; UnwritableError when the
    store cannot be written. An older index of the video then stays.
    """
    checkpoint = Checkpoint(store, sha256, engine.info, engine.threshold.value, config)
    if checkpoint.kept:
        note(
            f"{printable(video.path.name)} goes on with frame {checkpoint.kept[-1].segment.end:,}, "
            "where an earlier run stopped"
        )
    folder = write_index(
        store, look_at(video, sha256, engine, config, progress, checkpoint), video.check_unchanged
    )
    checkpoint.clear()
    pooled_file.keep(folder)
    return folder


def look_at(
    video: Probe,
    sha256: str,
    engine: FaceEngine,
    config: Config,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> IndexContents:
    """Everything that can be known of a video after one pass over it; segments go to the journal and come from it."""
    try:
        return _look_at(video, sha256, engine, config, progress, checkpoint)
    except _Unlike:
        assert checkpoint is not None
        checkpoint.clear()
        return _look_at(video, sha256, engine, config, progress, checkpoint)


class _Unlike(Exception):
    """The video does not look as it did when the journal was written: another decoder, perhaps."""


def _look_at(
    video: Probe,
    sha256: str,
    engine: FaceEngine,
    config: Config,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> IndexContents:
    started = time.monotonic()
    log = DecodeLog()
    told = list(_told(video, log, engine, config, progress, checkpoint if video.timed else None))
    if not log.pts:
        raise VideoError(f"{printable(video.path)} has no frame that can be decoded; the file may be damaged")
    starts = [start for segment in told for start in (segment.start, *segment.cuts)]
    edges = [*starts, len(log.pts)]
    followed = sorted((item for segment in told for item in segment.followed), key=_first_sight)
    people = number_people([_evidence(item, config.min_face) for item in followed], engine.threshold.scale)
    return IndexContents(
        video=video.video(sha256, log),
        times=log.times(video.frame_rate, video.time_base),
        engine=engine.info,
        config={**asdict(config), "threshold": engine.threshold.value},
        stats=IndexStats(
            seconds=time.monotonic() - started,
            faces=sum(len(item.sightings) for item in followed),
            searched=sum(segment.searched for segment in told),
            **log.losses(),
        ),
        shots=tuple(Shot(number, edges[number], edges[number + 1]) for number in range(len(starts))),
        clusters=as_people(people),
        tracklets=tuple(
            _tracklet(number, bisect_right(starts, int(item.sightings.frames[0])) - 1, item, person)
            for number, (item, person) in enumerate(zip(followed, people, strict=True), start=1)
        ),
        sightings={number: item.sightings for number, item in enumerate(followed, start=1)},
        exemplars={number: item.exemplars for number, item in enumerate(followed, start=1)},
    )


def _told(
    video: Probe,
    log: DecodeLog,
    engine: FaceEngine,
    config: Config,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> Iterator[Segment]:
    """The segments of a video, first those that an earlier run kept."""
    search_every, low_res_every, tracked_every = (
        max(1, round(seconds * video.frame_rate))
        for seconds in (config.search_interval, config.low_res_interval, config.tracked_interval)
    )
    search_every = min(search_every, max(1, STRETCH_BYTES * 2 // (3 * video.width * video.height)))
    scan = Scan(video.width, video.height, search_every, low_res_every, tracked_every, config)
    kept = checkpoint.kept if checkpoint is not None else []
    first = 0
    if kept:
        first, keyframe = kept[-1].segment.end, kept[-1].segment.keyframe
        ticks = [tick for part in kept for tick in part.pts[:-1].tolist()]
        log.resume([*ticks, int(kept[-1].pts[-1])], keyframe)
    # One thread more than there are for all: the decoder goes on while one of its threads waits for us.
    views = scan.views(read_frames(video, log, engine.threads + 1), engine)
    if kept:
        begun = next(views, None)
        if begun is None or mark(begun) != kept[-1].segment.mark:
            raise _Unlike
        views = chain([begun], views)
        yield from [part.segment for part in kept]
    seen = _from(first, views, video, progress)
    for segment in segments(seen, Setting(video, engine, config, search_every), first):
        if checkpoint is not None and log.intact and segment.end < len(log.pts):
            checkpoint.append(segment, np.array(log.pts[segment.start : segment.end + 1], np.int64))
        yield segment


def _from(first: int, views: Iterator[FrameView], video: Probe, progress: Progress) -> Iterator[FrameView]:
    for view in views:
        progress(view.index + 1, max(video.frame_estimate, view.index + 1))
        if view.index >= first:
            yield view


def _first_sight(item: TrackRecord) -> tuple[int, list[float]]:
    return int(item.sightings.frames[0]), item.sightings.boxes[0].tolist()


def _evidence(item: TrackRecord, min_face: int) -> Evidence:
    frames, looks = item.sightings.frames, item.exemplars
    alone = stands_alone(_face_width(item), min_face)
    return Evidence(
        pool(looks), max(look.quality for look in looks), int(frames[0]), int(frames[-1]) + 1, alone
    )


def _face_width(item: TrackRecord) -> float:
    return float(np.median(item.sightings.boxes[:, 2]))


def _tracklet(number: int, shot: int, item: TrackRecord, person: int) -> Tracklet:
    seen = item.sightings
    detected = seen.sources == DETECTED
    return Tracklet(
        number=number, shot=shot, start=int(seen.frames[0]), end=int(seen.frames[-1]) + 1,
        start_reason=item.start_reason, end_reason=item.end_reason, cluster=person,
        face_width=_face_width(item),
        score=float(seen.scores[detected].mean()) if detected.any() else 0.0,
    )  # fmt: skip
