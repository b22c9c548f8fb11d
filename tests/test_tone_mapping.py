"""HDR is searched and cut as a screen for SDR shows it; SDR is as it was."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.video import probe, read_frames
from facereel.store.model.records import Image
from tests.test_cutter import cut
from tests.video_factory import Recipe, write_video

Light = NDArray[np.float64]

BT2020 = 9  # the matrix, in code points of ITU-T H.273
TRANSFERS = {"pq": ColorTrc.SMPTE2084, "hlg": ColorTrc.ARIB_STD_B67}
SIDE = 32  # pixels of a patch
RECIPE = Recipe(frames=4, size=(5 * SIDE, 2 * SIDE), faces=((40, 10, 40, 40),) * 4)
# cd/m2. SDR white is HDR white, 203; up to 92 nothing is compressed.
GREYS = (0.0, 20.0, 90.0, 203.0, 1000.0)
# BGR of BT.709, shown with white at 90 cd/m2.
COLOURS = ((40, 60, 200), (60, 180, 50), (200, 120, 40), (150, 180, 225), (128, 128, 128))
BT2020_FROM_BT709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # fmt: skip


def scene() -> Light:
    """Light of BT.2020, RGB in cd/m2: a row of greys over a row of colours."""
    picture = np.empty((2 * SIDE, 5 * SIDE, 3))
    for place, (grey, colour) in enumerate(zip(GREYS, COLOURS, strict=True)):
        columns = slice(place * SIDE, (place + 1) * SIDE)
        picture[:SIDE, columns] = grey
        picture[SIDE:, columns] = BT2020_FROM_BT709 @ (90 * (np.array(colour[::-1]) / 255) ** 2.4)
    return picture


def pq(light: Light) -> Light:
    power = (light / 10000) ** (2610 / 16384)
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def hlg(light: Light) -> Light:
    """As a camera does it for a screen of 1000 cd/m2, whose gamma of 1.2 is that of luminance."""
    shown = light / 1000
    luminance = np.maximum(shown @ (0.2627, 0.6780, 0.0593), 1e-9)[..., None]
    scene_light = shown * luminance ** (1 / 1.2 - 1)
    return np.where(
        scene_light <= 1 / 12,
        np.sqrt(3 * scene_light),
        0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073,
    )


def coded(levels: Light) -> av.VideoFrame:
    """RGB of BT.2020, 0 to 1, as yuv420p of 10 bits and limited range (ITU-R BT.2020, table 4)."""
    luma = levels @ (0.2627, 0.6780, 0.0593)
    chroma = [(levels[..., 2] - luma) / 1.8814, (levels[..., 0] - luma) / 1.4746]
    planes = [876 * luma + 64, *(896 * plane[::2, ::2] + 512 for plane in chroma)]
    frame = av.VideoFrame(*RECIPE.size, "yuv420p10le")
    for plane, numbers in zip(frame.planes, planes, strict=True):
        lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        lines[:, : plane.width] = np.rint(numbers)
        plane.update(lines.tobytes())
    return frame


def write_hdr(path: Path, kind: str) -> Path:
    """The scene in four frames of HEVC, 10 bits, BT.2020."""
    levels = np.clip((pq if kind == "pq" else hlg)(scene()), 0, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = RECIPE.size
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc = ColorPrimaries.BT2020, TRANSFERS[kind]
        context.colorspace, context.color_range = BT2020, ColorRange.MPEG
        context.options = {"preset": "ultrafast", "crf": "8", "x265-params": "log-level=none:pools=1"}
        for number in range(RECIPE.frames):
            frame = coded(levels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_frame(path: Path) -> Frame:
    return next(iter(read_frames(probe(path), DecodeLog(), threads=1)))


def patches(picture: Image, row: int) -> NDArray[np.float64]:
    """The mean of the middle of each patch of a row, (5,) or (5, 3)."""
    middle = slice(row * SIDE + 8, (row + 1) * SIDE - 8)
    means = [picture[middle, n * SIDE + 8 : (n + 1) * SIDE - 8].mean(axis=(0, 1)) for n in range(5)]
    return np.array(means)


@pytest.mark.parametrize("kind", TRANSFERS)
def test_greys_keep_their_light_up_to_the_knee_and_highlights_are_compressed(
    tmp_path: Path, kind: str
) -> None:
    frame = first_frame(write_hdr(tmp_path / "hdr.mp4", kind))
    assert frame.small(frame.grey(*RECIPE.size)) is None  # then it is made of image()
    for picture in (frame.grey(*RECIPE.size), frame.image(*RECIPE.size)[..., 1]):
        levels = patches(picture, 0)
        assert levels[:3] == pytest.approx([255 * (light / 203) ** (1 / 2.4) for light in GREYS[:3]], abs=3)
        assert levels[2] + 20 < levels[3] < levels[4] - 8
        assert levels[4] > 253


@pytest.mark.parametrize("kind", TRANSFERS)
def test_colours_are_those_of_an_sdr_picture(tmp_path: Path, kind: str) -> None:
    """With white at 90 of 203 cd/m2 all are darker by one factor."""
    shown = patches(first_frame(write_hdr(tmp_path / "hdr.mkv", kind)).image(*RECIPE.size), 1)
    expected = np.array(COLOURS) * (90 / 203) ** (1 / 2.4)
    assert np.abs(shown - expected).max() < 6


@pytest.mark.parametrize("kind", TRANSFERS)
def test_a_clip_is_sdr_and_says_so(tmp_path: Path, kind: str) -> None:
    path = write_hdr(tmp_path / "hdr.mp4", kind)
    searched = first_frame(path).image(*RECIPE.size)
    [(_, target)] = cut(path, RECIPE, [(0, 4)], "none")
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert frame.color_range == ColorRange.MPEG
    clip = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    for row in (0, 1):
        assert patches(clip, row) == pytest.approx(patches(searched, row), abs=5)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_sdr_is_untouched(tmp_path: Path, pix_fmt: str) -> None:
    frame = first_frame(
        write_video(tmp_path / "sdr.mp4", Recipe(frames=1, pix_fmt=pix_fmt, codec="libx265", b_frames=0))
    )
    plain = frame.picture.reformat(160, 90, "bgr24", interpolation="AREA").to_ndarray()
    assert (frame.image(160, 90) == plain).all()
