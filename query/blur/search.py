"""Searches every frame of a video for faces down to 12 px, and follows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, decoder_threads, read_frames
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.scan import Scan
from facereel.indexer.shots.detector import shot_detector
from facereel.indexer.shots.interruptions import InterruptedShots
from facereel.query.blur.follow import Detection, FaceFollower, Track
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.config import Config
from facereel.store.model.records import FrameTimes

MIN_FACE = 12  # pixels of width
_NO_CROPS = 2.0  # a score that no face reaches


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """What a search of every frame finds."""

    times: FrameTimes
    tracks: tuple[Track, ...]
    warnings: tuple[str, ...]  # what was lost while decoding


def find_faces(
    video: Probe, log: DecodeLog, engine: FaceEngine, on_frame: Callable[[int], None] = lambda done: None,
    detections_of: Callable[[FrameView], list[Detection]] | None = None,
) -> FoundFaces:  # fmt: skip
    """Search every frame; `detections_of` says what of a frame's faces is to be followed."""
    rate = float(video.frame_rate)
    crops = detections_of is not None
    config = Config(min_face=MIN_FACE, clothes=False, strong_score=0.6 if crops else _NO_CROPS)
    scan = Scan(video.width, video.height, rate, 1, 1, 1, config)
    follower = FaceFollower(video.width, video.height, rate)
    shots = InterruptedShots(shot_detector(video.frame_rate, config), log.interruptions)
    take = detections_of or _detections
    waiting: deque[FrameView] = deque()

    def step(view: FrameView) -> None:
        index = view.index
        cut = index > 0 and shots.shot_of(index) > shots.shot_of(index - 1)
        follower.step(index, view.grey, take(view), cut, shots.in_transition(index))
        on_frame(index + 1)

    for view in scan.views(read_frames(video, log, decoder_threads(engine.threads)), engine):
        shots.push(view.index, view.seconds, view.thumbnail)
        waiting.append(view)
        while waiting and waiting[0].index < shots.final_before:
            step(waiting.popleft())
    shots.finish()
    for view in waiting:
        step(view)
    times = log.times(video.frame_rate, video.time_base)
    tracks = tuple(follower.finish())
    return FoundFaces(times, tracks, log.warnings())


def _detections(view: FrameView) -> list[Detection]:
    boxes, scores = xyxy_to_xywh(view.faces.boxes), view.faces.scores.tolist()
    return [Detection(box, score) for box, score in zip(boxes, scores, strict=True)]
