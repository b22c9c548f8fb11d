"""Small videos with known pixels and known sound, written by PyAV.

Every frame carries its own number as a bar code of twelve black or white cells inside a box (the "face"), so
that a test can say of any picture made from it which source frame it was. The sound is silence with a chirp
at chosen frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import probe, read_frames
from facereel.store.files.digest import hash_file
from facereel.store.model.records import FrameTimes, Image, Video

CELLS = (4, 3)  # columns, rows of the threshold code: numbers up to 4095
RATE = 48_000  # Hz
CHIRP_SECONDS = 0.03

Box = tuple[float, float, float, float]  # x y w h


@dataclass(frozen=True)
class Recipe:
    """How a video is written; ticks are those of `time_base`."""

    frames: int = 50
    size: tuple[int, int] = (320, 180)  # as displayed
    fps: Fraction = Fraction(25)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    b_frames: int = 2
    gop: int = 12
    rotation: int = 0  # degrees clockwise that a player turns the coded picture
    mirrored: bool = False  # a player swaps left and right after that
    sample_aspect_ratio: Fraction = Fraction(1)
    time_base: Fraction | None = None
    pts: tuple[int, ...] | None = None  # irregular times instead of `fps`
    late: int = 0  # ticks by which the picture starts after the sound
    audio: str | None = None  # codec
    audio_rate: int = RATE
    audio_layout: str = "stereo"
    audio_span: tuple[float, float] | None = None  # seconds of the file that have sound; all when None
    audio_block: int = 1024  # samples in a block, where the codec has no size of its own
    audio_tail: float = 0.0  # seconds that the sound goes on after the picture
    chirps: tuple[int, ...] = ()  # frames at whose start a chirp sounds
    faces: tuple[Box, ...] | None = None  # where the threshold code stands in each frame, displayed pixels
    options: tuple[tuple[str, str], ...] = ()
    colours: tuple[int, int, int] | None = None  # BGR of a patch in the top left corner


def code_box(recipe: Recipe, frame: int) -> Box:
    """Where the bar code of a frame stands, pixels of the displayed picture."""
    if recipe.faces is not None:
        return recipe.faces[frame]
    width, height = recipe.size
    return (width * 0.35, height * 0.3, width * 0.3, height * 0.4)


def draw(recipe: Recipe, frame: int) -> Image:
    """The upright picture of a frame, (H, W, 3) BGR."""
    width, height = recipe.size
    picture = np.empty((height, width, 3), np.uint8)
    picture[...] = np.linspace(60, 180, width)[None, :, None]
    if recipe.colours is not None:
        picture[: height // 4, : width // 4] = recipe.colours
    x, y, w, h = code_box(recipe, frame)
    cv2.rectangle(picture, (round(x), round(y)), (round(x + w), round(y + h)), (128, 128, 128), -1)
    for bit in range(CELLS[0] * CELLS[1]):
        left, top = x + w * (bit % CELLS[0]) / CELLS[0], y + h * (bit // CELLS[0]) / CELLS[1]
        right, bottom = left + w / CELLS[0], top + h / CELLS[1]
        shade = (240, 240, 240) if frame >> bit & 1 else (16, 16, 16)
        cv2.rectangle(picture, (round(left), round(top)), (round(right) - 1, round(bottom) - 1), shade, -1)
    return picture


def read_number(picture: NDArray[np.uint8], box: Box, crop: Sequence[float]) -> int:
    """Which source frame a clip's picture (H, W) shows, its code in `box` seen through `crop`."""
    height, width = picture.shape[:2]
    number = 0
    for bit in range(CELLS[0] * CELLS[1]):
        x = box[0] + box[2] * (bit % CELLS[0] + 0.5) / CELLS[0]
        y = box[1] + box[3] * (bit // CELLS[0] + 0.5) / CELLS[1]
        column, row = int((x - crop[0]) * width / crop[2]), int((y - crop[1]) * height / crop[3])
        number |= int(picture[row, column].mean() > 128) << bit
    return number


def write_video(path: Path, recipe: Recipe, picture_of: Callable[[Recipe, int], Image] = draw) -> Path:
    """Write a video of the upright pictures of its frames; the container follows from the file's suffix."""
    time_base = recipe.time_base or 1 / recipe.fps
    with av.open(str(path), "w", options=dict(recipe.options)) as container:
        stream = container.add_stream(recipe.codec, rate=recipe.fps)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = recipe.pix_fmt
        stream.width, stream.height = _coded_size(recipe)
        context = stream.codec_context
        context.time_base = time_base
        context.gop_size = recipe.gop
        context.sample_aspect_ratio = recipe.sample_aspect_ratio
        context.options = _speed(recipe.codec)
        if recipe.codec in ("libx264", "libx265", "mpeg4"):
            context.max_b_frames = recipe.b_frames
        if recipe.rotation or recipe.mirrored:
            stream.set_display_rotation(-recipe.rotation, hflip=recipe.mirrored)
        if recipe.audio is not None:
            sound = container.add_stream(recipe.audio, rate=recipe.audio_rate)
            assert isinstance(sound, AudioStream)
            sound.layout = recipe.audio_layout
            _write_sound(container, sound, recipe, time_base)
        for frame, pts in enumerate(frame_pts(recipe)):
            picture = av.VideoFrame.from_ndarray(_coded(recipe, picture_of(recipe, frame)), "bgr24")
            picture = picture.reformat(format=recipe.pix_fmt)
            picture.pts, picture.time_base = pts, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def frame_pts(recipe: Recipe) -> list[int]:
    """Ticks of the recipe's time base."""
    if recipe.pts is not None:
        return [recipe.late + pts for pts in recipe.pts]
    step = 1 / recipe.fps / (recipe.time_base or 1 / recipe.fps)
    return [recipe.late + round(number * step) for number in range(recipe.frames)]


def chirp(rate: int = RATE) -> NDArray[np.float32]:
    """A rising tone with a sharp correlation peak."""
    t = np.arange(round(rate * CHIRP_SECONDS)) / rate
    return np.asarray(0.5 * np.sin(2 * np.pi * (500 * t + 0.5 * 3500 / CHIRP_SECONDS * t**2)), np.float32)


def onsets(sound: NDArray[np.float32], rate: int, count: int) -> list[float]:
    """Seconds at which the `count` loudest chirps start in a mono signal."""
    tone, length = chirp(rate), len(sound)
    spectrum = np.fft.rfft(sound, 2 * length) * np.conj(np.fft.rfft(tone, 2 * length))
    strength = np.abs(np.fft.irfft(spectrum, 2 * length))[: length - len(tone) + 1]
    times = []
    for _ in range(count):
        peak = int(np.argmax(strength))
        times.append(peak / rate)
        strength[max(0, peak - rate // 20) : peak + rate // 20] = 0
    return sorted(times)


def index_pass(path: Path) -> tuple[Video, FrameTimes]:
    """What an index says of a video's frames: one reading from its start."""
    header, log = probe(path), DecodeLog()
    for _ in read_frames(header, log, threads=1):
        pass
    return header.video(hash_file(path), log), log.times(header.frame_rate, header.time_base)


def _coded_size(recipe: Recipe) -> tuple[int, int]:
    width, height = recipe.size
    if recipe.rotation in (90, 270):
        width, height = height, width
    return round(width / recipe.sample_aspect_ratio), height


def _coded(recipe: Recipe, upright: Image) -> Image:
    # What the player does, backwards; np.rot90 turns counter-clockwise.
    turned = np.rot90(upright[:, ::-1] if recipe.mirrored else upright, recipe.rotation // 90)
    size = _coded_size(recipe)
    if turned.shape[1::-1] != size:
        return np.asarray(cv2.resize(turned, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(turned)


def _speed(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "ultrafast", "crf": "16"},
        "libx265": {"preset": "ultrafast", "crf": "16", "x265-params": "log-level=none:pools=1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20"},
        "libsvtav1": {"preset": "12", "crf": "25", "svtav1-params": "lp=1"},
    }.get(codec, {"qscale": "3"} if codec == "mpeg4" else {})


def _write_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, recipe: Recipe, time_base: Fraction
) -> None:
    rate = recipe.audio_rate
    times = [float(pts * time_base) for pts in frame_pts(recipe)]
    wave = np.zeros(round((times[-1] + 1 / float(recipe.fps) + recipe.audio_tail) * rate), np.float32)
    for frame in recipe.chirps:
        start = round(times[frame] * rate)
        tone = chirp(rate)[: len(wave) - start]
        wave[start : start + len(tone)] = tone
    first, last = recipe.audio_span or (0.0, len(wave) / rate)
    wave, offset = wave[round(first * rate) : round(last * rate)], round(first * rate)
    channels = av.AudioLayout(recipe.audio_layout).nb_channels
    for position in range(0, len(wave), recipe.audio_block):
        block = np.ascontiguousarray(np.tile(wave[position : position + recipe.audio_block], (channels, 1)))
        sounding = av.AudioFrame.from_ndarray(block, "fltp", recipe.audio_layout)
        sounding.sample_rate, sounding.time_base = rate, Fraction(1, rate)
        sounding.pts = offset + position
        container.mux(stream.encode(sounding))
    container.mux(stream.encode(None))
