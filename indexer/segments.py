"""Frames into segments: faces followed inside their shots, and stretches of the video that are done with.

A segment ends at a hard cut. What follows it starts with fresh detectors, whether the run goes on or another one takes
over: so a run that was interrupted ends with the result of one that was not.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from facereel.indexer.engines.engine import FaceEngine
from facereel.indexer.identity.exemplars import choose, embed
from facereel.indexer.identity.splitting import split_mixed
from facereel.indexer.media.video import Probe
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.shots.detector import ShotDetector, shot_detector
from facereel.indexer.track.track import Track, VideoFormat
from facereel.indexer.track.tracker import Tracker
from facereel.store.model.config import Config
from facereel.store.model.records import Reason
from facereel.store.resume.segments import Segment, TrackRecord

# Frames beside a gradual change in which its faint rest may still be seen: the witness is not asked there.
BESIDE_CHANGE = 4
CHAPTER_SECONDS = 60.0  # a segment ends at the first cut after this time


@dataclass(frozen=True, slots=True)
class Setting:
    """What all segments of a video have in common."""

    video: Probe
    engine: FaceEngine
    config: Config
    search_every: int  # frames from keyframe to keyframe

    @property
    def length(self) -> float:
        """Frames that a segment has at least."""
        return CHAPTER_SECONDS * float(self.video.frame_rate)


def segments(views: Iterator[FrameView], setting: Setting, first: int = 0) -> Iterator[Segment]:
    """Follow faces from the frame `first` on, which begins a segment, to the end of the video."""
    # Looks are embedded beside the search of later frames.
    with ThreadPoolExecutor(setting.engine.threads) as recogniser:
        work = _Work(setting, recogniser, first)
        marks: dict[int, int] = {}
        waiting: deque[FrameView] = deque()  # until it is settled which shot they belong to
        for view in views:
            if view.index % setting.search_every == 0:
                marks[view.index] = mark(view)
            work.shots.push(view.index, view.thumbnail)
            waiting.append(view)
            while waiting and waiting[0].index < work.shots.final_before:
                if work.ends_before(waiting[0].index):
                    yield work.segment(waiting[0].index, "scene_cut", marks)
                    work = _Work(setting, recogniser, waiting[0].index)
                    for later in waiting:
                        work.shots.push(later.index, later.thumbnail)
                else:
                    work.take(waiting.popleft())
        work.shots.finish()
        for view in waiting:
            work.take(view)
        yield work.segment(work.next, "video_end", marks)


def mark(view: FrameView) -> int:
    """A checksum of what was seen in a frame, by which it is known again."""
    return zlib.crc32(view.faces.boxes.tobytes(), zlib.crc32(view.grey.tobytes()))


class _Work:
    """A segment in the making."""

    def __init__(self, setting: Setting, recogniser: ThreadPoolExecutor, start: int) -> None:
        video = setting.video
        self._setting, self._recogniser = setting, recogniser
        self._start, self._searched = start, 0
        self._ended: list[Future[list[TrackRecord]]] = []
        stage = VideoFormat(video.width, video.height, float(video.frame_rate))
        self._tracker = Tracker(stage, setting.config, start)
        self.shots: ShotDetector = shot_detector(video.frame_rate, setting.config)
        self.next = start

    def ends_before(self, index: int) -> bool:
        """May a new segment begin with this settled frame? At a hard cut: gradual changes belong to both sides."""
        return (
            self.shots.knows_transitions
            and index - self._start >= self._setting.length
            and self.shots.shot_of(index) > self.shots.shot_of(index - 1)
            and not self.shots.in_transition(index - 1, BESIDE_CHANGE)
            and not self.shots.in_transition(index, BESIDE_CHANGE)
        )

    def take(self, view: FrameView) -> None:
        """Follow faces into the next frame, which is settled."""
        shot = self.shots.shot_of(view.index)
        self._keep(self._tracker.step(view, shot, self.shots.in_transition(view.index, BESIDE_CHANGE)))
        self._searched += view.searched
        self.next = view.index + 1

    def segment(self, end: int, reason: Reason, marks: dict[int, int]) -> Segment:
        """All that there is to say of it, now that it ends; `marks` are of keyframes, those before its last one go."""
        self._keep(self._tracker.finish(reason))
        keyframe = max((index for index in marks if index <= end), default=0)
        for index in [index for index in marks if index < keyframe]:
            del marks[index]
        return Segment(
            start=self._start,
            end=end,
            cuts=tuple(cut for cut in self.shots.cuts() if self._start < cut < end),
            searched=self._searched,
            followed=tuple(item for work in self._ended for item in work.result()),
            keyframe=keyframe,
            mark=marks.get(keyframe, 0),
        )

    def _keep(self, tracks: list[Track]) -> None:
        for track in tracks:
            track.trim(self.shots.in_transition)
            self._ended.append(
                self._recogniser.submit(_finished, track, self._setting.engine, self._setting.config)
            )


def _finished(track: Track, engine: FaceEngine, config: Config) -> list[TrackRecord]:
    """A track with its looks; several when it turns out to hold several people, none without a face."""
    if len(track.frames) < config.min_detections:
        return []
    exemplars = embed(choose(track.candidates, config.exemplars), engine)
    parts = split_mixed(track, exemplars, engine)
    if parts == [track]:
        looks = [exemplars]
    else:
        looks = [embed(choose(part.candidates, config.exemplars), engine) for part in parts]
    return [
        TrackRecord(part.start_reason, part.end_reason, part.sightings(), own)
        for part, own in zip(parts, looks, strict=True)
        if own
    ]
