"""Clips in the formats of editing programs: decoded and read back by FFmpeg, frame by frame and track by track."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.query.clips.cutter import cut_clips
from facereel.query.clips.losses import losses_of
from facereel.query.clips.plan import ClipOptions, plan_clips
from facereel.query.clips.stream_copy import copy_clip, with_key_frames
from facereel.query.records import ClipPlan, MatchingTracklet
from facereel.store.model.errors import ContradictionError, CutError
from facereel.store.model.records import FrameTimes, Sightings, Tracklet, Video
from tests.video_factory import Recipe, code_box, index_pass, onsets, read_number, write_video

MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)


def clip_of(
    video: Video, times: FrameTimes, recipe: Recipe, span: tuple[int, int], **options: Any
) -> ClipPlan:
    frames = np.arange(*span)
    boxes = np.array([code_box(recipe, frame) for frame in range(*span)], np.float32)
    sightings = Sightings(
        frames, boxes, np.full(len(frames), 0.9, np.float32), np.zeros(len(frames), np.uint8)
    )
    tracklet = Tracklet(1, 0, *span, "occlusion", "occlusion", 1, 50.0, 0.9)
    match = MatchingTracklet(video, tracklet, 0.6, 0.4, "photo", "looks alike")
    [clip], _ = plan_clips(
        [(match, sightings)], {video.sha256: times}, ClipOptions(**{"crop": "none", **options})
    )
    return clip


def write(path: Path, recipe: Recipe, span: tuple[int, int], **options: Any) -> tuple[ClipPlan, Path]:
    """A clip of a new video, and its file."""
    write_video(path, recipe)
    return written(path, recipe, span, **options)


def written(path: Path, recipe: Recipe, span: tuple[int, int], **options: Any) -> tuple[ClipPlan, Path]:
    video, times = index_pass(path)
    clip = clip_of(video, times, recipe, span, **options)
    if clip.codec == "copy":
        clip = with_key_frames(clip, times)
        copy_clip(clip, times, path.parent)
    else:
        cut_clips(video, [clip], times, path.parent)
    assert not list(path.parent.glob(".*"))
    return clip, path.parent / clip.file


def numbers(path: Path, recipe: Recipe) -> list[int]:
    """Which frame of the source each frame of a file shows, turned as a player turns it."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    turns = frames[0].rotation // 90  # counter-clockwise
    pictures = [np.asarray(np.rot90(frame.to_ndarray(format="gray"), turns), np.uint8) for frame in frames]
    size = (0, 0, *recipe.size)
    return [read_number(picture, code_box(recipe, 0), size) for picture in pictures]


def deep(path: Path, start: int, end: int) -> NDArray[Any]:
    """Luma of frames in ten bits."""
    with av.open(str(path)) as container:
        frames = [frame.reformat(format="yuv422p10le") for frame in container.decode(video=0)]
    planes = [np.frombuffer(memoryview(frame.planes[0]), np.uint16) for frame in frames[start:end]]
    width, height = frames[0].width, frames[0].height
    return np.array([plane.reshape(height, -1)[:, :width] for plane in planes]).astype(int)


SOURCES = {
    "plain.mp4": Recipe(audio="aac"),
    "turned90.mov": Recipe(rotation=90, size=(180, 320), audio="aac"),
    "irregular.mkv": Recipe(time_base=MS, pts=tuple(40 * n + n * 7 % 13 for n in range(50)), audio="aac"),
    "ntsc.mov": Recipe(fps=NTSC, audio="pcm_s16le"),
    "transport.ts": Recipe(audio="aac"),
    "main10.mp4": Recipe(codec="libx265", pix_fmt="yuv420p10le"),
}


PRORES, MOV, COPY = {"codec": "prores"}, {"format": "mov"}, {"codec": "copy"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, COPY) for name in SOURCES), ("turned90.mov", PRORES), ("irregular.mkv", PRORES),
        ("main10.mp4", PRORES), ("main10.mp4", MOV), ("ntsc.mov", MOV),
    ],
    ids=str,
)  # fmt: skip
def test_every_frame_is_the_sources(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    recipe = replace(SOURCES[name], chirps=(2, 30))
    clip, target = write(tmp_path / name, recipe, (27, 45), **options)
    assert numbers(target, recipe) == list(range(clip.start, clip.end))
    assert clip.start <= 27
    assert clip.end >= 45
    assert clip.exact == (clip.codec != "copy")
    with av.open(str(target)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    expected = [int(tick - clip.ticks[0]) * clip.match.video.time_base for tick in clip.ticks[:-1]]
    assert times == pytest.approx([float(time) for time in expected], abs=1e-9)


def heard(path: Path) -> list[tuple[float, NDArray[np.float32], int]]:
    """When each track of the sound begins, its samples in mono, their rate."""
    tracks = []
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for number in range(count):
        with av.open(str(path)) as container:
            blocks = list(container.decode(audio=number))
            mono = [np.asarray(block.to_ndarray(), np.float32) for block in blocks]
            planar = blocks[0].format.is_planar
            joined = np.concatenate(
                [
                    part.mean(axis=0)
                    if planar
                    else part.reshape(-1, blocks[0].layout.nb_channels).mean(axis=1)
                    for part in mono
                ]
            )
            tracks.append((float(blocks[0].time or 0), joined / np.abs(joined).max(), blocks[0].rate))
    return tracks


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", COPY), ("ntsc.mov", COPY), ("irregular.mkv", COPY), ("transport.ts", COPY),
        ("ntsc.mov", PRORES), ("irregular.mkv", MOV),
    ],
    ids=str,
)  # fmt: skip
def test_sound_is_in_sync_at_both_ends(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    recipe = replace(SOURCES[name], chirps=(27, 43))
    clip, target = write(tmp_path / name, recipe, (26, 46), **options)
    [(start, sound, rate)] = heard(target)
    ticks = clip.ticks - clip.ticks[0]
    at = [float(int(ticks[frame - clip.start]) * clip.match.video.time_base) for frame in (27, 43)]
    found = [start + onset for onset in onsets(sound, rate, 2)]
    assert found == pytest.approx(at, abs=0.003)
    # To a block of 1024 samples of AAC as long as the picture.
    assert start == pytest.approx(0, abs=1024 / rate)
    assert start + len(sound) / rate == pytest.approx(
        float(int(ticks[-1]) * clip.match.video.time_base), abs=2048 / rate
    )


def write_rich(path: Path, codec: str = "libx264", pix_fmt: str = "yuv422p10le", hdr: bool = False) -> Path:
    """Ten bits, timecode, two sound tracks of other languages, of which the first has six channels, and subtitles."""
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream(codec, rate=NTSC)
        picture.width, picture.height, picture.pix_fmt = 128, 96, pix_fmt
        context = picture.codec_context
        context.gop_size, context.options = 10, {"preset": "veryfast", "crf": "4"}
        context.color_range, context.colorspace, context.color_primaries = 1, 9, 9
        context.color_trc = 16 if hdr else 14
        picture.metadata["timecode"] = "01:00:00;02"
        sounds: list[Any] = []
        for language, layout in (("eng", "5.1"), ("fra", "stereo")):
            sound: Any = container.add_stream("pcm_s24le", rate=48_000, layout=layout)
            sound.metadata["language"] = language
            sounds.append(sound)
        for number in range(40):
            frame = av.VideoFrame(128, 96, pix_fmt)
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)
                rows[...] = 512
            rows = np.frombuffer(memoryview(frame.planes[0]), np.uint16).reshape(96, -1)
            rows[...] = (
                301 + number + np.arange(rows.shape[1]) // 32 * 3
            )  # levels that eight bits do not have
            frame.pts, frame.time_base = number, 1 / NTSC
            container.mux(picture.encode(frame))
        for pitch, sound in enumerate(sounds, 1):
            channels = sound.layout.nb_channels
            tone = np.tile(np.sin(np.arange(64_064) * pitch * 0.02).astype(np.float32) / 2, (channels, 1))
            block = av.AudioFrame.from_ndarray(tone, "fltp", sound.layout.name)
            block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
        container.mux(picture.encode(None))
    return path


@pytest.mark.parametrize(
    ("options", "profile", "pix_fmt", "hdr"),
    [
        (PRORES, "HQ", "yuv422p10le", True),
        (MOV, "High 10", "yuv420p10le", False),
        (COPY, "High 4:2:2", "yuv422p10le", True),
    ],
)
def test_depth_colours_tracks_and_timecode_stay(
    tmp_path: Path, options: dict[str, Any], profile: str, pix_fmt: str, hdr: bool
) -> None:
    source = write_rich(tmp_path / "rich.mov", hdr=hdr)
    clip, target = written(source, Recipe(size=(128, 96)), (13, 33), **{"format": "mov", **options})
    with av.open(str(target)) as container:
        picture = container.streams.video[0]
        frame = next(container.decode(picture))
        assert (str(picture.codec_context.profile).split(" Intra")[0], picture.pix_fmt) == (profile, pix_fmt)
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 9, 16 if hdr else 14)
        tracks = [(sound.layout.name, sound.rate) for sound in container.streams.audio]
        assert tracks == [("5.1", 48_000), ("stereo", 48_000)]
        (data,) = container.streams.data
        assert data.metadata["timecode"] == f"01:00:00;{2 + clip.start:02}"
    apart = np.abs(deep(target, 0, clip.end - clip.start) - deep(source, clip.start, clip.end))
    assert apart.mean() < 1.5  # of 1023; eight bits would be two apart on average
    for number, (start, sound, rate) in enumerate(heard(target), 1):
        first = int(clip.ticks[0]) * clip.match.video.time_base
        position = np.arange(len(sound)) + round((float(first) + start) * rate)
        assert sound == pytest.approx(np.sin(position * number * 0.02), abs=2e-3)


def test_what_plays_everywhere_says_what_it_leaves_out(tmp_path: Path) -> None:
    source = write_rich(tmp_path / "rich.mov", hdr=True)
    clip, target = written(source, Recipe(size=(128, 96)), (13, 33))
    [sentence] = losses_of([clip])
    for word in ("rich.mov", "two channels", "10 bits", "HDR", "--format mov", "full detail"):
        assert word in sentence
    with av.open(str(target)) as container:
        picture = container.streams.video[0]
        assert (picture.codec_context.profile, picture.pix_fmt) == ("High", "yuv420p")
        assert [sound.layout.name for sound in container.streams.audio] == ["stereo", "stereo"]
        assert [sound.metadata["language"] for sound in container.streams.audio] == ["eng", "fra"]
        assert container.streams.data[0].metadata["timecode"] == "01:00:00;15"
    assert losses_of([clip_of(*index_pass(source), Recipe(size=(128, 96)), (13, 33), codec="prores")]) == ()
    plain, _ = write(tmp_path / "plain.mp4", Recipe(audio="aac"), (3, 9))
    assert losses_of([plain]) == ()


def test_a_copy_is_the_sources_packets(tmp_path: Path) -> None:
    recipe = Recipe(audio="aac", gop=12)
    clip, target = write(tmp_path / "a.mp4", recipe, (17, 31), codec="copy")
    assert (clip.start, clip.person_start, clip.person_end) == (12, 17, 31)
    pictures = []
    for file, first in ((tmp_path / "a.mp4", clip.start), (target, 0)):
        with av.open(str(file)) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        pictures.append(frames[first : first + clip.end - clip.start])
    assert len(pictures[1]) == clip.end - clip.start
    assert all((ours == theirs).all() for theirs, ours in zip(*pictures, strict=True))


@pytest.mark.parametrize("name", ["reordered.avi", "vp8.mkv"])
def test_what_cannot_be_copied_names_the_remedy(tmp_path: Path, name: str) -> None:
    recipe = Recipe(b_frames=0) if name == "reordered.avi" else Recipe(codec="libvpx")
    with pytest.raises(CutError, match="--codec h264"):
        write(tmp_path / name, recipe, (17, 31), codec="copy")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"codec": "prores", "format": "mp4"}, "--format mov"),
        ({"codec": "copy", "crop": "follow"}, "--crop follow"),
        ({"codec": "copy", "size": 640}, "--size 640"),
        ({"codec": "copy", "aspect": "9:16"}, "--aspect 9:16"),
    ],
)
def test_formats_that_rule_out_other_options_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ContradictionError, match=word):
        ClipOptions(**options).check()
