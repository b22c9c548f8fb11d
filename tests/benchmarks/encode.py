"""Writes pictures as a video file with the properties that footage has in the wild."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from facereel.store.model.records import Image

CODING: dict[str, object] = {"crf": "20", "preset": "veryfast", "threads": "1"}
QUARTERS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def write_video(  # noqa: PLR0913 - each is one thing a file can be, and most calls name one or two
    path: Path,
    pictures: Iterable[Image],
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, object] | None = None,
    ticks: list[int] | None = None,
    turned: int = 0,
    aspect: Fraction = Fraction(1),
    delay: int = 0,
) -> None:
    """Encode BGR pictures as a viewer sees them.

    ticks: length of each frame in 1/90000 s, over and over (variable frame rate); turned: degrees clockwise a
    player must turn the coded picture; aspect: width to height of a coded pixel; delay: ticks before frame 0.
    """
    base = 1 / rate if codec == "mpeg4" else Fraction(1, 90000)  # MPEG-4 cannot count finer than 1/65535 s
    lengths = ticks or [int(1 / rate / base)]
    exact = ticks is None
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = pix_fmt
        stream.options = (CODING if codec.startswith("libx26") else {}) | (options or {})
        stream.codec_context.time_base = base
        if turned:
            stream.set_display_rotation(-turned)
        clock = delay
        for number, picture in enumerate(pictures):
            coded = _as_coded(picture, turned, aspect)
            if number == 0:
                stream.height, stream.width = coded.shape[:2]
                stream.codec_context.sample_aspect_ratio = aspect
            frame = av.VideoFrame.from_ndarray(coded, format="bgr24").reformat(format=pix_fmt)
            frame.time_base = base
            frame.pts = delay + int(number / rate / base) if exact else clock
            clock += lengths[number % len(lengths)]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _as_coded(picture: Image, turned: int, aspect: Fraction) -> Image:
    if turned:
        picture = np.asarray(cv2.rotate(picture, QUARTERS[turned]), dtype=np.uint8)
    if aspect != 1:
        width = round(picture.shape[1] / aspect / 2) * 2
        picture = np.asarray(
            cv2.resize(picture, (width, picture.shape[0]), interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.ascontiguousarray(picture)
