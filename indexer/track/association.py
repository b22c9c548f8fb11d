"""Which boxes can be the same face from one frame to the next. Boxes are x y w h in pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.boxes import iou, overlap_of_smaller, xywh_to_xyxy
from facereel.store.model.records import Floats

# A detection is near a predicted box by one of these two, if the sizes agree.
_MIN_IOU = 0.2
_MAX_DISTANCE = 0.6  # between the centres, in widths of the smaller box
_MAX_JUMP = 2.0  # the same for a detection that is within reach but not near
_MAX_GROWTH = 1.6  # ratio of sizes from one frame to the next
# Space between two boxes that meet, in widths of the smaller: a face that was lost comes closer unseen.
_MAX_SPACE, _MAX_SPACE_LOST = 0.4, 1.0
_MAX_OVERLAP = 0.4  # share of the smaller box from which on two boxes are at the same place


def shifted(box: Floats, shift: tuple[float, float]) -> Floats:
    """A box (4,) moved by a shift in widths and heights of it."""
    return box + np.array([shift[0] * box[2], shift[1] * box[3], 0, 0], np.float32)


def visible_share(box: Floats, width: int, height: int) -> float:
    """Share of a box (4,) that lies inside a picture, 0..1."""
    x, y, w, h = (float(value) for value in box)
    inside_x = max(0.0, min(x + w, width) - max(x, 0.0))
    inside_y = max(0.0, min(y + h, height) - max(y, 0.0))
    return inside_x * inside_y / max(w * h, 1e-6)


def is_occupied(box: Floats, others: list[Floats]) -> bool:
    """Is one of the other boxes at the place of this one (4,)?"""
    if not others:
        return False
    overlaps = overlap_of_smaller(xywh_to_xyxy(box[None]), xywh_to_xyxy(np.array(others)))
    return bool((overlaps > _MAX_OVERLAP).any())


def is_close(box: Floats, other: Floats, lost: bool = False) -> bool:
    """May one of two faces soon hide the other? `lost`: the other box (4,) is where a face was before it was lost."""
    x, y, w, h = box.tolist()
    other_x, other_y, other_w, other_h = other.tolist()
    across = max(x - other_x - other_w, other_x - x - w, 0.0)
    down = max(y - other_y - other_h, other_y - y - h, 0.0)
    return bool(math.hypot(across, down) < (_MAX_SPACE_LOST if lost else _MAX_SPACE) * min(w, other_w))


def place_scores(predicted: Floats, boxes: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """How well detections (M, 4) agree in place with predicted boxes (N, 4): scores (N, M), 0..1.5, 0 if not near.

    The second array (N, M) tells which detections are not near, but within reach.
    """
    corners, others = xywh_to_xyxy(predicted), xywh_to_xyxy(boxes)
    ious = iou(corners, others)
    centres, other_centres = (corners[:, :2] + corners[:, 2:]) / 2, (others[:, :2] + others[:, 2:]) / 2
    offsets = centres[:, None] - other_centres
    sizes, other_sizes = np.sqrt(predicted[:, 2] * predicted[:, 3]), np.sqrt(boxes[:, 2] * boxes[:, 3])
    smaller, larger = np.minimum(sizes[:, None], other_sizes), np.maximum(sizes[:, None], other_sizes)
    distance = np.hypot(offsets[..., 0], offsets[..., 1]) / np.maximum(smaller, 1e-6)
    similar_size = larger < _MAX_GROWTH * smaller
    near = similar_size & ((ious > _MIN_IOU) | (distance < _MAX_DISTANCE))
    scores = np.where(near, ious + 0.5 * np.maximum(1 - distance, 0) + 1e-3, 0)
    return np.asarray(scores, np.float32), np.asarray(similar_size & ~near & (distance < _MAX_JUMP))
