"""A face being followed: where it was, where it is expected, and how far past its last detection it can be seen.

The tracker links detections; a Track holds one face's and mends its gaps by the witness.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import CLEAR_NCC, PatchMatch, match_patch, ncc, take_patch
from facereel.indexer.track.association import moved, overlaps, visible_part
from facereel.indexer.track.box_buffer import BoxBuffer
from facereel.store.model.records import (
    DETECTED,
    INTERPOLATED,
    TRACKED,
    Floats,
    Grey,
    Image,
    Reason,
    Sightings,
)

_DAMPING = 0.85  # a velocity is believed less with every frame that nobody confirms it
_VELOCITY_GAIN = 0.4
_MAX_CANDIDATES = 64
_LATE = 10  # frames of which the widest box is that of the whole face
ROOT = 5  # detections after which a track is followed back from its first one
_PATCH_AGE = 8  # frames for which a face that is only weakly seen is compared with an older, better patch


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A look at a face that may become an exemplar."""

    frame: int
    box: Floats  # (4,) x y w h
    landmarks: Floats  # (5, 2)
    score: float
    crop: Image  # (112, 112, 3) aligned


@dataclass(slots=True, eq=False)
class TrackedFrame:
    """A frame of the running shot as the tracker remembers it for a while."""

    view: FrameView
    mixed: bool = False  # of two shots, by a gradual change
    taken: list[Floats] = field(default_factory=list)  # boxes of faces that tracks hold in it
    patches: dict[bytes, Grey] = field(default_factory=dict)  # by box: each is asked for several times

    def match_patch(self, patch: Grey, box: Floats) -> PatchMatch:
        """Ask the witness about a box in displayed pixels, at length only when a glance does not settle it."""
        whole = ncc(patch, self.patch(box))
        if whole >= CLEAR_NCC:
            return PatchMatch(1.0, whole, (0.0, 0.0))
        return match_patch(patch, self.view.grey, box / self.view.scale)

    def patch(self, box: Floats) -> Grey:
        """The face in a box in displayed pixels, as a patch."""
        key = box.tobytes()
        if key not in self.patches:
            self.patches[key] = take_patch(self.view.grey, box / self.view.scale)
        return self.patches[key]


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A face before something narrow came between."""

    box: Floats  # (4,) x y w h: where it is by now
    patch: Grey


Memory = deque[TrackedFrame]  # consecutive frames of the running shot, oldest first


@dataclass(slots=True, eq=False)
class Track:
    """One face, frame by frame without a gap, from `frames[0]` to the last detection."""

    shot: int
    start_reason: Reason
    frames: list[int] = field(default_factory=list)
    boxes: BoxBuffer = field(default_factory=BoxBuffer)
    scores: array[float] = field(default_factory=lambda: array("f"))
    sources: list[int] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    velocity: Floats = field(default_factory=lambda: np.zeros(2, np.float32))  # pixels a frame
    patch: Grey | None = None  # the face as it was last plainly seen
    patch_frame: int = -1
    patch_mixed: bool = False
    # What the witness knows at either end besides the outermost patch, which may show half a cover already.
    first_patches: list[Grey] = field(default_factory=list)
    last_patches: deque[Grey] = field(default_factory=lambda: deque(maxlen=ROOT))
    first_mixed: bool = False
    divided: Whole | None = None  # what the parts belong to that are seen of it
    rooted: bool = False  # followed back from its first detection
    found: int = 0  # frames in which the scan saw the face
    end_reason: Reason = "occlusion"

    def expect(self, frame: int) -> Floats:
        """Where the face should be in a later frame: its last place plus a velocity that fades."""
        steps = frame - self.frames[-1]
        reach = _DAMPING * (1 - _DAMPING**steps) / (1 - _DAMPING)
        box = self.boxes[-1].copy()
        box[:2] += self.velocity * reach
        return box

    def add(self, frame: int, box: Floats, score: float, tracked: TrackedFrame, sure: bool) -> None:
        """Take a detection in the frame after the last one (gaps are filled before).

        A weak one may be half covered: the patch that the witness knows stays an older, `sure` one for a while.
        """
        if self.frames:
            last = self.boxes[-1]
            step = box[:2] + box[2:] / 2 - last[:2] - last[2:] / 2
            self.velocity += _VELOCITY_GAIN * (step.astype(np.float32) - self.velocity)
        self._append(frame, box, score, DETECTED if tracked.view.searched else INTERPOLATED, tracked)
        self.found += 1
        patch = tracked.patch(box)
        if not self.first_patches:
            self.first_mixed = tracked.mixed
        if len(self.first_patches) < ROOT:
            self.first_patches.append(patch)
        self.last_patches.append(patch)
        if self.patch is None or sure or frame - self.patch_frame > _PATCH_AGE:
            self.patch, self.patch_frame, self.patch_mixed = patch, frame, tracked.mixed

    def remember(self, candidate: Candidate) -> None:
        """Keep a look; when there are too many, the worse of every two neighbours goes."""
        self.candidates.append(candidate)
        if len(self.candidates) > _MAX_CANDIDATES:
            pairs = zip(self.candidates[::2], self.candidates[1::2], strict=False)
            self.candidates = [max(pair, key=lambda look: look.score * look.box[2]) for pair in pairs]

    def bridge(self, gap: list[TrackedFrame], tracked: TrackedFrame, box: Floats) -> bool:
        """Fill a gap up to a new detection when the face is plainly there in every frame of it; says whether."""
        assert self.patch is not None
        if not tracked.match_patch(self.patch, box).visible:
            return False
        here = tracked.patch(box)
        filled = []
        for step, between in enumerate(gap, start=1):
            part = step / (len(gap) + 1)
            place = (1 - part) * self.boxes[-1] + part * box
            seen = [between.match_patch(patch, place) for patch in (self.patch, here)]
            if not any(patch_match.visible for patch_match in seen) or overlaps(place, between.taken):
                return False
            filled.append((between, place.astype(np.float32)))
        score = self.scores[-1]
        for between, place in filled:
            self._append(between.view.index, place, score, INTERPOLATED, between)
        return True

    def extend(self, later: Iterable[TrackedFrame], width: int, height: int) -> None:
        """Follow the face past its last detection as long as the witness sees it."""
        assert self.patch is not None
        if self.patch_mixed:
            return
        for tracked in later:
            place = self.expect(tracked.view.index)
            box = _confirmed([self.patch, self.last_patches[0]], tracked, place, width, height)
            if box is None:
                return
            self._append(tracked.view.index, box, self.scores[-1], TRACKED, tracked)

    def extend_back(self, earlier: Iterable[TrackedFrame], width: int, height: int) -> None:
        """Follow the face back from its first detection, `earlier` newest first."""
        self.rooted = True
        if self.first_mixed:
            return
        for tracked in earlier:
            patches = [self.first_patches[0], self.first_patches[-1]]
            box = _confirmed(patches, tracked, self.boxes[0], width, height)
            if box is None:
                return
            self.frames.insert(0, tracked.view.index)
            self.boxes.prepend(box)
            self.scores.insert(0, self.scores[0])
            self.sources.insert(0, TRACKED)
            tracked.taken.append(box)

    def whole(self, memory: Memory) -> Whole | None:
        """The face where it was widest of late, if that is remembered."""
        frame, box = self.widest()
        seen = next((seen for seen in memory if seen.view.index == frame), None)
        return None if seen is None else Whole(box, seen.patch(box))

    def widest(self) -> tuple[int, Floats]:
        """Frame and box (4,) in which the face was widest of late."""
        late = self.boxes.rows(slice(-_LATE, None))
        index = int(late[:, 2].argmax())
        return self.frames[-_LATE:][index], late[index]

    def is_rest_of(self, box: Floats) -> bool:
        """Is this track down to a sliver of a face whose other part was just found in `box`?

        Something narrow that passes a face leaves a part on either side of it, and a detector finds both.
        """
        _, widest = self.widest()
        apart = np.abs(box[:2] + box[2:] / 2 - widest[:2] - widest[2:] / 2)
        return bool(self.boxes[-1][2] < 0.75 * widest[2] and apart.max() < 0.6 * widest[2])

    def give_up(self, frame: int) -> None:
        """Leave a frame and what follows to another track."""
        self._keep(slice(sum(1 for own in self.frames if own < frame)))
        self.candidates = [look for look in self.candidates if look.frame < frame]
        self.patch_mixed = True

    def trim(self, mixed: Callable[[int], bool]) -> None:
        """Give up frames at both ends that show two shots at once; they belong to the change between them."""
        pure = [place for place, frame in enumerate(self.frames) if not mixed(frame)]
        kept = slice(pure[0], pure[-1] + 1) if pure else slice(0, 0)
        if kept.start > 0:
            self.start_reason = "scene_cut"
        if kept.stop < len(self.frames):
            self.end_reason = "scene_cut"
        self._keep(kept)
        self.candidates = [look for look in self.candidates if not mixed(look.frame)]

    def sightings(self) -> Sightings:
        """The record of this track."""
        return Sightings(
            np.array(self.frames, np.int64),
            self.boxes.rows(),
            np.array(self.scores, np.float32),
            np.array(self.sources, np.uint8),
        )

    def _keep(self, part: slice) -> None:
        self.frames, self.boxes = self.frames[part], self.boxes.part(part)
        self.scores, self.sources = self.scores[part], self.sources[part]

    def _append(self, frame: int, box: Floats, score: float, source: int, tracked: TrackedFrame) -> None:
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)
        self.sources.append(source)
        tracked.taken.append(box)


def _confirmed(
    patches: list[Grey], tracked: TrackedFrame, place: Floats, width: int, height: int
) -> Floats | None:
    """The box at which the witness sees the face near a place by every patch, by the first plainly, or None.

    The detector sees nothing there: half a similarity (a bright edge, skin) is no face.
    """
    if tracked.mixed:
        return None
    patch_match, *others = [tracked.match_patch(patch, place) for patch in patches]
    if patch_match.ncc < CLEAR_NCC or not all(other.visible for other in others):
        return None
    box = moved(place, patch_match.shift)
    if visible_part(box, width, height) < 0.5 or overlaps(box, tracked.taken):
        return None
    return box
