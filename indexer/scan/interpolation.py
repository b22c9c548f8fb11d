"""The faces of the frames between two searched ones, as far as patch matching confirms them.

Where both ends of a stretch show the same faces, their boxes are interpolated, and each face of each frame is compared
with the faces at the ends. A frame with a face that cannot be confirmed is left for the detector. Pure functions;
boxes are x0 y0 x1 y1 in pixels of `FrameView.grey`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import match_patch, take_patch
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import Faces, Floats

# NCC with the face at one of the ends from which on a face is confirmed. Other faces at its place reach 0.73, a full
# cover 0.58.
MIN_NCC = 0.8
# In a long stretch a head may turn, and its box with it, while its NCC stays high: so it must hardly have changed.
MIN_NCC_LONG_STRETCH = 0.9
# NCC from each frame to the next. Without it a cut to another face at the same place would pass: one end confirms the
# frames before the cut and the other end those after it.
MIN_NCC_STEP = 0.55
# The same face at both ends: distance of the centres in widths of the smaller, and ratio of the widths.
_MAX_DISTANCE, _MAX_GROWTH = 0.8, 1.5
# Mean change of grey level of the thumbnail from one frame to the next that may be a cut.
MAX_MEAN_CHANGE = 12.0
# Somebody who comes and goes within a stretch changes at least one cell of this grid (columns, rows) by more grey
# levels than noise, changing light and a camera on a tripod do.
_CELLS, _MAX_CELL_CHANGE = (32, 18), 12.0


def interpolate(
    stretch: Sequence[FrameView], weak: float, strong: float, min_ncc: float = MIN_NCC
) -> list[Faces | None]:
    """Faces of the frames between the first and the last view, whose faces are known; None where only a search helps.

    Faces with a score below `weak` are ignored. One with `strong` or more must be at both ends, otherwise all frames
    are None; and it must have an NCC of `min_ncc` with one of the two. Every frame has its faces in the same order.
    """
    first, last = (_above(view.analysis_faces, weak) for view in (stretch[0], stretch[-1]))
    inner = len(stretch) - 2
    pairs = _pairs(first, last, strong)
    if pairs is None:
        return [None] * inner
    of_first, of_last = (np.array([pair[end] for pair in pairs], np.int64) for end in (0, 1))
    shares = _shares(stretch)
    boxes = _blend(first.boxes[of_first], last.boxes[of_last], shares)  # (inner, faces, 4)
    scores = _blend(first.scores[of_first], last.scores[of_last], shares)
    landmarks = _blend(first.landmarks[of_first], last.landmarks[of_last], shares)
    unconfirmed = _near_cut(stretch)
    for face in range(len(pairs)):
        ends = np.stack([first.boxes[of_first[face]], last.boxes[of_last[face]]])
        shifts, confirmed = _confirm(boxes[:, face], ends, stretch, min_ncc)
        boxes[:, face] += np.tile(shifts, 2)
        landmarks[:, face] += shifts[:, None]
        unconfirmed |= ~confirmed
    return [
        None if unconfirmed[place] else Faces(boxes[place], scores[place], landmarks[place])
        for place in range(inner)
    ]


def changes_gradually(stretch: Sequence[FrameView]) -> bool:
    """Do the thumbnails change evenly from the first to the last, so that nobody can have come and gone between?"""
    cells = np.stack([cv2.resize(view.thumbnail, _CELLS, interpolation=cv2.INTER_AREA) for view in stretch])
    levels = cells.astype(np.float32)
    expected = _blend(levels[0], levels[-1], _shares(stretch))
    return bool(np.abs(levels[1:-1] - expected).max(initial=0) < _MAX_CELL_CHANGE)


def all_expected(faces: Faces, expected: Faces, strong: float) -> bool:
    """Is every face with a score of `strong` or more close to one of the expected ones?"""
    if not len(expected):
        return bool(faces.scores.max(initial=0) < strong)
    distances = _distances(faces.boxes[faces.scores >= strong], expected.boxes)
    return bool((distances.min(axis=1) <= _MAX_DISTANCE).all())


def _shares(stretch: Sequence[FrameView]) -> Floats:
    """Where the frames between the first and the last view are in time on the way from one to the other: (inner,)."""
    seconds = np.array([view.seconds for view in stretch])
    return np.asarray((seconds[1:-1] - seconds[0]) / (seconds[-1] - seconds[0]), np.float32)


def _blend(first: Floats, last: Floats, shares: Floats) -> Floats:
    """Values at shares (P,) of the way from the first (F, ...) to the last: (P, F, ...)."""
    shares = shares.reshape(-1, *(1,) * first.ndim)
    return np.asarray((1 - shares) * first[None] + shares * last[None], np.float32)


def _confirm(
    boxes: Floats, ends: Floats, stretch: Sequence[FrameView], min_ncc: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """How far one face is from its interpolated boxes (P, 4), pixels (P, 2), and whether it is confirmed (P,).

    `ends` (2, 4) are its boxes at both ends.
    """
    places = xyxy_to_xywh(boxes)
    end_patches = [
        take_patch(view.grey, place)
        for view, place in zip((stretch[0], stretch[-1]), xyxy_to_xywh(ends), strict=True)
    ]
    patches = [take_patch(view.grey, place) for view, place in zip(stretch[1:-1], places, strict=True)]
    rows = np.stack([patch.row for patch in (end_patches[0], *patches, end_patches[1])])
    confirmed = (rows[1:-1] @ rows[[0, -1]].T).max(axis=1) >= min_ncc
    steady_steps = (rows[1:] * rows[:-1]).sum(axis=1) >= MIN_NCC_STEP
    steady = steady_steps[1:] & steady_steps[:-1]
    shifts = np.zeros((len(boxes), 2), np.float32)
    for place in np.flatnonzero(steady & ~confirmed).tolist():
        matches = [match_patch(patch, stretch[place + 1].grey, places[place]) for patch in end_patches]
        best = max(matches, key=lambda match: match.ncc)
        confirmed[place] = best.ncc >= min_ncc
        shifts[place] = np.array(best.shift) * places[place, 2:]
    return shifts, confirmed & steady


def _pairs(first: Faces, last: Faces, strong: float) -> list[tuple[int, int]] | None:
    """Faces of both ends that are each other's nearest; None when a strong one is left alone."""
    pairs: list[tuple[int, int]] = []
    if len(first) and len(last):
        distances = _distances(first.boxes, last.boxes)
        pairs = [
            (a, int(b))
            for a, b in enumerate(distances.argmin(axis=1))
            if distances[a, b] <= _MAX_DISTANCE and distances[:, b].argmin() == a
        ]
    alone = [score for n, score in enumerate(first.scores) if n not in {a for a, _ in pairs}]
    alone += [score for n, score in enumerate(last.scores) if n not in {b for _, b in pairs}]
    return pairs if max(alone, default=0.0) < strong else None


def _distances(boxes: Floats, others: Floats) -> Floats:
    """Distances (N, M) between the centres of boxes (N, 4) and others (M, 4), in widths of the smaller.

    Infinite where the widths differ by more than _MAX_GROWTH.
    """
    centres, other_centres = (boxes[:, :2] + boxes[:, 2:]) / 2, (others[:, :2] + others[:, 2:]) / 2
    widths, other_widths = boxes[:, 2] - boxes[:, 0], others[:, 2] - others[:, 0]
    smaller = np.minimum(widths[:, None], other_widths[None])
    larger = np.maximum(widths[:, None], other_widths[None])
    distances = np.linalg.norm(centres[:, None] - other_centres[None], axis=2) / np.maximum(smaller, 1e-6)
    return np.where(larger < _MAX_GROWTH * smaller, distances, np.inf)


def _above(faces: Faces | None, score: float) -> Faces:
    assert faces is not None
    chosen = faces.scores >= score
    return Faces(faces.boxes[chosen], faces.scores[chosen], faces.landmarks[chosen])


def _near_cut(stretch: Sequence[FrameView]) -> NDArray[np.bool_]:
    """Which of the frames between the first and the last lie directly before or after what may be a cut: (inner,)."""
    cuts = [
        float(cv2.absdiff(one.thumbnail, after.thumbnail).mean()) > MAX_MEAN_CHANGE
        for one, after in pairwise(stretch)
    ]
    return np.array([before or after for before, after in pairwise(cuts)])
