"""The pixels of one decoded frame, converted only when and at the size that somebody needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace
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
# Pixel formats of three planes with one byte a pixel, grey first. A plane of these is cut and scaled down alone: that
# costs a tenth of FFmpeg's conversion, which prepares anew for each picture.
_PLANAR = frozenset(
    f"{kind}{sampling}p" for kind in ("yuv", "yuvj") for sampling in (410, 411, 420, 422, 440, 444)
)
# Shares of red and blue in the grey of a colour space (ITU-T H.273, table 4); where none of these is named, those of
# BT.601, as FFmpeg has it.
_RED_AND_BLUE: dict[int, tuple[float, float]] = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
_RED_AND_BLUE_BT601 = (0.299, 0.114)


@dataclass(frozen=True, slots=True, eq=False)
class SmallPicture:
    """A picture made smaller, grey and colours apart: far cheaper than to convert the picture itself."""

    grey: Grey  # (h, w), upright
    colours: tuple[Grey, Grey]  # (h / 2, w / 2) each, rounded up; OpenCV scales them faster apart
    space: int  # FFmpeg's number of the colour space
    full_range: bool  # are its levels those of 0 to 255?

    def image(self, width: int, height: int) -> Image:
        """The picture as BGR (height, width, 3) by the matrix of standard definition: a detector sees no difference."""
        colours = [scaled(plane, -(-width // 2), -(-height // 2)) for plane in self.colours]
        return self._bgr(scaled(self.grey, width, height), colours)

    def part(self, corners: Corners) -> Image:
        """The part with these corners x0, y0, x1, y1, as image() gives it."""
        (grey, *colours), (left, top) = self._cut(corners)
        return self._bgr(grey, colours)[top:, left:][: corners[3] - corners[1], : corners[2] - corners[0]]

    def true_part(self, corners: Corners) -> Image:
        """The part with these corners as BGR in its true colours."""
        (grey, *colours), (left, top) = self._cut(corners)
        height, width = grey.shape
        channels = [grey, *(_repeated(plane, 2, 2)[:height, :width] for plane in colours)]
        pixels = _true_colours(channels, self.space, self.full_range)
        return pixels[top:, left:][: corners[3] - corners[1], : corners[2] - corners[0]]

    def _cut(self, corners: Corners) -> tuple[list[Grey], tuple[int, int]]:
        """Its three planes around a part, and where in these the part begins: x, y."""
        x0, y0, x1, y1 = corners
        left, top, right, bottom = x0 // 2, y0 // 2, -(-x1 // 2), -(-y1 // 2)  # in pixels of its colours
        grey = self.grey[2 * top : 2 * bottom, 2 * left : 2 * right]
        return [grey, *(plane[top:bottom, left:right] for plane in self.colours)], (x0 % 2, y0 % 2)

    def _bgr(self, grey: Grey, colours: Sequence[Grey]) -> Image:
        pairs = _merged(colours)
        if self.full_range:  # OpenCV expects levels of 16 to 235, colours to 240
            grey, pairs = _compress_levels(grey, 219 / 255), _compress_levels(pairs, 224 / 255)
        height, width = grey.shape
        if height % 2 or width % 2:
            grey = np.asarray(
                cv2.copyMakeBorder(grey, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
            )
        pixels = np.asarray(cv2.cvtColorTwoPlane(grey, pairs, cv2.COLOR_YUV2BGR_NV12), np.uint8)
        return pixels[:height, :width]


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
    _plane_rows: tuple[Grey, ...] = ()  # the picture's own planes, once they were asked for

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
        x0, y0, x1, y1 = coded = self._coded_corners(corners)
        width, height = self._coded_size(*size)
        step = max(1, min((x1 - x0) // (2 * width), (y1 - y0) // (2 * height))) if sparse else 1
        if self._is_planar:
            return self._upright(self._part_of_planes(coded, (width, height), step))
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

    def _part_of_planes(self, corners: Corners, size: tuple[int, int], step: int) -> Image:
        """A part of the coded picture, of one of `step` pixels in each row and column, as BGR in a size.

        If it is scaled its colours have half of that size, and lie at most half of their pixels beside their place.
        """
        x0, y0, x1, y1 = corners
        width, height = size
        as_it_is = size == (x1 - x0, y1 - y0)
        channels: list[Grey] = []
        for plane in self._planes:
            # Pixels of the picture beside and below each other that share one of the plane.
            across, down = -(-self.picture.width // plane.shape[1]), -(-self.picture.height // plane.shape[0])
            left, top = x0 // across, y0 // down
            cut = plane[top : -(-y1 // down) : step, left : -(-x1 // across) : step]
            if as_it_is:
                left, top = x0 - across * left, y0 - down * top
                pixels = _repeated(cut, across, down)[top : top + height, left : left + width]
            elif channels:
                half = -(-width // 2), -(-height // 2)
                pixels = _repeated(scaled(cut, *half), 2, 2)[:height, :width]
            else:
                pixels = scaled(cut, width, height)
            channels.append(pixels)
        return _true_colours(channels, self.picture.colorspace, self._has_full_range)

    def drop_displayed(self) -> None:
        """Free the full picture that part() may have kept; a later part is converted anew."""
        self._displayed = None

    def grey(self, width: int, height: int) -> Grey:
        """The upright picture in grey (height, width), with the levels that the video has: 0 to 255 or 16 to 235."""
        size = self._coded_size(width, height)
        if is_hdr(self.picture):
            return self._upright(tone_mapped_grey(self.picture, *size))
        if not self._is_planar:
            return self._upright(_convert(self.picture, *size, "gray"))
        return self._upright(scaled(self._planes[0], *size))

    def small(self, grey: Grey) -> SmallPicture | None:
        """The upright picture in the size of its `grey`; None where its format has no planes to be scaled alone."""
        if not self._is_planar:
            return None
        height, width = grey.shape
        half = self._coded_size(-(-width // 2), -(-height // 2))
        first, second = (self._upright(scaled(plane, *half)) for plane in self._planes[1:])
        return SmallPicture(grey, (first, second), self.picture.colorspace, self._has_full_range)

    @property
    def _is_planar(self) -> bool:
        return self.picture.format.name in _PLANAR and not is_hdr(self.picture)

    @property
    def _has_full_range(self) -> bool:
        """Are its levels those of 0 to 255?"""
        picture = self.picture
        return picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")

    @property
    def _planes(self) -> tuple[Grey, ...]:
        """Grey and both colours of a picture that is planar."""
        if not self._plane_rows:
            self._plane_rows = tuple(
                _rows(plane)[: plane.height, : plane.width] for plane in self.picture.planes
            )
        return self._plane_rows

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


def _merged(planes: Sequence[Grey]) -> Image:
    """Planes as the channels of one picture."""
    # Rows that lie apart take OpenCV five times as long.
    return np.asarray(cv2.merge([np.ascontiguousarray(plane) for plane in planes]), np.uint8)


def _true_colours(planes: Sequence[Grey], colour_space: int, full_range: bool) -> Image:
    """Grey and two colours, all of one size, as BGR."""
    return np.asarray(cv2.transform(_merged(planes), _to_bgr(colour_space, full_range)), np.uint8)


@cache
def _to_bgr(colour_space: int, full_range: bool) -> NDArray[np.float32]:
    """What makes BGR of grey and two colours: (3, 4), factors and what is added."""
    red, blue = _RED_AND_BLUE.get(colour_space, _RED_AND_BLUE_BT601)
    green = 1 - red - blue
    factors = np.array(
        [
            [1, 2 * (1 - blue), 0],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 0, 2 * (1 - red)],
        ]
    )
    black = 0 if full_range else 16
    if not full_range:
        factors *= 255 / np.array([219, 224, 224])
    return np.column_stack([factors, -factors @ [black, 128, 128]]).astype(np.float32)


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


def _repeated(plane: Grey, across: int, down: int) -> Grey:
    """Each pixel as a block of so many in a row and below each other."""
    if across > 1:
        plane = _merged([np.ascontiguousarray(plane)] * across).reshape(len(plane), -1)
    if down > 1:
        plane = np.asarray(cv2.hconcat([plane] * down), np.uint8).reshape(down * len(plane), -1)
    return plane


def _rows(plane: VideoPlane, pixel: type[np.uint8 | np.uint16] = np.uint8) -> NDArray[Any]:
    """The rows of a plane, with what lies between them; writing changes the plane."""
    return np.frombuffer(memoryview(plane), np.uint8).view(pixel).reshape(plane.height, -1)


def _compress_levels(plane: Grey, factor: float) -> Grey:
    """Levels of 0 to 255 as levels from 16 on."""
    return np.asarray(cv2.convertScaleAbs(plane, alpha=factor, beta=16), np.uint8)
