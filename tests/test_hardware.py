"""Decoding on a graphics card gives what software gives; without a card software does, and says so once.

No test needs a card. With one, the same tests compare what it decodes.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from facereel.indexer.media import hardware
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.hardware import HardwareError, planar
from facereel.indexer.media.video import probe, read_frames
from tests.factories import index_contents
from tests.fake_engine import FakeEngine, film_of_two
from tests.program import Run
from tests.video_factory import Recipe, write_video

# Layout of a software decoder, that of a card, bits by which the card moves a sample up, type of a sample, levels.
LAYOUTS = [
    *(("yuv420p", "nv12", 0, np.uint8, levels) for levels in ColorRange if levels != ColorRange.NB),
    *(("yuv420p10le", "p010le", 6, np.uint16, levels) for levels in ColorRange if levels != ColorRange.NB),
    ("yuvj420p", "nv12", 0, np.uint8, ColorRange.JPEG),
]
NO_CARD = "no graphics card decodes video here"


def random_picture(layout: str, sample: type, size: tuple[int, int], levels: ColorRange) -> av.VideoFrame:
    """A 4:2:0 picture in which every sample is another."""
    picture = av.VideoFrame(*size, layout)
    rng = np.random.default_rng(1)
    for plane in picture.planes:
        count = plane.buffer_size // np.dtype(sample).itemsize
        plane.update(rng.integers(0, 256 if sample is np.uint8 else 1024, count).astype(sample).tobytes())
    picture.color_range = levels
    picture.pts, picture.time_base = 77, Fraction(1, 1000)
    return picture


def samples(plane: av.video.plane.VideoPlane, sample: type) -> NDArray[np.integer]:
    """The rows of a plane, padding included."""
    return np.array(np.frombuffer(memoryview(plane), sample).reshape(plane.height, -1))


def as_a_card_gives_it(picture: av.VideoFrame, layout: str, shift: int, sample: type) -> av.VideoFrame:
    """The same samples with U and V in one plane."""
    given = av.VideoFrame(picture.width, picture.height, layout)
    luma, u, v = (samples(plane, sample)[:, : plane.width] << shift for plane in picture.planes)
    first, second = (samples(plane, sample) for plane in given.planes)
    first[:, : picture.width] = luma
    second[:, : 2 * u.shape[1] : 2], second[:, 1 : 2 * u.shape[1] : 2] = u, v
    for plane, rows in zip(given.planes, (first, second), strict=True):
        plane.update(rows.tobytes())
    given.color_range, given.pts, given.time_base = picture.color_range, picture.pts, picture.time_base
    return given


@pytest.mark.parametrize(("layout", "of_card", "shift", "sample", "levels"), LAYOUTS)
@pytest.mark.parametrize("size", [(640, 360), (322, 182)])
def test_a_picture_of_a_card_is_that_of_software(
    layout: str, of_card: str, shift: int, sample: type, levels: ColorRange, size: tuple[int, int]
) -> None:
    software = random_picture(layout, sample, size, levels)
    picture = planar(as_a_card_gives_it(software, of_card, shift, sample))
    assert (picture.format.name, picture.pts, picture.time_base) == (
        layout.replace("j", ""),
        77,
        Fraction(1, 1000),
    )
    assert picture.color_range == levels
    frame, expected = (Frame(0, one, 0.0, 0.04, (320, 160), 90) for one in (picture, software))
    grey = expected.grey(160, 320)
    assert np.array_equal(frame.grey(160, 320), grey)
    small, of_software = frame.small(grey), expected.small(grey)
    assert (small is None) == (of_software is None)
    if small is not None and of_software is not None:
        assert np.array_equal(small.image(64, 128), of_software.image(64, 128))
    assert np.array_equal(frame.image(*size[::-1]), expected.image(*size[::-1]))


def test_only_what_a_standard_fixes_is_decoded_on_a_card(tmp_path: Path) -> None:
    suited = [
        ("libx264", "yuv420p"),
        ("libx264", "yuvj420p"),
        ("libx265", "yuv420p10le"),
        ("libvpx-vp9", "yuv420p"),
    ]
    for codec, pixel_format in suited:
        video = probe(write_video(tmp_path / "a.mkv", Recipe(2, codec=codec, pix_fmt=pixel_format)))
        assert hardware.is_exact(video.codec, video.pixel_format)
    for codec, pixel_format in (("mpeg4", "yuv420p"), ("libx264", "yuv444p"), ("libx264", "yuv422p10le")):
        video = probe(write_video(tmp_path / "a.mkv", Recipe(2, codec=codec, pix_fmt=pixel_format)))
        assert not hardware.is_exact(video.codec, video.pixel_format)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv420p10le"])
def test_frames_times_and_pixels_are_those_of_software(tmp_path: Path, pixel_format: str) -> None:
    video = probe(write_video(tmp_path / "a.mp4", Recipe(30, pix_fmt=pixel_format)))
    logs = DecodeLog(), DecodeLog()
    for card, software in zip(
        read_frames(video, logs[0], on_card=True), read_frames(video, logs[1]), strict=True
    ):
        assert (card.index, card.seconds, card.duration) == (
            software.index,
            software.seconds,
            software.duration,
        )
        assert np.array_equal(card.grey(320, 180), software.grey(320, 180))
        assert np.array_equal(card.image(320, 180), software.image(320, 180))
    assert logs[0] == logs[1]
    assert len(logs[0].pts) == 30


def test_the_option_asks_for_a_card_and_without_one_software_decodes(run: Run, tmp_path: Path) -> None:
    film_of_two(tmp_path / "a.mp4", seconds=0.4)
    faces = []
    for device in ("cuda", "cpu"):
        result = run(
            "index", tmp_path / "a.mp4", "--store", tmp_path / device, "--engine", "fake", "--device", device
        )
        assert result.exit_code == 0
        assert result.output.count(NO_CARD) == (device == "cuda" and hardware.missing_device() != "")
        faces.append([line for line in result.stdout.splitlines() if " faces, " in line])
    assert faces[0] == faces[1] != []


def test_what_a_card_loses_is_decoded_in_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film_of_two(tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(HardwareError):
        for _ in read_frames(probe(path), DecodeLog(), on_card=True):
            pass
    monkeypatch.setattr(hardware, "missing_device", lambda: "")  # as if there were a card
    notes: list[str] = []
    contents = index_contents(path, FakeEngine(device="cuda"), note=notes.append)
    assert notes == ["a.mp4: the graphics card could not decode all of it; starting again in software"]
    expected = index_contents(path, FakeEngine())
    assert contents.video == expected.video
    assert contents.tracklets == expected.tracklets
