"""Where faces are and can get to from one frame to the next; boxes are x, y, w, h in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.boxes import iou, overlap_of_smaller, xywh_to_xyxy
from facereel.store.model.records import Floats

# A detection further from where it is expected than this is another face, unless it looks just like this one.
_MIN_IOU = 0.2
_MAX_DISTANCE = 0.6  # between centres, in widths of the face
_FAR = 2.0  # how far a face may jump that is surely the same
_MAX_GROWTH = 1.6  # ratio of widths from one frame to the next
_HELD = 0.4  # share of the smaller box from which two boxes are at one place


def moved(box: Floats, shift: tuple[float, float]) -> Floats:
    """A box shifted by so many of its widths and heights."""
    return box + np.array([shift[0] * box[2], shift[1] * box[3], 0, 0], np.float32)


def visible_part(box: Floats, width: int, height: int) -> float:
    """Share of a box that lies inside the picture, 0..1."""
    x, y, w, h = (float(value) for value in box)
    inside_x = max(0.0, min(x + w, width) - max(x, 0.0))
    inside_y = max(0.0, min(y + h, height) - max(y, 0.0))
    return inside_x * inside_y / max(w * h, 1e-6)


def overlaps(box: Floats, taken: list[Floats]) -> bool:
    """Does another face hold this place? Measured against the smaller of the two."""
    if not taken:
        return False
    return bool((overlap_of_smaller(xywh_to_xyxy(box[None]), xywh_to_xyxy(np.array(taken))) > _HELD).any())


def places(expected: Floats, boxes: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """How near detections (M, 4) are to expected places (N, 4): (N, M) 0..1.5, 0 where too far; and which are far
    but not out of reach."""
    shared = iou(xywh_to_xyxy(expected), xywh_to_xyxy(boxes))
    centres = expected[:, None, :2] + expected[:, None, 2:] / 2 - boxes[None, :, :2] - boxes[None, :, 2:] / 2
    sizes = np.sqrt(np.prod(expected[:, 2:], axis=1))[:, None], np.sqrt(np.prod(boxes[:, 2:], axis=1))[None]
    smaller, larger = np.minimum(*sizes), np.maximum(*sizes)
    distance = np.hypot(centres[..., 0], centres[..., 1]) / np.maximum(smaller, 1e-6)
    possible = larger < _MAX_GROWTH * smaller
    near = possible & ((shared > _MIN_IOU) | (distance < _MAX_DISTANCE))
    place = np.where(near, shared + 0.5 * np.clip(1 - distance, 0, 1) + 1e-3, 0)
    return np.asarray(place, np.float32), np.asarray(possible & ~near & (distance < _FAR))
