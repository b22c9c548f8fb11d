"""Cuts a crop out of a picture, to a fraction of a pixel; knows arrays, nothing of files or codecs.

The planes of a picture are resampled one by one, without a conversion of colours. Rotation and pixel aspect are
part of the same resampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]  # (H, W)
DeepPlane = NDArray[np.uint16]  # (H, W) of ten bits
AnyPlane = TypeVar("AnyPlane", Plane, DeepPlane)
_TEN_BITS = 1023
Matrix = NDArray[np.float64]

# Source pixels for a pixel of the output. Up to this one cubic sample shows no aliasing; beyond, samples are averaged.
LARGEST_STEP = 1.2


def samples_per_pixel(crops: NDArray[np.float32], width: int, height: int) -> int:
    """How many samples along each axis are averaged for a pixel of the output.

    One number for a clip: if it changed from frame to frame, the sharpness would flicker.
    """
    step = float(max(crops[:, 2].max() / width, crops[:, 3].max() / height))
    return 1 if step <= LARGEST_STEP else math.ceil(step)


def crop_planes(
    planes: Sequence[Plane], displayed: tuple[int, int], orientation: tuple[int, bool], crop: Sequence[float],
    size: tuple[int, int], samples: int,
) -> Plane:  # fmt: skip
    """As cropped_planes of a yuv420p picture -> (3 * height / 2, width), the planes stacked as PyAV takes them."""
    width, height = size
    cut = cropped_planes(planes, displayed, orientation, crop, size, samples)
    return np.concatenate([plane.ravel() for plane in cut]).reshape(height * 3 // 2, width)


def cropped_planes(
    planes: Sequence[AnyPlane], displayed: tuple[int, int], orientation: tuple[int, bool], crop: Sequence[float],
    size: tuple[int, int], samples: int,
) -> list[AnyPlane]:  # fmt: skip
    """Cut `crop` (x y w h, displayed pixels) from a coded 4:2:0 or 4:2:2 picture, scaled to `size` (even w, h).

    planes: Y (H, W), U and V (half as wide, in 4:2:0 half as high, rounded up) of uint8, or of uint16 for ten bits.
    `displayed` is the picture's size after its `orientation` (degrees clockwise, then mirrored or not) and pixel
    aspect. -> Y, U and V of the same kind.
    """
    width, height = size
    luma = _coded_from_displayed(displayed, orientation, planes[0].shape) @ _displayed_from_output(crop, size)
    rows = 1 if planes[1].shape[0] == planes[0].shape[0] else 2  # of luma for a row of chroma
    to_luma = _CHROMA if rows == 2 else _CHROMA_422
    chroma = np.linalg.inv(to_luma) @ luma @ to_luma
    cut = [_warp(planes[0], luma, width, height, samples)]
    cut += [_warp(plane, chroma, width // 2, height // rows, samples) for plane in planes[1:]]
    return cut


# All matrices use continuous coordinates, in which pixel i covers [i, i + 1).

# Chroma sample (u, v) of 4:2:0 as MPEG-2 and later place it: on the left luma column, between the rows.
_CHROMA: Matrix = np.array([[2, 0, -0.5], [0, 2, 0], [0, 0, 1]], np.float64)
# Of 4:2:2: on the left luma column, in the same row.
_CHROMA_422: Matrix = np.array([[2, 0, -0.5], [0, 1, 0], [0, 0, 1]], np.float64)

# Unit square as displayed -> unit square as coded, by degrees that a player turns it clockwise.
_UNTURN: dict[int, Matrix] = {
    0: np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64),
    90: np.array([[0, 1, 0], [-1, 0, 1], [0, 0, 1]], np.float64),
    180: np.array([[-1, 0, 1], [0, -1, 1], [0, 0, 1]], np.float64),
    270: np.array([[0, -1, 1], [1, 0, 0], [0, 0, 1]], np.float64),
}

_MIRROR: Matrix = np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1]], np.float64)


def _displayed_from_output(crop: Sequence[float], size: tuple[int, int]) -> Matrix:
    x, y, w, h = (float(value) for value in crop)
    return np.array([[w / size[0], 0, x], [0, h / size[1], y], [0, 0, 1]], np.float64)


def _coded_from_displayed(
    displayed: tuple[int, int], orientation: tuple[int, bool], coded: tuple[int, ...]
) -> Matrix:
    rotation, mirrored = orientation
    shrink = np.diag([1 / displayed[0], 1 / displayed[1], 1.0])
    grow = np.diag([float(coded[1]), float(coded[0]), 1.0])
    unturn = _UNTURN[rotation] @ _MIRROR if mirrored else _UNTURN[rotation]
    return np.asarray(grow @ unturn @ shrink, np.float64)


def _warp(plane: AnyPlane, matrix: Matrix, width: int, height: int, samples: int) -> AnyPlane:
    """Sample a plane finely, then average: an area filter with the crop's exact, fractional edges."""
    fine = np.diag([1 / samples, 1 / samples, 1.0])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float64)
    to_source = (np.linalg.inv(half) @ matrix @ fine @ half)[:2]
    rows, columns = height * samples, width * samples
    if (
        np.allclose(to_source, [[1, 0, 0], [0, 1, 0]])
        and plane.shape[0] >= rows
        and plane.shape[1] >= columns
    ):
        return _averaged(plane[:rows, :columns], samples)
    sampled = cv2.warpAffine(
        plane, to_source, (columns, rows),
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if samples == 1 else cv2.INTER_LINEAR),
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if plane.dtype == np.uint16:
        sampled = np.minimum(sampled, _TEN_BITS)  # a cubic curve swings over
    return _averaged(np.asarray(sampled, plane.dtype), samples)


def _averaged(plane: AnyPlane, samples: int) -> AnyPlane:
    """A plane made smaller by a whole factor."""
    if samples == 1:
        return plane
    size = plane.shape[1] // samples, plane.shape[0] // samples
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), plane.dtype)
