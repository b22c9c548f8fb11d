"""From a detector's raw boxes to faces: two scales of a picture, and suppression of boxes that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np

from facereel.store.model.boxes import xyxy_to_xywh
from facereel.store.model.records import Faces, Floats, Image

# Boxes (N, 4) x0 y0 x1 y1, scores (N,), landmarks (N, 5, 2), pixels: several of one face, in no order.
Detections: TypeAlias = tuple[Floats, Floats, Floats]
MIN_SCORE = 0.2
# Detectors miss faces much taller than those of their training (YuNet: 300 px). Large pictures are therefore searched
# a second time with their longer side scaled to this, pixels.
SMALL_SIDE = 160
STRIDE = 32  # pixels: detectors take sides that are multiples of their coarsest stride
NMS_IOU = 0.3  # OpenCV's FaceDetectorYN default
_NESTED = 0.55  # share of the smaller box: profiles are detected a second time at the back of the head


def scales(image: Image) -> list[float]:
    """The scales at which a picture (H, W, 3) is searched."""
    longest = max(image.shape[:2])
    return [1.0, SMALL_SIDE / longest] if longest > 1.5 * SMALL_SIDE else [1.0]


def scaled(image: Image, scale: float) -> Image:
    """The picture at that scale."""
    if scale == 1.0:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def padded_size(image: Image) -> tuple[int, int]:
    """Height and width of the picture with black on the right and at the bottom, multiples of STRIDE."""
    height, width = image.shape[:2]
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def suppress_overlaps(by_scale: list[Detections]) -> Faces:
    """Faces of one picture's detections at each scale; of those that overlap the best."""
    # Most are of a region, in which there is one scale, one face and a dozen boxes.
    boxes, scores, landmarks = (
        by_scale[0] if len(by_scale) == 1 else map(np.concatenate, zip(*by_scale, strict=True))
    )
    best = (
        cv2.dnn.NMSBoxes(xyxy_to_xywh(boxes).tolist(), scores.tolist(), MIN_SCORE, NMS_IOU)
        if len(boxes)
        else ()
    )
    order = _not_nested(boxes, [int(position) for position in best])
    return Faces(boxes[order], scores[order], landmarks[order])


def _not_nested(boxes: Floats, order: Sequence[int]) -> list[int]:
    """Positions of boxes (N, 4) in this order, best first, that do not lie mostly inside a better one."""
    positions: list[int] = []
    outer: list[tuple[float, ...]] = []
    for position in order:
        x0, y0, x1, y1 = boxes[position].tolist()
        area = (x1 - x0) * (y1 - y0)
        for left, top, right, bottom, other_area in outer:
            width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
            if width > 0 and height > 0 and width * height > _NESTED * min(area, other_area):
                break
        else:
            positions.append(position)
            outer.append((x0, y0, x1, y1, area))
    return positions
