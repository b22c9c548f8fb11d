"""Frames into segments: faces tracked inside their shots, and stretches of the video whose results are final.

A segment ends at a hard cut, and what follows it starts with fresh detectors, whether the run goes on, another one
resumes, or another process works on that part of the video: so all of them end with the same result. Which cuts these
are follows from the video alone, not from where a run began.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.changes import split_at_changes
from facereel.indexer.identity.exemplars import choose_exemplars
from facereel.indexer.identity.recogniser import TrackRecogniser
from facereel.indexer.identity.splitting import split_at_doubts, split_mixed
from facereel.indexer.media.video import Probe
from facereel.indexer.scan.clothes import pool_clothes
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.shots.detector import shot_detector
from facereel.indexer.shots.interruptions import InterruptedShots
from facereel.indexer.timing import frames_in
from facereel.indexer.track.track import Track, VideoFormat
from facereel.indexer.track.tracker import Tracker
from facereel.store.model.config import Config
from facereel.store.model.records import (
    DETECTED,
    Checkpoint,
    Exemplar,
    FoundTracklet,
    Reason,
    Segment,
    Shot,
    Sightings,
    Tracklet,
)
from facereel.store.model.views import shows_face

# Time beside a gradual transition in which the other shot may still be faintly visible: patches are not matched there.
BESIDE_TRANSITION_SECONDS = 0.16
SEGMENT_SECONDS = 60.0  # a segment ends at the first hard cut at or after each multiple of this time
# After a line between two parts for which a hard cut is awaited; then both parts end and begin within a shot.
LINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What all segments of a video have in common."""

    video: Probe
    engine: FaceEngine
    config: Config
    interruptions: Container[int]  # as DecodeLog.interruptions, of the frames read so far

    # Frames at which a part ends or begins, see ends_within_shot; now, because more of them may come.
    lines: Callable[[], Sequence[int]] = tuple


def line_step(frame_rate: Fraction) -> int:
    """Frames from one multiple of SEGMENT_SECONDS to the next."""
    return max(1, round(SEGMENT_SECONDS * frame_rate))


def segments(
    views: Iterator[FrameView], setting: Setting, before: Checkpoint
) -> Generator[Segment, None, None]:
    """Track faces from the checkpoint, with whose next frame a segment begins, to the end of the video."""
    # Exemplars are embedded beside the search of later frames.
    with ThreadPoolExecutor(setting.engine.threads) as recogniser:
        work = _OpenSegment(setting, recogniser, before)
        # From the one on with which a run resumes if a segment ends now. A checksum of each would read every picture.
        key_frames: deque[FrameView] = deque()
        waiting: deque[FrameView] = deque()  # until it is final which shot they belong to
        for view in views:
            if view.is_key_frame:
                key_frames.append(view)
            while len(key_frames) > 1 and key_frames[1].index <= work.next:
                key_frames.popleft()
            work.shots.push(view.index, view.seconds, view.thumbnail)
            if waiting and view.index not in setting.interruptions:
                waiting[-1].duration = view.seconds - waiting[-1].seconds
            waiting.append(view)
            while waiting and waiting[0].index < work.shots.final_before:
                if work.ends_before(waiting[0].index):
                    segment = work.segment(waiting[0].index, "scene_cut", key_frames)
                    yield segment
                    work = _OpenSegment(setting, recogniser, segment.after)
                    for later in waiting:
                        work.shots.push(later.index, later.seconds, later.thumbnail)
                elif work.ends_within_shot(waiting[0].index):
                    segment = work.segment(waiting[0].index, "identity_change", key_frames)
                    segment = replace(segment, within_shot=True)
                    yield segment
                    # The shots go on as they were: only tracks begin anew.
                    work = _OpenSegment(setting, recogniser, segment.after, work.shots)
                else:
                    work.take(waiting.popleft())
        work.shots.finish()
        for view in waiting:
            work.take(view)
        if work.next > work.before.frames:
            yield work.segment(work.next, "video_end", key_frames)


def fingerprint(view: FrameView) -> int:
    """A checksum of a frame's picture and faces: another decoder shows another one."""
    return zlib.crc32(view.faces.boxes.tobytes(), zlib.crc32(view.grey.tobytes()))


class _OpenSegment:
    """A segment in the making."""

    def __init__(
        self, setting: Setting, recogniser: ThreadPoolExecutor, before: Checkpoint,
        shots: InterruptedShots | None = None,
    ) -> None:  # fmt: skip
        video, start = setting.video, before.frames
        step = line_step(video.frame_rate)
        self._line = (start // step + 1) * step  # the segment ends at the first hard cut from here on
        # Frames after a line for which a hard cut is awaited, and beside a transition in which patches are not matched.
        self._wait = round(LINE_SECONDS * video.frame_rate)
        self._beside = frames_in(BESIDE_TRANSITION_SECONDS, video.frame_rate)
        self._setting, self._recogniser, self.before = setting, recogniser, before
        self._searched = 0
        self._durations: list[float] = []  # of the frames so far, seconds
        self._pending: list[Future[_Found]] = []
        video_format = VideoFormat(video.width, video.height, float(video.frame_rate))
        self._tracker = Tracker(video_format, setting.config, start)
        self.shots = shots or InterruptedShots(
            shot_detector(video.frame_rate, setting.config), setting.interruptions
        )
        self.next = start

    def ends_before(self, index: int) -> bool:
        """May a new segment begin with this frame, whose shot is final? Only at a hard cut, never in a transition."""
        return (
            index >= self._line
            and self.shots.knows_transitions
            and self.shots.shot_of(index) > self.shots.shot_of(index - 1)
            and not self._in_transition(index)
        )

    def ends_within_shot(self, index: int) -> bool:
        """Has no hard cut come for LINE_SECONDS after a line, and is this frame, whose shot is final, like the last?

        Two parts that meet at the line find the same frame, each for itself.
        """
        return (
            any(self.before.frames < line <= index - self._wait for line in self._setting.lines())
            and self.shots.shot_of(index) == self.shots.shot_of(index - 1)
            and not self._in_transition(index)
        )

    def _in_transition(self, index: int) -> bool:
        """Does this frame or the one before lie in or beside a gradual transition?"""
        return self.shots.in_transition(index - 1, self._beside) or self.shots.in_transition(
            index, self._beside
        )

    def take(self, view: FrameView) -> None:
        """Track faces into the next frame, whose shot is final."""
        shot = self.shots.shot_of(view.index)
        in_transition = self.shots.in_transition(view.index, self._beside)
        self._keep(self._tracker.step(view, shot, in_transition))
        self._durations.append(view.duration)
        self._searched += view.searched
        self.next = view.index + 1

    def segment(self, end: int, reason: Reason, key_frames: Iterable[FrameView]) -> Segment:
        """The segment, which ends before the frame `end`; with the last key frame up to there a run resumes."""
        self._keep(self._tracker.finish(reason))
        resume = next((view for view in reversed([*key_frames]) if view.index <= end), None)
        before = self.before
        starts = [before.frames, *(cut for cut in self.shots.cuts() if before.frames < cut < end)]
        shots = tuple(
            Shot(before.shots + place, start, following)
            for place, (start, following) in enumerate(pairwise([*starts, end]))
        )
        work = [pending.result() for pending in self._pending]
        found = sorted((item for one in work for item in one.tracklets), key=_first_sighting)
        brief = [*self._tracker.brief, *(seconds for one in work for seconds in one.brief)]
        tracklets = tuple(
            (
                replace(
                    tracklet,
                    number=number,
                    shot=before.shots + bisect_right(starts, tracklet.start) - 1,
                ),
                sightings,
                exemplars,
            )
            for number, (tracklet, sightings, exemplars) in enumerate(found, start=before.tracklets + 1)
        )
        after = Checkpoint(
            frames=end,
            shots=before.shots + len(shots),
            tracklets=before.tracklets + len(tracklets),
            searched=before.searched + self._searched,
            brief_faces=before.brief_faces + len(brief),
            brief_seconds=before.brief_seconds + sum(brief),
            search_frame=resume.index if resume else 0,
            fingerprint=fingerprint(resume) if resume else 0,
        )
        return Segment(before.frames, shots, tracklets, after)

    def _keep(self, tracks: list[Track]) -> None:
        for track in tracks:
            track.trim(self.shots.in_transition)
            if not track.frames:
                continue
            first = track.frames[0] - self.before.frames
            durations = self._durations[first : first + len(track.frames)]
            self._pending.append(
                self._recogniser.submit(
                    _make_tracklets, track, durations, self._setting.engine, self._setting.config
                )
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a track turns out to be."""

    tracklets: list[FoundTracklet]
    brief: list[float]  # seconds of each part that is too brief for a tracklet


def _make_tracklets(track: Track, durations: Sequence[float], engine: FaceEngine, config: Config) -> _Found:
    """A track with its exemplars; several when it turns out to hold several people, none without a face.

    `durations` are those of its frames, seconds. Numbers of tracklet and shot come with the segment, that of the
    cluster at the end.
    """

    def long_enough(part: Track) -> bool:
        first = part.frames[0] - track.frames[0]
        shown = sum(durations[first : first + len(part.frames)])
        if shown < config.min_seconds:
            brief.append(shown)
        return shown >= config.min_seconds

    found: list[FoundTracklet] = []
    brief: list[float] = []
    recogniser = TrackRecogniser(engine)
    for sure in filter(long_enough, _sure_parts(track, recogniser)):
        exemplars = choose_exemplars(sure, config.exemplars, recogniser)
        parts = split_mixed(sure, exemplars, recogniser)
        if parts == [sure]:
            found.append(_with_exemplars(sure, exemplars))
            continue
        for part in filter(long_enough, parts):
            found.append(_with_exemplars(part, choose_exemplars(part, config.exemplars, recogniser)))
    return _Found([item for item in found if _shows_face(item)], brief)


def _with_exemplars(track: Track, exemplars: tuple[Exemplar, ...]) -> FoundTracklet:
    sightings = track.sightings()
    return _tracklet(track, sightings), sightings, exemplars


def _shows_face(found: FoundTracklet) -> bool:
    """Is it a face? Objects and hands that look like one for a moment would become people."""
    tracklet, _, exemplars = found
    probabilities = [exemplar.face_probability for exemplar in exemplars]
    return bool(exemplars) and shows_face(tracklet.face_width, probabilities)


def _sure_parts(track: Track, recogniser: TrackRecogniser) -> list[Track]:
    """The parts of a track in which the same face plainly goes on."""
    return [
        sure for part in split_at_changes(track, recogniser) for sure in split_at_doubts(part, recogniser)
    ]


def _tracklet(track: Track, sightings: Sightings) -> Tracklet:
    detected = sightings.sources == DETECTED
    return Tracklet(
        number=0,
        shot=0,
        start=int(sightings.frames[0]),
        end=int(sightings.frames[-1]) + 1,
        start_reason=track.start_reason,
        end_reason=track.end_reason,
        cluster=0,
        face_width=float(np.median(sightings.boxes[:, 2])),
        score=float(sightings.scores[detected].mean()) if detected.any() else 0.0,
        clothes=pool_clothes([one.clothes for one in track.candidates if one.clothes is not None]),
    )


def _first_sighting(found: FoundTracklet) -> tuple[int, list[float]]:
    _, sightings, _ = found
    return int(sightings.frames[0]), sightings.boxes[0].tolist()
