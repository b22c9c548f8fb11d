"""Pass one: a video becomes an index. The story from top to bottom.

Each frame is decoded once, searched for faces and compared with its neighbours for shot boundaries. Faces are tracked
inside their shots, and each tracklet gets its exemplars. Segments that are final are stored at once, so that a run
that was interrupted resumes there; of a long video other processes may read parts. At the end tracklets of one person
become clusters, and the index gets its name.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.clustering import TrackletIdentity, make_clusters, tracklet_identity
from facereel.indexer.identity.exemplars import embeddings_and_qualities
from facereel.indexer.media import hardware
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.hardware import HardwareError
from facereel.indexer.media.video import Probe, decoder_threads, read_frames
from facereel.indexer.parts import (
    PartEnd,
    StoredSegment,
    join_times,
    join_within_shot,
    read_segments,
    renumber,
    write_segment,
)
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.scan import Scan
from facereel.indexer.segments import Setting, fingerprint, segments
from facereel.store.files.disk import make_store
from facereel.store.files.names import printable
from facereel.store.model.config import Config
from facereel.store.model.errors import VideoError
from facereel.store.model.records import (
    Checkpoint,
    FrameTimes,
    IndexStats,
    Part,
    Segment,
)
from facereel.store.resume.unfinished import UnfinishedIndex

OnProgress = Callable[[int, int], None]  # frames done, frames in all as far as known


class Team(Protocol):
    """Other processes that read parts of a video."""

    def split(self, first: int) -> Sequence[Part]:
        """Have parts of the video from the frame `first` on read by those that are idle; gives these, perhaps none."""
        ...

    def result(self, part: Part) -> tuple[PartEnd, Path] | None:
        """What became of a part, with the file of its segments, once it is read; None where that failed.

        The file is the caller's, who deletes it.
        """
        ...


class Alone:
    """A team of nobody."""

    def split(self, first: int) -> Sequence[Part]:
        """None."""
        return ()

    def result(self, part: Part) -> tuple[PartEnd, Path] | None:
        """Not asked for."""
        return None


def index_video(
    video: Probe, sha256: str, store: Path, engine: FaceEngine, config: Config, progress: OnProgress,
    note: Callable[[str], None] = lambda text: None, team: Team | None = None,
) -> Path:  # fmt: skip
    """Index a video, resuming where an earlier run stopped, and return the folder of its index.

    A `team` reads parts of it meanwhile.

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
            _read_video(video, sha256, engine, config, progress, note, unfinished, team or Alone())
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


def index_part(
    video: Probe, part: Part, engine: FaceEngine, config: Config, file: Path, progress: OnProgress
) -> PartEnd:  # fmt: skip
    """Read a part of a video and write its segments into a new file, for index_video in another process.

    `progress` gets the frames of the part. Raises VideoError where the part cannot stand for itself because something
    is lost, HardwareError where the graphics card cannot decode it.
    """
    ticks, log = array("q", part.ticks), DecodeLog()
    first = len(ticks) - 1
    if first:
        log.resume(ticks.tolist(), first)
    lines = (part.start,) if part.end is None else (part.start, part.end)
    on_card = engine.device == "cuda" and hardware.is_exact(video.codec, video.pixel_format)
    on_card = on_card and not hardware.missing_device()
    reader = _Reader(
        video, engine, config, lambda done, total: progress(done - first, total - first), on_card
    )
    begin: Checkpoint | None = None
    within_shot = False
    with (
        open(file, "xb") as out,
        closing(reader.segments(log, Checkpoint(frames=first), lambda: lines)) as found,
    ):
        for segment in found:
            if not log.intact:
                break
            if begin is not None:
                write_segment(out, (segment, reader.times(log, segment)))
            elif segment.after.frames >= part.start:
                begin, within_shot = segment.after, segment.within_shot
            if part.end is not None and segment.after.frames >= part.end:
                break
    if begin is None or not log.intact:
        raise VideoError(f"{printable(video.path)} has lost frames there, which are counted in one pass")
    return PartEnd(begin, within_shot, log)


def _read_video(
    video: Probe, sha256: str, engine: FaceEngine, config: Config, progress: OnProgress, note: Callable[[str], None],
    unfinished: UnfinishedIndex, team: Team,
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
        reader, again = _Reader(video, engine, config, progress, on_card), ""
        index = _VideoInParts(reader, unfinished, team, started)
        try:
            index.read()
        except _OtherPicture:
            again = "its pictures are decoded otherwise than in the earlier run; starting again"
        except HardwareError:
            again, on_card = "the graphics card could not decode all of it; starting again in software", False
        if not again:
            break
        # After the handlers, which hold the pass's container, threads and pictures.
        note(f"{name}: {again}")
        unfinished.clear()
        team = Alone()
    log, end = index.log, index.after
    if not log.pts:
        raise VideoError(f"{printable(video.path)} has no frame that can be decoded; the file may be damaged")
    clusters = make_clusters(index.identities, engine.threshold.scale)
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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads segments of a video."""

    video: Probe
    engine: FaceEngine
    config: Config
    progress: OnProgress
    on_card: bool

    def segments(
        self, log: DecodeLog, start: Checkpoint, lines: Callable[[], Sequence[int]]
    ) -> Generator[Segment, None, None]:
        """The segments from a checkpoint on; times and losses go into `log`, which has resumed there.

        A start without a fingerprint is that of a part. At `lines` a segment may end within a shot. Raises
        _OtherPicture where the checkpoint is of other pictures.
        """
        video, config = self.video, self.config
        search_every, check_every, crop_every = (
            max(1, round(seconds * video.frame_rate))
            for seconds in (config.search_interval, config.low_res_interval, config.crop_interval)
        )
        frame_rate = float(video.frame_rate)
        scan = Scan(video.width, video.height, frame_rate, search_every, check_every, crop_every, config)
        frames = read_frames(video, log, decoder_threads(self.engine.threads), self.on_card)
        views = scan.views(frames, self.engine)
        if start.fingerprint:
            first = next(views, None)
            if first is None or fingerprint(first) != start.fingerprint:
                raise _OtherPicture
            views = chain([first], views)
        views = self._from(start.frames, views)
        return segments(views, Setting(video, self.engine, config, log.interruptions, lines), start)

    def times(self, log: DecodeLog, segment: Segment) -> FrameTimes:
        """Those of the frames of a segment that was read last."""
        video = self.video
        return log.times(video.frame_rate, video.time_base, segment.start, segment.after.frames)

    def _from(self, first: int, views: Iterator[FrameView]) -> Iterator[FrameView]:
        for view in views:
            self.progress(view.index + 1, max(self.video.frame_estimate, view.index + 1))
            if view.index >= first:
                yield view


class _VideoInParts:
    """An unfinished index that grows by what is read here, and by the parts of it that a team reads.

    The identities of all tracklets and the ticks of the frames are all that stays in memory for the whole of the video.
    """

    def __init__(self, reader: _Reader, unfinished: UnfinishedIndex, team: Team, started: float) -> None:
        """`started` is in seconds of the monotonic clock."""
        self._reader, self._unfinished, self._team, self._started = reader, unfinished, team, started
        self.log = DecodeLog()  # of the frames so far
        self.after = unfinished.checkpoint
        self.identities: list[TrackletIdentity] = []
        self._parts: deque[Part] = deque()  # of the team, that were not reached yet
        self._open: StoredSegment | None = (
            None  # the last one, if it ends within a shot; it is not stored yet
        )
        self._complete = False

    def read(self) -> None:
        """Read the video from the checkpoint on, or have it read; raises what _Reader.segments raises."""
        if self.after.frames:
            times, time_base = self._unfinished.times(), self._reader.video.time_base
            self.identities.extend(
                tracklet_identity(*stored, times.span(stored[0].start, stored[0].end, time_base))
                for stored in self._unfinished.tracklets()
            )
        self._parts.extend(self._team.split(self.after.frames))
        while not self._complete:
            if self._parts and self._position.frames >= self._parts[0].start:
                if self._take(self._parts.popleft()):
                    continue
                self._open = None  # nobody else goes on from there: it is read again, and beyond
            self._read_on()

    @property
    def _position(self) -> Checkpoint:
        return self._open[0].after if self._open else self.after

    def _read_on(self) -> None:
        """Read from the last hard cut that is stored to where the next part begins, or to the end of the video."""
        reader, video, start = self._reader, self._reader.video, self.after
        self.log = log = DecodeLog()
        if start.frames:
            times = self._unfinished.times()
            log.resume([*times.pts.tolist(), times.end_pts(start.frames)], start.search_frame)

        def lines() -> Sequence[int]:
            return [self._parts[0].start] if self._parts and log.intact else ()

        with closing(reader.segments(log, start, lines)) as found:
            for segment in found:
                times, last = reader.times(log, segment), segment.after.frames == len(log.pts)
                if segment.within_shot:
                    self._open = segment, times
                    return
                # What a decoder invents for lost data may be other when it begins elsewhere, and without time stamps
                # frames have no name: then nothing more is committed before the end, the next run begins at the last
                # checkpoint, and nobody else's parts are taken.
                exact = video.timed and log.intact and not last
                self._add(segment, times, exact)
                if exact and not self._parts:
                    self._parts.extend(self._team.split(self.after.frames))
                if exact and self._parts and self.after.frames >= self._parts[0].start:
                    return
        self._complete = True

    def _take(self, part: Part) -> bool:
        """Add a part that the team has read, if it begins where the index ends now."""
        result = self._team.result(part)
        if result is None:
            return False
        end, file = result
        fits = self._add_part(end, file)
        file.unlink()
        return fits

    def _add_part(self, end: PartEnd, file: Path) -> bool:
        begin, here = end.begin, self._position
        if begin.frames != here.frames or end.within_shot != (self._open is not None):
            return False
        same = begin.search_frame == here.search_frame and begin.fingerprint == here.fingerprint
        if not (same or end.within_shot) or end.log.pts[: here.frames] != self.log.pts[: here.frames]:
            return False
        previous, frames = begin, len(end.log.pts)
        for segment, times in read_segments(file):
            following = renumber(segment, previous, self._position)
            previous = segment.after
            if self._open:
                before, times_before = self._open
                scale, most = self._reader.engine.threshold.scale, self._reader.config.exemplars
                following = join_within_shot(before, following, scale, most)
                times, self._open = join_times(times_before, times), None
            if following.within_shot:
                self._open = following, times
            else:
                self._add(following, times, following.after.frames < frames)
            self._reader.progress(self._position.frames, max(frames, self._reader.video.frame_estimate))
        self.log = end.log
        self._complete = self.after.frames == frames
        return True

    def _add(self, segment: Segment, times: FrameTimes, resumable: bool) -> None:
        """Store a segment; a later run resumes after it if it is `resumable`."""
        start = segment.start
        self.after = replace(segment.after, seconds=time.monotonic() - self._started)
        self._unfinished.add(replace(segment, after=self.after), times, resumable)
        self.identities.extend(
            tracklet_identity(
                tracklet,
                sightings.boxes[[0, -1]],
                *embeddings_and_qualities(exemplars),
                [exemplar.face_probability for exemplar in exemplars],
                times.span(tracklet.start - start, tracklet.end - start, self._reader.video.time_base),
            )
            for tracklet, sightings, exemplars in segment.tracklets
        )
