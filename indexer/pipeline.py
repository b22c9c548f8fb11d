"""Pass one: a video becomes an index. The story from top to bottom.

Each frame is decoded once, searched for faces and compared with its neighbours for shot boundaries. Faces are tracked
inside their shots, and each tracklet gets its exemplars. Segments that are final are stored at once, so that a run
that was interrupted resumes there. At the end tracklets of one person become clusters, and the index gets its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.clustering import TrackletIdentity, make_clusters, tracklet_identity
from facereel.indexer.identity.exemplars import embeddings_and_qualities
from facereel.indexer.media import hardware
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.hardware import HardwareError
from facereel.indexer.media.video import Probe, read_frames
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.scan import Scan
from facereel.indexer.segments import Setting, fingerprint, segments
from facereel.store.files.disk import make_store
from facereel.store.files.names import printable
from facereel.store.model.config import Config
from facereel.store.model.errors import VideoError
from facereel.store.model.records import (
    Checkpoint,
    IndexStats,
    Segment,
)
from facereel.store.resume.unfinished import UnfinishedIndex

# Of decoded pictures, 12 bits a pixel, from one searched frame to the next; three such stretches are in memory at once.
STRETCH_BYTES = 40 << 20

OnProgress = Callable[[int, int], None]  # frames done, frames in all as far as known


def index_video(
    video: Probe, sha256: str, store: Path, engine: FaceEngine, config: Config, progress: OnProgress,
    note: Callable[[str], None] = lambda text: None,
) -> Path:  # fmt: skip
    """Index a video, resuming where an earlier run stopped, and return the folder of its index.

    The caller holds the video's lock. Raises VideoError for what cannot be decoded, or was written to since it was
    probed; UnwritableError when the store cannot be written. An older index of the video then stays.
    """
    make_store(store)
    unfinished = UnfinishedIndex(store, sha256, engine.info, engine.threshold.value, config)
    name = printable(video.path.name)
    if unfinished.discarded:
        note(
            f"what an earlier run left of {name} cannot be continued ({unfinished.discarded}); starting again"
        )
    elif unfinished.completed:
        note(f"{name}: an earlier run had finished; moving its index into place")
    elif unfinished.checkpoint.frames:
        note(f"{name}: resuming at frame {unfinished.checkpoint.frames:,}, where an earlier run stopped")
    try:
        if unfinished.completed:
            unfinished.record_place(video.path)
        else:
            _read_video(video, sha256, engine, config, progress, note, unfinished)
        folder = unfinished.move_into_place(lambda: _check_unchanged(video, unfinished))
    finally:
        unfinished.close()
    return folder


def _check_unchanged(video: Probe, unfinished: UnfinishedIndex) -> None:
    """As Probe.check_unchanged; deletes what was made of content that is there no more."""
    try:
        video.check_unchanged()
    except VideoError:
        if video.path.exists() and video.path.stat().st_size != video.size:
            unfinished.clear()
        raise


class _OtherPicture(Exception):
    """The video does not look as it did when the unfinished index was written: another decoder, perhaps."""


def _read_video(
    video: Probe, sha256: str, engine: FaceEngine, config: Config, progress: OnProgress, note: Callable[[str], None],
    unfinished: UnfinishedIndex,
) -> None:  # fmt: skip
    """Complete an unfinished index by reading the rest of the video, or all of it."""
    # As if earlier runs had come right before this one: the index names the time of all.
    started = time.monotonic() - unfinished.checkpoint.seconds
    name = printable(video.path.name)
    on_card = engine.device == "cuda" and hardware.is_exact(video.codec, video.pixel_format)
    if on_card and (reason := hardware.missing_device()):
        on_card = False
        note(f"{name}: no graphics card decodes video here ({reason}); decoding in software")
    while True:
        log, again = DecodeLog(), ""
        try:
            identities, end = _add_segments(
                video, engine, config, progress, unfinished, log, started, on_card
            )
        except _OtherPicture:
            again = "its pictures are decoded otherwise than in the earlier run; starting again"
        except HardwareError:
            again, on_card = "the graphics card could not decode all of it; starting again in software", False
        if not again:
            break
        # After the handlers, which hold the pass's container, threads and pictures.
        note(f"{name}: {again}")
        unfinished.clear()
    if not log.pts:
        raise VideoError(f"{printable(video.path)} has no frame that can be decoded; the file may be damaged")
    clusters = make_clusters(identities, engine.threshold.scale)
    stats = IndexStats(
        seconds=time.monotonic() - started,
        faces=unfinished.faces(),
        searched=end.searched,
        brief_faces=end.brief_faces,
        brief_seconds=round(end.brief_seconds, 3),
        **log.losses(),
    )
    settings = {**asdict(config), "threshold": engine.threshold.value}
    unfinished.complete(video.video(sha256, log), engine.info, settings, stats, clusters)


def _add_segments(
    video: Probe, engine: FaceEngine, config: Config, progress: OnProgress, unfinished: UnfinishedIndex, log: DecodeLog,
    started: float, on_card: bool,
) -> tuple[list[TrackletIdentity], Checkpoint]:  # fmt: skip
    """Read the video from the checkpoint on and store its segments; `started` is in seconds of the monotonic clock.

    Returns the identities of all its tracklets, and what the last segment ends with. The identities and the ticks of
    the frames are all that stays in memory for the whole of the video.
    """
    checkpoint = after = unfinished.checkpoint
    identities: list[TrackletIdentity] = []
    if checkpoint.frames:
        times = unfinished.times()
        identities.extend(
            tracklet_identity(*stored, times.span(stored[0].start, stored[0].end, video.time_base))
            for stored in unfinished.tracklets()
        )
        log.resume([*times.pts.tolist(), times.end_pts(checkpoint.frames)], checkpoint.search_frame)
    # What a decoder invents for lost data may be other when it begins elsewhere, and without time stamps frames have
    # no name: then nothing more is committed before the end, and the next run begins at the last checkpoint.
    for segment in _segments(video, log, engine, config, progress, checkpoint, on_card):
        after = replace(segment.after, seconds=time.monotonic() - started)
        segment = replace(segment, after=after)
        start, end = segment.start, after.frames
        last = end == len(log.pts)
        times = log.times(video.frame_rate, video.time_base, start, end)
        unfinished.add(segment, times, video.timed and log.intact and not last)
        identities.extend(
            tracklet_identity(
                tracklet,
                sightings.boxes[[0, -1]],
                *embeddings_and_qualities(exemplars),
                [exemplar.face_probability for exemplar in exemplars],
                times.span(tracklet.start - start, tracklet.end - start, video.time_base),
            )
            for tracklet, sightings, exemplars in segment.tracklets
        )
    return identities, after


def _segments(
    video: Probe, log: DecodeLog, engine: FaceEngine, config: Config, progress: OnProgress, checkpoint: Checkpoint,
    on_card: bool,
) -> Iterator[Segment]:  # fmt: skip
    """The segments of a video after the checkpoint; raises _OtherPicture where it cannot be resumed."""
    search_every, check_every, crop_every = (
        max(1, round(seconds * video.frame_rate))
        for seconds in (config.search_interval, config.low_res_interval, config.crop_interval)
    )
    search_every = min(search_every, max(1, STRETCH_BYTES * 2 // (3 * video.width * video.height)))
    frame_rate = float(video.frame_rate)
    scan = Scan(video.width, video.height, frame_rate, search_every, check_every, crop_every, config)
    # One thread more than there are for all: the decoder goes on while one of its threads waits for us.
    views = scan.views(read_frames(video, log, engine.threads + 1, on_card), engine)
    if checkpoint.frames:
        first = next(views, None)
        if first is None or fingerprint(first) != checkpoint.fingerprint:
            raise _OtherPicture
        views = chain([first], views)
    views = _from(checkpoint.frames, views, video, progress)
    return segments(views, Setting(video, engine, config, log.interruptions), checkpoint)


def _from(first: int, views: Iterator[FrameView], video: Probe, progress: OnProgress) -> Iterator[FrameView]:
    for view in views:
        progress(view.index + 1, max(video.frame_estimate, view.index + 1))
        if view.index >= first:
            yield view
