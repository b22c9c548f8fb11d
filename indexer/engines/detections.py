"""From a detector's raw boxes to faces: two scales of a picture, and suppression of boxes that overlap."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.store.model.boxes import overlap_of_smaller, xyxy_to_xywh
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
    boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(*by_scale, strict=True))
    xywh = xyxy_to_xywh(boxes).tolist()
    best = cv2.dnn.NMSBoxes(xywh, scores.tolist(), MIN_SCORE, NMS_IOU) if len(boxes) else []
    order = np.asarray(best, dtype=np.int64).reshape(-1)
    order = order[_not_nested(boxes[order])]
    return Faces(boxes[order], scores[order], landmarks[order])


def _not_nested(boxes: Floats) -> NDArray[np.int64]:
    """Positions of boxes (N, 4), best first, that do not lie mostly inside a better one."""
    nested = overlap_of_smaller(boxes, boxes) > _NESTED
    positions: list[int] = []
    for position in range(len(boxes)):
        if not nested[position, positions].any():
            positions.append(position)
    return np.array(positions, dtype=np.int64)
