"""The frames between two that were searched: what must be in them, and where that is open to doubt.

Where both ends show the same faces at the same places, those of the frames between are interpolated; the witness
looks at each. A frame in which it does not see a face plainly is left open, for the detector to look at. Pure
functions; boxes are x0 y0 x1 y1 in pixels of the grey picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.indexer.scan.patch_matching import match_patch, take_patch
from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import Faces, Floats, Grey, Image

# Correlation at which a face is still itself: other faces at its place reach 0.73, full covers 0.58.
SURELY = 0.8
# In a long stretch a head may turn, and its box with it, while the face stays itself: there it must be almost still.
STILL = 0.9
# Each end may know its half of the frames, and they may be two faces: from frame to frame a face keeps this much.
SAME = 0.55
# How far a face may be from its place at the other end, in widths, and how much larger: its way between them is
# checked in every frame.
_NEAR, _MAX_GROWTH = 0.8, 1.5
# Mean change of grey level of the tiny picture from one frame to the next that may be a cut.
JUMP = 12.0

# Whoever comes and goes between two searched frames changes a part of the picture as large as a cell of this grid by
# more levels than noise, light and a camera on its stand do.
_CELLS, _CALM = (32, 18), 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame as the witness needs it."""

    grey: Grey
    thumbnail: Image


def interpolate(
    first: Faces, last: Faces, pictures: list[Picture], weak: float, strong: float, alike: float = SURELY
) -> list[Faces | None]:
    """Faces of the pictures between the outer two, whose faces are known; None where only a search can tell.

    Faces scored below `weak` are passed over; those from `strong` on must be there at both ends, and correlate with
    one of them by `alike` or more. Those that are known come in the same order in every picture.
    """
    inner = len(pictures) - 2
    first, last = _above(first, weak), _above(last, weak)
    pairs = _pairs(first, last, strong)
    if pairs is None:
        return [None] * inner
    one, other = (np.array([pair[end] for pair in pairs], np.int64) for end in (0, 1))
    parts = np.linspace(0, 1, inner + 2, dtype=np.float32)[1:-1]
    boxes = _on_the_way(first.boxes[one], last.boxes[other], parts)  # (inner, faces, 4)
    scores = _on_the_way(first.scores[one], last.scores[other], parts)
    landmarks = _on_the_way(first.landmarks[one], last.landmarks[other], parts)
    open_to_doubt = _jumps(pictures)
    for face in range(len(pairs)):
        ends = first.boxes[one[face]], last.boxes[other[face]]
        shifts, seen = _witnessed(boxes[:, face], ends, pictures, alike)
        boxes[:, face] += np.tile(shifts, 2)
        landmarks[:, face] += shifts[:, None]
        open_to_doubt |= ~seen
    return [
        None if open_to_doubt[place] else Faces(boxes[place], scores[place], landmarks[place])
        for place in range(inner)
    ]


def is_calm(pictures: list[Picture]) -> bool:
    """Do the pictures between the outer two show nothing that these do not explain? A slow change may go on."""
    cells = np.stack([cv2.resize(one.thumbnail, _CELLS, interpolation=cv2.INTER_AREA) for one in pictures])
    seen = cells.astype(np.float32)
    expected = _on_the_way(seen[0], seen[-1], np.linspace(0, 1, len(seen), dtype=np.float32)[1:-1])
    return bool(np.abs(seen[1:-1] - expected).max(initial=0) < _CALM)


def all_known(faces: Faces, known: Faces, strong: float) -> bool:
    """Is every face that counts one of those that are known to be there?"""
    if not len(known):
        return bool(faces.scores.max(initial=0) < strong)
    apart = _apart(faces.boxes[faces.scores >= strong], known.boxes)
    return bool((apart.min(axis=1) <= _NEAR).all())


def _on_the_way(first: Floats, last: Floats, parts: Floats) -> Floats:
    """Values at shares (P,) of the way from the first to the last (F, ...): (P, F, ...)."""
    shares = parts.reshape(-1, *(1,) * first.ndim)
    return np.asarray((1 - shares) * first[None] + shares * last[None], np.float32)


def _witnessed(
    boxes: Floats, ends: tuple[Floats, Floats], pictures: list[Picture], alike: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """How far beside its expected boxes (P, 4) a face is, pixels (P, 2), and whether it surely is there (P,)."""
    sides = xyxy_to_xywh(boxes)
    known = [
        take_patch(picture.grey, side)
        for picture, side in zip((pictures[0], pictures[-1]), xyxy_to_xywh(np.stack(ends)), strict=True)
    ]
    patches = [take_patch(picture.grey, side) for picture, side in zip(pictures[1:-1], sides, strict=True)]
    rows = _standard([known[0], *patches, known[1]])
    seen = (rows[1:-1] @ rows[[0, -1]].T).max(axis=1) >= alike
    steps = (rows[1:] * rows[:-1]).sum(axis=1) >= SAME
    whole = steps[1:] & steps[:-1]
    shifts = np.zeros((len(boxes), 2), np.float32)
    for place in np.flatnonzero(whole & ~seen):
        said = max(
            (match_patch(own, pictures[place + 1].grey, sides[place]) for own in known), key=lambda t: t.ncc
        )
        seen[place] = said.ncc >= alike
        shifts[place] = np.array(said.shift) * sides[place, 2:]
    return shifts, seen & whole


def _standard(patches: list[Grey]) -> Floats:
    """Patches as rows of mean 0 and length 1, whose products are correlations."""
    rows = np.stack(patches).reshape(len(patches), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0))


def _pairs(first: Faces, last: Faces, strong: float) -> list[tuple[int, int]] | None:
    """Faces that are each other's nearest at both ends; None when one that counts has no such fellow."""
    pairs: list[tuple[int, int]] = []
    if len(first) and len(last):
        apart = _apart(first.boxes, last.boxes)
        pairs = [
            (a, int(b))
            for a, b in enumerate(apart.argmin(axis=1))
            if apart[a, b] <= _NEAR and apart[:, b].argmin() == a
        ]
    alone = [score for n, score in enumerate(first.scores) if n not in {a for a, _ in pairs}]
    alone += [score for n, score in enumerate(last.scores) if n not in {b for _, b in pairs}]
    return pairs if max(alone, default=0.0) < strong else None


def _apart(boxes: Floats, others: Floats) -> Floats:
    """Distance between centres of boxes (N, 4) and (M, 4) in widths of the smaller: (N, M); inf for unlike sizes."""
    centres, others_centres = (boxes[:, :2] + boxes[:, 2:]) / 2, (others[:, :2] + others[:, 2:]) / 2
    widths, others_widths = boxes[:, 2] - boxes[:, 0], others[:, 2] - others[:, 0]
    smaller = np.minimum(widths[:, None], others_widths[None])
    larger = np.maximum(widths[:, None], others_widths[None])
    distances = np.linalg.norm(centres[:, None] - others_centres[None], axis=2) / np.maximum(smaller, 1e-6)
    return np.where(larger < _MAX_GROWTH * smaller, distances, np.inf)


def _above(faces: Faces, score: float) -> Faces:
    kept = faces.scores >= score
    return Faces(faces.boxes[kept], faces.scores[kept], faces.landmarks[kept])


def _jumps(pictures: list[Picture]) -> NDArray[np.bool_]:
    """Which of the pictures between the outer two stand beside what may be a cut."""
    steps = [
        float(cv2.absdiff(one.thumbnail, next_one.thumbnail).mean()) > JUMP
        for one, next_one in pairwise(pictures)
    ]
    return np.array([a or b for a, b in pairwise(steps)])
