"""Sightings into tracklets: optimal assignment, a second round for weak detections, breaks rather than mixes.

Two rounds as in ByteTrack (Zhang et al., 2022), assignment by scipy. A trail that the detector loses is not given up
at once: when the face comes back, the witness decides whether it was there all the time (then the gap is filled) or
something hid it (then the tracklet ends and a new one starts). Nothing links across a scene change.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from facereel.indexer.scan.scan import View
from facereel.indexer.track.association import moved, overlaps, places, visible_part
from facereel.indexer.track.fragments import around, parts_of
from facereel.indexer.track.track import ROOT, Candidate, Glance, Memory, Trail, Whole
from facereel.store.model.boxes import to_sides
from facereel.store.model.config import Config
from facereel.store.model.records import Floats, Ints, Reason

# Patches of one face in neighbouring frames correlate above 0.64 in 99 of 100 cases, or share 0.5 of their blocks;
# those of different faces at the same place reach 0.73 at most.
_OTHER_SHARE, _OTHER_WHOLE = 0.4, 0.55
_SAME_WHOLE = 0.85
_EDGE = 0.12  # a face nearer to the picture's edge than this share of its width is on its way in or out


@dataclass(frozen=True, slots=True)
class Stage:
    """The picture in which faces move."""

    width: int
    height: int
    frame_rate: float


class Tracker:
    """Takes views in order and gives back trails as they end."""

    def __init__(self, stage: Stage, config: Config, start: int = 0) -> None:
        self._stage = stage
        self._config = config
        self._max_gap = max(4, round(config.max_gap * stage.frame_rate))
        self._reach = max(2, round(config.max_extension * stage.frame_rate))
        self._memory: Memory = deque(maxlen=self._max_gap + self._reach + ROOT + 2)
        self._trails: list[Trail] = []
        self._shot, self._shot_start = 0, start
        self._ended: list[Trail] = []
        self._holders: dict[int, Trail] = {}  # by face of the last view
        # By face of the last view that something divides: its parts, and the whole's box less the one around them.
        self._parts: dict[int, tuple[list[int], Floats]] = {}

    def step(self, view: View, shot: int, mixed: bool = False) -> list[Trail]:
        """Take the next frame, which belongs to that shot; gives the trails that ended.

        In a `mixed` picture (a dissolve) the witness is not asked: every patch shows what comes and what goes.
        """
        same_shot = shot == self._shot
        if not same_shot:
            self._close_shot("scene_cut")
            self._shot, self._shot_start = shot, view.index
        glance = Glance(view, mixed)
        self._memory.append(glance)
        boxes = to_sides(view.faces.boxes)
        if view.continues and same_shot:
            self._join(boxes)
            for detection, trail in self._holders.items():
                if trail in self._trails:
                    self._take(trail, boxes[detection], detection, glance)
        else:
            self._match(boxes, glance)
        self._give_up()
        ended, self._ended = self._ended, []
        return ended

    def _match(self, boxes: Floats, glance: Glance) -> None:
        """Find out which faces of a view continue which trails, and which begin new ones."""
        view, self._holders = glance.view, {}
        self._find_parts(boxes, glance)
        self._join(boxes)
        scores = view.faces.scores.copy()
        scores[[part for parts, _ in self._parts.values() for part in parts[1:]]] = 0
        strong = np.flatnonzero(scores >= self._config.strong_score)
        weak = np.flatnonzero((scores >= self._config.weak_score) & (scores < self._config.strong_score))
        unmatched_trails = list(self._trails)
        for chosen in (strong, weak):
            unmatched_trails, left = self._assign(unmatched_trails, boxes, chosen, glance)
            if chosen is strong:
                unclaimed = left
        # Of several new ones at one place the surest counts, whatever order the detector gives them in.
        for detection in sorted(unclaimed, key=lambda new: (-scores[new], *boxes[new])):
            if not overlaps(boxes[detection], glance.taken):  # else a part of a face that a trail holds
                self._start(boxes[detection], int(detection), glance)

    def finish(self, reason: Reason = "video_end") -> list[Trail]:
        """No more frames will come: gives the trails that were still running."""
        self._close_shot(reason)
        ended, self._ended = self._ended, []
        return ended

    def _assign(
        self, trails: list[Trail], boxes: Floats, chosen: Ints, glance: Glance
    ) -> tuple[list[Trail], list[int]]:
        """Give detections to trails; returns the trails and detections left over."""
        if not trails or not len(chosen):
            return trails, [int(index) for index in chosen]
        frame = glance.view.index
        expected = np.array([trail.expect(frame) for trail in trails])
        affinity = self._affinity(trails, expected, boxes[chosen], glance)
        used_rows: set[int] = set()
        used_columns: set[int] = set()
        while True:
            rows, columns = linear_sum_assignment(-affinity)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if affinity[r, c] > 0]
            if not pairs:
                break
            for row, column in pairs:
                detection = int(chosen[column])
                if self._link(trails[row], boxes[detection], detection, glance):
                    used_rows.add(row)
                    used_columns.add(column)
                    affinity[row], affinity[:, column] = 0, 0
                else:
                    # A trail that was hidden meanwhile must not keep the face from the one that follows it.
                    affinity[row, column] = 0
        left_trails = [trail for row, trail in enumerate(trails) if row not in used_rows]
        return left_trails, [int(chosen[c]) for c in range(len(chosen)) if c not in used_columns]

    def _affinity(self, trails: list[Trail], expected: Floats, boxes: Floats, glance: Glance) -> Floats:
        """How well detections (M, 4) fit trails expected at (N, 4) in place and look: (N, M), 0 where they cannot."""
        place, far = places(expected, boxes)
        affinity = np.zeros_like(place)
        for row, column in zip(*np.nonzero((place > 0) | far), strict=True):
            patch = trails[row].patch
            assert patch is not None
            look = glance.testify(patch, boxes[column])
            if look.whole >= _SAME_WHOLE or (
                place[row, column] > 0 and (look.whole >= _OTHER_WHOLE or look.share >= _OTHER_SHARE)
            ):
                affinity[row, column] = place[row, column] + max(look.whole, 0.0) + 1e-3
        return affinity

    def _link(self, trail: Trail, box: Floats, detection: int, glance: Glance) -> bool:
        """Continue a trail with a detection, over a gap if the face was there all the while."""
        gap = [seen for seen in self._memory if trail.frames[-1] < seen.view.index < glance.view.index]
        if gap and not trail.bridge(gap, glance, box):
            return False
        self._take(trail, box, detection, glance)
        return True

    def _take(self, trail: Trail, box: Floats, detection: int, glance: Glance) -> None:
        view = glance.view
        self._holders[detection] = trail
        score = float(view.faces.scores[detection])
        if not trail.rooted and len(trail.first_patches) == ROOT:
            self._root(trail)
        sure = score >= self._config.strong_score
        trail.add(view.index, box, score, glance, sure)
        crop = view.crops[detection]
        if crop is not None:
            landmarks = view.faces.landmarks[detection]
            trail.remember(Candidate(view.index, box, landmarks, score, crop))

    def _find_parts(self, boxes: Floats, glance: Glance) -> None:
        """Find faces that something narrow divides: detections (of N, 4) beside it where the witness sees the whole."""
        self._parts = {}
        for trail in self._trails if len(boxes) else ():
            divided, trail.divided = trail.divided, None
            parts = parts_of(boxes, divided.box if divided else trail.widest()[1])
            if len(parts) < (1 if divided else 2) or any(part in self._parts for part in parts):
                continue
            # Only here: what the whole looked like is sought for hardly any face.
            whole = divided or trail.whole(self._memory)
            if whole is None:
                continue
            testimony = glance.testify(whole.patch, whole.box)
            if testimony.visible:
                trail.patch = whole.patch
                trail.divided = Whole(moved(whole.box, testimony.shift), whole.patch)
                parts.sort(key=lambda detection: -float(glance.view.faces.scores[detection]))
                self._parts[parts[0]] = (parts, trail.divided.box - around(boxes[parts]))

    def _join(self, boxes: Floats) -> None:
        """Give a divided face the box (of N, 4) of the whole, which moves with its parts."""
        for keep, (parts, more) in self._parts.items():
            boxes[keep] = around(boxes[parts]) + more

    def _start(self, box: Floats, detection: int, glance: Glance) -> None:
        for other in [
            other for other in self._trails if other.is_rest_of(box) and other.frames[0] < glance.view.index
        ]:
            other.give_up(glance.view.index)
            self._end(other)
        trail = Trail(self._shot, "occlusion")
        self._take(trail, box, detection, glance)
        self._trails.append(trail)

    def _root(self, trail: Trail) -> None:
        """Follow a trail back from its first detection."""
        first = trail.frames[0]
        earlier = [glance for glance in self._memory if 0 < first - glance.view.index <= self._reach]
        trail.extend_back(reversed(earlier), self._stage.width, self._stage.height)
        trail.start_reason = self._reason_at_start(trail)

    def _give_up(self) -> None:
        """End trails that have been lost for too long."""
        now = self._memory[-1].view.index
        for trail in [trail for trail in self._trails if now - trail.frames[-1] > self._max_gap]:
            self._end(trail)

    def _end(self, trail: Trail) -> None:
        self._trails.remove(trail)
        if not trail.rooted:
            self._root(trail)
        later = [glance for glance in self._memory if 0 < glance.view.index - trail.frames[-1] <= self._reach]
        trail.extend(later, self._stage.width, self._stage.height)
        trail.end_reason = "left_frame" if self._at_edge(trail.boxes[-1]) else "occlusion"
        if self._is_face(trail):
            self._ended.append(trail)

    def _is_face(self, trail: Trail) -> bool:
        """A hand or a pattern that looked like a face for a moment is none."""
        sure = max((look.score for look in trail.candidates), default=0.0)
        return trail.found >= self._config.min_detections and sure >= self._config.sure_score

    def _close_shot(self, reason: Reason) -> None:
        last = self._memory[-1].view.index if self._memory else -1
        for trail in list(self._trails):
            self._end(trail)
            if trail.frames[-1] == last:
                trail.end_reason = reason
        self._memory.clear()

    def _reason_at_start(self, trail: Trail) -> Reason:
        if trail.frames[0] == 0:
            return "video_start"
        if trail.frames[0] == self._shot_start:
            return "scene_cut"
        return "entered_frame" if self._at_edge(trail.boxes[0]) else "occlusion"

    def _at_edge(self, box: Floats) -> bool:
        grown = box + np.array([-_EDGE, -_EDGE, 2 * _EDGE, 2 * _EDGE], np.float32) * box[2]
        return visible_part(grown, self._stage.width, self._stage.height) < 1.0
