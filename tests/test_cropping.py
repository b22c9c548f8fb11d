"""What a container leaves out of a picture is neither searched nor cut; what it says of its view is passed on."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
import pytest

from facereel.indexer.media.cropping import NOTHING, crop_of
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import probe, read_frames
from facereel.query.clips.cutter import cut_clips
from facereel.store.files.digest import hash_file
from tests.test_cutter import cut, decode, make_clips, numbers
from tests.video_factory import Recipe, code_box, draw, index_pass, read_number, write_video

LEFT, TOP, RIGHT, BOTTOM = MARGINS = 24, 10, 8, 6
SHOWN = Recipe(frames=12, size=(256, 144))


def write_with_margins(path: Path, encoder: Mapping[str, str] = MappingProxyType({})) -> Path:
    """SHOWN inside a bright margin; nothing says yet that it is one."""
    width, height = SHOWN.size[0] + LEFT + RIGHT, SHOWN.size[1] + TOP + BOTTOM
    options = {"write_crc32": "0"} if path.suffix == ".mkv" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": "14", **encoder}
        for number in range(SHOWN.frames):
            picture = np.full((height, width, 3), 250, np.uint8)
            picture[TOP : height - BOTTOM, LEFT : width - RIGHT] = draw(SHOWN, number)
            frame = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def add_aperture(path: Path, numbers: Sequence[int]) -> None:
    """A box clap with its eight numbers, at the end of the sample entry; the index of an MP4 comes last."""
    content = bytearray(path.read_bytes())
    place, end = content.index(b"moov") - 4, len(content)
    parents = [place]
    for kind in (b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        parents.append(content.index(kind, place, end) - 4)
        place = parents[-1]
        end = place + int.from_bytes(content[place : place + 4], "big")
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", *numbers)
    for parent in parents:
        size = int.from_bytes(content[parent : parent + 4], "big") + len(box)
        content[parent : parent + 4] = size.to_bytes(4, "big")
    path.write_bytes(content[:end] + box + content[end:])


def add_to_video(path: Path, elements: bytes) -> None:
    """Elements at the start of Matroska's master Video; the Void before the tracks becomes smaller."""
    content = bytearray(path.read_bytes())
    # PixelWidth, the first element of Video.
    width = content.index(b"\xb0\x82" + struct.pack(">H", SHOWN.size[0] + LEFT + RIGHT))
    tracks = content.rindex(b"\x16\x54\xae\x6b", 0, width)
    void = content.index(b"\xec\x01", 0, tracks)
    content[width:width] = elements
    # Each master holds the next; its size is rewritten in as many bytes.
    for start in (
        tracks + 4,
        content.index(b"\xae", tracks + 5) + 1,
        content.rindex(b"\xe0", tracks, width) + 1,
    ):
        length = 9 - content[start].bit_length()
        larger = int.from_bytes(content[start : start + length], "big") + len(elements)
        content[start : start + length] = larger.to_bytes(length, "big")
    smaller = int.from_bytes(content[void + 1 : void + 9], "big") - len(elements)
    content[void + 1 : void + 9 + len(elements)] = smaller.to_bytes(8, "big")
    path.write_bytes(content)


def write_cropped(path: Path) -> Path:
    write_with_margins(path)
    if path.suffix == ".mkv":
        names = (
            b"\x54\xcc",
            b"\x54\xbb",
            b"\x54\xdd",
            b"\x54\xaa",
        )  # PixelCropLeft, ...Top, ...Right, ...Bottom
        add_to_video(
            path, b"".join(name + bytes([0x81, side]) for name, side in zip(names, MARGINS, strict=True))
        )
    else:
        across, down = LEFT - RIGHT, TOP - BOTTOM  # twice the offset of the middle
        add_aperture(path, (SHOWN.size[0], 1, SHOWN.size[1], 1, across, 2, down, 2))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_margins_are_neither_searched_nor_cut(tmp_path: Path, suffix: str) -> None:
    path = write_cropped(tmp_path / f"a.{suffix}")
    video = probe(path)
    assert (video.width, video.height) == SHOWN.size
    shown = [frame.image(*SHOWN.size) for frame in read_frames(video, DecodeLog(), threads=1)]
    whole = (0, 0, *SHOWN.size)
    assert [read_number(p[..., 1], code_box(SHOWN, 0), whole) for p in shown] == list(range(12))
    assert max(int(picture[:, edge].max()) for picture in shown for edge in (0, -1)) < 215
    for mode in ("none", "follow"):
        [(clip, target)] = cut(path, SHOWN, [(3, 9)], mode)
        clip_file = decode(target)
        assert numbers(clip, clip_file, SHOWN) == list(range(3, 9))
        assert max(int(picture[:, edge].max()) for picture in clip_file.pictures for edge in (0, -1)) < 215


def test_an_index_that_has_the_margins_is_cut_with_them(tmp_path: Path) -> None:
    path = write_with_margins(tmp_path / "a.mp4")
    before, times = index_pass(path)
    add_aperture(path, (SHOWN.size[0], 1, before.height, 1, LEFT - RIGHT, 2, 0, 1))
    now = probe(path)
    assert (now.width, now.height) == (SHOWN.size[0], before.height)
    index = replace(before, sha256=hash_file(path), size=now.size, mtime_ns=now.mtime_ns)
    clips = make_clips(index, times, SHOWN, [(3, 9)], "none")
    cut_clips(index, clips, times, tmp_path)
    [picture, *_] = decode(tmp_path / clips[0].file).pictures
    assert picture.shape == (before.height, before.width)
    assert picture[:, 0].min() > 215


@pytest.mark.parametrize(
    "numbers", [(0, 0, 0, 0, 0, 0, 0, 0), (5000, 1, 144, 1, 0, 1, 0, 1), (256, 1, 144, 1, -9000, 1, 0, 1)]
)
def test_an_aperture_that_cannot_be_is_ignored(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    path = write_with_margins(tmp_path / "a.mp4")
    add_aperture(path, numbers)
    assert probe(path).width == SHOWN.size[0] + LEFT + RIGHT


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_files_without_margins_lose_nothing_and_damage_is_no_error(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", Recipe(frames=3))
    content, rng = path.read_bytes(), np.random.default_rng(1)
    with av.open(str(path)) as container:
        kind, stream = container.format.name, container.streams.video[0]
        assert crop_of(path, kind, stream) == NOTHING
        for _ in range(100):
            damaged = bytearray(content)
            for place in rng.integers(0, len(content), 30):
                damaged[int(place)] = int(rng.integers(256))
            path.write_bytes(damaged[: int(rng.integers(1, len(content)))])
            assert min(crop_of(path, kind, stream)) >= 0


def test_a_spherical_video_is_said_to_be_one(tmp_path: Path) -> None:
    path = write_with_margins(tmp_path / "round.mkv")
    add_to_video(path, b"\x76\x70\x84\x76\x71\x81\x01")  # Projection, its type equirectangular
    [warning] = index_pass(path)[0].warnings
    assert "spherical" in warning


@pytest.mark.parametrize(("packing", "words"), [(3, "side by side"), (4, "one above the other"), (5, None)])
def test_stereo_3d_is_said_to_be_it(tmp_path: Path, packing: int, words: str | None) -> None:
    """By the SEI message of H.264; frames in turn (5) are pictures as others are."""
    path = write_with_margins(tmp_path / "3d.mp4", {"x264-params": f"frame-packing={packing}"})
    warnings = index_pass(path)[0].warnings
    assert [str(words) in warning for warning in warnings] == ([True] if words else [])
