"""The default shot detector: cuts, dissolves, fades and wipes; not flashes, strobes, pans, lamps or passers-by.

A change of content that stands out (content.py) proposes a cut. A proposal is a cut only if no picture shortly after it
looks like one shortly before it, in layout and in texture, even when shifted a little. Gradual transitions are found by
fitting: in a transition every picture is a mixture of the two ends, block by block; a moving camera or a passing person
makes no such pictures.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from fractions import Fraction
from itertools import islice

import numpy as np

from facereel.indexer.shots.content import ContentChanges
from facereel.indexer.shots.similarity import (
    Thumbnail,
    Transition,
    block_changes,
    changes_most,
    count_replaced,
    fit_transition,
    same_scene,
    thumbnail_of,
)
from facereel.indexer.timing import film_frame, rounding
from facereel.store.model.records import Floats, Image

# As in same_scene(). Measured on films, television and music videos: neighbours in one shot have a similarity above
# 1.32, those across a cut one below 1.19.
SAME_SCENE = 1.25
# Where frames are further apart than this, seconds, they all change, no change stands out, and each is a proposal. Of
# neighbours across the cuts of nine films, at 12 frames a second down to 1, none is the same scene, and at 12 the
# changes of 36 of 40 stand out.
_WIDE_STEP = 0.07
FLASH_SECONDS = 0.4  # after this time a flash is over and the picture is back
TRANSITION_SECONDS = (0.28, 0.6, 1.2)  # lengths of run in which a gradual transition is searched for
_LONGEST_RUN = 2 * TRANSITION_SECONDS[-1]  # seconds: frames that are shown longer are no run
MAX_RETURN_SIMILARITY = 0.95  # that the two sides of a gradual transition do not reach within a second
# A cut to another picture on the same background replaces at least this many blocks, by this many grey levels and with
# an NCC below this one, while the frames around it are quiet; but not more than this share of all blocks, as a lamp or
# a flash does.
_MIN_REPLACED, _MIN_BLOCK_CHANGE, _MIN_BLOCK_NCC = 3, 7.0, 0.8
_MAX_CHANGED_SHARE = 0.5
_QUIET_FRAMES = 2  # of film, on either side
_MAX_QUIET_CHANGE = 0.35  # of a quiet frame, as a share of the change at the cut


class AdaptiveShotDetector:
    """Finds shot boundaries in frames that are pushed one by one; an answer is final about two seconds later."""

    knows_transitions = True

    def __init__(self, frame_rate: Fraction) -> None:
        rate = max(frame_rate, Fraction(1))
        self._film_frame = film_frame(rate)
        self._quiet = _QUIET_FRAMES * self._film_frame
        self._content = ContentChanges(self._quiet)
        self._spans = tuple(max(6, round(seconds * rate)) for seconds in TRANSITION_SECONDS)
        self._flash = FLASH_SECONDS - rounding(rate)
        # Frames until an answer is final, unless there are more of them in the time of a flash.
        self.delay = self._spans[-1] + max(4, round(FLASH_SECONDS * rate)) + self._quiet
        self._over = False
        self._thumbnails: deque[Thumbnail] = deque()
        self._changes: deque[Floats] = deque()  # of each block since the frame before
        self._proposals: list[int] = []
        self._cuts: list[int] = []  # ascending; a gradual transition counts from its middle
        self._transitions: list[Transition] = []  # of which several may be the same one
        self._mixed: list[tuple[int, int]] = []  # first and last mixed frame of each gradual transition

    @property
    def final_before(self) -> int:
        """Answers about frames before this one no longer change."""
        return self._next if self._over else max(0, min([self._next - self.delay, *self._proposals]))

    @property
    def _next(self) -> int:
        return self._thumbnails[-1].index + 1 if self._thumbnails else 0

    def push(self, index: int, seconds: float, thumbnail: Image) -> None:
        """Take the next frame, shown at that time, as a BGR picture of THUMBNAIL_SIZE."""
        new = thumbnail_of(index, seconds, thumbnail)
        self._changes.append(block_changes(self._thumbnails[-1] if self._thumbnails else new, new))
        self._thumbnails.append(new)
        cut = index - self._quiet
        stands_out = self._content.push(thumbnail)
        if (stands_out or self._is_partial_cut(cut)) and not self._is_wide_step(cut):
            self._propose(cut)
        if self._is_wide_step(index):
            self._proposals.append(index)
            # Where a picture begins that is shown for long, the change does not stand out: it soon changes again.
            if not self._is_wide_step(index - 1):
                self._propose(index - 1)
        self._judge_proposals()
        if index % (2 * self._film_frame) == 0:  # often enough, at half the cost
            self._search_transitions()
        self._forget()

    def finish(self) -> None:
        """No more frames will come: all answers are final."""
        self._over = True
        # The last frames have none beside them; a film that was cut roughly ends with the next shot.
        for index in range(self._next - self._quiet, self._next):
            before, after = self._at(index - 1), self._at(index)
            if before and after and not (before.blank or after.blank):
                self._propose(index)
        self._judge_proposals()

    def cuts(self) -> list[int]:
        """First frames of the shots that are final, without frame 0."""
        self._resolve_transitions()
        return [cut for cut in self._cuts if cut < self.final_before]

    def shot_of(self, index: int) -> int:
        """Number of the shot of a frame before `final_before`, from 0."""
        self._resolve_transitions()
        return bisect_right(self._cuts, index)

    def in_transition(self, index: int, margin: int = 0) -> bool:
        """Does a frame before `final_before` lie in a gradual transition, or at most `margin` frames beside one?"""
        return any(first - margin <= index <= last + margin for first, last in self._mixed)

    def _at(self, index: int) -> Thumbnail | None:
        position = index - self._thumbnails[0].index if self._thumbnails else -1
        return self._thumbnails[position] if 0 <= position < len(self._thumbnails) else None

    def _forget(self) -> None:
        """Drop thumbnails that no later answer needs."""
        oldest = self._thumbnails[-1].seconds - _LONGEST_RUN
        while len(self._thumbnails) > 2 * self.delay + 2 and self._thumbnails[0].seconds < oldest:
            self._thumbnails.popleft()
            self._changes.popleft()

    def _is_wide_step(self, index: int) -> bool:
        """Are a frame and the one before it too far apart for a change to stand out?"""
        before, after = self._at(index - 1), self._at(index)
        return bool(before and after and after.seconds - before.seconds > _WIDE_STEP)

    def _propose(self, cut: int) -> None:
        if cut not in self._proposals and cut not in self._cuts:
            self._proposals.append(cut)

    def _judge_proposals(self) -> None:
        waiting = []
        for cut in self._proposals:
            first = self._at(cut)
            if not self._over and first and self._thumbnails[-1].seconds - first.seconds < self._flash:
                waiting.append(cut)
            elif self._is_cut(cut):
                insort(self._cuts, cut)
        self._proposals = waiting

    def _is_cut(self, cut: int) -> bool:
        """Does no picture shortly after `cut` look like one shortly before? Otherwise it was a flash or a passer-by."""
        last, first = self._at(cut - 1), self._at(cut)
        if last is None or first is None:
            return False
        earlier, later = self._shown_before(first), self._shown_after(first)
        if same_scene(last, first, SAME_SCENE):
            return self._is_partial_cut(cut) and not any(
                self._replaced(side, thumbnail) < _MIN_REPLACED
                for side, others in ((last, later), (first, earlier))
                for thumbnail in others
            )
        returns = any(same_scene(last, other, SAME_SCENE) for other in later)
        was_there = any(same_scene(other, first, SAME_SCENE) for other in earlier)
        return not (returns or was_there)

    def _shown_before(self, first: Thumbnail) -> list[Thumbnail]:
        """The thumbnails before the last one before `first` that were there within the time of a flash before it."""
        found: list[Thumbnail] = []
        last, other = self._at(first.index - 1), self._at(first.index - 2)
        while last is not None and other is not None and first.seconds - last.seconds < self._flash:
            found.append(other)
            last, other = other, self._at(other.index - 1)
        return found

    def _shown_after(self, first: Thumbnail) -> list[Thumbnail]:
        """The thumbnails that follow `first` within the time of a flash."""
        found: list[Thumbnail] = []
        other = self._at(first.index + 1)
        while other is not None and other.seconds - first.seconds < self._flash:
            found.append(other)
            other = self._at(other.index + 1)
        return found

    def _is_partial_cut(self, cut: int) -> bool:
        """Is a part of the picture replaced from one frame to the next, as in a cut on the same background?

        What moves into the picture changes it in several frames; a lamp replaces no texture.
        """
        before, after = self._at(cut - 1), self._at(cut)
        if before is None or after is None:
            return False
        if self._at(cut - 1 - self._quiet) is None or cut + self._quiet >= self._next:
            return False
        place = cut - self._thumbnails[0].index
        change = self._changes[place]
        changed = np.count_nonzero(change > _MIN_BLOCK_CHANGE)
        if not _MIN_REPLACED <= changed <= _MAX_CHANGED_SHARE * len(change):
            return False
        around = [self._changes[place + step] for step in range(-self._quiet, self._quiet + 1) if step]
        if max(float(other.max()) for other in around) > _MAX_QUIET_CHANGE * float(change.max()):
            return False
        return self._replaced(before, after) >= _MIN_REPLACED

    def _replaced(self, one: Thumbnail, other: Thumbnail) -> int:
        return count_replaced(one, other, _MIN_BLOCK_CHANGE, _MIN_BLOCK_NCC)

    def _search_transitions(self) -> None:
        """Fit the runs that end with the newest frame and hold no cut."""
        last = self._thumbnails[-1]
        after_cuts = bisect_right(self._cuts, last.index)
        for span in self._spans:
            first = self._at(last.index - span)
            if first is None or last.seconds - first.seconds > _LONGEST_RUN:
                continue
            if bisect_right(self._cuts, first.index) < after_cuts or not changes_most(first, last):
                continue
            end = len(self._thumbnails)
            transition = fit_transition(list(islice(self._thumbnails, end - 1 - span, end)))
            if transition is not None:
                self._transitions.append(transition)

    def _resolve_transitions(self) -> None:
        """Add a cut for each gradual transition of which all runs are known.

        Of runs that overlap the longest counts, and among equally long ones the best explained.
        """
        complete = [
            transition
            for transition in self._transitions
            if self._over or transition.last < self.final_before + self._spans[-1]
        ]
        for transition in sorted(complete, key=lambda one: (one.first - one.last, -one.explained)):
            distance = max(self._spans[0], (transition.last - transition.first) * 2 // 3)
            alone = all(abs(transition.middle - cut) > distance for cut in self._cuts)
            if alone and not self._is_passing_object(transition):
                insort(self._cuts, transition.middle)
                self._mixed.append(transition.mixed)
        self._transitions = [transition for transition in self._transitions if transition not in complete]

    def _is_passing_object(self, transition: Transition) -> bool:
        """Does the scene come back after the transition? Then something large slid through the picture; no wipe."""
        first, last = self._at(transition.first), self._at(transition.last)
        steps = range(2 * self._film_frame, self._spans[-1], 3 * self._film_frame)
        later = [self._at(transition.last + step) for step in steps]
        earlier = [self._at(transition.first - step) for step in steps]
        returns = first and any(self._is_same_again(first, other) for other in later)
        was_there = last and any(self._is_same_again(last, other) for other in earlier)
        return bool(returns or was_there)

    def _is_same_again(self, one: Thumbnail, other: Thumbnail | None) -> bool:
        return other is not None and same_scene(one, other, MAX_RETURN_SIMILARITY)
