"""The pixels of one decoded frame, converted only when and at the size that somebody needs."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from facereel.indexer.media.tone_mapping import is_hdr, tone_mapped, tone_mapped_grey
from facereel.store.model.records import Grey, Image

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# Pixel formats of three planes with one byte a pixel, grey first. A plane of these is scaled down alone, without a
# conversion of the full picture.
_PLANAR = frozenset(
    f"{kind}{sampling}p" for kind in ("yuv", "yuvj") for sampling in (410, 411, 420, 422, 440, 444)
)


@dataclass(slots=True, eq=False)
class Frame:
    """The picture of one frame."""

    index: int  # from 0, in display order
    picture: av.VideoFrame
    seconds: float  # when a player shows it
    duration: float  # for how long, as far as the file says, seconds
    rotation: int  # degrees clockwise to the upright picture
    mirrored: bool = False  # left and right are swapped after the rotation

    def image(self, width: int, height: int) -> Image:
        """The upright picture as BGR (height, width, 3)."""
        size = self._coded_size(width, height)
        if is_hdr(self.picture):
            return self._upright(tone_mapped(self.picture, *size))
        return self._upright(self._convert(*size, "bgr24"))

    def grey(self, width: int, height: int) -> Grey:
        """The upright picture in grey (height, width), with the levels that the video has: 0 to 255 or 16 to 235."""
        size = self._coded_size(width, height)
        if is_hdr(self.picture):
            return self._upright(tone_mapped_grey(self.picture, *size))
        planar = self.picture.format.name in _PLANAR
        return self._upright(_scale(self._plane(0), *size) if planar else self._convert(*size, "gray"))

    def small(self, width: int, height: int, grey: Grey) -> Image:
        """The upright picture as BGR (height, width, 3), both even, made from its `grey`: far cheaper than image().

        Colours are computed by the matrix of standard definition, whatever the video's: a detector sees no difference.
        """
        if self.picture.format.name not in _PLANAR or is_hdr(self.picture):
            return self.image(width, height)
        half = self._coded_size(width // 2, height // 2)
        chroma = [self._upright(_scale(self._plane(number), *half)) for number in (1, 2)]
        planes = [_scale(grey, width, height), *chroma]
        if self.picture.color_range == ColorRange.JPEG:  # OpenCV expects levels of 16 to 235, colours to 240
            ranges = (219 / 255, 224 / 255, 224 / 255)
            planes = [_compress_levels(plane, part) for plane, part in zip(planes, ranges, strict=True)]
        packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
        return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420), np.uint8)

    def _convert(self, width: int, height: int, pixel_format: str) -> Image:
        # One thread, because several pictures are converted at the same time.
        picture = self.picture.reformat(width, height, pixel_format, interpolation="AREA", threads=1)
        return np.asarray(picture.to_ndarray(), np.uint8)

    def _plane(self, number: int) -> Grey:
        plane = self.picture.planes[number]
        return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]

    def _coded_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height before rotation."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def _upright(self, pixels: Image) -> Image:
        turn = _TURNS.get(self.rotation)
        turned = pixels if turn is None else cv2.rotate(pixels, turn)
        return np.asarray(cv2.flip(turned, 1) if self.mirrored else turned, np.uint8)


def _compress_levels(plane: Grey, factor: float) -> Grey:
    """Levels of 0 to 255 as levels from 16 on."""
    return np.asarray(cv2.convertScaleAbs(plane, alpha=factor, beta=16), np.uint8)


def _scale(plane: Grey, width: int, height: int) -> Grey:
    """A plane at another size: halved by averaging as often as possible, which is fast, then interpolated."""
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        half = plane.shape[1] // 2, plane.shape[0] // 2
        plane = np.asarray(
            cv2.resize(plane[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
        )
    if plane.shape == (height, width):
        return np.array(plane)  # a view would keep the full picture in memory
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
