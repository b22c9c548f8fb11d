"""What a video file is, and its frames in display order, once.

A fault inside a stream costs the frames that it hits, not the video; a DecodeLog counts what was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from facereel.indexer.media.clock import UNTIMED, FrameClock, usual_duration
from facereel.indexer.media.container import error_text, open_video, picture_stream
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.display import orientation
from facereel.indexer.media.frame import Frame
from facereel.store.files.names import printable
from facereel.store.model.errors import VideoError
from facereel.store.model.records import Video

# Containers whose header states how long they are; for others FFmpeg computes it from what is there.
_LENGTH_STATED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_TOLERANCE = 0.5  # seconds by which a complete file may be short: streams end apart, headers are rounded
_TOLERANCE_FRAMES = 0.75  # by which a video stream may be short of its own stated length: times are rounded
_REPEAT = 8  # bytes; MPEG-4 in AVI repeats a frame by a packet as small as this
_MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

_Packet: TypeAlias = "av.Packet[Any]"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says of itself before its frames are read."""

    path: Path
    size: int  # bytes
    mtime_ns: int
    width: int  # pixels as displayed
    height: int
    rotation: int  # degrees clockwise to the upright picture
    mirrored: bool  # left and right are swapped after the rotation
    sample_aspect_ratio: Fraction
    time_base: Fraction
    frame_rate: Fraction
    origin_pts: int
    codec: str
    has_audio: bool
    frame_estimate: int  # 0 when the file does not say
    timed: bool  # the container stores display times

    def check_unchanged(self) -> None:
        """Raise VideoError when the file was written to since it was probed: what was read fits no one content."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise VideoError(
                f"{printable(self.path)} cannot be read any more ({error.strerror}); "
                "put it back and index it again"
            ) from error
        if status.st_size != self.size:
            raise VideoError(
                f"{printable(self.path)} is still being written to; index it again once it is complete"
            )
        if status.st_mtime_ns != self.mtime_ns:
            raise VideoError(f"{printable(self.path)} changed while it was indexed; index it again")

    def video(self, sha256: str, log: DecodeLog) -> Video:
        """The record of this video after it was read."""
        return Video(
            path=str(self.path.resolve()), sha256=sha256, size=self.size, mtime_ns=self.mtime_ns,
            width=self.width, height=self.height, rotation=self.rotation, mirrored=self.mirrored,
            sample_aspect_ratio=self.sample_aspect_ratio,
            time_base=self.time_base, frame_rate=self.frame_rate,
            origin_pts=self.origin_pts, codec=self.codec, has_audio=self.has_audio,
            frame_count=len(log.pts), warnings=log.warnings(),
        )  # fmt: skip


def probe(path: Path) -> Probe:
    """Read a video's headers and first frame; raises VideoError when there is no video to read."""
    if path.is_dir():
        raise VideoError(f"{printable(path)} is a folder; give a video file")
    if not path.is_file():
        reason = "is a pipe or a device; give a file" if path.exists() else "is not there; check the name"
        raise VideoError(f"{printable(path)} {reason}")
    status = path.stat()
    with open_video(path) as container:
        stream = picture_stream(container, path)
        first = _first_frame(container, stream, path)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        aspect = aspect if aspect > 0 else Fraction(1)
        rotation, mirrored = orientation(first)
        width, height = max(1, round(first.width * aspect)), first.height
        if rotation in (90, 270):
            width, height = height, width
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        time_base = Fraction(stream.time_base or Fraction(1, 1000))
        return Probe(
            path=path, size=status.st_size, mtime_ns=status.st_mtime_ns,
            width=width, height=height, rotation=rotation, mirrored=mirrored,
            sample_aspect_ratio=aspect,
            time_base=time_base, frame_rate=Fraction(rate) if rate else Fraction(25),
            origin_pts=_origin(container, time_base), codec=stream.codec_context.codec.canonical_name,
            has_audio=bool(container.streams.audio), frame_estimate=_estimate(container, stream, rate),
            timed=container.format.name not in UNTIMED,
        )  # fmt: skip


def read_frames(video: Probe, log: DecodeLog, threads: int = 0) -> Iterator[Frame]:
    """Decode every frame once, in display order; times and losses go into `log`.

    `threads` 0 leaves their number to FFmpeg. Frames get their ticks from clock.py. After `log.resume` decoding starts
    at the keyframe before the first frame that is needed.
    """
    with open_video(video.path) as container:
        stream = picture_stream(container, video.path)
        stream.thread_type = "AUTO"
        if threads:
            stream.codec_context.thread_count = threads
        usual = usual_duration(video.frame_rate, video.time_base)
        clock = FrameClock(video.timed, stream.start_time or 0, usual, log.pts[-1] if log.pts else None)
        for picture in _pictures(container, stream, log):
            if log.first_pts is not None and (picture.pts is None or picture.pts < log.first_pts):
                continue
            log.concealed += picture.is_corrupt
            pts = clock.tick(picture.pts, picture.dts)
            if pts is None:
                log.misplaced += 1
                continue
            log.pts.append(pts)
            log.durations.append(int(picture.duration or 0))
            yield Frame(len(log.pts) - 1, picture, video.rotation, video.mirrored)


def _pictures(container: InputContainer, stream: VideoStream, log: DecodeLog) -> Iterator[av.VideoFrame]:
    empty = _REPEAT if stream.codec_context.name == "mpeg4" else 0
    waiting: list[_Packet] | None = None if log.first_pts is None else []
    for packet in _packets(container, stream, log):
        log.packets += packet.size > empty
        log.damaged += packet.size > 0 and packet.is_corrupt
        ready, waiting = _ready(packet, waiting, log.first_pts)
        for item in ready:
            try:
                yield from stream.decode(item)
            except av.error.FFmpegError:
                log.damaged += not (item.size > 0 and item.is_corrupt)


def _packets(container: InputContainer, stream: VideoStream, log: DecodeLog) -> Iterator[_Packet]:
    """The video stream's packets, up to where the file ends; `log` gets the reason when that is too early."""
    # Sound is not decoded; its packets show how far the file goes.
    packets = container.demux(stream, *container.streams.audio)
    reached: dict[int, int] = {}  # ticks up to which each stream has packets
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            log.truncated = error_text(error)
            return
        if packet is None:
            log.truncated = _shortfall(container, stream, log.packets, reached)
            return
        number = packet.stream.index
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            reached[number] = max(reached.get(number, end), end)
        if number == stream.index:
            yield packet


def _ready(
    packet: _Packet, waiting: list[_Packet] | None, first_pts: int | None
) -> tuple[list[_Packet], list[_Packet] | None]:
    """Packets to decode now, and those that wait: all since the last keyframe, until `first_pts` is reached.

    Once it is reached nothing waits any more (None).
    """
    if waiting is None or first_pts is None:
        return [packet], None
    if packet.size and (packet.dts is None or packet.dts <= first_pts):
        starts = packet.is_keyframe and packet.pts is not None and packet.pts <= first_pts
        return [], [packet] if starts else [*waiting, packet]
    return [*waiting, packet], None


def _shortfall(container: InputContainer, stream: VideoStream, packets: int, reached: dict[int, int]) -> str:
    """How far a file goes that ends before its header says it does, in words; empty for a complete one."""
    if container.format.name not in _LENGTH_STATED:
        return ""
    if packets < stream.frames:
        return f"{packets} of {stream.frames} packets"
    rate = float(stream.average_rate or 25)
    seconds = {
        number: float(tick * (container.streams[number].time_base or 0)) for number, tick in reached.items()
    }
    stated, end = _stated_end(stream), seconds.get(stream.index, 0.0)
    if stated is not None and end < stated - _TOLERANCE_FRAMES / rate:
        return f"{end:.2f} s of {stated:.2f} s"
    if container.format.name == "avi":
        return ""
    stated = ((container.start_time or 0) + (container.duration or 0)) / av.time_base
    end = max(seconds.values(), default=0.0)
    return f"{end:.1f} s of {stated:.1f} s" if end < stated - _TOLERANCE else ""


def _stated_end(stream: VideoStream) -> float | None:
    """Where the video stream ends by its own header, seconds; None when it does not say."""
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # Matroska states it as a tag, `00:01:02.040000000`.
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", "").strip("\0 "))
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    for picture in _pictures(container, stream, DecodeLog()):
        return picture
    raise VideoError(
        f"{printable(path)} has a video stream but no frame that can be decoded; the file may be damaged"
    )


def _origin(container: InputContainer, time_base: Fraction) -> int:
    """Tick at which a player shows 0:00: the earliest start of all streams."""
    start = container.start_time
    return 0 if start is None else round(Fraction(start, av.time_base) / time_base)


def _estimate(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> int:
    if stream.frames:
        return int(stream.frames)
    return round(container.duration / av.time_base * rate) if container.duration and rate else 0
