"""Reading video: every frame once, in order, at its time, upright; and what is said of what is not whole."""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st

os.environ.setdefault("SVT_LOG", "1")

from facereel.indexer.media.clock import FrameClock
from facereel.indexer.media.container import open_video
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, probe, read_frames
from facereel.store.model.errors import VideoError
from tests.benchmarks.fuzz_videos import png_file, write_pngs
from tests.video_factory import Recipe, code_box, frame_pts, read_number, write_video

MS = Fraction(1, 1000)
IRREGULAR = tuple(40 * number + number * 7 % 13 for number in range(30))

FILES = {
    "h264.mp4": Recipe(),
    "h264.mov": Recipe(fps=Fraction(30000, 1001)),
    "h264.mkv": Recipe(time_base=MS),
    "h264.ts": Recipe(audio="aac"),
    "h264.avi": Recipe(b_frames=2),
    "h265.mp4": Recipe(codec="libx265"),
    "h265.ts": Recipe(codec="libx265"),
    "main10.mkv": Recipe(codec="libx265", pix_fmt="yuv420p10le", time_base=MS),
    "vp9.webm": Recipe(codec="libvpx-vp9", time_base=MS),
    "av1.mp4": Recipe(codec="libsvtav1"),
    "av1.webm": Recipe(codec="libsvtav1", pix_fmt="yuv420p10le", time_base=MS),
    "mpeg4.avi": Recipe(codec="mpeg4"),
    "mpeg4.mp4": Recipe(codec="mpeg4"),
    "pyramid.avi": Recipe(b_frames=5),
    "odd.mkv": Recipe(codec="libvpx-vp9", size=(321, 181), time_base=MS),
    "60fps.mp4": Recipe(fps=Fraction(60)),
}
CODECS = {"libx264": "h264", "libx265": "hevc", "libvpx-vp9": "vp9", "libsvtav1": "av1", "mpeg4": "mpeg4"}


def read(path: Path, recipe: Recipe) -> tuple[Probe, DecodeLog, list[int]]:
    """What a file says of itself, what reading met, and the numbers in the pictures."""
    seen, reading, width, height = probe(path), DecodeLog(), *recipe.size
    numbers: list[int] = []
    for frame in read_frames(seen, reading, threads=1):
        assert frame.index == len(numbers)
        picture = frame.image(width, height)
        assert picture.shape == (height, width, 3)
        numbers.append(read_number(picture[..., 1], code_box(recipe, 0), (0, 0, width, height)))
    return seen, reading, numbers


def whole(recipe: Recipe, frames: int = 30) -> Recipe:
    return Recipe(**{**recipe.__dict__, "frames": frames})


@pytest.mark.parametrize("name", FILES)
def test_every_frame_once_in_order_at_its_time(tmp_path: Path, name: str) -> None:
    recipe = whole(FILES[name])
    seen, reading, numbers = read(write_video(tmp_path / name, recipe), recipe)
    assert numbers == list(range(30))
    assert reading.warnings() == ()
    times = reading.times(seen.frame_rate, seen.time_base)
    seconds = [float((pts - times.pts[0]) * seen.time_base) for pts in times.pts]
    assert seconds == pytest.approx([float(number / recipe.fps) for number in range(30)], abs=0.0011)
    assert (np.diff(times.pts) > 0).all()
    # A frame lasts until the next one is shown, the last one as long as a frame does.
    assert (times.pts[:-1] + times.durations[:-1] == times.pts[1:]).all()
    assert float(times.durations[-1] * seen.time_base) == pytest.approx(float(1 / recipe.fps), abs=0.0011)
    assert (seen.width, seen.height, seen.rotation) == (*recipe.size, 0)
    assert seen.codec == CODECS[recipe.codec]
    assert seen.has_audio == (recipe.audio is not None)
    assert float(seen.frame_rate) == pytest.approx(float(recipe.fps), rel=0.01)


@pytest.mark.parametrize("name", ["irregular.mkv", "irregular.mp4", "irregular.mov"])
def test_irregular_times_stay_exact(tmp_path: Path, name: str) -> None:
    recipe = Recipe(time_base=MS, pts=IRREGULAR)
    seen, reading, numbers = read(write_video(tmp_path / name, recipe), recipe)
    assert numbers == list(range(30))
    assert [pts * seen.time_base for pts in reading.pts] == [pts * MS for pts in frame_pts(recipe)]
    video = seen.video("0" * 64, reading)
    assert video.seconds(reading.pts[7]) == pytest.approx(IRREGULAR[7] / 1000)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_turned_and_mirrored_video_is_upright(tmp_path: Path, turn: int, mirrored: bool, suffix: str) -> None:
    size = (180, 320) if turn in (90, 270) else (320, 180)
    recipe = Recipe(frames=6, rotation=turn, mirrored=mirrored, size=size)
    seen, _, numbers = read(write_video(tmp_path / f"turned.{suffix}", recipe), recipe)
    assert numbers == list(range(6))
    assert (seen.width, seen.height) == recipe.size
    assert (seen.rotation, seen.mirrored) == (turn, mirrored)


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    recipe = Recipe(frames=6, sample_aspect_ratio=Fraction(4, 3))
    seen, _, numbers = read(write_video(tmp_path / "wide.mp4", recipe), recipe)
    assert numbers == list(range(6))
    assert (seen.width, seen.height) == (320, 180)
    assert seen.sample_aspect_ratio == Fraction(4, 3)


def test_turned_pixels_that_are_not_square(tmp_path: Path) -> None:
    recipe = Recipe(frames=4, size=(180, 320), rotation=90, sample_aspect_ratio=Fraction(4, 3))
    seen, _, numbers = read(write_video(tmp_path / "phone.mp4", recipe), recipe)
    assert numbers == list(range(4))
    assert (seen.width, seen.height) == (180, 320)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_picture_that_starts_after_the_sound(tmp_path: Path, suffix: str) -> None:
    base = Fraction(1, 1000)
    recipe = Recipe(frames=20, time_base=base, late=500, audio="aac")
    seen, reading, numbers = read(write_video(tmp_path / f"late.{suffix}", recipe), recipe)
    assert numbers == list(range(20))
    assert seen.video("0" * 64, reading).seconds(reading.pts[0]) == pytest.approx(0.5, abs=0.03)


def test_a_frame_gives_a_picture_of_any_size(tmp_path: Path) -> None:
    recipe = Recipe(frames=3, colours=(40, 60, 200))
    seen = probe(write_video(tmp_path / "a.mp4", recipe))
    frame = next(iter(read_frames(seen, DecodeLog())))
    for width, height in ((640, 360), (64, 36), (33, 70)):
        picture = frame.image(width, height)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        patch = picture[1 : height // 5, 1 : width // 5].reshape(-1, 3).mean(axis=0)
        assert patch == pytest.approx([40, 60, 200], abs=12)


@pytest.mark.parametrize("name", ["zwei Wörter.mp4", "映画 №1.mkv", "-i.mp4", "file:odd?.mp4", "a%03d.mkv"])
def test_any_file_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(frames=3, time_base=MS)
    write_video(tmp_path / "plain.mkv", recipe).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    seen, reading, numbers = read(Path(name), recipe)
    assert numbers == [0, 1, 2]
    assert seen.video("0" * 64, reading).path == str(tmp_path / name)


def write_sound(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=48_000)
        if cover:
            art = container.add_stream("mjpeg", rate=1)
            art.width = art.height = 64
            art.pix_fmt = "yuvj420p"
            art.disposition = Disposition.attached_pic
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "bgr24")
            picture = picture.reformat(format="yuvj420p")
            picture.pts = 0
            container.mux(art.encode(picture))
            container.mux(art.encode(None))
        for number in range(20):
            block = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), "fltp", "stereo")
            block.sample_rate, block.pts = 48_000, number * 1152
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


def no_video(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is no video\n" * 50)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(20_000))
    elif kind == "folder":
        path.mkdir()
    elif kind == "beheaded":
        content = write_video(path, Recipe(frames=20)).read_bytes()
        path.write_bytes(content[: content.index(b"moov")])
    elif kind in ("sound", "cover"):
        return write_sound(path.with_suffix(".mp3"), kind == "cover")
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "is not there"), ("folder", "is a folder"), ("empty", "cannot be read as a video"),
        ("text", "cannot be read as a video"), ("noise", "cannot be read as a video"),
        ("beheaded", "cannot be read as a video"),
        ("sound", "no video stream"), ("cover", "no video stream"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_said_in_a_line(tmp_path: Path, kind: str, said: str) -> None:
    path = no_video(tmp_path, kind)
    with pytest.raises(VideoError, match=said) as caught:
        probe(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert ";" in message, "a remedy"
    assert "\n" not in message


@pytest.mark.parametrize("name", ["short.mp4", "short.mkv", "short.webm", "short.avi"])
def test_a_truncated_file_gives_what_is_there_and_says_so(tmp_path: Path, name: str) -> None:
    recipe = Recipe(frames=60, gop=10, time_base=None if name.endswith(("mp4", "avi")) else MS)
    if name.endswith("webm"):
        recipe = Recipe(**{**recipe.__dict__, "codec": "libvpx-vp9"})
    if name.endswith("mp4"):
        recipe = Recipe(**{**recipe.__dict__, "options": (("movflags", "faststart"),)})
    path = write_video(tmp_path / name, recipe)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    seen, reading, numbers = read(path, recipe)
    assert 10 <= len(numbers) < 50
    # The last picture may lean on one that is lost.
    assert numbers[:-2] == list(range(len(numbers) - 2))
    assert f"ends early, after {len(numbers)} frames" in seen.video("0" * 64, reading).warnings[-1]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_whose_picture_ends_long_before_its_sound_is_whole(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(frames=20, time_base=MS, audio="aac", audio_tail=2.0)
    _, reading, numbers = read(write_video(tmp_path / f"a.{suffix}", recipe), recipe)
    assert numbers == list(range(20))
    assert reading.warnings() == ()


@pytest.mark.parametrize("name", ["flipped.mp4", "flipped.mkv", "flipped.avi", "flipped.ts", "flipped.webm"])
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_cost_frames_and_not_the_program(tmp_path: Path, name: str, seed: int) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    base = MS if name.endswith(("mkv", "webm")) else None
    recipe = Recipe(frames=25, gop=5, size=(160, 90), codec=codec, time_base=base, audio="libopus")
    if name.endswith(("avi", "ts", "mp4")):
        recipe = Recipe(**{**recipe.__dict__, "audio": None})
    path = write_video(tmp_path / name, recipe)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0 if seed % 2 else 600, len(content), 12):
        content[int(place)] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    reading = DecodeLog()
    try:
        seen = probe(path)
        for frame in read_frames(seen, reading, threads=1):
            assert frame.image(64, 36).shape == (36, 64, 3)
    except VideoError:
        return
    assert all(one < other for one, other in pairwise(reading.pts))
    times = reading.times(seen.frame_rate, seen.time_base)
    assert len(times.pts) == len(times.durations) == len(reading.pts) > 0
    assert (times.durations > 0).all()


def test_a_damaged_packet_costs_its_frames_and_is_said(tmp_path: Path) -> None:
    recipe = Recipe(frames=40, gop=8, b_frames=0)
    path = write_video(tmp_path / "a.mp4", recipe)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    seen, reading, numbers = read(path, recipe)
    assert 20 < len(numbers) < 40
    assert numbers[:8] == list(range(8))
    assert numbers[-8:] == list(range(32, 40))
    assert reading.damaged > 0
    assert any("damaged packet" in warning for warning in seen.video("0" * 64, reading).warnings)


STAMPS = st.none() | st.integers(-1000, 1000)


PAIRS = st.lists(st.tuples(STAMPS, STAMPS), max_size=30)


@given(st.sampled_from(["matroska,webm", "avi", "h264"]), st.integers(-50, 50), st.integers(1, 60), PAIRS)
def test_ticks_only_go_on(
    container: str, start: int, usual: int, stamps: list[tuple[int | None, int | None]]
) -> None:
    clock = FrameClock(container, start, usual, MS)
    ticks = [clock.tick(pts, dts) for pts, dts in stamps]
    assert all(one < other for one, other in pairwise(ticks))
    if not any(pts is not None or dts is not None for pts, dts in stamps):
        assert ticks == [start + usual * number for number in range(len(stamps))]


def test_display_times_are_kept_and_what_goes_back_is_shown_half_a_frame_later() -> None:
    clock = FrameClock("matroska,webm", start=0, usual=10, time_base=MS)
    assert [clock.tick(pts, 7) for pts in (5, 17, None, 20, 40)] == [5, 17, 27, 32, 40]
    assert clock.misplaced == 1


def test_without_display_times_the_decoding_times_count_from_the_start() -> None:
    clock = FrameClock("avi", start=3, usual=1, time_base=MS)
    # As AVI with B-frames comes out of FFmpeg; a repeated frame leaves a gap, the end has no times.
    stamps = [(1, 2), (3, 3), (2, 4), (6, 6), (5, None), (9, None)]
    assert [clock.tick(pts, dts) for pts, dts in stamps] == [3, 4, 5, 7, 8, 9]


def test_pictures_of_a_size_that_no_film_has_are_refused(tmp_path: Path) -> None:
    """From the header on where it says so; one that comes later is left out and counted."""
    large = png_file(struct.pack(">IIBBBBB", 8400, 8400, 1, 0, 0, 0, 0), zlib.compress(bytes(8400 * 1051), 1))
    small = png_file(struct.pack(">IIBBBBB", 64, 64, 1, 0, 0, 0, 0), zlib.compress(bytes(64 * 9)))
    path = write_pngs(tmp_path / "later.mov", [small, small, large, small], 64)
    seen, reading = probe(path), DecodeLog()
    assert [frame.index for frame in read_frames(seen, reading, threads=1)] == [0, 1, 2]
    assert reading.losses()["damaged"] == 1
    with pytest.raises(VideoError, match="is 8400x8400; scale it below 67,108,864 pixels"):
        probe(write_pngs(tmp_path / "first.mov", [large], 8400))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted by /proc")
def test_a_playlist_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    """FFmpeg would open what it lists: other files, servers."""
    film = write_video(tmp_path / "film.mp4", Recipe(frames=5))
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile '{film.name}'\n")
    before = len(os.listdir("/proc/self/fd"))
    for path in (playlist, no_video(tmp_path, "sound"), no_video(tmp_path, "beheaded")):
        with pytest.raises(VideoError):
            probe(path)
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(
        VideoError, match=r"is a playlist \(concat\), not a video; give the files that it lists"
    ):
        open_video(playlist)


@pytest.mark.parametrize(
    ("pts", "sentence"),
    [
        (
            [*range(0, 100, 10), *range(110, 200, 10)],
            "1 frame seems to be missing (a gap in the time stamps)",
        ),
        (
            [*range(0, 100, 10), *range(120, 200, 10)],
            "2 frames seem to be missing (a gap in the time stamps)",
        ),
        (
            [*range(0, 300, 10), *range(310, 600, 10), *range(610, 900, 10)],
            "2 frames seem to be missing (2 gaps in the time stamps)",
        ),
    ],
)
def test_missing_frames_are_counted_in_a_sentence(pts: list[int], sentence: str) -> None:
    assert DecodeLog(pts=array("q", pts), packets=len(pts)).warnings() == (sentence,)
