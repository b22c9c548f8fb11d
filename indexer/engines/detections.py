"""What a detector proposes, made into faces: big ones sought in a small picture, of overlapping ones the best."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.store.model.boxes import overlap_of_smaller, xyxy_to_xywh
from facereel.store.model.records import Faces, Floats, Image

SCORE_FLOOR = 0.2
# Detectors miss faces much taller than those they learnt (YuNet: 300 px): they are shown a picture this long too.
SMALL_SIDE = 160
STEP = 32  # pixels: sides that a detector takes are multiples of its coarsest stride
NMS_IOU = 0.3  # OpenCV's FaceDetectorYN default
_NESTED = 0.55  # of the smaller box: profiles are found a second time at the back of the head


def scales(image: Image) -> list[float]:
    """At which scales a picture (H, W, 3) is searched."""
    longest = max(image.shape[:2])
    return [1.0, SMALL_SIDE / longest] if longest > 1.5 * SMALL_SIDE else [1.0]


def prepared(image: Image, scale: float) -> Image:
    """The picture at that scale, padded with black on the right and below to sides that a detector takes."""
    if scale != 1.0:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = image.shape[:2]
    padded = np.zeros((-(-height // STEP) * STEP, -(-width // STEP) * STEP, 3), np.uint8)
    padded[:height, :width] = image
    return padded


def best(found: list[tuple[Floats, Floats, Floats]]) -> Faces:
    """Faces of boxes (N, 4), scores (N,) and landmarks (N, 5, 2) from each scale: of those that overlap the best."""
    boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sides = xyxy_to_xywh(boxes).tolist()
    kept = cv2.dnn.NMSBoxes(sides, scores.tolist(), SCORE_FLOOR, NMS_IOU) if len(boxes) else []
    order = np.asarray(kept, dtype=np.int64).reshape(-1)
    order = order[_not_inside(boxes[order])]
    return Faces(boxes[order], scores[order], landmarks[order])


def _not_inside(boxes: Floats) -> NDArray[np.int64]:
    """Positions of boxes (N, 4), best first, that do not lie mostly inside a better one (half a head found twice)."""
    inside = overlap_of_smaller(boxes, boxes) > _NESTED
    kept: list[int] = []
    for index in range(len(boxes)):
        if not inside[index, kept].any():
            kept.append(index)
    return np.array(kept, dtype=np.int64)
