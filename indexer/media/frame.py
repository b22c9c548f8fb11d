"""The pixels of one decoded frame, converted only when and at the size that somebody needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from facereel.indexer.media.tone_mapping import is_hdr, tone_mapped, tone_mapped_grey
from facereel.indexer.scaling import scaled
from facereel.store.model.records import Grey, Image

Corners: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1; pixels
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# A part is cut out of a picture at multiples of this, pixels: no format's colours have a coarser grid.
_COLOUR_STEP = 4
# Rows of these lengths FFmpeg converts by its fast path, which is also that for whole pictures.
_ROW_STEP = 32
_BESIDE = 8  # pixels beside a pixel that its colour may be interpolated from, at most
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
    size: tuple[int, int]  # width and height as displayed, pixels
    rotation: int  # degrees clockwise to the upright picture
    mirrored: bool = False  # left and right are swapped after the rotation
    _displayed: Image | None = None  # kept only where parts cannot be converted alone

    def image(self, width: int, height: int) -> Image:
        """The upright picture as BGR (height, width, 3)."""
        return self._upright(_bgr(self.picture, *self._coded_size(width, height)))

    def part(self, corners: Corners, size: tuple[int, int], sparse: bool = False) -> Image:
        """A part of the upright displayed picture as BGR in a `size` (width, height), without converting the rest.

        Its `corners` x0, y0, x1, y1 lie inside. Before it is scaled its pixels are those of image(); in a picture with
        odd sides the colours may be interpolated in another way. A `sparse` one that is made much smaller is made of
        only some of its pixels.
        """
        picture = self.picture
        anamorphic = self._coded_size(*self.size) != (picture.width, picture.height)
        if anamorphic or not _bits_of_separate_planes(picture.format.name):
            if self._displayed is None:
                self._displayed = self.image(*self.size)
            x0, y0, x1, y1 = corners
            return scaled(self._displayed[y0:y1, x0:x1], *size)
        x0, y0, x1, y1 = self._coded_corners(corners)
        width, height = self._coded_size(*size)
        step = max(1, min((x1 - x0) // (2 * width), (y1 - y0) // (2 * height))) if sparse else 1
        # With the pixels beside, from which colours are interpolated.
        left, top = (
            max(0, x0 - _BESIDE) // _ROW_STEP * _ROW_STEP,
            max(0, y0 - _BESIDE) // _COLOUR_STEP * _COLOUR_STEP,
        )
        right = min(picture.width, -(-(x1 + _BESIDE) // _ROW_STEP) * _ROW_STEP)
        bottom = min(picture.height, -(-(y1 + _BESIDE) // _COLOUR_STEP) * _COLOUR_STEP)
        cut = _cut(picture, (left, top, right, bottom), step)
        pixels = _bgr(cut, cut.width, cut.height)
        x0, y0, x1, y1 = (x0 - left) // step, (y0 - top) // step, (x1 - left) // step, (y1 - top) // step
        return scaled(self._upright(pixels[y0:y1, x0:x1]), *size)

    def drop_displayed(self) -> None:
        """Free the full picture that part() may have kept; a later part is converted anew."""
        self._displayed = None

    def grey(self, width: int, height: int) -> Grey:
        """The upright picture in grey (height, width), with the levels that the video has: 0 to 255 or 16 to 235."""
        size = self._coded_size(width, height)
        if is_hdr(self.picture):
            return self._upright(tone_mapped_grey(self.picture, *size))
        planar = self.picture.format.name in _PLANAR
        return self._upright(
            scaled(self._plane(0), *size) if planar else _convert(self.picture, *size, "gray")
        )

    def small(self, width: int, height: int, grey: Grey) -> Image:
        """The upright picture as BGR (height, width, 3), both even, made from its `grey`: far cheaper than image().

        Colours are computed by the matrix of standard definition, whatever the video's: a detector sees no difference.
        """
        if self.picture.format.name not in _PLANAR or is_hdr(self.picture):
            return self.image(width, height)
        half = self._coded_size(width // 2, height // 2)
        chroma = [self._upright(scaled(self._plane(number), *half)) for number in (1, 2)]
        return self._from_planes(scaled(grey, width, height), *chroma)

    def small_part(self, corners: Corners, grey: Grey) -> Image | None:
        """The part of small() in the size of its `grey` with these corners x0, y0, x1, y1; the rest is not converted.

        None where it cannot be converted alone, or would not be the same: ask for all of small() there.
        """
        if self.picture.format.name not in _PLANAR or is_hdr(self.picture) or self.rotation or self.mirrored:
            return None
        height, width = grey.shape
        plane = self.picture.planes[1]
        times = 2 * plane.width // width
        as_often = 2 * plane.width == times * width and 2 * plane.height == times * height
        # Halved by averaging only, each pixel is made of those at its place.
        if times not in (1, 2, 4, 8) or not as_often:
            return None
        x0, y0, x1, y1 = corners
        left, top, right, bottom = x0 // 2, y0 // 2, -(-x1 // 2), -(-y1 // 2)  # in pixels of its colours
        rows, columns = slice(top * times, bottom * times), slice(left * times, right * times)
        chroma = [scaled(self._plane(number)[rows, columns], right - left, bottom - top) for number in (1, 2)]
        pixels = self._from_planes(grey[2 * top : 2 * bottom, 2 * left : 2 * right], *chroma)
        return pixels[y0 - 2 * top : y1 - 2 * top, x0 - 2 * left : x1 - 2 * left]

    def _from_planes(self, *planes: Grey) -> Image:
        """The BGR picture of a grey plane and two of colours in half its size."""
        if self.picture.color_range == ColorRange.JPEG:  # OpenCV expects levels of 16 to 235, colours to 240
            ranges = (219 / 255, 224 / 255, 224 / 255)
            planes = tuple(_compress_levels(plane, part) for plane, part in zip(planes, ranges, strict=True))
        packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, planes[0].shape[1])
        return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420), np.uint8)

    def _plane(self, number: int) -> Grey:
        plane = self.picture.planes[number]
        return _rows(plane)[: plane.height, : plane.width]

    def _coded_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height before rotation."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def _coded_corners(self, corners: Corners) -> Corners:
        """Corners in the displayed picture as corners before rotation, where a pixel is a pixel of both."""
        x0, y0, x1, y1 = corners
        width, height = self.size
        if self.mirrored:
            x0, x1 = width - x1, width - x0
        if self.rotation == 90:
            return y0, width - x1, y1, width - x0
        if self.rotation == 180:
            return width - x1, height - y1, width - x0, height - y0
        if self.rotation == 270:
            return height - y1, x0, height - y0, x1
        return x0, y0, x1, y1

    def _upright(self, pixels: Image) -> Image:
        turn = _TURNS.get(self.rotation)
        turned = pixels if turn is None else cv2.rotate(pixels, turn)
        return np.asarray(cv2.flip(turned, 1) if self.mirrored else turned, np.uint8)


def _bgr(picture: av.VideoFrame, width: int, height: int) -> Image:
    if is_hdr(picture):
        return tone_mapped(picture, width, height)
    return _convert(picture, width, height, "bgr24")


def _convert(picture: av.VideoFrame, width: int, height: int, pixel_format: str) -> Image:
    # One thread, because several pictures are converted at the same time.
    converted = picture.reformat(width, height, pixel_format, interpolation="AREA", threads=1)
    return np.asarray(converted.to_ndarray(), np.uint8)


@cache  # a format is asked for each crop of a face, and PyAV makes objects of all its components
def _bits_of_separate_planes(pixel_format: str) -> int:
    """Bits of a pixel of each plane, where pixels can be cut out plane by plane; else 0."""
    form = av.VideoFormat(pixel_format)
    bits, planes = form.components[0].bits, {component.plane for component in form.components}
    return bits if form.is_planar and len(planes) == len(form.components) and bits <= 16 else 0


def _cut(picture: av.VideoFrame, corners: Corners, step: int) -> av.VideoFrame:
    """Every pixel, or one of `step` in each row and column, of a part of a picture of separate planes.

    The part begins at multiples of _COLOUR_STEP.
    """
    left, top, right, bottom = corners
    cut = av.VideoFrame((right - left) // step, (bottom - top) // step, picture.format.name)
    cut.colorspace, cut.color_range = picture.colorspace, picture.color_range
    cut.color_trc, cut.color_primaries = picture.color_trc, picture.color_primaries
    pixel = np.uint8 if _bits_of_separate_planes(picture.format.name) <= 8 else np.uint16
    for plane, own in zip(picture.planes, cut.planes, strict=True):
        x = left // -(-picture.width // plane.width)
        y = top // -(-picture.height // plane.height)
        pixels = _rows(plane, pixel)[y : y + own.height * step : step, x : x + own.width * step : step]
        _rows(own, pixel)[: own.height, : own.width] = pixels
    return cut


def _rows(plane: VideoPlane, pixel: type[np.uint8 | np.uint16] = np.uint8) -> NDArray[Any]:
    """The rows of a plane, with what lies between them; writing changes the plane."""
    return np.frombuffer(memoryview(plane), np.uint8).view(pixel).reshape(plane.height, -1)


def _compress_levels(plane: Grey, factor: float) -> Grey:
    """Levels of 0 to 255 as levels from 16 on."""
    return np.asarray(cv2.convertScaleAbs(plane, alpha=factor, beta=16), np.uint8)
