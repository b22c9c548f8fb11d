"""A face behind something narrow (a lamp post, a microphone): the detector sees a part of it on either side.

BoxBuffer are x, y, w, h in pixels.
"""

from __future__ import annotations

import numpy as np

from facereel.store.model.boxes import iou, overlap_of_smaller, xywh_to_xyxy
from facereel.store.model.records import Floats

_NARROWER = 0.85  # of the whole face's width: what a part is at most
_INSIDE = 0.6  # share of a part that lies where the whole face was
_APART = 0.4  # share of the smaller part up to which two parts may lie on each other
_WHOLE = 0.5  # overlap, as share of the union, of both parts together with the whole face


def parts_of(boxes: Floats, whole: Floats) -> list[int]:
    """Which of the boxes (N, 4), one or two, are what is seen of a face that was whole at `whole` (4,)."""
    corners, face = xywh_to_xyxy(boxes), xywh_to_xyxy(whole[None])
    inside = (overlap_of_smaller(corners, face)[:, 0] > _INSIDE) & (boxes[:, 2] < _NARROWER * whole[2])
    parts: list[int] = np.flatnonzero(inside).tolist()
    if len(parts) < 2:
        return parts
    apart = overlap_of_smaller(corners[parts], corners[parts])[0, 1] <= _APART
    both = iou(xywh_to_xyxy(around(boxes[parts])[None]), face)[0, 0] > _WHOLE
    return parts if len(parts) == 2 and apart and both else []


def around(boxes: Floats) -> Floats:
    """The box (4,) around boxes (N, 4)."""
    start, end = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.concatenate([start, end - start])
