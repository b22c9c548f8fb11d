"""Geometry of face boxes as arrays: corners are x0 y0 x1 y1, sides are x y w h, pixels."""

from __future__ import annotations

import numpy as np

from facereel.store.model.records import Floats


def xyxy_to_xywh(corners: Floats) -> Floats:
    """x y w h of boxes (N, 4) given by their corners."""
    sides = corners.copy()
    sides[:, 2:] -= corners[:, :2]
    return sides


def xywh_to_xyxy(sides: Floats) -> Floats:
    """x0 y0 x1 y1 of boxes (N, 4) given by their sides."""
    corners = sides.copy()
    corners[:, 2:] += sides[:, :2]
    return corners


def iou(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of boxes (N, 4) and others (M, 4), corners: (N, M)."""
    shared = _shared(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def overlap_of_smaller(boxes: Floats, others: Floats) -> Floats:
    """Intersection over the smaller of boxes (N, 4) and others (M, 4), corners: (N, M)."""
    smaller = np.minimum(_areas(boxes)[:, None], _areas(others)[None])
    return np.asarray(_shared(boxes, others) / np.maximum(smaller, 1e-6), np.float32)


def _areas(corners: Floats) -> Floats:
    sides = corners[:, 2:] - corners[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def _shared(boxes: Floats, others: Floats) -> Floats:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])
