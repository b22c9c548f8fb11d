"""A film whose frames show their own numbers, and in which a face is somewhere else in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Image
from tests.fake_engine import backdrop, draw_face

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


def write_counted_film(path: Path, frames: int) -> Path:
    """H.264 with B-frames, so that frames are not stored in the order in which they are shown."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.options = {"preset": "medium", "crf": "16", "bf": "3"}
        stream.codec_context.gop_size = 60
        for number, picture in enumerate(_pictures(frames)):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = number, 1 / RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _pictures(frames: int) -> Iterator[Image]:
    ground = backdrop(SIZE)
    for number in range(frames):
        picture = ground.copy()
        draw_face(picture, "red", (face_left(number), 90, SIDE, SIDE))
        for bit in range(BITS):
            shade = 235 if number >> bit & 1 else 20
            picture[-BLOCK:, bit * BLOCK : (bit + 1) * BLOCK] = shade
        yield picture


def read_counter(picture: NDArray[np.uint8]) -> int:
    """The number that a picture (H, W, 3) of the film at any size shows."""
    height, width = picture.shape[:2]
    scale = width / SIZE[0]
    row = round(height - BLOCK / 2 * scale)
    bits = [picture[row, round((bit + 0.5) * BLOCK * scale)].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)
