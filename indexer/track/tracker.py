"""Sightings into tracklets: optimal assignment, a second round for weak detections, breaks rather than mixes.

Two rounds as in ByteTrack (Zhang et al., 2022), assignment by scipy. A track that the detector loses is not given up
at once: when the face comes back, the witness decides whether it was there all the time (then the gap is filled) or
something hid it (then the tracklet ends and a new one starts). Nothing links across a scene change.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.track.association import moved, overlaps, places, visible_part
from facereel.indexer.track.fragments import around, parts_of
from facereel.indexer.track.track import ROOT, Candidate, Memory, Track, TrackedFrame, Whole
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.config import Config
from facereel.store.model.records import Floats, Ints, Reason

# Patches of one face in neighbouring frames correlate above 0.64 in 99 of 100 cases, or share 0.5 of their blocks;
# those of different faces at the same place reach 0.73 at most.
_OTHER_SHARE, _OTHER_WHOLE = 0.4, 0.55
_SAME_WHOLE = 0.85
_EDGE = 0.12  # a face nearer to the picture's edge than this share of its width is on its way in or out


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The picture in which faces move."""

    width: int
    height: int
    frame_rate: float


class Tracker:
    """Takes views in order and gives back tracks as they end."""

    def __init__(self, stage: VideoFormat, config: Config, start: int = 0) -> None:
        self._stage = stage
        self._config = config
        self._max_gap = max(4, round(config.max_gap * stage.frame_rate))
        self._reach = max(2, round(config.max_extension * stage.frame_rate))
        self._memory: Memory = deque(maxlen=self._max_gap + self._reach + ROOT + 2)
        self._trails: list[Track] = []
        self._shot, self._shot_start = 0, start
        self._ended: list[Track] = []
        self._holders: dict[int, Track] = {}  # by face of the last view
        # By face of the last view that something divides: its parts, and the whole's box less the one around them.
        self._parts: dict[int, tuple[list[int], Floats]] = {}

    def step(self, view: FrameView, shot: int, mixed: bool = False) -> list[Track]:
        """Take the next frame, which belongs to that shot; gives the tracks that ended.

        In a `mixed` picture (a dissolve) the witness is not asked: every patch shows what comes and what goes.
        """
        same_shot = shot == self._shot
        if not same_shot:
            self._close_shot("scene_cut")
            self._shot, self._shot_start = shot, view.index
        tracked = TrackedFrame(view, mixed)
        self._memory.append(tracked)
        boxes = xyxy_to_xywh(view.faces.boxes)
        if view.continues and same_shot:
            self._join(boxes)
            for detection, track in self._holders.items():
                if track in self._trails:
                    self._take(track, boxes[detection], detection, tracked)
        else:
            self._match(boxes, tracked)
        self._give_up()
        ended, self._ended = self._ended, []
        return ended

    def _match(self, boxes: Floats, tracked: TrackedFrame) -> None:
        """Find out which faces of a view continue which tracks, and which begin new ones."""
        view, self._holders = tracked.view, {}
        self._find_parts(boxes, tracked)
        self._join(boxes)
        scores = view.faces.scores.copy()
        scores[[part for parts, _ in self._parts.values() for part in parts[1:]]] = 0
        strong = np.flatnonzero(scores >= self._config.strong_score)
        weak = np.flatnonzero((scores >= self._config.weak_score) & (scores < self._config.strong_score))
        unmatched_trails = list(self._trails)
        for chosen in (strong, weak):
            unmatched_trails, left = self._assign(unmatched_trails, boxes, chosen, tracked)
            if chosen is strong:
                unclaimed = left
        # Of several new ones at one place the surest counts, whatever order the detector gives them in.
        for detection in sorted(unclaimed, key=lambda new: (-scores[new], *boxes[new])):
            if not overlaps(boxes[detection], tracked.taken):  # else a part of a face that a track holds
                self._start(boxes[detection], int(detection), tracked)

    def finish(self, reason: Reason = "video_end") -> list[Track]:
        """No more frames will come: gives the tracks that were still running."""
        self._close_shot(reason)
        ended, self._ended = self._ended, []
        return ended

    def _assign(
        self, tracks: list[Track], boxes: Floats, chosen: Ints, tracked: TrackedFrame
    ) -> tuple[list[Track], list[int]]:
        """Give detections to tracks; returns the tracks and detections left over."""
        if not tracks or not len(chosen):
            return tracks, [int(index) for index in chosen]
        frame = tracked.view.index
        expected = np.array([track.expect(frame) for track in tracks])
        affinity = self._affinity(tracks, expected, boxes[chosen], tracked)
        used_rows: set[int] = set()
        used_columns: set[int] = set()
        while True:
            rows, columns = linear_sum_assignment(-affinity)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if affinity[r, c] > 0]
            if not pairs:
                break
            for row, column in pairs:
                detection = int(chosen[column])
                if self._link(tracks[row], boxes[detection], detection, tracked):
                    used_rows.add(row)
                    used_columns.add(column)
                    affinity[row], affinity[:, column] = 0, 0
                else:
                    # A track that was hidden meanwhile must not keep the face from the one that follows it.
                    affinity[row, column] = 0
        left_trails = [track for row, track in enumerate(tracks) if row not in used_rows]
        return left_trails, [int(chosen[c]) for c in range(len(chosen)) if c not in used_columns]

    def _affinity(
        self, tracks: list[Track], expected: Floats, boxes: Floats, tracked: TrackedFrame
    ) -> Floats:
        """How well detections (M, 4) fit tracks expected at (N, 4) in place and look: (N, M), 0 where they cannot."""
        place, far = places(expected, boxes)
        affinity = np.zeros_like(place)
        for row, column in zip(*np.nonzero((place > 0) | far), strict=True):
            patch = tracks[row].patch
            assert patch is not None
            look = tracked.match_patch(patch, boxes[column])
            if look.ncc >= _SAME_WHOLE or (
                place[row, column] > 0 and (look.ncc >= _OTHER_WHOLE or look.block_share >= _OTHER_SHARE)
            ):
                affinity[row, column] = place[row, column] + max(look.ncc, 0.0) + 1e-3
        return affinity

    def _link(self, track: Track, box: Floats, detection: int, tracked: TrackedFrame) -> bool:
        """Continue a track with a detection, over a gap if the face was there all the while."""
        gap = [seen for seen in self._memory if track.frames[-1] < seen.view.index < tracked.view.index]
        if gap and not track.bridge(gap, tracked, box):
            return False
        self._take(track, box, detection, tracked)
        return True

    def _take(self, track: Track, box: Floats, detection: int, tracked: TrackedFrame) -> None:
        view = tracked.view
        self._holders[detection] = track
        score = float(view.faces.scores[detection])
        if not track.rooted and len(track.first_patches) == ROOT:
            self._root(track)
        sure = score >= self._config.strong_score
        track.add(view.index, box, score, tracked, sure)
        crop = view.crops[detection]
        if crop is not None:
            landmarks = view.faces.landmarks[detection]
            track.remember(Candidate(view.index, box, landmarks, score, crop))

    def _find_parts(self, boxes: Floats, tracked: TrackedFrame) -> None:
        """Find faces that something narrow divides: detections (of N, 4) beside it where the witness sees the whole."""
        self._parts = {}
        for track in self._trails if len(boxes) else ():
            divided, track.divided = track.divided, None
            parts = parts_of(boxes, divided.box if divided else track.widest()[1])
            if len(parts) < (1 if divided else 2) or any(part in self._parts for part in parts):
                continue
            # Only here: what the whole looked like is sought for hardly any face.
            whole = divided or track.whole(self._memory)
            if whole is None:
                continue
            patch_match = tracked.match_patch(whole.patch, whole.box)
            if patch_match.visible:
                track.patch = whole.patch
                track.divided = Whole(moved(whole.box, patch_match.shift), whole.patch)
                parts.sort(key=lambda detection: -float(tracked.view.faces.scores[detection]))
                self._parts[parts[0]] = (parts, track.divided.box - around(boxes[parts]))

    def _join(self, boxes: Floats) -> None:
        """Give a divided face the box (of N, 4) of the whole, which moves with its parts."""
        for keep, (parts, more) in self._parts.items():
            boxes[keep] = around(boxes[parts]) + more

    def _start(self, box: Floats, detection: int, tracked: TrackedFrame) -> None:
        for other in [
            other for other in self._trails if other.is_rest_of(box) and other.frames[0] < tracked.view.index
        ]:
            other.give_up(tracked.view.index)
            self._end(other)
        track = Track(self._shot, "occlusion")
        self._take(track, box, detection, tracked)
        self._trails.append(track)

    def _root(self, track: Track) -> None:
        """Follow a track back from its first detection."""
        first = track.frames[0]
        earlier = [tracked for tracked in self._memory if 0 < first - tracked.view.index <= self._reach]
        track.extend_back(reversed(earlier), self._stage.width, self._stage.height)
        track.start_reason = self._reason_at_start(track)

    def _give_up(self) -> None:
        """End tracks that have been lost for too long."""
        now = self._memory[-1].view.index
        for track in [track for track in self._trails if now - track.frames[-1] > self._max_gap]:
            self._end(track)

    def _end(self, track: Track) -> None:
        self._trails.remove(track)
        if not track.rooted:
            self._root(track)
        later = [
            tracked for tracked in self._memory if 0 < tracked.view.index - track.frames[-1] <= self._reach
        ]
        track.extend(later, self._stage.width, self._stage.height)
        track.end_reason = "left_frame" if self._at_edge(track.boxes[-1]) else "occlusion"
        if self._is_face(track):
            self._ended.append(track)

    def _is_face(self, track: Track) -> bool:
        """A hand or a pattern that looked like a face for a moment is none."""
        sure = max((look.score for look in track.candidates), default=0.0)
        return track.found >= self._config.min_detections and sure >= self._config.sure_score

    def _close_shot(self, reason: Reason) -> None:
        last = self._memory[-1].view.index if self._memory else -1
        for track in list(self._trails):
            self._end(track)
            if track.frames[-1] == last:
                track.end_reason = reason
        self._memory.clear()

    def _reason_at_start(self, track: Track) -> Reason:
        if track.frames[0] == 0:
            return "video_start"
        if track.frames[0] == self._shot_start:
            return "scene_cut"
        return "entered_frame" if self._at_edge(track.boxes[0]) else "occlusion"

    def _at_edge(self, box: Floats) -> bool:
        grown = box + np.array([-_EDGE, -_EDGE, 2 * _EDGE, 2 * _EDGE], np.float32) * box[2]
        return visible_part(grown, self._stage.width, self._stage.height) < 1.0
