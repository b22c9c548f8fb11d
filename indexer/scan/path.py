"""A face in the frames of a stretch: detected in some, interpolated between these where patches confirm it.

Between two detections of a path its box is interpolated, and its patch in each frame is compared with those at both
detections and in the next frame. Where that confirms it the detector is spared. Boxes are x0 y0 x1 y1 in pixels of
`FrameView.grey`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import PATCH, Patch, take_patches
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import Faces, Floats

# NCC with the face at one of two detections from which on a face between them is confirmed. Other faces at its place
# reach 0.73, a full cover 0.58.
MIN_NCC = 0.8
# Where these are far apart a head may turn, and its box with it, while its NCC stays high: so it must hardly change.
MIN_NCC_FAR = 0.9
# NCC from each frame to the next. Without it a cut to another face at the same place would pass: one detection confirms
# the frames before the cut and the other those after it.
MIN_NCC_STEP = 0.55
# The same from which on the tracker need not ask whether it is the same face: other faces at its place reach 0.73.
_MIN_NCC_LINK = 0.85
# The same face: distance of the centres in widths of the smaller, and ratio of the widths.
MAX_DISTANCE, _MAX_GROWTH = 0.8, 1.5

FACE_VALUES = 15  # of a face: four of its box, its score, ten of its landmarks

# Places of two detections that follow each other, and the NCC from which on a face between them is confirmed.
Span = tuple[int, int, float]


class Path:
    """One face in the n frames of a stretch, by their places 0 to n - 1.

    `known` (n,) says where the face is plainly there: only there its other values count. `detected` (n,) says where the
    detector found it, `missing` (n,) where it was searched and not found; `linked` (n,) where patches show that it is
    the face of the frame before.
    """

    def __init__(self, views: Sequence[FrameView], place: int, faces: Faces, face: int) -> None:
        """It was detected at one place so far."""
        length = len(views)
        self._views = views
        self._seconds = np.array([view.seconds for view in views])
        self.values = np.zeros((length, FACE_VALUES), np.float32)  # all that is interpolated
        self.boxes, self.scores = self.values[:, :4], self.values[:, 4]
        self.landmarks = self.values[:, 5:].reshape(length, 5, 2)
        self.known, self.detected, self.missing, self.linked = np.zeros((4, length), np.bool_)
        self.best_score = 0.0  # the highest with which the detector found it
        self.face_of: dict[int, int] = {}  # its number among the faces of the first and the last view
        self.patches: dict[int, Patch] = {}  # by place
        self._rows = np.empty((length, PATCH * PATCH), np.float32)  # of the patches, one below the other
        self._spans: list[Span] = []  # those that are not compared yet
        self._set(place, faces, face)
        if place not in self.patches:
            self._take_patches([place])

    def add(self, place: int, faces: Faces, face: int, far: int) -> None:
        """It was detected at another place; interpolated between that and its neighbours, but not compared yet.

        `far` is the number of frames from which on two detections are far apart.
        """
        self._set(place, faces, face)
        anchors = self._anchors()
        at = anchors.index(place)
        self._spans = [span for span in self._spans if not span[0] < place < span[1]]
        for before, after in pairwise(anchors[max(at - 1, 0) : at + 2]):
            self._interpolate(before, after)
            self._spans.append((before, after, MIN_NCC if after - before <= far else MIN_NCC_FAR))

    def compare(self) -> None:
        """Find where between two detections patches show the face."""
        places = {place for before, after, _ in self._spans for place in range(before, after + 1)}
        self._take_patches(sorted(places.difference(self.patches)))
        for before, after, min_ncc in self._spans:
            rows = self._rows[before : after + 1]
            steps = np.vecdot(rows[1:], rows[:-1])
            steady = steps >= MIN_NCC_STEP
            similar = np.maximum(np.vecdot(rows[1:-1], rows[0]), np.vecdot(rows[1:-1], rows[-1])) >= min_ncc
            self.known[before + 1 : after] = similar & steady[1:] & steady[:-1]
            both_known = self.known[before + 1 : after + 1] & self.known[before:after]
            self.linked[before + 1 : after + 1] = both_known & (steps >= _MIN_NCC_LINK)
        self._spans = []

    def is_doubtful(self) -> bool:
        """Is it anywhere between two detections neither known nor searched? Compares no more than it must."""
        for before, after, min_ncc in self._spans:
            middle = (before + after) // 2
            if before < middle:
                self._take_patches([middle])
                if np.vecdot(self._rows[[before, after]], self._rows[middle]).max() < min_ncc:
                    return True
        self.compare()
        return bool(self.doubts())

    def spans(self, place: int) -> bool:
        """Was it detected at this place, or before and after it?"""
        anchors = self._anchors()
        return anchors[0] <= place <= anchors[-1]

    def iou(self, place: int, box: Sequence[float]) -> float:
        """IoU of a box (4,) and its own at a place."""
        x0, y0, x1, y1 = box
        left, top, right, bottom = self.boxes[place].tolist()
        width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
        if width <= 0 or height <= 0:
            return 0.0
        shared: float = width * height
        union: float = (x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - shared
        return shared / union

    def doubts(self) -> list[int]:
        """The middle one of each run of places between two detections that are neither known nor searched.

        A run ends at a detection or where the face is missing, not where patches confirm a frame between.
        """
        known, resolved = self.known.tolist(), (self.detected | self.missing).tolist()
        anchors = self._anchors()
        middles, run = [], list[int]()
        for place in range(anchors[0] + 1, anchors[-1] + 1):
            if not resolved[place]:
                if not known[place]:
                    run.append(place)
            elif run:
                middles.append(run[len(run) // 2])
                run = []
        return middles

    def _anchors(self) -> list[int]:
        """The places where it was detected."""
        return self.detected.nonzero()[0].tolist()

    def _set(self, place: int, faces: Faces, face: int) -> None:
        self.boxes[place], self.scores[place] = faces.boxes[face], faces.scores[face]
        self.landmarks[place] = faces.landmarks[face]
        self.known[place] = self.detected[place] = True
        self.best_score = max(self.best_score, float(faces.scores[face]))
        if place in (0, len(self.known) - 1):
            self.face_of[place] = face
            patch = self._views[place].face_patches[face]
            assert patch is not None
            self.patches[place], self._rows[place] = patch, patch.row
        else:
            self.patches.pop(place, None)

    def _interpolate(self, before: int, after: int) -> None:
        """Fill the places between two detections."""
        start, end = self._seconds[before], self._seconds[after]
        shares = ((self._seconds[before + 1 : after] - start) / (end - start)).astype(np.float32)[:, None]
        ends = self.values[before], self.values[after]
        self.values[before + 1 : after] = (1 - shares) * ends[0] + shares * ends[1]
        for place in range(before + 1, after):
            self.patches.pop(place, None)

    def _take_patches(self, places: Sequence[int]) -> None:
        if not places:
            return
        boxes = xyxy_to_xywh(self.boxes[places])
        patches, self._rows[places] = take_patches([self._views[place].grey for place in places], boxes)
        self.patches.update(zip(places, patches, strict=True))


def pairs(first: Faces, last: Faces, weak: float, strong: float) -> list[tuple[int, int]]:
    """Faces of two frames that are each other's nearest, and close enough to be one.

    As when tracking, those with a score of `strong` or more are paired first, then the rest down to `weak`: a weak
    detection beside a strong one is mostly a second one of the same head.
    """
    if not len(first) or not len(last):
        return []
    distances = _distances(first.boxes, last.boxes)
    found: list[tuple[int, int]] = []
    for score in (strong, weak):
        left = distances.copy()
        left[first.scores < score] = np.inf
        left[:, last.scores < score] = np.inf
        for a, b in found:
            left[a], left[:, b] = np.inf, np.inf
        found += [
            (a, int(b))
            for a, b in enumerate(left.argmin(axis=1))
            if left[a, b] <= MAX_DISTANCE and left[:, b].argmin() == a
        ]
    return found


def nearest(faces: Faces, box: Floats, weak: float) -> int | None:
    """The face with a score of `weak` or more that is nearest to a box (4,), if it is so close that it may be it."""
    if not len(faces):
        return None
    distances = _distances(faces.boxes, box[None])[:, 0]
    distances[faces.scores < weak] = np.inf
    face = int(distances.argmin())
    return face if distances[face] <= MAX_DISTANCE else None


def _distances(boxes: Floats, others: Floats) -> Floats:
    """Distances (N, M) between the centres of boxes (N, 4) and others (M, 4), in widths of the smaller.

    Infinite where the widths differ by more than _MAX_GROWTH.
    """
    sums, other_sums = boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:]  # twice their centres
    apart = (sums[:, None] - other_sums) / 2
    widths, other_widths = (boxes[:, 2] - boxes[:, 0])[:, None], others[:, 2] - others[:, 0]
    smaller = np.minimum(widths, other_widths)
    distances: Floats = np.hypot(apart[..., 0], apart[..., 1]) / np.maximum(smaller, 1e-6)
    distances[np.maximum(widths, other_widths) >= _MAX_GROWTH * smaller] = np.inf
    return distances
