"""Footage as an MP4 file that plays everywhere: H.264 High, yuv420p, AAC, index at the start.

The file has a temporary name until it is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from facereel.indexer.media.container import open_video, sound_stream
from facereel.indexer.media.tone_mapping import is_hdr, tone_mapped
from facereel.query.clips.resample import Plane, crop_planes, samples_per_pixel
from facereel.query.clips.sound import cut_sound, output_rate, sound_packets
from facereel.query.records import Footage
from facereel.store.model.errors import CutError
from facereel.store.model.records import Video

# x264's guide calls CRF 18 visually lossless. Without B-frames each packet has the time and duration of its own frame,
# so that irregular times are exact in every player.
ENCODER = {"preset": "veryfast", "crf": "18", "profile": "high", "bf": "0"}
SOUND_BITS = 160_000  # a second, stereo
# ITU-T H.273 code points.
BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9


@dataclass(frozen=True, slots=True)
class Colours:
    """Colour space of a picture of limited range, in code points of ITU-T H.273."""

    matrix: int
    primaries: int
    transfer: int


def colours_of(frame: VideoFrame) -> Colours:
    """The colour space that a frame states; without one what players assume: BT.709 from 720 lines up.

    HDR becomes BT.709.
    """
    if is_hdr(frame):
        return Colours(BT709, BT709, BT709)
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
    """Y, U and V of a decoded picture as 8-bit 4:2:0 of limited range; views if it has this format already.

    `colours` are those of colours_of.
    """
    if is_hdr(frame):
        frame = VideoFrame.from_ndarray(tone_mapped(frame, frame.width, frame.height), "bgr24")
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
    """The file of some footage while it is written: `write` each frame in order, then `finish`; or `discard`.

    It opens the video once more for its sound.
    """

    def __init__(
        self, footage: Footage, folder: Path, colours: Colours, encoder: Mapping[str, str] = ENCODER
    ) -> None:
        """Open the file in a folder; raises VideoError, OSError or FFmpegError and then leaves nothing open."""
        self._footage, self._target = footage, folder / footage.file
        self._temporary = folder / f".{footage.file}.part"
        self._pts = footage.ticks - footage.ticks[0]
        self._samples = samples_per_pixel(footage.crops, footage.width, footage.height)
        self._frames = self._packets = self._sound_done = 0
        self._resources = ExitStack()
        try:
            self._container = self._resources.enter_context(
                av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
            )
            self._video = self._container.add_stream("libx264", rate=_rate(footage.video))
            self._prepare_video(colours, encoder)
            self._prepare_sound()
        except BaseException:
            self.discard()
            raise

    def _prepare_video(self, colours: Colours, encoder: Mapping[str, str]) -> None:
        footage, context = self._footage, self._video.codec_context
        self._video.width, self._video.height, self._video.pix_fmt = footage.width, footage.height, "yuv420p"
        context.time_base = footage.video.time_base
        context.gop_size = max(12, round(_rate(footage.video)))
        context.options = dict(encoder)
        context.flags |= int(av.codec.context.Flags.frame_duration)
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries = colours.matrix, colours.primaries
        context.color_trc = colours.transfer

    def _prepare_sound(self) -> None:
        video = self._footage.video
        source = self._resources.enter_context(open_video(Path(video.path)))
        stream = sound_stream(source)
        self._sound = None
        if stream is None:
            return
        start, end = (int(tick) * video.time_base for tick in self._footage.ticks[[0, -1]])
        self._sound = self._container.add_stream("aac", rate=output_rate(stream), layout="stereo")
        self._sound.bit_rate = SOUND_BITS
        self._blocks = cut_sound(source, stream, start, end, sound_packets(source, stream, video))

    def write(self, planes: list[Plane]) -> None:
        """Add the next frame, cropped from its source picture's planes, and sound up to its end."""
        footage, number = self._footage, self._frames
        video = footage.video
        pixels = crop_planes(
            planes, (video.width, video.height), (video.rotation, video.mirrored), footage.crops[number],
            (footage.width, footage.height), self._samples,
        )  # fmt: skip
        start, end = self._pts[number : number + 2].tolist()
        frame = VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.duration, frame.time_base = start, end - start, video.time_base
        self._mux_video(frame)
        self._frames += 1
        self._mux_sound(float(end * video.time_base))

    def finish(self) -> None:
        """Complete the file and give it its name; raises CutError when it does not hold every frame."""
        self._mux_video(None)
        if self._sound is not None:
            self._mux_sound(float("inf"))
            self._container.mux(self._sound.encode(None))
        self._resources.close()
        expected = self._footage.end - self._footage.start
        if self._packets != expected:
            self.discard()
            raise CutError(
                f"{self._target.name} got {self._packets} of {expected} frames; "
                "query again, and report it if this repeats"
            )
        self._temporary.replace(self._target)

    def discard(self) -> None:
        """Close everything and delete the unfinished file."""
        with suppress(av.error.FFmpegError, OSError):
            self._resources.close()
        self._temporary.unlink(missing_ok=True)

    def _mux_video(self, frame: VideoFrame | None) -> None:
        packets = self._video.encode(frame)
        self._packets += len(packets)
        self._container.mux(packets)

    def _mux_sound(self, until: float) -> None:
        """Write sound up to `until` seconds of the footage, so that picture and sound are interleaved in the file."""
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


def _rate(video: Video) -> Fraction:
    """Frames a second for the encoder's rate control; the frames' times do not depend on it."""
    return min(max(video.frame_rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
