"""A film whose frames show their own numbers, and in which a face is somewhere else in every frame."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Image
from tests.fake_engine import backdrop, draw_face
from tests.video_factory import Recipe

SIZE = (640, 360)
RATE = Fraction(30_000, 1001)  # a rate at which the time of no frame but the first is a short decimal
BITS, BLOCK = (
    10,
    32,
)  # the number of a frame as black and white squares along the lower edge, lowest bit first
SIDE = 90  # pixels of the face
STEP = 4  # pixels that it moves from frame to frame


def face_left(frame: int) -> int:
    """Where the face's left edge is, pixels; it walks to and fro."""
    way = SIZE[0] - SIDE - 20
    place = frame * STEP % (2 * way)
    return 10 + min(place, 2 * way - place)


def counted(frames: int, **changes: Any) -> Recipe:
    """A film with B-frames, so that frames are not stored in the order in which they are shown."""
    return replace(Recipe(frames=frames, size=SIZE, fps=RATE, gop=60, b_frames=3), **changes)


def counted_picture(_: Recipe, number: int) -> Image:
    """The upright picture of a frame."""
    picture = backdrop(SIZE)
    draw_face(picture, "red", (face_left(number), 90, SIDE, SIDE))
    for bit in range(BITS):
        shade = 235 if number >> bit & 1 else 20
        picture[-BLOCK:, bit * BLOCK : (bit + 1) * BLOCK] = shade
    return picture


def read_counter(picture: NDArray[np.uint8]) -> int:
    """The number that a picture (H, W, 3) of the film at any size shows."""
    height, width = picture.shape[:2]
    scale = width / SIZE[0]
    row = round(height - BLOCK / 2 * scale)
    bits = [picture[row, round((bit + 0.5) * BLOCK * scale)].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)
