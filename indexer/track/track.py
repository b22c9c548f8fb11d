"""A track: the boxes of one face from frame to frame, and where the face is expected next.

Where the detector misses the face, patch matching decides: a gap is filled if the face is visible in each of its
frames, and a track is extended beyond its first and last detection as far as the face is visible.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import MIN_NCC_CLEAR, MIN_NCC_VISIBLE, Patch, ncc
from facereel.indexer.timing import film_frame, film_frames_per_frame, frames_in, time_limit
from facereel.indexer.track.association import is_occupied, shifted, visible_share
from facereel.indexer.track.box_buffer import BoxBuffer
from facereel.store.model.records import (
    INTERPOLATED,
    TRACKED,
    Box,
    FaceCrop,
    Floats,
    Reason,
    Sightings,
)

# Of a frame of film: how much of the velocity remains in each frame that is predicted, and how much of a new step
# goes into it.
_VELOCITY_DECAY, _VELOCITY_GAIN = 0.85, 0.4
_RECENT_SECONDS = 0.4  # time in which the widest box is taken for that of the unoccluded face
_PATCH_SECONDS = (
    0.32  # time for which an older patch with a good score is preferred to newer ones with a weak one
)
# The outermost patches of a track may already show half a cover: at either end another one is compared as well, which
# is so far from it.
_END_SECONDS = 0.2
# A face that is not visible any more where it was tracked this time later has turned, or is another face. A head that
# passes close before another takes its place within a quarter of a second; a shorter time sees too little of that.
_CHANGE_SECONDS = 0.4
# Frames of film from one such comparison to the next: a change shows in each for as long as that time.
_CHANGE_STEP = 2
_MAX_CANDIDATES = 64


@dataclass(frozen=True)
class VideoFormat:
    """Size and frame rate of a video, and what follows from the rate."""

    width: int  # displayed pixels
    height: int
    frame_rate: float

    @cached_property
    def velocity_decay(self) -> float:
        """Share of a velocity that remains from one frame to the next."""
        return float(_VELOCITY_DECAY ** film_frames_per_frame(self.frame_rate))

    @cached_property
    def velocity_gain(self) -> float:
        """Share of the newest step in a velocity."""
        return float(1 - (1 - _VELOCITY_GAIN) ** film_frames_per_frame(self.frame_rate))

    @cached_property
    def recent_frames(self) -> int:
        """Frames in which the widest box is taken for that of the unoccluded face."""
        return frames_in(_RECENT_SECONDS, self.frame_rate)

    @cached_property
    def patch_age(self) -> float:
        """Seconds for which an older patch is preferred to newer ones with a weak score."""
        return time_limit(_PATCH_SECONDS, self.frame_rate)

    @cached_property
    def end_frames(self) -> int:
        """Number of patches at either end of a track of which the outermost and the innermost are compared."""
        return frames_in(_END_SECONDS, self.frame_rate)

    @cached_property
    def change_time(self) -> float:
        """Seconds after which a face is compared with itself again."""
        return time_limit(_CHANGE_SECONDS, self.frame_rate)

    @cached_property
    def change_step(self) -> int:
        """Frames from one to the next in which a face is compared with itself."""
        return _CHANGE_STEP * film_frame(self.frame_rate)

    def steps(self, seconds: float) -> int:
        """How many frames of the mean rate lie in the time between two frames, at least one."""
        return max(1, round(seconds * self.frame_rate))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A crop of a face that may become an exemplar."""

    frame: int
    score: float
    crop: FaceCrop
    clothes: Floats | None = None  # (CLOTHES_BINS,) a histogram; None where none are visible


@dataclass(frozen=True, slots=True, eq=False)
class UnoccludedFace:
    """A face that something narrow now divides, as it was before."""

    box: Box  # where it is now
    patch: Patch


@dataclass(frozen=True, slots=True)
class Change:
    """A moment from which on the face of shortly before is not visible any more where the track goes on."""

    frame: int
    meeting: bool  # another face is close by, or was within the longest gap


@dataclass(slots=True, eq=False)
class Track:
    """One face in every frame from `frames[0]` to `frames[-1]`."""

    shot: int
    start_reason: Reason
    video: VideoFormat
    frames: list[int] = field(default_factory=list)
    boxes: BoxBuffer = field(default_factory=BoxBuffer)
    scores: array[float] = field(default_factory=lambda: array("f"))
    sources: list[int] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    last_change: float = 0.0  # seconds when the face was last another one than shortly before
    velocity: tuple[float, float] = (0.0, 0.0)  # of the centre, pixels a frame
    patch: Patch | None = None  # with which later frames are compared
    patch_seconds: float = 0.0  # when its frame is shown
    patch_in_transition: bool = False
    first_patches: list[Patch] = field(default_factory=list)
    last_patches: deque[Patch] = field(init=False)
    recent_patches: deque[tuple[float, Patch]] = field(default_factory=deque)  # with the seconds of each
    first_in_transition: bool = False
    unoccluded: UnoccludedFace | None = None  # while only fragments of the face are detected
    extended_back: bool = False
    doubts: list[int] = field(
        default_factory=list
    )  # frames after a slow step whose patch does not say who it is
    first_seconds: float = 0.0  # when the frame of the first detection is shown
    last_seconds: float = 0.0  # when the last frame is
    detected_seconds: float = (
        0.0  # for which frames are shown in which the scan detected or interpolated the face
    )
    end_reason: Reason = "occlusion"

    def __post_init__(self) -> None:
        self.last_patches = deque(maxlen=self.video.end_frames)

    def predict(self, seconds: float) -> Box:
        """The box expected in a frame that is shown later: the last one moved by a velocity that fades."""
        steps = self.video.steps(seconds - self.last_seconds)
        decay = self.video.velocity_decay
        reach = decay * (1 - decay**steps) / (1 - decay)
        x, y, w, h = self.boxes[-1]
        return x + reach * self.velocity[0], y + reach * self.velocity[1], w, h

    def add(self, view: FrameView, box: Box, face: int, strong: bool) -> None:
        """Add a face of the frame after the last one, which has this box; gaps are filled before.

        A face that is not `strong` may be half covered, so that an older patch stays in use for a while.
        """
        if self.frames:
            steps = self.video.steps(view.seconds - self.last_seconds)
            last_x, last_y, last_w, last_h = self.boxes[-1]
            x, y, w, h = box
            across = (x - last_x + (w - last_w) / 2) / steps
            down = (y - last_y + (h - last_h) / 2) / steps
            gain = 1 - (1 - self.video.velocity_gain) ** steps
            old_x, old_y = self.velocity
            self.velocity = old_x + gain * (across - old_x), old_y + gain * (down - old_y)
        else:
            self.first_seconds = view.seconds
        self._append(view, box, float(view.faces.scores[face]), int(view.sources[face]))
        self.detected_seconds += view.duration
        patch = view.patch(box)
        if not self.first_patches:
            self.first_in_transition = view.in_transition
        if len(self.first_patches) < self.video.end_frames:
            self.first_patches.append(patch)
        self.last_patches.append(patch)
        self.recent_patches.append((view.seconds, patch))
        while view.seconds - self.recent_patches[0][0] > self.video.change_time:
            self.recent_patches.popleft()
        if self.patch is None or strong or view.seconds - self.patch_seconds > self.video.patch_age:
            self.patch, self.patch_seconds, self.patch_in_transition = (
                patch,
                view.seconds,
                view.in_transition,
            )

    def changes_in(self, view: FrameView) -> bool:
        """Is the face of shortly before not visible any more in this view, the last one, for the first time?

        While a face goes on changing that is one change.
        """
        (_, earlier_patch), (_, patch) = self.recent_patches[0], self.recent_patches[-1]
        # Most faces hardly move: then the patches suffice, without a search around the box.
        same = ncc(earlier_patch, patch) >= MIN_NCC_VISIBLE
        if view.in_transition or same or view.shows(earlier_patch, self.boxes[-1]):
            return False
        first = not self.changed_recently(view.seconds)
        self.last_change = view.seconds
        return first

    def changed_recently(self, seconds: float) -> bool:
        """Was the face another one than shortly before at some time shortly before these seconds?"""
        return bool(self.changes) and seconds - self.last_change <= self.video.change_time

    def add_candidate(self, candidate: Candidate) -> None:
        """Add a crop. When there are too many, the worse of every two neighbours is dropped, but not its clothes."""
        self.candidates.append(candidate)
        if len(self.candidates) > _MAX_CANDIDATES:
            pairs = [self.candidates[start : start + 2] for start in range(0, len(self.candidates), 2)]
            self.candidates = [_better(pair) for pair in pairs]

    def bridge(self, gap: list[FrameView], view: FrameView, box: Box) -> bool:
        """Fill the frames between the last one and a new detection, if the face is visible in all of them.

        Returns whether it is, and thus whether the detection belongs to this track.
        """
        assert self.patch is not None
        if not view.shows(self.patch, box):
            return False
        patches, last = (self.patch, view.patch(box)), self.boxes[-1]
        boxes = []
        for missing in gap:
            share = (missing.seconds - self.last_seconds) / (view.seconds - self.last_seconds)
            x, y, w, h = (
                (1 - share) * before + share * after for before, after in zip(last, box, strict=True)
            )
            place = x, y, w, h
            visible = any(missing.shows(patch, place) for patch in patches)
            if not visible or is_occupied(place, missing.tracked_boxes):
                return False
            boxes.append(place)
        score = self.scores[-1]
        for missing, place in zip(gap, boxes, strict=True):
            self._append(missing, place, score, INTERPOLATED)
        return True

    def extend(self, later: Iterable[FrameView]) -> None:
        """Add frames after the last detection as long as the face is clearly visible in them."""
        assert self.patch is not None
        if self.patch_in_transition:
            return
        for view in later:
            box = self._clear_match([self.patch, self.last_patches[0]], view, self.predict(view.seconds))
            if box is None:
                return
            self._append(view, box, self.scores[-1], TRACKED)

    def extend_back(self, earlier: Iterable[FrameView]) -> None:
        """Add frames before the first detection, `earlier` newest first, as long as the face is clearly visible."""
        self.extended_back = True
        if self.first_in_transition:
            return
        for view in earlier:
            box = self._clear_match([self.first_patches[0], self.first_patches[-1]], view, self.boxes[0])
            if box is None:
                return
            self.frames.insert(0, view.index)
            self.boxes.prepend(box)
            self.scores.insert(0, self.scores[0])
            self.sources.insert(0, TRACKED)
            view.tracked_boxes.append(box)

    def unoccluded_face(self, views: Iterable[FrameView]) -> UnoccludedFace | None:
        """The face where it was widest in the last frames, if that frame is among `views`."""
        frame, box = self.widest_recent()
        view = next((view for view in views if view.index == frame), None)
        return None if view is None else UnoccludedFace(box, view.patch(box))

    def widest_recent(self) -> tuple[int, Box]:
        """Frame and box in which the face was widest in the last frames."""
        index = self.boxes.widest(max(0, len(self.boxes) - self.video.recent_frames))
        return self.frames[index], self.boxes[index]

    def is_fragment_beside(self, box: Box) -> bool:
        """Has this track shrunk to a fragment of a face of which `box` is another fragment?

        When something narrow passes a face, the detector sees a fragment on either side of it.
        """
        _, widest = self.widest_recent()
        if self.boxes[-1][2] >= 0.75 * widest[2]:
            return False
        x, y, w, h = box
        across = abs(x + w / 2 - widest[0] - widest[2] / 2)
        down = abs(y + h / 2 - widest[1] - widest[3] / 2)
        return max(across, down) < 0.6 * widest[2]

    def end_before(self, frame: int) -> None:
        """Drop a frame and all later ones, which another track takes over; the track is not extended any more."""
        self._keep(slice(sum(1 for own in self.frames if own < frame)))
        self.candidates = [candidate for candidate in self.candidates if candidate.frame < frame]
        self.patch_in_transition = True

    def part(self, start: int, end: int) -> Track:
        """The frames [start, end) of this track, of which there must be some, as a track of its own."""
        first = self.frames[0]
        frames = slice(max(start - first, 0), end - first)
        part = replace(
            self, frames=self.frames[frames], boxes=self.boxes.part(frames), scores=self.scores[frames],
            sources=self.sources[frames],
            candidates=[candidate for candidate in self.candidates if start <= candidate.frame < end],
            changes=[change for change in self.changes if start <= change.frame < end],
            doubts=[frame for frame in self.doubts if start < frame < end],
        )  # fmt: skip
        if start > first:
            part.start_reason = "identity_change"
        if end <= self.frames[-1]:
            part.end_reason = "identity_change"
        return part

    def trim(self, in_transition: Callable[[int], bool]) -> None:
        """Drop frames at both ends that show two shots at once."""
        clean = [place for place, frame in enumerate(self.frames) if not in_transition(frame)]
        part = slice(clean[0], clean[-1] + 1) if clean else slice(0, 0)
        if part.start > 0:
            self.start_reason = "scene_cut"
        if part.stop < len(self.frames):
            self.end_reason = "scene_cut"
        self._keep(part)
        self.candidates = [one for one in self.candidates if not in_transition(one.frame)]

    def sightings(self) -> Sightings:
        """The record of this track's frames."""
        return Sightings(
            np.array(self.frames, np.int64),
            self.boxes.rows(),
            np.array(self.scores, np.float32),
            np.array(self.sources, np.uint8),
        )

    def _keep(self, part: slice) -> None:
        self.frames, self.boxes = self.frames[part], self.boxes.part(part)
        self.scores, self.sources = self.scores[part], self.sources[part]

    def _append(self, view: FrameView, box: Box, score: float, source: int) -> None:
        self.frames.append(view.index)
        self.last_seconds = view.seconds
        self.boxes.append(box)
        self.scores.append(score)
        self.sources.append(source)
        view.tracked_boxes.append(box)

    def _clear_match(self, patches: Sequence[Patch], view: FrameView, place: Box) -> Box | None:
        """The box near `place` where the first patch clearly matches and the others are visible too, or None.

        The detector sees no face there. A medium NCC is not enough: a bright edge or skin reaches it.
        """
        if view.in_transition:
            return None
        first, *others = patches
        match = view.match_patch(first, place)
        if match.ncc < MIN_NCC_CLEAR or not all(view.shows(patch, place) for patch in others):
            return None
        box = shifted(place, match.shift)
        if visible_share(box, self.video.width, self.video.height) < 0.5:
            return None
        return None if is_occupied(box, view.tracked_boxes) else box


def _better(candidates: Sequence[Candidate]) -> Candidate:
    """The best of them, with the clothes of another one where it shows none."""
    best = max(candidates, key=lambda one: one.score * one.crop.box[2])
    clothes = [one.clothes for one in (best, *candidates) if one.clothes is not None]
    return replace(best, clothes=clothes[0]) if clothes else best
