"""Makes faces unrecognisable in a picture: pure functions of arrays.

What is left of a blurred or pixelated face are a few mean values; `cover` leaves nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facereel.store.model.errors import OptionError
from facereel.store.model.records import Floats

Style: TypeAlias = Literal["blur", "pixelate", "cover"]
Plane = NDArray[np.uint8]  # (H, W)
STYLES: tuple[Style, ...] = ("blur", "pixelate", "cover")

# Half axes of ellipses, in sides of a face's box. What is covered holds all of the box, and hair and ears beside it.
_COVERED = 0.85
_FACE = 0.55  # a face itself
_SPARED = 0.45  # what of a face that is to stay visible is never covered by one behind it
# A covered ellipse is this many mean values wide and high: a face is four wide then.
_CELLS = 7
_SOFT = 0.12  # of the half axes: so far beyond its edge a covered ellipse fades out
_BLACK = (16, 128, 128)  # Y, U, V of limited range


@dataclass(frozen=True, slots=True, eq=False)
class Covering:
    """What of a frame is covered; boxes are x y w h, displayed pixels."""

    boxes: Floats  # (N, 4)
    # (N,) whether the face in the box is covered also over a spared one: it surely is there, or must not be seen
    over: NDArray[np.bool_]
    spared: Floats  # (M, 4) faces that stay visible, also where they lie beside a covered face


NOTHING = Covering(np.zeros((0, 4), np.float32), np.zeros(0, np.bool_), np.zeros((0, 4), np.float32))


def check_style(style: str) -> Style:
    """The style of that name; raises OptionError."""
    for known in STYLES:
        if style == known:
            return known
    raise OptionError(f"--style {style!r} is not known; use {', '.join(STYLES)}")


def cover_faces(planes: tuple[Plane, Plane, Plane], covering: Covering, style: Style) -> None:
    """Cover faces in place; `planes` are Y, and U and V of half its size, of limited range."""
    if not len(covering.boxes):
        return
    # Where covers overlap the last one shows: that of the largest face, which leaves least detail there.
    boxes = covering.boxes[np.argsort(covering.boxes[:, 2] * covering.boxes[:, 3], kind="stable")]
    for plane, black in zip(planes, _BLACK, strict=True):
        scale = plane.shape[1] / planes[0].shape[1]
        alpha = opacity(plane.shape[::-1], covering, scale)
        content = plane.copy()
        for box in boxes * np.float32(scale):
            where, radius = _ellipse(plane.shape[::-1], box, _COVERED, _SOFT)
            inside = radius <= 1 + _SOFT
            # Each is made of the picture, not of another cover.
            cells = _cells(box[3], radius.shape[0]), _cells(box[2], radius.shape[1])
            content[where][inside] = _PAINT[style](plane[where], cells, black)[inside]
        plane[...] = np.rint(plane * (1 - alpha) + content * alpha).astype(np.uint8)


def opacity(size: tuple[int, int], covering: Covering, scale: float = 1.0) -> Floats:
    """How much of each pixel of a picture is covered, (H, W) 0..1; `scale` is its pixels a displayed pixel.

    Of a face that is to stay visible nothing is covered but where another one is that is covered over it: one that is
    only expected there, or half detected, is behind it.
    """
    alpha = np.zeros(size[::-1], np.float32)
    factor = np.float32(scale)
    for box in covering.boxes * factor:
        where, radius = _ellipse(size, box, _COVERED, _SOFT)
        np.maximum(alpha[where], np.clip((1 + _SOFT - radius) / _SOFT, 0, 1), out=alpha[where])
    for box in covering.spared * factor:
        where, radius = _ellipse(size, box, _SPARED, 0.0)
        alpha[where][radius <= 1] = 0
    if len(covering.spared):
        for box in covering.boxes[covering.over] * factor:
            where, radius = _ellipse(size, box, _FACE, 0.0)
            alpha[where][radius <= 1] = 1
    return alpha


def _ellipse(
    size: tuple[int, ...], box: Floats, axes: float, soft: float
) -> tuple[tuple[slice, slice], Floats]:
    """Rows and columns that the ellipse of a box reaches, and there the distance (H, W) from its middle in half axes.

    `axes` are its half axes in sides of the box, `soft` is what belongs to it beyond its edge.
    """
    x, y, w, h = box.tolist()
    half_w, half_h = max(axes * w, 0.5), max(axes * h, 0.5)
    middle_x, middle_y = x + w / 2, y + h / 2
    spans = []
    for middle, half, length in ((middle_y, half_h, size[1]), (middle_x, half_w, size[0])):
        start = min(max(0, int(middle - half * (1 + soft))), length)
        spans.append(slice(start, max(start, min(length, int(middle + half * (1 + soft)) + 1))))
    rows, columns = (np.arange(span.start, span.stop, dtype=np.float32) + np.float32(0.5) for span in spans)
    across, down = (columns - middle_x) / half_w, (rows - middle_y) / half_h
    return (spans[0], spans[1]), np.asarray(np.hypot(across[None], down[:, None]), np.float32)


def _cells(side: float, length: int) -> int:
    """How many mean values lie along `length` pixels of the ellipse of a box of that side.

    Of an ellipse that the picture's edge cuts off fewer, so that they are no finer there.
    """
    whole = 2 * _COVERED * (1 + _SOFT) * side
    return max(1, min(_CELLS, length, round(_CELLS * length / max(whole, 1))))


def _enlarged(part: Plane, cells: tuple[int, int], method: int) -> Plane:
    """The mean values of a part, rows and columns, in its size."""
    if not part.size:
        return part
    means = cv2.resize(part, cells[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(means, part.shape[::-1], interpolation=method), np.uint8)


_PAINT: dict[Style, Callable[[Plane, tuple[int, int], int], Plane]] = {
    "blur": lambda part, cells, black: _enlarged(part, cells, cv2.INTER_CUBIC),
    "pixelate": lambda part, cells, black: _enlarged(part, cells, cv2.INTER_NEAREST),
    "cover": lambda part, cells, black: np.full_like(part, black),
}
