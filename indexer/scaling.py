"""Decoded frames and parts of pictures made smaller.

Not the only way: detections.py, alignment.py and onet.py, among others, use INTER_AREA for what they need.
"""

from __future__ import annotations

import cv2
import numpy as np

from facereel.store.model.records import Image


def scaled(picture: Image, width: int, height: int) -> Image:
    """A copy of a picture (H, W) or (H, W, 3) at another size.

    It is halved by averaging as often as possible, then interpolated: both are fast. OpenCV's INTER_AREA averages over
    parts of pixels for other ratios, which takes ten times as long.
    """
    if picture.shape[:2] == (height, width):
        return picture.copy()
    while picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        half = picture.shape[1] // 2, picture.shape[0] // 2
        whole = picture[: 2 * half[1], : 2 * half[0]]
        picture = np.asarray(cv2.resize(whole, half, interpolation=cv2.INTER_AREA), np.uint8)
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
