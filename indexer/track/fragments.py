"""A face behind something narrow, such as a lamp post or a microphone: the detector sees a fragment on either side.

Boxes are x y w h in pixels.
"""

from __future__ import annotations

import numpy as np

from facereel.store.model.boxes import iou, overlap_of_smaller, xywh_to_xyxy
from facereel.store.model.records import Floats

_MAX_WIDTH = 0.85  # of a fragment, in widths of the face
_MIN_INSIDE = 0.6  # share of a fragment inside the face's box
_MAX_OVERLAP = 0.4  # of two fragments, as a share of the smaller
_MIN_IOU = 0.5  # of the box around two fragments with the face's box


def fragments_of(boxes: Floats, faces: Floats) -> list[list[int]]:
    """Which of the boxes (N, 4) are fragments of each of some faces, whose unoccluded boxes are (M, 4).

    One, two or none for each face.
    """
    inside = overlap_of_smaller(xywh_to_xyxy(faces), xywh_to_xyxy(boxes)) > _MIN_INSIDE
    narrow = boxes[:, 2] < _MAX_WIDTH * faces[:, 2:3]
    fragments = [[part for part, is_part in enumerate(row) if is_part] for row in (inside & narrow).tolist()]
    return [
        parts if len(parts) < 2 or _are_complete(boxes[parts], face) else []
        for parts, face in zip(fragments, faces, strict=True)
    ]


def _are_complete(parts: Floats, face: Floats) -> bool:
    """Are the parts (N, 4) two that lie apart and together make up the face (4,)?"""
    if len(parts) != 2:
        return False
    one, other = xywh_to_xyxy(parts)
    apart = overlap_of_smaller(one[None], other[None])[0, 0] <= _MAX_OVERLAP
    around, face_corners = xywh_to_xyxy(np.stack([bounding_box(parts), face]))
    return bool(apart and iou(around[None], face_corners[None])[0, 0] > _MIN_IOU)


def bounding_box(boxes: Floats) -> Floats:
    """The smallest box (4,) that holds the boxes (N, 4)."""
    start, end = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.concatenate([start, end - start])
