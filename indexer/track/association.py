"""Which boxes can be the same face from one frame to the next.

In Python's own numbers: of few boxes a NumPy call for each step takes ten times as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from facereel.store.model.records import Box

# A detection is near a predicted box by one of these two, if the sizes agree.
_MIN_IOU = 0.2
_MAX_DISTANCE = 0.6  # between the centres, in widths of the smaller box
_MAX_JUMP = 2.0  # the same for a detection that is within reach but not near
_MAX_GROWTH = 1.6  # ratio of sizes from one frame to the next
# Space between two boxes that meet, in widths of the smaller: a face that was lost comes closer unseen.
_MAX_SPACE, _MAX_SPACE_LOST = 0.4, 1.0
_MAX_OVERLAP = 0.4  # share of the smaller box from which on two boxes are at the same place


def shifted(box: Box, shift: tuple[float, float]) -> Box:
    """A box moved by a shift in widths and heights of it."""
    x, y, w, h = box
    return x + shift[0] * w, y + shift[1] * h, w, h


def visible_share(box: Box, width: int, height: int) -> float:
    """Share of a box that lies inside a picture, 0..1."""
    _, _, w, h = box
    return _shared(box, (0.0, 0.0, width, height)) / max(w * h, 1e-6)


def iou(box: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    shared = _shared(box, other)
    return shared / max(box[2] * box[3] + other[2] * other[3] - shared, 1e-9)


def overlap_of_smaller(box: Box, other: Box) -> float:
    """Intersection of two boxes over the smaller one."""
    return _shared(box, other) / max(min(box[2] * box[3], other[2] * other[3]), 1e-6)


def is_occupied(box: Box, others: Iterable[Box]) -> bool:
    """Is one of the other boxes at the place of this one?"""
    return any(overlap_of_smaller(box, other) > _MAX_OVERLAP for other in others)


def is_close(box: Box, other: Box, lost: bool = False) -> bool:
    """May one of two faces soon hide the other? `lost`: the other box is where a face was before it was lost."""
    x, y, w, h = box
    other_x, other_y, other_w, other_h = other
    across = max(x - other_x - other_w, other_x - x - w, 0.0)
    down = max(y - other_y - other_h, other_y - y - h, 0.0)
    return math.hypot(across, down) < (_MAX_SPACE_LOST if lost else _MAX_SPACE) * min(w, other_w)


def place_score(predicted: Box, box: Box) -> float | None:
    """How well a detection agrees in place with a predicted box: up to 1.5, 0 where it is within reach but not near.

    None where it is out of reach.
    """
    x, y, w, h = predicted
    other_x, other_y, other_w, other_h = box
    across, down = x + w / 2 - other_x - other_w / 2, y + h / 2 - other_y - other_h / 2
    if abs(across) > _MAX_JUMP / 2 * (w + h):  # as most are: half of w + h is no less than the width below
        return None
    size, other_size = math.sqrt(max(w * h, 0.0)), math.sqrt(max(other_w * other_h, 0.0))
    smaller = min(size, other_size)
    distance = math.hypot(across, down) / max(smaller, 1e-6)
    if distance >= _MAX_JUMP or max(size, other_size) >= _MAX_GROWTH * smaller:
        return None
    overlap = iou(predicted, box)
    near = overlap > _MIN_IOU or distance < _MAX_DISTANCE
    return overlap + 0.5 * max(1 - distance, 0.0) if near else 0.0


def _shared(box: Box, other: Box) -> float:
    """Area of the intersection of two boxes."""
    x, y, w, h = box
    other_x, other_y, other_w, other_h = other
    across = min(x + w, other_x + other_w) - max(x, other_x)
    if across <= 0:
        return 0.0
    down = min(y + h, other_y + other_h) - max(y, other_y)
    return max(across * down, 0.0)
