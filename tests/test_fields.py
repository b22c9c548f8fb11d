"""Interlaced video is read and cut without combs: one picture a frame, at its time."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.fields import deinterlaced
from facereel.indexer.media.video import probe, read_frames
from facereel.store.model.records import Image
from tests.test_cutter import cut, decode, numbers
from tests.video_factory import Recipe, code_box, draw, read_number, write_video

RECIPE = Recipe(frames=30, size=(320, 192), gop=10)
FILES = {
    "top-first.mp4": ("libx264", {"x264-params": "tff=1", "preset": "ultrafast", "crf": "12"}),
    "bottom-first.mkv": ("libx264", {"x264-params": "bff=1", "preset": "ultrafast", "crf": "12"}),
    "dvd.mpg": ("mpeg2video", {"qscale": "2"}),
    "broadcast.ts": ("mpeg2video", {"qscale": "2"}),
}


def moment(time: int) -> Image:
    """The picture at a field's time: the bar code of its frame stands still, a bar below it runs."""
    picture = draw(RECIPE, time // 2)
    picture[150:] = 60
    picture[150:, 4 * time : 4 * time + 40] = 230
    return picture


def write_interlaced(path: Path, codec: str, options: dict[str, str], still: tuple[int, ...] = ()) -> Path:
    """50 fields a second in 25 frames, the upper line first, or the lower one; `still` frames have only one time."""
    bottom_first = "bff" in options.get("x264-params", "")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = RECIPE.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.options, context.gop_size = options, RECIPE.gop
        if codec == "mpeg2video":
            context.flags |= int(Flags.interlaced_dct | Flags.interlaced_me)
        for frame in range(RECIPE.frames):
            fields = [moment(2 * frame), moment(2 * frame + (frame not in still))]
            woven = fields[bottom_first].copy()
            woven[1::2] = fields[1 - bottom_first][1::2]
            picture = av.VideoFrame.from_ndarray(woven, "bgr24").reformat(format="yuv420p")
            picture.pts, picture.time_base = frame, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def comb(picture: NDArray[Any]) -> float:
    """How much the lines of the running bar differ from those above and below."""
    lines = picture[155:-5].astype(int)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("name", FILES)
def test_no_combs_and_all_frames_at_their_times(tmp_path: Path, name: str) -> None:
    path = write_interlaced(tmp_path / name, *FILES[name])
    plain, log = decoded(path), DecodeLog()
    video = probe(path)
    shown = [frame.image(*RECIPE.size) for frame in read_frames(video, log, threads=1)]
    assert comb(plain[9].to_ndarray(format="bgr24")) > 5
    assert max(map(comb, shown)) < 1
    box, whole = code_box(RECIPE, 0), (0, 0, *RECIPE.size)
    assert [read_number(picture[..., 1], box, whole) for picture in shown] == list(range(RECIPE.frames))
    assert list(log.pts) == [frame.pts for frame in plain]
    assert log.warnings() == ()


@pytest.mark.parametrize("name", FILES)
def test_clips_have_no_combs(tmp_path: Path, name: str) -> None:
    path = write_interlaced(tmp_path / name, *FILES[name])
    for clip, target in cut(path, RECIPE, [(0, 3), (9, 21), (29, 30)], "none"):
        clip_file = decode(target)
        assert numbers(clip, clip_file, RECIPE) == list(range(clip.start, clip.end))
        assert max(map(comb, clip_file.pictures)) < 1.5


def test_reading_on_gives_the_same_pictures(tmp_path: Path) -> None:
    """A picture is made with the one before it, also where reading begins at it."""
    path = write_interlaced(tmp_path / "a.mp4", *FILES["top-first.mp4"])
    log = DecodeLog()
    whole = [frame.image(*RECIPE.size) for frame in read_frames(probe(path), log, threads=1)]
    for first in (10, 13, 20, 29):
        again = DecodeLog()
        again.resume(list(log.pts), first)
        rest = [frame.image(*RECIPE.size) for frame in read_frames(probe(path), again, threads=1)]
        assert len(rest) == RECIPE.frames - first
        assert all((one == other).all() for one, other in zip(whole[first:], rest, strict=True))


def test_progressive_pictures_pass_untouched(tmp_path: Path) -> None:
    frames = decoded(write_video(tmp_path / "a.mp4", Recipe(frames=5)))
    assert [id(frame) for frame in deinterlaced(frames)] == [id(frame) for frame in frames]


def test_a_film_of_both_kinds(tmp_path: Path) -> None:
    """Progressive pictures between interlaced ones, and a change of size, cost no frame and stay as they are."""
    progressive = decoded(write_video(tmp_path / "p.mp4", RECIPE))[:6]
    small = decoded(write_video(tmp_path / "s.mp4", Recipe(frames=4)))
    fields = decoded(write_interlaced(tmp_path / "i.ts", *FILES["broadcast.ts"]))[:6]
    film = [*progressive, *fields, *progressive, *small, *fields]
    shown = list(deinterlaced(film))
    assert [frame.pts for frame in shown] == [frame.pts for frame in film]
    assert [(frame.width, frame.height) for frame in shown] == [(frame.width, frame.height) for frame in film]
    pairs = list(zip(film, shown, strict=True))
    for coded, picture in (*pairs[:6], *pairs[12:22]):
        assert (coded.to_ndarray() == picture.to_ndarray()).all()
    assert max(comb(picture.to_ndarray(format="bgr24")) for _, picture in islice(pairs, 6, 12)) < 1
