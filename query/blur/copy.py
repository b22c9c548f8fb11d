"""Writes a copy of a video as MP4: every frame at its time with some of it covered, and every sound track.

The picture is encoded anew (H.264, 8 bit). Sound is copied packet by packet where MP4 can hold it, else it becomes AAC.
Nothing else of the source comes along unless it is asked for: no tags, covers, subtitles, chapters or data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from facereel.indexer.media.clock import usual_duration
from facereel.indexer.media.container import open_video, picture_stream
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.packets import Packet, placed_packets
from facereel.indexer.media.tone_mapping import is_hdr
from facereel.indexer.media.video import Probe, read_frames
from facereel.query.blur.paint import Covering, Plane, Style, cover_faces
from facereel.query.clips.losses import lost_streams
from facereel.query.clips.mp4 import ENCODER, Colours, colours_of, planes_of
from facereel.query.clips.resample import crop_planes
from facereel.query.clips.sound import cut_sound, output_rate
from facereel.store.files.names import printable
from facereel.store.model.errors import CutError
from facereel.store.model.records import FrameTimes

# Codecs of sound that players take from an MP4 file, by FFmpeg's names; of others MP4 knows some that few play.
_COPIED = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "flac", "opus"})
_SOUND_BITS = 160_000  # a second, stereo
_MIN_SCALE, _MAX_SCALE = 10_000, (1 << 31) - 1  # ticks a second of an MP4 file
# Tags that describe the source's container, not its content.
_OF_CONTAINER = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "handler_name", "vendor_id"}
)
# Seconds of sound before 0:00 that a decoder may need for what comes after. A trimmed file has more: what was cut away
# is still there, though no player plays it.
_PREROLL = Fraction(1, 10)


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """The video that is copied."""

    probe: Probe
    times: FrameTimes  # of all its frames
    restarts: int = 0  # how often the file's clock starts again

    @property
    def origin(self) -> Fraction:
        """Where a player shows 0:00, seconds on the file's clock."""
        return self.probe.origin_pts * self.probe.time_base

    @property
    def end(self) -> Fraction:
        """Where its last frame ends, seconds on the file's clock."""
        return self.times.end_pts(len(self.times.pts)) * self.probe.time_base

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the copy: those of the source as displayed, without a last odd column or row."""
        return max(2, self.probe.width // 2 * 2), max(2, self.probe.height // 2 * 2)


def write_copy(
    original: Original, covering_of: Callable[[int], Covering], style: Style, target: Path, keep_metadata: bool,
    on_frame: Callable[[int], None],
) -> tuple[str, ...]:  # fmt: skip
    """Write the copy; `covering_of` says what of a frame is covered. Gives what the copy lacks.

    Raises VideoError, CutError where the source gives other frames than before, and FFmpeg's errors.
    """
    probe, log = original.probe, DecodeLog()
    with ExitStack() as resources:
        source = resources.enter_context(open_video(probe.path))
        file = resources.enter_context(
            av.open(str(target), "w", format="mp4", options=_muxer_options(probe, keep_metadata))
        )
        picture: _Picture | None = None
        tracks: list[_Track] = []
        notes = _left_out(source, probe.path, keep_metadata)
        for frame in read_frames(probe, log):
            if frame.index >= len(original.times.pts) or log.pts[-1] != original.times.pts[frame.index]:
                break
            if picture is None:
                picture = _Picture(file, original, frame, source if keep_metadata else None)
                tracks, sound_notes = _sound(file, original, resources, keep_metadata)
                notes += picture.losses(frame) + sound_notes
            picture.write(frame, covering_of(frame.index), style)
            for track in tracks:
                track.write(frame.seconds)
            on_frame(frame.index + 1)
        if picture is None or len(log.pts) != len(original.times.pts) or picture.written != len(log.pts):
            raise CutError(
                f"{printable(probe.path)} gives other frames than when it was searched; check the file and run it again"
            )
        picture.finish()
        for track in tracks:
            track.write(None)
    return tuple(notes)


class _Picture:
    """The stream of pictures of the copy."""

    def __init__(
        self, file: OutputContainer, original: Original, first: Frame, tagged: InputContainer | None
    ) -> None:
        probe = original.probe
        self._file, self._original = file, original
        self._colours: Colours = colours_of(first.picture)
        self.written = 0
        rate = min(max(probe.frame_rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
        self._stream = file.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = original.size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = probe.time_base
        context.gop_size = max(12, round(rate))
        context.options = dict(ENCODER)
        context.flags |= int(av.codec.context.Flags.frame_duration)
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries = self._colours.matrix, self._colours.primaries
        context.color_trc = self._colours.transfer
        if tagged is not None:
            file.metadata.update(_tags(tagged.metadata))
            self._stream.metadata.update(_tags(picture_stream(tagged, probe.path).metadata))

    def losses(self, first: Frame) -> list[str]:
        """What of the source's picture the copy cannot hold, one sentence each."""
        if is_hdr(first.picture):
            return ["HDR became the usual range of brightness (BT.709, 8 bit)"]
        if first.picture.format.components[0].bits > 8:
            return [f"{first.picture.format.components[0].bits} bit became 8 bit"]
        return []

    def write(self, frame: Frame, covering: Covering, style: Style) -> None:
        """Add the next frame."""
        probe, (width, height) = self._original.probe, self._original.size
        pixels = crop_planes(
            planes_of(frame.picture, self._colours), (probe.width, probe.height), (probe.rotation, probe.mirrored),
            (0, 0, width, height), (width, height), 1,
        )  # fmt: skip
        pixels = np.array(pixels)  # the decoder may still need the picture that it comes from
        cover_faces(_split(pixels, width, height), covering, style)
        picture = VideoFrame.from_ndarray(pixels, "yuv420p")
        times, index = self._original.times, frame.index
        picture.pts = int(times.pts[index]) - probe.origin_pts
        following = int(times.pts[index + 1]) if index + 1 < len(times.pts) else times.end_pts(index + 1)
        picture.duration, picture.time_base = following - int(times.pts[index]), probe.time_base
        self._file.mux(self._stream.encode(picture))
        self.written += 1

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._file.mux(self._stream.encode(None))


def _split(pixels: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Views of Y, U and V of a picture that PyAV takes as yuv420p."""
    flat, luma, chroma = pixels.reshape(-1), width * height, width * height // 4
    shape = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(shape),
        flat[luma + chroma :].reshape(shape),
    )


class _Track(Protocol):
    """Sound of the copy."""

    def write(self, until: float | None) -> None:
        """Write sound up to a time as a player shows it, seconds, or to its end."""
        ...


class _CopiedSound:
    """Sound tracks whose packets are copied as they are."""

    def __init__(
        self, file: OutputContainer, original: Original, streams: dict[int, Stream], source: InputContainer
    ) -> None:
        self._file, self._streams, self._origin = file, streams, original.origin
        self._last: dict[int, int] = {}
        self._packets = _packets(source, original.probe, [source.streams[number] for number in streams])
        self._next = next(self._packets, None)

    def write(self, until: float | None) -> None:
        while self._next is not None:
            packet, number = self._next, self._next.stream.index
            dts = packet.dts if packet.dts is not None else packet.pts
            if until is not None and dts is not None and dts * packet.time_base - self._origin > until:
                return
            self._next = next(self._packets, None)
            # Packets without a time or out of order can be put nowhere; an edit list repeats some.
            if dts is None or not packet.size or dts <= self._last.get(number, dts - 1):
                continue
            end = dts + (packet.duration or 0)
            if packet.is_discard and end * packet.time_base - self._origin < -_PREROLL:
                continue
            self._last[number] = dts
            shift = round(self._origin / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = dts - shift
            packet.stream = self._streams[number]
            self._file.mux(packet)


class _EncodedSound:
    """A sound track that becomes AAC."""

    def __init__(
        self, file: OutputContainer, original: Original, source: InputContainer, stream: AudioStream
    ) -> None:
        self._file, self._done = file, 0
        self._stream = file.add_stream("aac", rate=output_rate(stream), layout="stereo")
        self._stream.bit_rate = _SOUND_BITS
        packets = None
        if original.restarts:  # a seek does not find the sound
            packets = (
                packet for packet in _packets(source, original.probe, [stream])
                if packet.stream.index == stream.index
            )  # fmt: skip
        end = original.end
        if stream.duration and stream.time_base:
            end = max(end, ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base))
        self._blocks = cut_sound(source, stream, original.origin, end, packets)

    def write(self, until: float | None) -> None:
        rate = self._stream.rate
        while until is None or self._done < until * rate:
            block = next(self._blocks, None)
            if block is None:
                break
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), self._done
            self._file.mux(self._stream.encode(frame))
            self._done += block.shape[1]
        if until is None:
            self._file.mux(self._stream.encode(None))


def _sound(
    file: OutputContainer, original: Original, resources: ExitStack, keep_metadata: bool
) -> tuple[list[_Track], list[str]]:
    """All sound tracks of the source that can be read, each with a reader of its own, and what becomes of them."""
    path = original.probe.path
    source = resources.enter_context(open_video(path))
    tracks: list[_Track] = []
    copied: dict[int, Stream] = {}
    notes = []
    for place, stream in enumerate(source.streams.audio, start=1):
        if stream.codec_context is None:
            notes.append(f"sound track {place} is left out: there is no decoder for it")
            continue
        codec = stream.codec_context.codec.canonical_name
        if codec in _COPIED:
            own: Stream = file.add_stream_from_template(stream)
            copied[stream.index] = own
        else:
            reader = resources.enter_context(open_video(path))
            track = _EncodedSound(file, original, reader, reader.streams.audio[place - 1])
            own = track._stream
            tracks.append(track)
            notes.append(f"sound track {place} ({codec}) became AAC stereo")
        if keep_metadata:
            own.metadata.update(_tags(stream.metadata))
    if copied:
        tracks.append(_CopiedSound(file, original, copied, source))
    return tracks, notes


def _packets(source: InputContainer, probe: Probe, streams: list[Stream]) -> Iterator[Packet]:
    """The packets of some streams on the clock of the index, up to where the file is torn."""
    picture = picture_stream(source, probe.path)
    numbers = {stream.index for stream in streams}
    with suppress(av.error.FFmpegError, OSError):
        for placed in placed_packets(
            source, picture, streams, usual_duration(probe.frame_rate, probe.time_base)
        ):
            if placed.packet.stream.index in numbers:
                yield placed.packet


def _left_out(source: InputContainer, path: Path, keep_metadata: bool) -> list[str]:
    """What of the source the copy does not have, one sentence each."""
    lost = list(lost_streams(source, path, timecode=True))
    tags = {key for tagged in (source, *source.streams) for key in _tags(tagged.metadata)}
    if tags and not keep_metadata:
        lost.append(f"tags ({', '.join(map(printable, sorted(tags)))})")
    return [f"left out: {', '.join(lost)}"] if lost else []


def _muxer_options(probe: Probe, keep_metadata: bool) -> dict[str, str]:
    """Options of FFmpeg's muxer."""
    # When a track begins is stated in this scale: in milliseconds, as it is by default, it would be rounded.
    ticks = probe.time_base.denominator
    scale = ticks * -(-_MIN_SCALE // ticks)
    flags = "+faststart" + ("+use_metadata_tags" if keep_metadata else "")
    return {"movflags": flags, "movie_timescale": str(min(scale, _MAX_SCALE))}


def _tags(tags: dict[str, str]) -> dict[str, str]:
    return {
        key: value for key, value in tags.items()
        if key.lower() not in _OF_CONTAINER and (key, value) != ("language", "und")
    }  # fmt: skip
