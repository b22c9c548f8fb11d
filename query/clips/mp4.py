"""Footage as a file: MP4 that plays everywhere (H.264 High, yuv420p, AAC), or QuickTime for editing programs.

QuickTime keeps what the source has as far as its codec can: ten bits, HDR, every channel and sample of the sound. Both
keep all sound tracks and the timecode, and have their index at the start. A file has a temporary name until it is
complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias, cast

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from facereel.indexer.media.container import open_video, sound_streams
from facereel.indexer.media.tone_mapping import is_hdr, tone_mapped
from facereel.query.clips.resample import AnyPlane, DeepPlane, Plane, cropped_planes, samples_per_pixel
from facereel.query.clips.sound import Samples, cut_sound, layout_of, output_rate, sound_packets
from facereel.query.export.timecode import Timecode
from facereel.query.records import Codec, FileFormat, Footage
from facereel.store.model.errors import CutError
from facereel.store.model.records import Video

# x264's guide calls CRF 18 visually lossless. Without B-frames each packet has the time and duration of its own frame,
# so that irregular times are exact in every player.
ENCODER = {"preset": "veryfast", "crf": "18", "profile": "high", "bf": "0"}
# Apple's ProRes 422 HQ, by its own sign, without which some programs take it for damaged.
PRORES = {"profile": "hq", "vendor": "apl0"}
SOUND_BITS = 160_000  # a second, stereo
PixelFormat: TypeAlias = Literal["yuv420p", "yuv420p10le", "yuv422p10le"]
# ITU-T H.273 code points.
BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file is encoded."""

    file_format: FileFormat = "mp4"
    codec: str = "libx264"  # FFmpeg's name
    options: Mapping[str, str] = field(default_factory=lambda: ENCODER)
    pixel_format: PixelFormat = "yuv420p"
    every_track: bool = True  # of the sound; else the film's alone

    @property
    def deep(self) -> bool:
        """Whether it has ten bits."""
        return self.pixel_format != "yuv420p"


def encoding_of(codec: Codec, file_format: FileFormat, bits: int) -> Encoding:
    """The encoding of a clip of a source with that many bits a sample."""
    if codec == "prores":
        return Encoding("mov", "prores_ks", PRORES, "yuv422p10le")
    if file_format == "mov" and bits > 8:
        return Encoding("mov", "libx264", {**ENCODER, "profile": "high10"}, "yuv420p10le")
    return Encoding(file_format)


@dataclass(frozen=True, slots=True)
class Colours:
    """Colour space of a picture of limited range, in code points of ITU-T H.273."""

    matrix: int
    primaries: int
    transfer: int
    bits: int = 8  # a sample of the source
    hdr: Colours | None = None  # the source's own, which planes_of maps to BT.709


def colours_of(frame: VideoFrame) -> Colours:
    """The colour space that a frame states; without one what players assume: BT.709 from 720 lines up.

    HDR becomes BT.709.
    """
    bits = max(component.bits for component in frame.format.components)
    if is_hdr(frame):
        return Colours(BT709, BT709, BT709, bits, _stated(frame, bits))
    return _stated(frame, bits)


def _stated(frame: VideoFrame, bits: int) -> Colours:
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
        bits,
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


def deep_planes_of(frame: VideoFrame, colours: Colours, pixel_format: PixelFormat) -> list[DeepPlane]:
    """Y, U and V of a decoded picture with ten bits of limited range; HDR stays what it is."""
    full = frame.color_range == ColorRange.JPEG
    if frame.format.name != pixel_format or full:
        target = Colorspace.ITU709 if colours.matrix == BT709 else Colorspace.ITU601
        frame = frame.reformat(
            format=pixel_format, interpolation="BICUBIC",
            src_color_range=ColorRange.JPEG if full or frame.format.is_rgb else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG, dst_colorspace=target if frame.format.is_rgb else None,
        )  # fmt: skip
    return [
        np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    ]


@dataclass(slots=True)
class _SoundTrack:
    """A track of the sound while it is written."""

    stream: AudioStream
    blocks: Iterator[Samples]
    done: int = 0  # samples


class ClipFile:
    """The file of some footage while it is written: `write` each frame in order, then `finish`; or `discard`.

    It opens the video once more for each track of its sound.
    """

    def __init__(
        self, footage: Footage, folder: Path, colours: Colours, encoding: Encoding | None = None,
        timecode: Timecode | None = None,
    ) -> None:  # fmt: skip
        """Open the file in a folder; `timecode` is that of its first frame.

        Raises VideoError, OSError or FFmpegError and then leaves nothing open.
        """
        self._footage, self._target = footage, folder / footage.file
        self._encoding = encoding or Encoding()
        self._colours = colours.hdr or colours if self._encoding.deep else colours
        self._temporary = folder / f".{footage.file}.part"
        self._pts = footage.ticks - footage.ticks[0]
        self._samples = samples_per_pixel(footage.crops, footage.width, footage.height)
        self._frames = self._packets = 0
        self._sounds: list[_SoundTrack] = []
        self._resources = ExitStack()
        try:
            self._container = self._resources.enter_context(
                av.open(
                    str(self._temporary),
                    "w",
                    format=self._encoding.file_format,
                    options={"movflags": "+faststart"},
                )
            )
            rate = _rate(footage.video) if timecode is None else timecode.rate
            self._video = cast(VideoStream, self._container.add_stream(self._encoding.codec, rate=rate))
            self._prepare_video()
            if timecode is not None:
                self._video.metadata["timecode"] = timecode.text  # FFmpeg makes a tmcd track of it
            self._prepare_sound()
        except BaseException:
            self.discard()
            raise

    def _prepare_video(self) -> None:
        footage, context = self._footage, self._video.codec_context
        self._video.width, self._video.height = footage.width, footage.height
        self._video.pix_fmt = self._encoding.pixel_format
        context.time_base = footage.video.time_base
        context.gop_size = max(12, round(_rate(footage.video)))
        context.options = dict(self._encoding.options)
        context.flags |= int(av.codec.context.Flags.frame_duration)
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries = self._colours.matrix, self._colours.primaries
        context.color_trc = self._colours.transfer

    def _prepare_sound(self) -> None:
        video = self._footage.video
        start, end = (int(tick) * video.time_base for tick in self._footage.ticks[[0, -1]])
        with open_video(Path(video.path)) as source:
            tracks = [stream.index for stream in sound_streams(source)]
        for index in tracks if self._encoding.every_track else tracks[:1]:
            source = self._resources.enter_context(open_video(Path(video.path)))
            stream = next(one for one in source.streams.audio if one.index == index)
            if self._encoding.file_format == "mov":
                name = "pcm_s16le" if stream.codec_context.format.bits <= 16 else "pcm_s24le"
                rate, layout = stream.rate, layout_of(stream)
            else:
                name, rate, layout = "aac", output_rate(stream), "stereo"
            track = cast(AudioStream, self._container.add_stream(name, rate=rate, layout=layout))
            if name == "aac":
                track.bit_rate = SOUND_BITS
            if language := stream.metadata.get("language"):
                track.metadata["language"] = language
            packets = sound_packets(source, stream, video)
            blocks = cut_sound(source, stream, start, end, packets, rate, layout)
            self._sounds.append(_SoundTrack(track, blocks))

    def write(self, planes: list[Plane], picture: VideoFrame) -> None:
        """Add the next frame, cropped from its source picture, and sound up to its end.

        `planes` are those of planes_of; where more than eight bits are written, they are taken from the picture.
        """
        footage, number = self._footage, self._frames
        video = footage.video
        place = (
            (video.width, video.height), (video.rotation, video.mirrored), footage.crops[number],
            (footage.width, footage.height), self._samples,
        )  # fmt: skip
        if self._encoding.deep:
            deep = deep_planes_of(picture, self._colours, self._encoding.pixel_format)
            frame = _frame(cropped_planes(deep, *place), self._encoding.pixel_format)
        else:
            frame = _frame(cropped_planes(planes, *place), self._encoding.pixel_format)
        # ProRes takes the colours of each frame.
        frame.colorspace, frame.color_primaries = self._colours.matrix, self._colours.primaries
        frame.color_trc, frame.color_range = self._colours.transfer, ColorRange.MPEG
        start, end = self._pts[number : number + 2].tolist()
        frame.pts, frame.duration, frame.time_base = start, end - start, video.time_base
        self._mux_video(frame)
        self._frames += 1
        self._mux_sound(float(end * video.time_base))

    def finish(self) -> None:
        """Complete the file and give it its name; raises CutError when it does not hold every frame."""
        self._mux_video(None)
        self._mux_sound(float("inf"))
        for track in self._sounds:
            self._container.mux(track.stream.encode(None))
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
        for track in self._sounds:
            rate, layout = track.stream.rate, track.stream.layout.name
            while track.done < until * rate and (block := next(track.blocks, None)) is not None:
                frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
                frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), track.done
                self._container.mux(track.stream.encode(frame))
                track.done += block.shape[1]


def _frame(planes: Sequence[AnyPlane], pixel_format: PixelFormat) -> VideoFrame:
    """Planes as a picture that can be encoded."""
    height, width = planes[0].shape
    frame = VideoFrame(width, height, pixel_format)
    for plane, pixels in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), pixels.dtype).reshape(plane.height, -1)
        rows[:, : plane.width] = pixels
    return frame


def _rate(video: Video) -> Fraction:
    """Frames a second for the encoder's rate control; the frames' times do not depend on it."""
    return min(max(video.frame_rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
