"""Geometry of faces: five landmarks onto the upright 112 x 112 crop that recognisers are trained on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.store.index.crops import ALIGNED_SIZE
from facereel.store.model.records import Floats, Image

# Where ArcFace-trained recognisers expect eyes, nose and mouth corners (insightface, face_align.py, MIT).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float64,
)


def similarity_transform(source: NDArray[np.floating], target: NDArray[np.floating]) -> Floats:
    """Least-squares rotation, scale and shift, a matrix (2, 3), that takes source (N, 2) to target (N, 2).

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991. In the plane it
    is the regression of complex numbers: one number turns and scales.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = (
        (points - mean) @ np.array([1, 1j]) for points, mean in ((source, source_mean), (target, target_mean))
    )
    turn = np.vdot(a, b) / max(np.vdot(a, a).real, 1e-12)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean]).astype(np.float32)


def align(image: Image, landmarks: Floats) -> Image:
    """The crop (112, 112, 3) of a picture in which the face with these landmarks (5, 2) is upright."""
    matrix = similarity_transform(landmarks.astype(np.float64), TEMPLATE)
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.5:  # bilinear sampling skips pixels below half size; averaging first uses them all
        factor = int(1 / shrink)
        height, width = image.shape[:2]
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        scale = np.array([size[0] / width, size[1] / height], dtype=np.float32)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return _warp(small, similarity_transform((landmarks * scale).astype(np.float64), TEMPLATE))
    return _warp(image, matrix)


def _warp(image: Image, matrix: Floats) -> Image:
    crop = cv2.warpAffine(image, matrix, (ALIGNED_SIZE, ALIGNED_SIZE), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, dtype=np.uint8)


# Distance of the eyes' middles, and how far the tip of the nose stands out from the plane of eyes and mouth corners at
# its height, cm: of MediaPipe's canonical face model (vertices 33, 133, 263, 362; 1; 61, 291).
_EYES_APART, _NOSE_HEIGHT = 6.30, 3.57


def yaw(landmarks: Floats) -> float:
    """How far the face with these landmarks (5, 2) is turned, degrees, -90..90; positive to the right of the picture.

    An estimate: the nose moves across the face with the sine of the angle, the eyes come together with its cosine. By
    the face's own axes, so that a tilted head does not matter.
    """
    points = landmarks.astype(np.float64)
    eyes = points[1] - points[0]
    eye_middle, mouth_middle = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth_middle - eye_middle
    across = np.array([down[1], -down[0]])
    width, offset = across @ eyes, across @ (points[2] - (eye_middle + mouth_middle) / 2)
    return float(np.degrees(np.arctan2(offset / _NOSE_HEIGHT, max(width, 0) / _EYES_APART)))


def frontality(landmarks: Floats) -> float:
    """How frontal the face with these landmarks (5, 2) is: 1 looks into the camera, 0 is in profile.

    Measured along the face's own axes, so that a tilted head does not matter: how far the nose is from the middle line,
    and how close together the eyes are.
    """
    # In Python's own numbers: of five points NumPy takes ten times as long.
    left, right, nose, *mouth = (complex(x, y) for x, y in landmarks.tolist())
    eyes, eye_middle, mouth_middle = right - left, (left + right) / 2, sum(mouth) / 2
    down = mouth_middle - eye_middle
    height, width = abs(down), abs(eyes)
    if height < 1e-6 or width < 1e-6:
        return 0.0
    # Turned so that the face is upright, the imaginary part is across it.
    offset = abs(((nose - (eye_middle + mouth_middle) / 2) * down.conjugate()).imag) / height**2
    # In a frontal face the eyes are about 0.9 as far apart as eyes and mouth.
    narrowness = max(0.0, 1.0 - width / (0.9 * height))
    return min(max(1.0 - 2.2 * offset - 0.8 * narrowness, 0.0), 1.0)
