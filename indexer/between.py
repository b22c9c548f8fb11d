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

from indexer.witness import Grey, correlation, take_patch, testify
from store.boxes import share_of_union, to_sides
from store.records import Faces, Floats, Image

# Correlation at which a face is still itself: other faces at its place reach 0.73, full covers 0.58.
SURELY = 0.8
_SAME_PLACE = 0.4  # of the union of the boxes at both ends
# Mean change of grey level of the tiny picture from one frame to the next that may be a cut.
JUMP = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame as the witness needs it."""

    grey: Grey
    tiny: Image


def between(
    first: Faces, last: Faces, pictures: list[Picture], weak: float, strong: float
) -> list[Faces | None]:
    """Faces of the pictures between the outer two, whose faces are known; None where only a search can tell.

    Faces scored below `weak` are passed over; those from `strong` on must be there at both ends.
    """
    inner = range(1, len(pictures) - 1)
    first, last = _above(first, weak), _above(last, weak)
    pairs = _pairs(first, last, strong)
    if pairs is None:
        return [None for _ in inner]
    tracks = [_Track(first, a, last, b, pictures) for a, b in pairs]
    jumps = [_jump(one.tiny, next_one.tiny) for one, next_one in pairwise(pictures)]
    found: list[Faces | None] = []
    for place in inner:
        jumped = jumps[place - 1] or jumps[place]
        found.append(None if jumped else _at(tracks, place, pictures[place].grey))
    return found


class _Track:
    """One face that is there at both ends."""

    def __init__(self, first: Faces, a: int, last: Faces, b: int, pictures: list[Picture]) -> None:
        self._ends = [
            (faces.boxes[n], faces.scores[n], faces.landmarks[n]) for faces, n in ((first, a), (last, b))
        ]
        sides = [to_sides(box[None])[0] for box, _, _ in self._ends]
        self._patches = [take_patch(pictures[0].grey, sides[0]), take_patch(pictures[-1].grey, sides[1])]
        self._steps = len(pictures) - 1

    def at(self, place: int, grey: Grey) -> tuple[Floats, Floats, Floats] | None:
        """Box, score and landmarks at a place between the ends; None unless the witness surely sees the face."""
        part = place / self._steps
        box, score, landmarks = ((1 - part) * a + part * b for a, b in zip(*self._ends, strict=True))
        side = to_sides(box[None])[0]
        patch = take_patch(grey, side)
        if max(correlation(own, patch) for own in self._patches) >= SURELY:
            return box, score, landmarks
        best = max((testify(own, grey, side) for own in self._patches), key=lambda said: said.whole)
        if best.whole < SURELY:
            return None
        shift = np.array(best.shift, np.float32) * side[2:]
        return box + np.tile(shift, 2), score, landmarks + shift


def _at(tracks: list[_Track], place: int, grey: Grey) -> Faces | None:
    seen = []
    for track in tracks:
        face = track.at(place, grey)
        if face is None:
            return None
        seen.append(face)
    boxes = np.array([box for box, _, _ in seen], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in seen], np.float32)
    return Faces(boxes, scores, np.array([points for _, _, points in seen], np.float32).reshape(-1, 5, 2))


def _pairs(first: Faces, last: Faces, strong: float) -> list[tuple[int, int]] | None:
    """Faces that are each other's nearest at both ends; None when one that counts has no such fellow."""
    pairs: list[tuple[int, int]] = []
    if len(first) and len(last):
        shared = share_of_union(first.boxes, last.boxes)
        pairs = [
            (a, int(b))
            for a, b in enumerate(shared.argmax(axis=1))
            if shared[a, b] >= _SAME_PLACE and shared[:, b].argmax() == a
        ]
    alone = [score for n, score in enumerate(first.scores) if n not in {a for a, _ in pairs}]
    alone += [score for n, score in enumerate(last.scores) if n not in {b for _, b in pairs}]
    return pairs if max(alone, default=0.0) < strong else None


def _above(faces: Faces, score: float) -> Faces:
    kept = faces.scores >= score
    return Faces(faces.boxes[kept], faces.scores[kept], faces.landmarks[kept])


def _jump(tiny: Image, following: Image) -> bool:
    return float(cv2.absdiff(tiny, following).mean()) > JUMP
