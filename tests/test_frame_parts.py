"""Parts of a frame have the pixels that the whole picture has there, whatever the format, colours and orientation."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, ColorTrc

from facereel.indexer.media.frame import Frame
from facereel.store.model.records import Image

SIZE = (300, 226)
CORNERS = [(0, 0, 300, 226), (51, 33, 155, 120), (200, 101, 300, 226), (7, 180, 60, 226), (64, 64, 192, 128)]


def pattern(width: int, height: int) -> Image:
    rng = np.random.default_rng(3)
    spots = rng.integers(0, 256, (height // 12, width // 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def frame_of(
    pixel_format: str = "yuv420p", size: tuple[int, int] = SIZE, rotation: int = 0, mirrored: bool = False,
    space: Colorspace = Colorspace.ITU709, colour_range: ColorRange = ColorRange.MPEG, trc: ColorTrc | None = None,
    stretch: int = 1,
) -> Frame:  # fmt: skip
    """`stretch`: displayed columns by which a coded one is shown."""
    picture = av.VideoFrame.from_ndarray(pattern(*size), "bgr24").reformat(
        format=pixel_format, dst_colorspace=space, dst_color_range=colour_range, interpolation="BILINEAR"
    )
    if trc is not None:
        picture.color_trc = trc
    shown = (size[0] * stretch, size[1]) if rotation in (0, 180) else (size[1], size[0] * stretch)
    return Frame(0, picture, 0.0, 0.04, shown, rotation, mirrored)


def grey(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)


def assert_same(frame: Frame, tolerance: int | None = 0) -> None:
    """No level differs by more than `tolerance`; None where FFmpeg interpolates colours: grey must be nearly the same.

    FFmpeg's fast conversion of whole pictures is up to 3 levels too dark.
    """
    whole = frame.image(*frame.size)
    for x0, y0, x1, y1 in CORNERS:
        x1, y1 = min(x1, frame.size[0]), min(y1, frame.size[1])
        part, expected = frame.part((x0, y0, x1, y1), (x1 - x0, y1 - y0)), whole[y0:y1, x0:x1]
        assert part.flags.c_contiguous
        if tolerance is None:
            assert np.abs(grey(part).astype(int) - grey(expected)).mean() < 2
        else:
            np.testing.assert_allclose(part.astype(int), expected, atol=tolerance)


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuv420p10le", "yuv422p10le", "yuva420p",
     "gbrp", "nv12", "gray", "rgb24", "yuyv422"],
)  # fmt: skip
@pytest.mark.parametrize(
    "space", [Colorspace.ITU601, Colorspace.ITU709, Colorspace.SMPTE240M, Colorspace.BT2020]
)
@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_a_part_is_that_of_the_whole_picture(
    pixel_format: str, space: Colorspace, colour_range: ColorRange
) -> None:
    tolerance = {"yuv420p": 3, "yuv422p": 3, "yuv444p": 1, "yuv440p": None, "yuv411p": None, "yuv410p": None}
    frame = frame_of(pixel_format, space=space, colour_range=colour_range)
    assert_same(frame, tolerance.get(pixel_format, 0))


@pytest.mark.parametrize("size", [(320, 240), (301, 227), (854, 480), (642, 362), (638, 359)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    assert_same(frame_of(size=size), 3 if size[0] % 2 == size[1] % 2 == 0 else None)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_upright(rotation: int, mirrored: bool) -> None:
    assert_same(frame_of(size=(320, 240), rotation=rotation, mirrored=mirrored), 3)


@pytest.mark.parametrize("rotation", [0, 90])
def test_as_displayed_where_pixels_are_not_square(rotation: int) -> None:
    assert_same(frame_of(rotation=rotation, stretch=2))


@pytest.mark.parametrize("trc", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67])
def test_hdr(trc: ColorTrc) -> None:
    assert_same(frame_of("yuv420p10le", space=Colorspace.BT2020, trc=trc))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("stretch", [1, 2])
def test_scaled_down_it_covers_the_same_place(rotation: int, stretch: int) -> None:
    frame = frame_of(size=(320, 240), rotation=rotation, stretch=stretch)
    whole = frame.image(*frame.size)
    for x0, y0, x1, y1 in [(0, 0, 240, 240), (48, 32, 148, 132), (60, 100, 200, 180)]:
        part = frame.part((x0, y0, x1, y1), ((x1 - x0) // 2, (y1 - y0) // 3))

        def difference(
            left: int, top: int, part: Image = part, width: int = x1 - x0, height: int = y1 - y0
        ) -> float:
            there = whole[top : top + height, left : left + width]
            scaled = cv2.resize(there, part.shape[1::-1], interpolation=cv2.INTER_AREA)
            return float(np.abs(grey(part).astype(int) - grey(np.asarray(scaled, np.uint8))).mean())

        assert difference(x0, y0) < 3
        assert difference(x0, y0) < min(difference(abs(x0 - 3), y0), difference(x0, abs(y0 - 3)))


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [("yuv420p", (384, 288)), ("yuvj420p", (192, 144)), ("yuv444p", (97, 73)), ("yuv422p", (128, 95))],
)
def test_a_part_of_the_small_picture_is_that_of_all_of_it(
    pixel_format: str, size: tuple[int, int], rotation: int
) -> None:
    width, height = size if rotation == 0 else size[::-1]
    frame = frame_of(pixel_format, (384, 288), rotation=rotation)
    small = frame.small(frame.grey(width, height))
    assert small is not None
    whole = small.image(width, height)
    for x0, y0, x1, y1 in ((0, 0, width, height), (16, 32, 61, 71)):
        np.testing.assert_array_equal(small.part((x0, y0, x1, y1)), whole[y0:y1, x0:x1])


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv444p"])
@pytest.mark.parametrize("size", [(384, 288), (192, 144), (127, 95)])
def test_the_small_picture_looks_like_the_picture(pixel_format: str, size: tuple[int, int]) -> None:
    levels = ColorRange.JPEG if "j" in pixel_format else ColorRange.MPEG
    frame = frame_of(pixel_format, (384, 288), space=Colorspace.ITU601, colour_range=levels)
    small = frame.small(frame.grey(*size))
    assert small is not None
    # Of means over areas: both ways to make a picture smaller blur its details in their own way.
    made, expected = (cv2.blur(picture, (31, 31)) for picture in (small.image(*size), frame.image(*size)))
    assert np.abs(made.astype(int) - expected).mean() < 4


def test_a_picture_without_planes_has_no_small_one() -> None:
    frame = frame_of("rgb24", (384, 288))
    assert frame.small(frame.grey(96, 72)) is None
