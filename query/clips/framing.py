"""Where the crop of a clip lies in each frame: geometry over time; knows nothing of pictures or files.

The path is smoothed over seconds, forwards and backwards alike, so that it neither lags nor trembles. Where the
smoothed path would cut the face, the crop is widened, smoothly, so that the face is complete in every frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Floats

Series = NDArray[np.float64]

# A talking head: the face (forehead to chin) takes 42% of the crop's side, its middle lies a little above the crop's.
# That leaves 0.64 of a face above the forehead for hair, also while the head moves (0.54 cut some hair).
FACE_SHARE = 0.42
FACE_MIDDLE = 0.48
# Between a face and the crop's edge at least this share of the face's size, however fast it moves.
MARGIN = 0.12
TUBE_MARGIN = 0.5  # of the median face, around all boxes

# Standard deviations of the smoothing kernels, seconds. Detector boxes tremble by about 3% of a face from frame to
# frame. With these values the crop's speed changes by less than 0.2% of a face a frame (tests/test_clips.py; on real
# footage 1.8 px of tremble become 0.015 px), while a walking head stays within 3% of its place.
POSITION_SIGMA = 0.35
SIZE_SIGMA = 1.0
WIDENING_SIGMA = 0.4


def follow(
    boxes: Floats, seconds: Series, width: int, height: int, aspect: float = 1.0, largest: bool = False
) -> Floats:
    """A crop of one shape (`aspect` is width / height) that follows the face steadily.

    boxes (N, 4) x y w h, seconds (N,) increasing, the picture's size in pixels -> crops (N, 4) x y w h inside the
    picture: the square of a talking head, grown to the shape, or the `largest` crop that the picture holds. Each holds
    the part of its face that lies in the picture, unless that is larger than the largest crop.
    """
    x, y, w, h = boxes.astype(np.float64).T
    face = np.maximum(w, h)
    across, down, limit = _sides(aspect, width, height)
    side = np.exp(_smooth(np.log(face), seconds, SIZE_SIGMA)) / FACE_SHARE
    # Of what is added to the square's height a third goes above it: the face stays in the upper half.
    below = (0.5 - FACE_MIDDLE) + (down - 1) * (1 / 2 - 1 / 3)
    middle_x, middle_y = x + w / 2, y + h / 2
    if largest:
        # At the picture's edge the crop comes to rest: as far as it can go before it is smoothed, not after.
        side = np.full_like(side, limit)
        middle_x = np.clip(middle_x, across * limit / 2, width - across * limit / 2)
        middle_y = (
            np.clip(middle_y + below * limit, down * limit / 2, height - down * limit / 2) - below * limit
        )
    middle_x = _smooth(middle_x, seconds, POSITION_SIGMA)
    middle_y = _smooth(middle_y, seconds, POSITION_SIGMA) + below * side
    visible = _inside_picture(boxes, width, height)
    needed = _needed_side(visible, middle_x, middle_y, MARGIN * face, across, down)
    side = np.minimum(np.maximum(side, _widening(needed, side, seconds)), limit)
    left = _hold(middle_x - across * side / 2, across * side, visible[:, 0], visible[:, 2], width)
    top = _hold(middle_y - down * side / 2, down * side, visible[:, 1], visible[:, 3], height)
    return np.column_stack([left, top, across * side, down * side]).astype(np.float32)


def tube(boxes: Floats, width: int, height: int, aspect: float | None = None) -> Floats:
    """One fixed box (4,) x y w h round all faces (N, 4).

    Without `aspect` (width / height) it is a square unless the picture is too small for one. With it the box has that
    shape, and where none of that shape in the picture holds all faces, it is the largest one in their middle.
    """
    visible = _inside_picture(boxes, width, height)
    room = TUBE_MARGIN * float(np.median(np.maximum(boxes[:, 2], boxes[:, 3])))
    left, top = visible[:, 0].min() - room, visible[:, 1].min() - room
    right, bottom = visible[:, 2].max() + room, visible[:, 3].max() + room
    if aspect is None:
        side = max(right - left, bottom - top)
        w, h = min(side, width), min(side, height)
    else:
        across, down, limit = _sides(aspect, width, height)
        side = min(max((right - left) / across, (bottom - top) / down), limit)
        w, h = across * side, down * side
    x = np.clip((left + right - w) / 2, 0, width - w)
    y = np.clip((top + bottom - h) / 2, 0, height - h)
    return np.array([x, y, w, h], np.float32)


def _sides(aspect: float, width: int, height: int) -> tuple[float, float, float]:
    """Width and height of a crop as multiples of its shorter side, and the longest such side in the picture."""
    across, down = max(1.0, aspect), max(1.0, 1 / aspect)
    return across, down, min(width / across, height / down)


def _inside_picture(boxes: Floats, width: int, height: int) -> Series:
    """Corners x0 y0 x1 y1 of the part of each box that the picture holds."""
    x, y, w, h = boxes.astype(np.float64).T
    return np.column_stack([
        np.clip(x, 0, width), np.clip(y, 0, height), np.clip(x + w, 0, width), np.clip(y + h, 0, height)
    ])  # fmt: skip


def _needed_side(
    visible: Series, middle_x: Series, middle_y: Series, margin: Series, across: float, down: float
) -> Series:
    """Shorter side of the smallest crop about each middle that holds the face and its margin; shape as by _sides."""
    half_x = np.maximum(middle_x - visible[:, 0], visible[:, 2] - middle_x) + margin
    half_y = np.maximum(middle_y - visible[:, 1], visible[:, 3] - middle_y) + margin
    return np.asarray(2 * np.maximum(half_x / across, half_y / down), np.float64)


def _hold(start: Series, side: Series, face_start: Series, face_end: Series, length: int) -> Series:
    """Starts of the crop along one axis, moved to hold the face, then into the picture [0, length]."""
    # This moves the crop only where the picture limits its size; a face that is too large stays centred.
    first, last = face_end - side, face_start
    moved = np.clip(start, np.minimum(first, last), np.maximum(first, last))
    return np.clip(moved, 0, np.maximum(0, length - side))


def _smooth(values: Series, seconds: Series, sigma: float) -> Series:
    """Local linear regression under a Gaussian kernel: zero phase, true to straight lines, also at the ends.

    (Cleveland 1979, without the robust step; Fan and Gijbels 1996 for the behaviour at the ends.)
    """
    s0, s1, s2, t0, t1 = (np.zeros_like(values) for _ in range(5))
    for a, b in _pairs(seconds, 3 * sigma):
        dt = seconds[b] - seconds[a]
        weight = np.exp(-0.5 * (dt / sigma) ** 2)
        for total, term in ((s0, 1.0), (s1, dt), (s2, dt * dt), (t0, values[b]), (t1, dt * values[b])):
            total[a] += weight * term
    spread = s0 * s2 - s1 * s1
    straight = spread > 1e-9 * s0 * s0 * sigma**2
    return np.where(straight, (s2 * t0 - s1 * t1) / np.where(straight, spread, 1), t0 / s0)


def _widening(needed: Series, side: Series, seconds: Series) -> Series:
    """A smooth curve nowhere below `needed`: the maximum near each moment, averaged over the same range."""
    if (needed <= side).all():
        return side
    reach = 3 * WIDENING_SIGMA
    need = np.maximum(needed, side)
    highest = need.copy()
    for a, b in _pairs(seconds, reach):
        highest[a] = np.maximum(highest[a], need[b])
    total, weights = np.zeros_like(need), np.zeros_like(need)
    for a, b in _pairs(seconds, reach):
        weight = np.exp(-0.5 * ((seconds[b] - seconds[a]) / WIDENING_SIGMA) ** 2)
        # Every value within reach of a moment is at least what that moment needs, and so is their mean.
        total[a] += weight * highest[b]
        weights[a] += weight
    return total / weights


def _pairs(seconds: Series, reach: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Index pairs (a, b) no further apart than `reach` seconds, in groups that hold each `a` at most once."""
    count = np.arange(len(seconds))
    ahead = np.searchsorted(seconds, seconds + reach, "right") - 1 - count
    yield count, count
    for step in range(1, int(ahead.max()) + 1):
        a = np.flatnonzero(ahead >= step)
        yield a, a + step
        yield a + step, a
