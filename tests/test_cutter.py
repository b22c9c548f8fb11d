"""Clips as files: decode what was cut and read from its pixels which source frames it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("SVT_LOG", "1")

from facereel.indexer.media.source import check_source
from facereel.indexer.media.video import probe
from facereel.query.clips.cutter import cut_clips
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.clips.sound import cut_sound, read_mono
from facereel.query.records import ClipPlan, CropMode, MatchingTracklet
from facereel.store.model.errors import CutError, VideoError
from facereel.store.model.records import FrameTimes, Sightings, Tracklet, Video
from tests.video_factory import Recipe, code_box, index_pass, onsets, read_number, write_video

MS = Fraction(1, 1000)
VFR = tuple(40 * number + number * 7 % 13 for number in range(50))

FILES = {
    "plain.mp4": Recipe(),
    "irregular.mkv": Recipe(time_base=MS, pts=VFR),
    "irregular.mp4": Recipe(time_base=MS, pts=VFR),
    "ntsc.mov": Recipe(fps=Fraction(30000, 1001)),
    "turned90.mp4": Recipe(rotation=90, size=(180, 320)),
    "turned180.mp4": Recipe(rotation=180),
    "turned270.mov": Recipe(rotation=270, size=(180, 320)),
    "mirrored.mp4": Recipe(mirrored=True),
    "mirrored90.mov": Recipe(rotation=90, mirrored=True, size=(180, 320)),
    "mirrored180.mkv": Recipe(rotation=180, mirrored=True, time_base=MS),
    "mirrored270.mp4": Recipe(rotation=270, mirrored=True, size=(180, 320)),
    "anamorphic.mp4": Recipe(sample_aspect_ratio=Fraction(4, 3)),
    "late.mp4": Recipe(time_base=Fraction(1, 12800), late=6400, audio="aac"),
    "transport.ts": Recipe(audio="aac"),
    "hevc.ts": Recipe(codec="libx265"),
    "avc.avi": Recipe(b_frames=0),
    "reordered.avi": Recipe(b_frames=2),
    "asp.avi": Recipe(codec="mpeg4"),
    "vp9.webm": Recipe(codec="libvpx-vp9", time_base=MS),
    "av1.mp4": Recipe(codec="libsvtav1"),
    "main10.mp4": Recipe(codec="libx265", pix_fmt="yuv420p10le"),
    "high444.mkv": Recipe(pix_fmt="yuv444p", time_base=MS),
    "odd.mkv": Recipe(codec="libvpx-vp9", size=(321, 181), time_base=MS),
}


@dataclass(frozen=True)
class Decoded:
    """A clip file as a player sees it."""

    pictures: list[NDArray[np.uint8]]  # (H, W) luma
    pts: list[Fraction]  # seconds
    end: Fraction  # seconds, of the last frame
    sound: NDArray[np.float32]  # mono
    rate: int
    sound_duration: float  # seconds, as the file says


def decode(path: Path) -> Decoded:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    sound, rate, sound_duration = np.zeros(0, np.float32), 0, 0.0
    with av.open(str(path)) as container:
        if container.streams.audio:
            blocks = list(container.decode(audio=0))
            assert blocks[0].pts == 0
            sound = np.concatenate([block.to_ndarray() for block in blocks], axis=1).mean(axis=0)
            rate, stream = blocks[0].rate, container.streams.audio[0]
            sound_duration = float(stream.duration * stream.time_base)
    last = frames[-1]
    return Decoded(
        [frame.to_ndarray(format="gray") for frame in frames],
        [frame.pts * frame.time_base for frame in frames],
        (last.pts + last.duration) * last.time_base, sound, rate, sound_duration,
    )  # fmt: skip


def make_clips(
    video: Video, times: FrameTimes, recipe: Recipe, spans: list[tuple[int, int]], mode: CropMode = "follow",
    size: int | None = None,
) -> list[ClipPlan]:  # fmt: skip
    matches = []
    for number, (start, end) in enumerate(spans, 1):
        tracklet = Tracklet(number, 0, start, end, "scene_cut", "left_frame", 1, 50.0, 0.9)
        sightings = Sightings(
            np.arange(start, end),
            np.array([code_box(recipe, frame) for frame in range(start, end)], np.float32),
            np.full(end - start, 0.9, np.float32), np.zeros(end - start, np.uint8),
        )  # fmt: skip
        matches.append((MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", "looks alike"), sightings))
    return plan_clips(matches, {video.sha256: times}, ClipOptions(mode, size))[0]


def cut(
    path: Path, recipe: Recipe, spans: list[tuple[int, int]], mode: CropMode = "follow"
) -> list[tuple[ClipPlan, Path]]:
    video, times = index_pass(path)
    clips = make_clips(video, times, recipe, spans, mode)
    cut_clips(video, clips, times, path.parent)
    return [(clip, path.parent / clip.file) for clip in clips]


def numbers(clip: ClipPlan, decoded: Decoded, recipe: Recipe) -> list[int]:
    return [
        read_number(picture, code_box(recipe, clip.start + place), clip.crops[place])
        for place, picture in enumerate(decoded.pictures)
    ]


@pytest.mark.parametrize("name", FILES)
def test_holds_exactly_its_frames_at_their_times(tmp_path: Path, name: str) -> None:
    recipe = FILES[name]
    path = write_video(tmp_path / name, recipe)
    _, times = index_pass(path)
    frames = len(times.pts)
    assert frames == recipe.frames
    spans = [(0, 3), (frames // 2, frames - 4), (frames - 1, frames), (5, 6)]
    for clip, target in cut(path, recipe, spans):
        decoded = decode(target)
        assert numbers(clip, decoded, recipe) == list(range(clip.start, clip.end))
        time_base = clip.match.video.time_base
        start = int(times.pts[clip.start])
        assert decoded.pts == [(int(pts) - start) * time_base for pts in times.pts[clip.start : clip.end]]
        assert decoded.end == (times.end_pts(clip.end) - start) * time_base


@pytest.mark.parametrize("mode", ["follow", "tube", "none"])
@pytest.mark.parametrize(
    "name", [name for name in FILES if name.startswith(("turned", "mirrored", "anamorphic", "plain"))]
)
def test_is_upright_with_square_pixels(tmp_path: Path, name: str, mode: CropMode) -> None:
    recipe = FILES[name]
    [(clip, target)] = cut(write_video(tmp_path / name, recipe), recipe, [(9, 15)], mode)
    decoded = decode(target)
    assert numbers(clip, decoded, recipe) == list(range(9, 15))
    assert decoded.pictures[0].shape == (clip.height, clip.width)
    assert clip.width / clip.height == pytest.approx(clip.crops[0, 2] / clip.crops[0, 3], rel=0.02)


SOUNDS = {
    "aac.mp4": Recipe(audio="aac"),
    "aac44.mov": Recipe(audio="aac", audio_rate=44100),
    "aac22.mkv": Recipe(audio="aac", audio_rate=22050, audio_layout="mono", time_base=MS),
    "opus.webm": Recipe(codec="libvpx-vp9", audio="libopus", time_base=MS),
    "pcm.avi": Recipe(codec="mpeg4", b_frames=0, audio="pcm_s16le"),
    "pcm-reordered.avi": Recipe(audio="pcm_s16le"),
    "long-blocks.mkv": Recipe(audio="pcm_s16le", audio_block=91_200, time_base=MS),
    "mp3.mkv": Recipe(audio="libmp3lame", time_base=MS),
    "aac.ts": Recipe(audio="aac"),
    "ac3.vob": Recipe(codec="mpeg2video", audio="ac3"),
    "mp2.mpg": Recipe(codec="mpeg1video", audio="mp2"),
    "surround.mkv": Recipe(audio="aac", audio_layout="5.1", time_base=MS),
    "late-picture.mp4": Recipe(time_base=Fraction(1, 12800), late=6400, audio="aac"),
    "partial.mp4": Recipe(audio="aac", audio_span=(1.1, 1.7)),
    "irregular.mkv": Recipe(time_base=MS, pts=VFR, audio="aac"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_is_in_sync_and_as_long_as_the_picture(tmp_path: Path, name: str) -> None:
    recipe = SOUNDS[name]
    chirps = (2, 30, 38)
    path = write_video(tmp_path / name, Recipe(**{**recipe.__dict__, "chirps": chirps}))
    for clip, target in cut(path, recipe, [(0, 50), (27, 45), (30, 40)]):
        decoded = decode(target)
        audible = [frame for frame in chirps if clip.start <= frame < clip.end - 1]
        if recipe.audio_span is not None:
            audible = [frame for frame in audible if frame != 2]
        expected = [float(decoded.pts[frame - clip.start]) for frame in audible]
        assert onsets(decoded.sound, decoded.rate, len(audible)) == pytest.approx(expected, abs=0.002)
        video = clip.match.video
        start, end = (int(tick) * video.time_base for tick in clip.ticks[[0, -1]])
        sound = read_mono(video, start, end, 16_000)
        assert len(sound) == round((end - start) * 16_000)
        assert onsets(sound, 16_000, len(audible)) == pytest.approx(expected, abs=0.002)
        # Players end the sound where the file says; FFmpeg decodes the last block of 1024 samples whole.
        assert decoded.sound_duration == pytest.approx(float(decoded.end), abs=1 / decoded.rate)
        assert 0 <= len(decoded.sound) / decoded.rate - decoded.sound_duration < 1024 / decoded.rate


def test_a_block_that_covers_the_start_is_heard(tmp_path: Path) -> None:
    recipe = SOUNDS["long-blocks.mkv"]
    path = write_video(tmp_path / "a.mkv", Recipe(**{**recipe.__dict__, "chirps": (38,)}))
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        blocks = list(cut_sound(source, stream, Fraction(7, 5), Fraction(9, 5), source.demux(stream)))
    sound = np.concatenate(blocks, axis=1).mean(axis=0)
    assert onsets(sound, stream.rate, 1) == pytest.approx([0.12], abs=0.002)


def test_without_sound_has_no_sound_stream(tmp_path: Path) -> None:
    [(_, target)] = cut(write_video(tmp_path / "mute.mp4", Recipe()), Recipe(), [(3, 9)])
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert read_mono(probe(tmp_path / "mute.mp4"), Fraction(0), Fraction(1), 16_000) is None


def test_plays_everywhere(tmp_path: Path) -> None:
    recipe = Recipe(audio="aac")
    [(_, target)] = cut(write_video(tmp_path / "a.mp4", recipe), recipe, [(3, 40)])
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(target)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.profile, picture.pix_fmt) == ("High", "yuv420p")
        assert (sound.codec_context.name, sound.layout.name, sound.rate) == ("aac", "stereo", 48000)
        assert sum(packet.is_keyframe for packet in container.demux(picture)) >= 2


@pytest.mark.parametrize(("size", "colour"), [((320, 180), (40, 60, 200)), ((1280, 720), (200, 60, 40))])
def test_keeps_colours(tmp_path: Path, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    recipe = Recipe(frames=4, size=size, colours=colour)
    path = write_video(tmp_path / "colours.mp4", recipe)
    [(_, target)] = cut(path, recipe, [(0, 4)], "none")
    planes = []
    for file in (path, target):
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            planes.append(frame.to_ndarray().astype(int))
    assert np.abs(planes[0] - planes[1]).mean() < 1.0
    assert (frame.colorspace, frame.color_range) == ((1 if size[1] >= 720 else 6), 1)


@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuv420p10le", "yuv444p", "bgr24"])
def test_keeps_colours_of_other_pixel_formats(tmp_path: Path, pix_fmt: str) -> None:
    codec = "ffv1" if pix_fmt == "bgr24" else "libx264"
    recipe = Recipe(
        frames=3,
        codec=codec,
        pix_fmt="bgr0" if codec == "ffv1" else pix_fmt,
        time_base=MS,
        colours=(200, 120, 40),
    )
    path = write_video(tmp_path / "colours.mkv", recipe)
    [(_, target)] = cut(path, recipe, [(0, 3)], "none")
    patches = []
    for file in (path, target):
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            patches.append(frame.to_ndarray(format="bgr24")[10:30, 10:60].reshape(-1, 3).mean(axis=0))
    assert patches[1] == pytest.approx(patches[0], abs=4)


def test_a_file_that_does_not_seek_is_read_once_from_its_start(tmp_path: Path) -> None:
    recipe = Recipe(frames=200, size=(160, 90), gop=60)
    path = write_video(tmp_path / "reordered.avi", recipe)
    spans = [(0, 4), (90, 95), (197, 200)]
    for clip, target in cut(path, recipe, spans):
        assert numbers(clip, decode(target), recipe) == list(range(clip.start, clip.end))


def test_a_transport_stream_whose_head_is_cut_off(tmp_path: Path) -> None:
    recipe = Recipe(frames=300, size=(160, 90), gop=50, audio="aac")
    path = write_video(tmp_path / "whole.ts", recipe)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 5 // 188 * 188 :])
    _, times = index_pass(path)
    with av.open(str(path)) as container:
        shown = [
            read_number(frame.to_ndarray(format="gray"), code_box(recipe, 0), (0, 0, 160, 90))
            for frame in container.decode(video=0)
        ]
    assert len(shown) == len(times.pts) < 300
    for clip, target in cut(path, recipe, [(0, 3), (120, 124), (60, 62)]):
        assert numbers(clip, decode(target), recipe) == shown[clip.start : clip.end]


def test_many_clips_of_a_long_video_in_one_call(tmp_path: Path) -> None:
    recipe = Recipe(frames=300, size=(160, 90), gop=25)
    path = write_video(tmp_path / "long.mp4", recipe)
    spans = [(0, 4), (2, 30), (28, 40), (120, 130), (125, 126), (280, 300), (200, 205)]
    for clip, target in cut(path, recipe, spans):
        assert numbers(clip, decode(target), recipe) == list(range(clip.start, clip.end))
    assert not list(tmp_path.glob(".*"))


def test_each_file_is_whole_before_the_next_is_done(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", Recipe())
    video, times = index_pass(path)
    clips = make_clips(video, times, Recipe(), [(0, 5), (10, 15)])
    complete: list[list[bool]] = []
    cut_clips(
        video,
        clips,
        times,
        tmp_path,
        lambda done: complete.append([(tmp_path / clip.file).exists() for clip in clips]),
    )
    assert complete == [[True, False], [True, True]]


def test_other_times_than_the_index_gives_are_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", Recipe())
    video, times = index_pass(path)
    clips = make_clips(video, times, Recipe(), [(10, 15)])
    shifted = FrameTimes(times.pts + 1, times.durations)
    with pytest.raises(CutError, match=r"frame \d+ of a\.mp4 .*--force"):
        cut_clips(video, clips, shifted, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4"]


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.skipif(os.name == "nt", reason="counts file descriptors")
def test_a_clip_that_cannot_be_created_leaves_no_container_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", Recipe(audio="aac"))
    video, times = index_pass(path)
    clips = make_clips(video, times, Recipe(), [(0, 5), (10, 15)])
    before = open_files()
    with pytest.raises(CutError) as missing:
        cut_clips(video, clips, times, tmp_path / "missing")
    assert open_files() == before, missing.value
    # The encoder refuses ticks as short as these, after the files were opened.
    other = replace(video, time_base=Fraction(1, 2**40))
    refused = [replace(clip, match=replace(clip.match, video=other)) for clip in clips]
    with pytest.raises(OverflowError) as overflow:
        cut_clips(video, refused, times, tmp_path)
    assert open_files() == before, overflow.value
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("kind", ["ffconcat", "hls"])
def test_a_playlist_in_the_place_of_the_video_is_refused(tmp_path: Path, kind: str) -> None:
    """Somebody who can replace a video after it was indexed, size and time included, must not choose what is read."""
    path = write_video(tmp_path / "a.mp4", Recipe())
    (tmp_path / "secret").mkdir()
    write_video(tmp_path / "secret" / "b.ts", Recipe())
    video, times = index_pass(path)
    clips = make_clips(video, times, Recipe(), [(0, 5)])
    text = {
        "ffconcat": "ffconcat version 1.0\nfile secret/b.ts\n",
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.0,\nsecret/b.ts\n#EXT-X-ENDLIST\n",
    }[kind]
    path.write_text(text.ljust(video.size, "\n"), encoding="ascii")
    os.utime(path, ns=(video.mtime_ns, video.mtime_ns))
    check_source(video)
    with pytest.raises(VideoError, match=r"a\.mp4"):
        cut_clips(video, clips, times, tmp_path)
    assert not list(tmp_path.glob("*0001*"))


def test_source_is_checked_by_content(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", Recipe(frames=3))
    video, _ = index_pass(path)
    os.utime(path, ns=(1, 1))
    check_source(video)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(VideoError, match="has changed since it was indexed"):
        check_source(video)
    path.unlink()
    with pytest.raises(VideoError, match=r"no longer there; .* facereel index FILE \("):
        check_source(video)
    with pytest.raises(VideoError, match=r"facereel index FILE --store '/my films' \("):
        check_source(video, store=Path("/my films"))


def test_damaged_packets_cost_no_other_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", Recipe(frames=60, gop=10, time_base=MS, b_frames=0))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    video, times = index_pass(path)
    frames = len(times.pts)
    for clip, target in cut(path, Recipe(), [(0, frames), (frames - 8, frames)]):
        assert len(decode(target).pictures) == clip.end - clip.start
    assert video.frame_count == frames
