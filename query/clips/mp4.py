"""One clip as an MP4 file that plays everywhere: H.264 High, yuv420p, AAC, index first.

The file is written under a temporary name beside its target and renamed when it is whole.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from facereel.query.clips.resample import Plane, crop_planes, samples_per_pixel
from facereel.query.clips.sound import cut_sound, output_rate, sound_stream
from facereel.query.records import Clip
from facereel.store.model.errors import CutError
from facereel.store.model.records import FrameTimes

# CRF 18 is where x264's own guide puts "visually lossless". Without B-frames each packet carries its own
# frame's time and duration, so that irregular times stay exact in every reader; a keyframe a second makes
# seeking quick.
ENCODER = {"preset": "veryfast", "crf": "18", "profile": "high", "bf": "0"}
SOUND_BITS = 160_000  # a second, stereo
# ITU-T H.273 code points.
BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9


@dataclass(frozen=True, slots=True)
class Colours:
    """How the numbers of a picture mean colours, ITU-T H.273 code points; the range is always limited."""

    matrix: int
    primaries: int
    transfer: int


def colours_of(frame: VideoFrame) -> Colours:
    """What a frame says of its colours; where it is silent, what players assume: BT.709 from 720 lines up."""
    large = max(frame.width, frame.height) >= 1280 or min(frame.width, frame.height) >= 720
    matrix = frame.colorspace
    if matrix not in (BT709, BT470BG, SMPTE170M, BT2020):
        matrix = BT709 if large else SMPTE170M
    usual = {BT709: (BT709, BT709), BT470BG: (BT470BG, SMPTE170M), SMPTE170M: (SMPTE170M, SMPTE170M)}
    primaries, transfer = usual.get(matrix, (UNSPECIFIED, UNSPECIFIED))
    return Colours(
        matrix,
        primaries if frame.color_primaries in (0, UNSPECIFIED) else frame.color_primaries,
        transfer if frame.color_trc in (0, UNSPECIFIED) else frame.color_trc,
    )


def planes_of(frame: VideoFrame, colours: Colours) -> list[Plane]:
    """Y, U and V of a decoded picture as 8-bit 4:2:0 of limited range; views into it where it is one."""
    full = frame.color_range == ColorRange.JPEG
    if frame.format.name != "yuv420p" or full:
        target = Colorspace.ITU709 if colours.matrix == BT709 else Colorspace.ITU601
        frame = frame.reformat(
            format="yuv420p", interpolation="BICUBIC",
            src_color_range=ColorRange.JPEG if full or frame.format.is_rgb else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG, dst_colorspace=target if frame.format.is_rgb else None,
        )  # fmt: skip
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


class ClipFile:
    """A clip's file while it is being written: `write` each frame in order, then `finish`; or `discard`."""

    def __init__(
        self, clip: Clip, times: FrameTimes, target: Path, source: InputContainer, colours: Colours
    ) -> None:
        """`source` is a container of the clip's video for its sound alone; it is closed with this file."""
        self._clip, self._target, self._source = clip, target, source
        self._temporary = target.with_name(f".{target.name}.part")
        self._pts = times.pts[clip.start : clip.end] - times.pts[clip.start]
        self._durations = np.diff(self._pts, append=times.end_pts(clip.end) - times.pts[clip.start])
        self._samples = samples_per_pixel(clip.crops, clip.width, clip.height)
        self._frames = self._packets = self._sound_done = 0
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._video = self._container.add_stream("libx264", rate=_rate(clip))
        self._prepare_video(colours)
        self._prepare_sound(times)

    def _prepare_video(self, colours: Colours) -> None:
        clip, context = self._clip, self._video.codec_context
        self._video.width, self._video.height, self._video.pix_fmt = clip.width, clip.height, "yuv420p"
        context.time_base = clip.match.video.time_base
        context.gop_size = max(12, round(_rate(clip)))
        context.options = dict(ENCODER)
        context.flags |= int(av.codec.context.Flags.frame_duration)
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries = colours.matrix, colours.primaries
        context.color_trc = colours.transfer

    def _prepare_sound(self, times: FrameTimes) -> None:
        clip, stream = self._clip, sound_stream(self._source)
        self._sound = None
        if stream is None:
            return
        time_base = clip.match.video.time_base
        start, end = int(times.pts[clip.start]) * time_base, times.end_pts(clip.end) * time_base
        self._sound = self._container.add_stream("aac", rate=output_rate(stream), layout="stereo")
        self._sound.bit_rate = SOUND_BITS
        self._blocks = cut_sound(self._source, stream, start, end)

    def write(self, planes: list[Plane]) -> None:
        """Add the clip's next frame, cropped from its source picture's planes, and sound up to its end."""
        clip, number = self._clip, self._frames
        video = clip.match.video
        pixels = crop_planes(
            planes, (video.width, video.height), video.rotation, clip.crops[number],
            (clip.width, clip.height), self._samples,
        )  # fmt: skip
        frame = VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.duration = int(self._pts[number]), int(self._durations[number])
        frame.time_base = video.time_base
        self._mux_video(frame)
        self._frames += 1
        self._mux_sound(float((frame.pts + frame.duration) * video.time_base))

    def finish(self) -> None:
        """Complete the file and give it its name; raises CutError when it does not hold every frame."""
        self._mux_video(None)
        if self._sound is not None:
            self._mux_sound(float("inf"))
            self._container.mux(self._sound.encode(None))
        self._container.close()
        self._source.close()
        expected = self._clip.end - self._clip.start
        if self._packets != expected:
            self.discard()
            raise CutError(
                f"{self._target.name} got {self._packets} of {expected} frames; ask again or report it"
            )
        self._temporary.replace(self._target)

    def discard(self) -> None:
        """Leave nothing on disk."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._source.close()
        self._temporary.unlink(missing_ok=True)

    def _mux_video(self, frame: VideoFrame | None) -> None:
        packets = self._video.encode(frame)
        self._packets += len(packets)
        self._container.mux(packets)

    def _mux_sound(self, until: float) -> None:
        """Write sound up to `until` seconds of the clip, so that picture and sound lie close in the file."""
        if self._sound is None:
            return
        rate = self._sound.rate
        while self._sound_done < until * rate:
            block = next(self._blocks, None)
            if block is None:
                return
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), self._sound_done
            self._container.mux(self._sound.encode(frame))
            self._sound_done += block.shape[1]


def _rate(clip: Clip) -> Fraction:
    """Frames a second for the encoder's rate control; times are exact without it."""
    return min(max(clip.match.video.frame_rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
