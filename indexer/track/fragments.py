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


def fragments_of(boxes: Floats, face: Floats) -> list[int]:
    """Which of the boxes (N, 4) are fragments of a face whose unoccluded box is `face` (4,): one, two or none."""
    corners, face_corners = xywh_to_xyxy(boxes), xywh_to_xyxy(face[None])
    inside = overlap_of_smaller(corners, face_corners)[:, 0] > _MIN_INSIDE
    fragments: list[int] = np.flatnonzero(inside & (boxes[:, 2] < _MAX_WIDTH * face[2])).tolist()
    if len(fragments) < 2:
        return fragments
    apart = overlap_of_smaller(corners[fragments], corners[fragments])[0, 1] <= _MAX_OVERLAP
    complete = iou(xywh_to_xyxy(bounding_box(boxes[fragments])[None]), face_corners)[0, 0] > _MIN_IOU
    return fragments if len(fragments) == 2 and apart and complete else []


def bounding_box(boxes: Floats) -> Floats:
    """The smallest box (4,) that holds the boxes (N, 4)."""
    start, end = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.concatenate([start, end - start])
