"""One decoded picture, converted only where and as large as somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from facereel.store.model.records import Grey, Image

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# Formats of three planes, a byte a pixel, grey first: shrinking these needs no conversion of the full picture.
_PLANAR = frozenset(
    f"{kind}{sampling}p" for kind in ("yuv", "yuvj") for sampling in (410, 411, 420, 422, 440, 444)
)


@dataclass(slots=True, eq=False)
class Frame:
    """One decoded picture and its place in the video."""

    index: int
    pts: int
    picture: av.VideoFrame
    rotation: int  # degrees clockwise to the upright picture

    def image(self, width: int, height: int) -> Image:
        """The upright picture as BGR (height, width, 3)."""
        return self._upright(self._converted(*self._lying(width, height), "bgr24"))

    def grey(self, width: int, height: int) -> Grey:
        """The upright picture in grey (height, width), in the video's own range of levels."""
        size = self._lying(width, height)
        planar = self.picture.format.name in _PLANAR
        return self._upright(_shrunk(self._plane(0), *size) if planar else self._converted(*size, "gray"))

    def small(self, width: int, height: int, grey: Grey) -> Image:
        """The upright picture as BGR (height, width, 3), both even, by way of its `grey`: far cheaper than image().

        Colours are those of standard definition: to the eye, and to a detector, the same.
        """
        if self.picture.format.name not in _PLANAR:
            return self.image(width, height)
        half = self._lying(width // 2, height // 2)
        chroma = [self._upright(_shrunk(self._plane(number), *half)) for number in (1, 2)]
        planes = [_shrunk(grey, width, height), *chroma]
        if self.picture.color_range == ColorRange.JPEG:  # OpenCV takes levels of 16 to 235 and 240
            shares = (219 / 255, 224 / 255, 224 / 255)
            planes = [_levels(plane, share) for plane, share in zip(planes, shares, strict=True)]
        packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
        return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420), np.uint8)

    def _converted(self, width: int, height: int, form: str) -> Image:
        # One thread: pictures are converted side by side.
        picture = self.picture.reformat(width, height, form, interpolation="AREA", threads=1)
        return np.asarray(picture.to_ndarray(), np.uint8)

    def _plane(self, number: int) -> Grey:
        plane = self.picture.planes[number]
        return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]

    def _lying(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def _upright(self, pixels: Image) -> Image:
        turn = _TURNS.get(self.rotation)
        return np.asarray(pixels if turn is None else cv2.rotate(pixels, turn), np.uint8)


def _levels(plane: Grey, share: float) -> Grey:
    return np.asarray(cv2.convertScaleAbs(plane, alpha=share, beta=16), np.uint8)


def _shrunk(plane: Grey, width: int, height: int) -> Grey:
    """A plane in another size: averaged by halves, which is quick, and then sampled between pixels."""
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        half = plane.shape[1] // 2, plane.shape[0] // 2
        plane = np.asarray(
            cv2.resize(plane[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
        )
    if plane.shape == (height, width):
        return np.array(plane)  # a view would keep the whole picture
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
