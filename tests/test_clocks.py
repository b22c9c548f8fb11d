"""Files whose clock restarts or jumps, with several streams, edits or no times: read and cut as players show them."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

os.environ.setdefault("SVT_LOG", "1")

from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, probe, read_frames
from facereel.indexer.pipeline import index_video
from facereel.query.clips.cutter import cut_clips
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film
from tests.file_bytes import move_clock, repeat_fields, set_edits, write_packed, write_streams
from tests.test_cutter import decode, make_clips
from tests.test_cutter import numbers as numbers_of
from tests.test_video import read
from tests.video_factory import Recipe, index_pass, onsets, write_video

MS = Fraction(1, 1000)
SMALL = Recipe(frames=40, size=(160, 90), audio="aac", chirps=(10, 30))
# Where the second recording's clock begins, seconds after the first one's.
BEGINS = {"at the same time": 0, "long before": -1000, "a little before": -70, "inside": 1}


def shown(path: Path, recipe: Recipe) -> tuple[Probe, DecodeLog, list[int], np.ndarray]:
    """As `read`, and the seconds at which frames are shown, with the end of the last one."""
    header, log, numbers = read(path, recipe)
    times = log.times(header.frame_rate, header.time_base)
    seconds = [
        header.video("0" * 64, log).seconds(int(pts)) for pts in [*times.pts, times.end_pts(len(numbers))]
    ]
    return header, log, numbers, np.array(seconds)


def cut_numbers(path: Path, recipe: Recipe, spans: list[tuple[int, int]]) -> list[tuple[list[int], float]]:
    """Clips of frames: the numbers in their pictures, and how long they are."""
    video, times = index_pass(path)
    clips = make_clips(video, times, recipe, spans)
    cut_clips(video, clips, times, path.parent)
    cut = [(clip, decode(path.parent / clip.file)) for clip in clips]
    return [(numbers_of(clip, decoded, recipe), float(decoded.end)) for clip, decoded in cut]


def joined(folder: Path, begins: float, suffix: str = "ts") -> Path:
    """Two recordings of 40 frames, one after the other; the clock of the first starts at 1200 s."""
    parts = []
    for number, start in enumerate((1200, 1200 + begins)):
        kind = {"codec": "mpeg2video", "audio": "mp2"} if suffix == "vob" else {}
        recipe = Recipe(**{**SMALL.__dict__, **kind, "options": (("output_ts_offset", str(start)),)})
        parts.append(write_video(folder / f"{number}.{suffix}", recipe).read_bytes())
    path = folder / f"joined.{suffix}"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("suffix", ["ts", "vob", "mkv"])
def test_a_clock_that_starts_again_goes_on(tmp_path: Path, begins: str, suffix: str) -> None:
    path = joined(tmp_path, BEGINS[begins], suffix)
    _, log, numbers, seconds = shown(path, SMALL)
    assert numbers == [*range(40), *range(40)]
    assert np.diff(seconds) == pytest.approx(0.04, abs=0.001)
    assert (log.warnings(), log.restarts, log.interruptions) == ((), 1, {40})
    assert set(log.losses().values()) == {0}
    [(first, _), (across, _), (second, length)] = cut_numbers(path, SMALL, [(3, 40), (38, 43), (45, 80)])
    assert first == list(range(3, 40))
    assert across == [38, 39, 0, 1, 2]
    assert second == list(range(5, 40))
    assert length == pytest.approx(35 * 0.04, abs=0.001)


@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("suffix", ["ts", "vob", "mkv"])
def test_the_sound_of_a_second_recording_stays_with_its_picture(
    tmp_path: Path, begins: str, suffix: str
) -> None:
    path = joined(tmp_path, BEGINS[begins], suffix)
    video, times = index_pass(path)
    clips = make_clips(video, times, SMALL, [(5, 38), (45, 78)])
    cut_clips(video, clips, times, tmp_path)
    for clip in clips:
        decoded = decode(tmp_path / clip.file)
        # Chirps sound with frames 10 and 30 of each recording.
        assert onsets(decoded.sound, decoded.rate, 2) == pytest.approx([0.2, 1.0], abs=0.003)


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("gap", [3, 1000])
def test_a_clip_ends_where_the_pictures_do(tmp_path: Path, suffix: str, gap: int) -> None:
    pts = (*range(0, 1600, 40), *range(1600 + gap * 1000, 3200 + gap * 1000, 40))
    recipe = Recipe(frames=80, size=(160, 90), time_base=MS, pts=pts)
    path = write_video(tmp_path / f"jump.{suffix}", recipe)
    header, log, numbers, seconds = shown(path, recipe)
    assert numbers == list(range(80))
    assert seconds[40] - seconds[0] == pytest.approx(1.6 + gap, abs=0.002)
    assert float(header.frame_rate) == pytest.approx(25, rel=0.05)
    assert log.interruptions == {40}
    (warning,) = log.warnings()
    assert ("jumps ahead once, by 1,000.0 s" if gap > 10 else "75 frames seem to be missing") in warning
    times = log.times(header.frame_rate, header.time_base)
    assert float(times.durations[39] * header.time_base) == pytest.approx(0.04, abs=0.001)
    [(first, length), (second, _)] = cut_numbers(path, recipe, [(30, 40), (40, 50)])
    assert (first, second) == (list(range(30, 40)), list(range(40, 50)))
    assert length == pytest.approx(0.4, abs=0.002)


def test_pictures_that_are_shown_for_long_are_no_gap(tmp_path: Path) -> None:
    recipe = Recipe(
        frames=8, time_base=MS, pts=(0, 3000, 6000, 12000, 14000, 21000, 24000, 27000), b_frames=0
    )
    for suffix in ("mkv", "mp4"):
        _, log, _, seconds = shown(write_video(tmp_path / f"slides.{suffix}", recipe), recipe)
        assert log.interruptions == set()
        assert seconds[:8] == pytest.approx([pts / 1000 for pts in recipe.pts or ()])


def test_a_clock_that_overflows_goes_on(tmp_path: Path) -> None:
    path = move_clock(write_video(tmp_path / "a.ts", SMALL), lambda stamp: stamp + (1 << 33) - 90_000)
    _, log, numbers, seconds = shown(path, SMALL)
    assert numbers == list(range(40))
    assert np.diff(seconds) == pytest.approx(0.04, abs=0.001)
    assert (log.warnings(), log.restarts) == ((), 0)
    assert [frames for frames, _ in cut_numbers(path, SMALL, [(2, 9), (30, 36)])] == [
        list(range(2, 9)), list(range(30, 36))
    ]  # fmt: skip


@pytest.mark.parametrize("error", [-3_000_000, -20_000, 3_000_000])
def test_a_time_that_alone_is_out_of_line_moves_nothing_else(tmp_path: Path, error: int) -> None:
    recipe = Recipe(frames=40, size=(160, 90), b_frames=0)
    path = write_video(tmp_path / "a.ts", recipe)
    stamps: list[int] = []

    def move(stamp: int) -> int:
        stamps.append(stamp)
        return stamp + error * (stamps[-1] == stamps[0] + 20 * 3600)

    move_clock(path, move, 256)
    _, log, numbers, seconds = shown(path, recipe)
    assert numbers == list(range(40))
    assert np.diff(seconds) == pytest.approx(0.04, abs=0.001)
    assert (log.restarts, log.interruptions) == (0, set())


def test_the_film_is_the_default_stream_that_is_no_still(tmp_path: Path) -> None:
    film, still = Recipe(frames=50, size=(160, 90)), Recipe(frames=1, size=(640, 360))
    preview = Recipe(frames=2, size=(640, 360), fps=Fraction(1))
    default, none = int(Disposition.default), 0
    kinds = {
        "still first": [(still, "mjpeg", none), (film, "libx264", default)],
        "the still is the default": [(still, "mjpeg", default), (film, "libx264", none)],
        "preview first": [(preview, "libx264", none), (film, "libx264", default)],
        "all are default": [(preview, "libx264", default), (film, "libx264", default)],
        "cover first": [(still, "mjpeg", int(Disposition.attached_pic)), (film, "libx264", none)],
    }
    for name, videos in kinds.items():
        for suffix in ("mkv", "mp4"):
            path = write_streams(tmp_path / f"{name}.{suffix}", videos)
            _, log, numbers = read(path, film)
            assert (name, numbers, log.warnings()) == (name, list(range(50)), ())


def test_another_angle_is_said(tmp_path: Path) -> None:
    film, default = Recipe(frames=50, size=(160, 90)), int(Disposition.default)
    path = write_streams(tmp_path / "angles.mp4", [(film, "libx264", default), (film, "libx264", 0)])
    header, log, numbers = read(path, film)
    assert numbers == list(range(50))
    (warning,) = header.video("0" * 64, log).warnings
    assert warning.startswith("another video stream")


def test_the_sound_is_no_comment_and_no_description(tmp_path: Path) -> None:
    film, default, none = Recipe(frames=50, size=(160, 90)), int(Disposition.default), 0
    comment, blind = int(Disposition.comment), int(Disposition.visual_impaired)
    kinds = {
        "comment first": [(440, comment), (1000, none)],
        "the description is the default": [(440, blind | default), (1000, none)],
        "the second is the default": [(440, none), (1000, default)],
        "only a comment": [(1000, comment)],
    }
    for name, sounds in kinds.items():
        path = write_streams(tmp_path / f"{name}.mkv", [(film, "libx264", default)], sounds)
        video, times = index_pass(path)
        clips = make_clips(video, times, film, [(5, 35)])
        cut_clips(video, clips, times, tmp_path)
        decoded = decode(tmp_path / clips[0].file)
        spectrum = np.abs(np.fft.rfft(decoded.sound))
        pitch = np.argmax(spectrum) * decoded.rate / len(decoded.sound)
        assert pitch == pytest.approx(1000, abs=5), name


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24000, 1001), Fraction(50)])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video")]
)
def test_a_bare_stream_has_the_rate_of_its_headers(
    tmp_path: Path, name: str, codec: str, rate: Fraction
) -> None:
    recipe = Recipe(frames=40, size=(160, 90), fps=rate, codec=codec, b_frames=2)
    path = write_video(tmp_path / name, recipe)
    header, log, numbers, seconds = shown(path, recipe)
    assert (numbers, log.warnings()) == (list(range(40)), ())
    assert header.frame_rate == rate
    assert seconds == pytest.approx([float(number / rate) for number in range(41)])
    [(cut, length)] = cut_numbers(path, recipe, [(20, 35)])
    assert cut == list(range(20, 35))
    assert length == pytest.approx(float(15 / rate))


def test_a_field_that_is_shown_again_takes_its_time(tmp_path: Path) -> None:
    """Film on NTSC discs: every second picture says that its first field is repeated."""
    recipe = Recipe(frames=30, size=(160, 96), codec="mpeg2video", b_frames=0)
    path = repeat_fields(write_video(tmp_path / "a.m2v", recipe))
    _, log, numbers, seconds = shown(path, recipe)
    assert (numbers, log.warnings()) == (list(range(30)), ())
    assert np.diff(seconds) == pytest.approx([0.06, 0.04] * 15)


def test_a_bare_stream_of_jpegs_is_a_film(tmp_path: Path) -> None:
    recipe = Recipe(frames=20, size=(160, 90), codec="mjpeg", pix_fmt="yuvj420p")
    path = write_video(tmp_path / "a.mjpeg", recipe)
    _, log, numbers, seconds = shown(path, recipe)
    assert (numbers, log.warnings()) == (list(range(20)), ())
    assert seconds == pytest.approx([number / 25 for number in range(21)])
    assert [frames for frames, _ in cut_numbers(path, recipe, [(8, 15)])] == [list(range(8, 15))]


TICK = 512  # of the film in an MP4 at 25 frames a second
EDITS = {  # (milliseconds shown, first tick) -> the frames that a player shows, and when
    "trimmed": ([(1000, 15 * TICK)], [*range(15, 40)], 0.0),
    "end hidden": ([(1000, 0)], [*range(25)], 0.0),
    "middle cut out": ([(400, 0), (400, 30 * TICK)], [*range(10), *range(30, 40)], 0.0),
    "shown twice": ([(400, 10 * TICK), (400, 10 * TICK)], [*range(10, 20), *range(10, 20)], 0.0),
    "other order": ([(400, 30 * TICK), (400, 0)], [*range(30, 40), *range(10)], 0.0),
    "late": ([(500, -1), (1600, 0)], [*range(40)], 0.5),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_obeyed_and_nothing_is_called_damaged(tmp_path: Path, name: str) -> None:
    edits, frames, start = EDITS[name]
    recipe = Recipe(frames=40, size=(160, 90), b_frames=0, gop=12, audio="aac", audio_tail=1.0)
    path = set_edits(write_video(tmp_path / "a.mp4", recipe), edits)
    _, log, numbers, seconds = shown(path, recipe)
    assert numbers == frames
    assert log.warnings() == ()
    assert log.losses()["damaged"] == 0
    assert seconds == pytest.approx([start + 0.04 * number for number in range(len(frames) + 1)], abs=0.001)
    spans = [(0, 5), (8, 14), (len(frames) - 4, len(frames))]
    assert [cut for cut, _ in cut_numbers(path, recipe, spans)] == [frames[a:b] for a, b in spans]


def test_the_sound_has_the_same_edits(tmp_path: Path) -> None:
    recipe = Recipe(frames=50, size=(160, 90), b_frames=0, audio="aac", chirps=(5, 33, 40))
    path = write_video(tmp_path / "a.mp4", recipe)
    # AAC begins with 1024 samples that are not to be heard. The second edit begins within a block of 1024, of which
    # FFmpeg, as players do, gives the whole.
    set_edits(path, [(400, 0), (800, 30 * TICK)])
    set_edits(path, [(400, 1024), (800, 1024 + 30 * 1920)], track=1)
    video, times = index_pass(path)
    clips = make_clips(video, times, recipe, [(0, 30), (11, 25)])
    cut_clips(video, clips, times, tmp_path)
    for clip in clips:
        decoded = decode(tmp_path / clip.file)
        expected = [(frame - clip.start) / 25 for frame in (5, 13, 20) if frame >= clip.start]
        assert onsets(decoded.sound, decoded.rate, len(expected)) == pytest.approx(
            expected, abs=1024 / 48_000
        )


@pytest.mark.parametrize("kind", ["restart", "jump"])
def test_a_run_that_goes_on_has_the_same_times(tmp_path: Path, kind: str) -> None:
    if kind == "restart":
        path = joined(tmp_path, -70)
    else:
        path = move_clock(
            write_video(tmp_path / "a.ts", SMALL), lambda stamp: stamp + 9_000_000 * (stamp > 70_000)
        )
    header, log, numbers = read(path, SMALL)
    times = log.times(header.frame_rate, header.time_base)
    (interruption,) = log.interruptions
    for first in (0, 7, interruption - 1, interruption, interruption + 5):
        again = DecodeLog()
        again.resume(list(log.pts), first)
        indexes = [frame.index for frame in read_frames(header, again)]
        assert indexes == list(range(first, len(numbers)))
        resumed = again.times(header.frame_rate, header.time_base, first)
        assert resumed.pts.tolist() == times.pts[first:].tolist()
        assert resumed.durations.tolist() == times.durations[first:].tolist()
        if first < interruption:
            assert again.interruptions == log.interruptions


@pytest.mark.parametrize("kind", ["restart", "jump"])
def test_nobody_is_followed_across_an_interruption(tmp_path: Path, kind: str) -> None:
    """Even if the picture is the same afterwards: who stays there, and for how long, is not known."""
    picture = backdrop()
    draw_face(picture, "red", (100, 60, 60, 60))
    path = write_film(tmp_path / "a.ts", [picture] * (20 if kind == "restart" else 40))
    if kind == "restart":
        path.write_bytes(2 * path.read_bytes())
    else:
        move_clock(path, lambda stamp: stamp + 450_000 * (stamp >= 20 * 3600))
    folder = index_video(
        probe(path), "0" * 64, tmp_path / "store", FakeEngine(), Config(), lambda done, total: None
    )
    with VideoIndex(folder) as index:
        assert [(shot.start, shot.end) for shot in index.shots()] == [(0, 20), (20, 40)]
        assert [(tracklet.start, tracklet.end) for tracklet in index.tracklets()] == [(0, 20), (20, 40)]
        assert index.video.restarts == (kind == "restart")
        times = index.times()
        assert float(times.durations[19] * index.video.time_base) == pytest.approx(0.04)


def test_frames_that_were_dropped_or_packed_in_avi_are_no_damage(tmp_path: Path) -> None:
    recipe = Recipe(frames=40, size=(160, 90), codec="mpeg4", b_frames=0, pts=(*range(20), *range(25, 45)))
    _, log, numbers = read(write_video(tmp_path / "null.avi", recipe), recipe)
    assert (numbers, log.warnings()) == (
        list(range(40)), ("5 frames seem to be missing (a gap in the time stamps)",)
    )  # fmt: skip
    packed = Recipe(frames=41, size=(160, 90))
    _, log, numbers = read(write_packed(tmp_path / "packed.avi", packed), packed)
    assert (numbers, log.warnings()) == (list(range(41)), ())


def test_frames_that_are_never_shown_are_no_damage(tmp_path: Path) -> None:
    """VP8 stores pictures that only others refer to; a bit in their first byte says that they are not shown."""
    recipe = Recipe(frames=41, size=(160, 90), codec="libvpx", time_base=MS)
    whole = write_video(tmp_path / "whole.mkv", recipe)
    path = tmp_path / "hidden.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            content = bytearray(bytes(packet))
            if number == 20:
                content[0] &= ~(1 << 4)
            hidden = av.Packet(bytes(content))
            hidden.stream, hidden.time_base, hidden.is_keyframe = stream, MS, packet.is_keyframe
            hidden.pts = hidden.dts = 40 * number - 39 * (number == 20) - 40 * (number > 20)
            target.mux(hidden)
    _, log, numbers = read(path, recipe)
    assert numbers == [*range(20), *range(21, 41)]
    assert log.packets == 40
    assert log.warnings() == ()


def test_a_recording_that_begins_between_keyframes_is_not_damaged(tmp_path: Path) -> None:
    for codec in ("libx264", "mpeg2video"):
        recipe = Recipe(frames=60, size=(160, 90), gop=20, codec=codec)
        path = write_video(tmp_path / f"{codec}.ts", recipe)
        content = path.read_bytes()
        path.write_bytes(content[len(content) // 6 // 188 * 188 :])
        assert probe(path).width == 160
        _, log, numbers = read(path, recipe)
        assert numbers[-20:] == list(range(40, 60))
        assert log.warnings() == ()


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "libx264"), ("vob", "mpeg2video")])
def test_a_resumed_run_counts_what_was_lost(tmp_path: Path, suffix: str, codec: str) -> None:
    recipe = Recipe(frames=60, size=(160, 90), gop=20, codec=codec)
    header, log, _ = read(write_video(tmp_path / f"a.{suffix}", recipe), recipe)
    assert log.packets == len(log.pts) == 60
    again = DecodeLog()
    again.resume(list(log.pts), 45)
    for _ in read_frames(header, again):
        pass
    assert (again.packets, again.undecoded) == (60, 0)
