"""Scene changes: hard cuts, dissolves, fades and wipes; not flashes, strobes, pans, lamps or passers-by.

PySceneDetect's AdaptiveDetector proposes hard cuts. Each is held against the pictures around it: a cut is one only
when what follows does not look like what came before, in layout and in texture, shifted a little if need be.
Gradual changes are found by their nature: every picture in them is a transition of the one before and the one after,
block by block; no moving camera or passing person makes such pictures.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from fractions import Fraction

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from facereel.indexer.shots.similarity import (
    Thumbnail,
    Transition,
    change,
    changed,
    fit_transition,
    scene_similarity,
    thumbnail_of,
)
from facereel.store.model.records import Floats, Image

# Measured on films, television and music video: layout + texture similarity of neighbours is above 1.32 without a cut,
# below 1.19 across one.
SAME_SCENE = 1.25
# Candidates of the adaptive detector: a third of its usual content threshold, as cuts between alike pictures fall to 8.
MIN_CONTENT = 7.0
ADAPTIVE_RATIO = 2.5
FLASH_SECONDS = 0.4  # within this time a flash is over and the picture is back
MIXTURE_SECONDS = (0.28, 0.6, 1.2)  # spans in which a gradual change is looked for
COMES_BACK = 0.95  # similarity a second apart that the two sides of a true gradual change do not reach
# A jump on one background: blocks that must become another picture, by how many grey levels and how unlike, and the
# frames on either side that must be quiet.
_JUMPED, _JUMP_LEVEL, _JUMP_ALIKE, _QUIET = 3, 7.0, 0.8, 2
_JUMP_PART = 0.5  # of the picture; a lamp or a flash changes more


class AdaptiveShotDetector:
    """Finds scene changes in frames that are pushed one by one; an answer comes about a second late."""

    knows_transitions = True

    def __init__(self, frame_rate: Fraction) -> None:
        rate = max(frame_rate, Fraction(1))
        self._clock = FrameTimecode(0, fps=float(rate))
        self._adaptive = AdaptiveDetector(
            adaptive_threshold=ADAPTIVE_RATIO, min_scene_len=1, min_content_val=MIN_CONTENT
        )
        self._spans = tuple(max(6, round(seconds * rate)) for seconds in MIXTURE_SECONDS)
        self._flash = max(4, round(FLASH_SECONDS * rate))
        self.delay = self._spans[-1] + self._flash + 2  # frames until an answer is final
        self._over = False
        self._thumbs: deque[Thumbnail] = deque(maxlen=2 * self.delay + 2)
        self._steps: deque[Floats] = deque(
            maxlen=2 * self.delay + 2
        )  # change of each block since the frame before
        self._candidates: list[int] = []
        self._cuts: list[int] = []  # in order
        self._transitions: list[Transition] = []
        self._gradual: list[tuple[int, int]] = []  # first and last mixed frame of each gradual change

    @property
    def final_before(self) -> int:
        """Frames before this one belong to shots whose start is known."""
        return self._next if self._over else max(0, self._next - self.delay)

    @property
    def _next(self) -> int:
        return self._thumbs[-1].index + 1 if self._thumbs else 0

    def push(self, index: int, thumbnail: Image) -> None:
        """Take the next frame as a BGR picture of THUMBNAIL_SIZE size."""
        thumb = thumbnail_of(index, thumbnail)
        self._steps.append(change(self._thumbs[-1] if self._thumbs else thumb, thumb))
        self._thumbs.append(thumb)
        timecode = FrameTimecode(index, fps=self._clock)
        self._candidates += [cut.frame_num for cut in self._adaptive.process_frame(timecode, thumbnail)]
        if index - _QUIET not in self._candidates and self._jumped(index - _QUIET):
            self._candidates.append(index - _QUIET)
        self._judge_candidates(index - self._flash)
        if index % 2 == 0:
            self._search_transitions()

    def finish(self) -> None:
        """No more frames will come: everything is settled."""
        self._over = True
        self._judge_candidates(self._next)

    def cuts(self) -> list[int]:
        """First frames of the settled shots, without frame 0."""
        self._resolve_transitions()
        return [cut for cut in self._cuts if cut < self.final_before]

    def shot_of(self, index: int) -> int:
        """Number of the shot that a settled frame belongs to, from 0."""
        self._resolve_transitions()
        return bisect_right(self._cuts, index)

    def in_transition(self, index: int, margin: int = 0) -> bool:
        """Does a settled frame lie inside a gradual change, or that many frames beside one?"""
        return any(first - margin <= index <= last + margin for first, last in self._gradual)

    def _passes(self, found: Transition) -> bool:
        """Something large that slides through the picture is no wipe: the scene comes back behind it."""
        first, last = self._at(found.first), self._at(found.last)
        reach = self._spans[-1]
        later = [self._at(found.last + step) for step in range(2, reach, 3)]
        earlier = [self._at(found.first - step) for step in range(2, reach, 3)]
        comes_back = first and any(thumb and scene_similarity(first, thumb) > COMES_BACK for thumb in later)
        was_there = last and any(thumb and scene_similarity(last, thumb) > COMES_BACK for thumb in earlier)
        return bool(comes_back or was_there)

    def _at(self, index: int) -> Thumbnail | None:
        position = index - self._thumbs[0].index if self._thumbs else -1
        return self._thumbs[position] if 0 <= position < len(self._thumbs) else None

    def _judge_candidates(self, until: int) -> None:
        waiting = [cut for cut in self._candidates if cut > until]
        for cut in self._candidates:
            if cut <= until and self._is_cut(cut):
                insort(self._cuts, cut)
        self._candidates = waiting

    def _is_cut(self, cut: int) -> bool:
        """No picture shortly after may look like one shortly before: else it was a flash or a passing thing."""
        before = [self._at(index) for index in range(cut - 1, cut - 1 - self._flash, -1)]
        after = [self._at(index) for index in range(cut, cut + self._flash)]
        last, first = before[0], after[0]
        if last is None or first is None:
            return False
        if scene_similarity(last, first) > SAME_SCENE:
            return self._jumped(cut) and not any(
                thumb and changed(side, thumb, _JUMP_LEVEL, _JUMP_ALIKE) < _JUMPED
                for side, others in ((last, after[1:]), (first, before[1:]))
                for thumb in others
            )
        returned = any(thumb and scene_similarity(last, thumb) > SAME_SCENE for thumb in after[1:])
        left = any(thumb and scene_similarity(thumb, first) > SAME_SCENE for thumb in before[1:])
        return not (returned or left)

    def _jumped(self, cut: int) -> bool:
        """Did a part of a still picture become another from one frame to the next, as in a cut on one background?

        Something that moves into the picture changes it in several frames; a lamp changes no texture.
        """
        before, after = self._at(cut - 1), self._at(cut)
        if (
            before is None
            or after is None
            or self._at(cut - 1 - _QUIET) is None
            or cut + _QUIET >= self._next
        ):
            return False
        place = cut - self._thumbs[0].index
        step = self._steps[place]
        jumped = np.count_nonzero(step > _JUMP_LEVEL)
        if not _JUMPED <= jumped <= _JUMP_PART * len(step):
            return False
        steps = [self._steps[place + near] for near in range(-_QUIET, _QUIET + 1) if near]
        if max(float(other.max()) for other in steps) > 0.35 * float(step.max()):
            return False
        return changed(before, after, _JUMP_LEVEL, _JUMP_ALIKE) >= _JUMPED

    def _search_transitions(self) -> None:
        for span in self._spans:
            last = self._thumbs[-1]
            first = self._at(last.index - span)
            if first is None or self._cut_within(first.index, last.index):
                continue
            inner = [thumb for index in range(first.index + 1, last.index) if (thumb := self._at(index))]
            found = fit_transition(first, inner, last)
            if found is not None:
                self._transitions.append(found)

    def _cut_within(self, first: int, last: int) -> bool:
        return bisect_right(self._cuts, first) < bisect_right(self._cuts, last)

    def _resolve_transitions(self) -> None:
        """Of windows that overlap, the longest and then the best explained says where the change is."""
        ripe = [
            found
            for found in self._transitions
            if self._over or found.last < self.final_before + self._spans[-1]
        ]
        for found in sorted(ripe, key=lambda found: (found.first - found.last, -found.explained)):
            near = max(self._spans[0], (found.last - found.first) * 2 // 3)
            if all(abs(found.middle - cut) > near for cut in self._cuts) and not self._passes(found):
                insort(self._cuts, found.middle)
                self._gradual.append(found.mixed)
        self._transitions = [found for found in self._transitions if found not in ripe]
