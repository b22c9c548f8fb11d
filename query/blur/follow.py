"""Follows every face that the detector sees, also where it sees it no more: into gaps, before the first frame and after
the last one in which it was detected.

A face is followed by patch matching until the picture there has surely changed. What is covered too much does no harm,
so that all that may be a face counts: weak detections, and for a while also the place where a face was last seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.scan.patch_matching import Patch, match_patch, take_patch
from facereel.indexer.track.assignment import assign
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Floats, Grey

# From this score on a detection is a face that is followed for as long as the picture there shows it. Weaker ones are
# often patterns: they are covered, too, but followed only briefly.
SURE_SCORE = 0.6
# Seconds for which the place of a face is covered that is neither detected nor matched any more: heads turn away or
# leave the picture within about that time.
HOLD_SECONDS = 0.5
WEAK_HOLD_SECONDS = 0.12
_DETECTIONS_OF_A_FACE = (
    3  # so many weak detections of one place are followed like a sure one, for the longer time
)
_MAX_GAP_SECONDS = 2.0  # two detections so far apart are joined by a straight line, too
_MIN_IOU = 0.15  # of a detection with the place where a face is expected
_TAKEN_IOU = 0.4  # with the detection of another face: what is matched there is that face
_SAME_IOU = 0.7
_GROWTH = 0.04  # by which a box grows each frame in which the face is not detected
_MAX_GROWTH = 1.5
_EDGE_SHARE = 0.05  # of a box inside the picture; less is outside
_WINDOW_BYTES = 128 << 20  # of pictures in memory, through which faces are followed backwards


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face as it is detected in one frame."""

    box: Floats  # (4,) x y w h, displayed pixels
    score: float
    tracklet: int = 0  # of the index that has this face here; 0 for none
    like: tuple[
        int, ...
    ] = ()  # where no tracklet has the face: those of people who are kept whom it resembles


@dataclass(slots=True, eq=False)
class Track:
    """One face, followed through frames."""

    number: int
    detections: dict[int, Detection]  # by frame, in order
    places: dict[int, list[Floats]] = field(default_factory=dict)  # boxes (4,) in frames without a detection
    ended_in_picture: bool = False  # it was lost without a cut, and not at the picture's edge
    window_ended: bool = False  # it could not be followed back as far as it might have been seen

    @property
    def first(self) -> Detection:
        """The first of its detections."""
        return next(iter(self.detections.values()))

    @property
    def start(self) -> int:
        """Its first frame."""
        return min([*self.detections, *self.places])

    @property
    def end(self) -> int:
        """The first frame after it."""
        return max([*self.detections, *self.places]) + 1

    @property
    def best_score(self) -> float:
        """The best of its detections."""
        return max(found.score for found in self.detections.values())

    @property
    def is_sure(self) -> bool:
        """Whether it plainly is a face."""
        return self.best_score >= SURE_SCORE


@dataclass(slots=True)
class _Frame:
    """A frame as it is needed to follow faces back to it."""

    index: int
    grey: Grey
    after_cut: bool
    in_transition: bool
    boxes: Floats  # (N, 4) x y w h of its detections


@dataclass(slots=True, eq=False)
class _State:
    """Where a face is that is being followed."""

    box: Floats  # (4,) x y w h, displayed pixels
    velocity: Floats  # (4,) change of the box a frame
    patch: Patch  # the face as it was last matched
    missed: int = 0  # frames since it was last matched
    frames: int = 0  # since it was detected


class FaceFollower:
    """Takes frames with their detections, in order; gives the tracks at the end."""

    def __init__(self, width: int, height: int, frame_rate: float) -> None:
        self._size = width, height
        self._hold = max(2, round(HOLD_SECONDS * frame_rate))
        self._weak_hold = max(1, round(WEAK_HOLD_SECONDS * frame_rate))
        self._max_gap = max(2, round(_MAX_GAP_SECONDS * frame_rate))
        self._live: list[tuple[Track, _State]] = []
        self._done: list[Track] = []
        self._window: deque[_Frame] = deque()
        self._count = 0

    def step(
        self, index: int, grey: Grey, detections: Sequence[Detection], after_cut: bool, in_transition: bool
    ) -> None:
        """Take the next frame; `grey` is its picture in analysis size."""
        boxes = np.array([one.box for one in detections], np.float32).reshape(-1, 4)
        frame = _Frame(index, grey, after_cut, in_transition, boxes)
        matched = self._match(detections, boxes, after_cut and not in_transition)
        live: list[tuple[Track, _State]] = []
        for place, (track, state) in enumerate(self._live):
            if place in matched:
                found = detections[matched[place]]
                live.append((track, self._detected(frame, track, state, found)))
            elif self._follow(frame, track, state):
                live.append((track, state))
            else:
                self._done.append(track)
        for place in sorted(set(range(len(detections))) - set(matched.values())):
            live.append(self._begin(frame, detections[place]))
        self._live = live
        self._window.append(frame)
        while len(self._window) > 2 and len(self._window) * grey.nbytes > _WINDOW_BYTES:
            self._window.popleft()

    def finish(self) -> list[Track]:
        """All tracks, by number."""
        self._done += [track for track, _ in self._live]
        self._live = []
        return sorted(self._done, key=lambda track: track.number)

    def _match(self, detections: Sequence[Detection], boxes: Floats, cut: bool) -> dict[int, int]:
        """Which detection each live track has, by their places."""
        if cut or not self._live or not detections:
            return {}
        expected = np.array([state.box + state.velocity for _, state in self._live], np.float32)
        resting = np.array([state.box for _, state in self._live], np.float32)
        corners = xywh_to_xyxy(boxes)
        affinity = np.maximum(iou(xywh_to_xyxy(expected), corners), iou(xywh_to_xyxy(resting), corners))
        return dict(assign(np.where(affinity >= _MIN_IOU, affinity, 0).astype(np.float32)))

    def _begin(self, frame: _Frame, found: Detection) -> tuple[Track, _State]:
        self._count += 1
        track = Track(self._count, {frame.index: found})
        state = self._state(frame, found)
        self._follow_back(frame, track, state, -1)
        return track, state

    def _detected(self, frame: _Frame, track: Track, state: _State, found: Detection) -> _State:
        last = next(reversed(track.detections))
        previous = track.detections[last]
        track.detections[frame.index] = found
        steps = frame.index - last
        velocity = np.asarray((found.box - previous.box) / steps, np.float32)
        if steps == 1:
            velocity = np.asarray((state.velocity + velocity) / 2, np.float32)
        elif steps <= self._max_gap:
            for step in range(1, steps):
                _add(track, last + step, previous.box + velocity * step)
        new = self._state(frame, found)
        if steps > 1:
            self._follow_back(frame, track, new, last)
        new.velocity = velocity
        return new

    def _state(self, frame: _Frame, found: Detection) -> _State:
        return _State(
            found.box, np.zeros(4, np.float32), take_patch(frame.grey, found.box / self._scale(frame))
        )

    def _follow(self, frame: _Frame, track: Track, state: _State) -> bool:
        """Follow a face into a frame that does not show it to the detector; False where it is there no more."""
        last = next(reversed(track.detections))
        hold = self._hold_of(track)
        state = self._advanced(frame, state, frame.after_cut, track.is_sure)
        if state.missed > hold or not self._inside(state.box):
            track.ended_in_picture = self._inside(state.box) and not frame.after_cut and track.is_sure
            return False
        place = _grown(state.box, state.frames)
        _add(track, frame.index, place)
        rest = _grown(track.detections[last].box, state.frames)
        if state.frames <= hold and not frame.after_cut and _iou(place, rest) < _SAME_IOU:
            _add(track, frame.index, rest)
        return True

    def _follow_back(self, frame: _Frame, track: Track, start: _State, until: int) -> None:
        """Follow a face that is detected in a frame back through those before it, down to the frame `until`."""
        state = _State(start.box, start.velocity.copy(), start.patch)
        hold, after_cut = self._hold_of(track), frame.after_cut
        for before in reversed(self._window):
            if before.index <= until:
                return
            state = self._advanced(before, state, after_cut, track.is_sure)
            if state.missed > hold or not self._inside(state.box):
                return
            place = _grown(state.box, state.frames)
            _add(track, before.index, place)
            if state.frames <= hold and not after_cut and _iou(place, start.box) < _SAME_IOU:
                _add(track, before.index, _grown(start.box, state.frames))
            after_cut = before.after_cut
        track.window_ended = bool(self._window) and self._window[0].index > 0

    def _advanced(self, frame: _Frame, state: _State, over_cut: bool, lasting: bool) -> _State:
        """Move a state to the next or previous frame in place; past a cut only what is plainly the same goes on."""
        state.frames += 1
        expected = state.box + state.velocity
        if frame.in_transition:
            return state  # both shots are to be seen, and neither is plainly visible
        scale = self._scale(frame)
        match = match_patch(state.patch, frame.grey, expected / scale)
        if not match.visible and np.any(state.velocity):
            expected, match = state.box, match_patch(state.patch, frame.grey, state.box / scale)
        taken = bool(len(frame.boxes)) and bool(
            iou(xywh_to_xyxy(expected[None]), xywh_to_xyxy(frame.boxes)).max() >= _TAKEN_IOU
        )
        if match.visible and not taken:
            shift = np.array([*match.shift, 0, 0], np.float32) * np.tile(expected[2:], 2)
            moved = expected + shift
            state.velocity = ((state.velocity + moved - state.box) / 2).astype(np.float32)
            state.velocity[2:] = 0
            state.box = np.asarray(moved, np.float32)
            state.patch = take_patch(frame.grey, state.box / scale)
            state.missed = 0 if lasting else state.missed + 1
            return state
        state.missed = state.missed + 1 if not over_cut else 1 << 30
        state.box = np.asarray(state.box + state.velocity, np.float32)
        return state

    def _hold_of(self, track: Track) -> int:
        certain = track.is_sure or len(track.detections) >= _DETECTIONS_OF_A_FACE
        return self._hold if certain else self._weak_hold

    def _scale(self, frame: _Frame) -> np.float32:
        """Displayed pixels a pixel of the analysis picture."""
        return np.float32(self._size[0] / frame.grey.shape[1])

    def _inside(self, box: Floats) -> bool:
        x, y, w, h = box.tolist()
        width, height = self._size
        seen_w, seen_h = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
        return bool(seen_w > 0 and seen_h > 0 and seen_w * seen_h > _EDGE_SHARE * w * h)


def _add(track: Track, frame: int, box: NDArray[np.floating]) -> None:
    track.places.setdefault(frame, []).append(np.asarray(box, np.float32))


def _grown(box: Floats, frames: int) -> Floats:
    """A box about the same middle, larger by the frames since the face was detected."""
    by = min(_MAX_GROWTH, 1 + _GROWTH * frames) - 1
    x, y, w, h = box.tolist()
    return np.array([x - by * w / 2, y - by * h / 2, w * (1 + by), h * (1 + by)], np.float32)


def _iou(box: Floats, other: Floats) -> float:
    return float(iou(xywh_to_xyxy(box[None]), xywh_to_xyxy(other[None]))[0, 0])
