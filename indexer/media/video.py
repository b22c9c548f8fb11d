"""Reading video: what a file is, and its frames in display order, once.

PyAV is used here and in query/clips/cutter.py, nowhere else. Faults inside a stream cost the frames they hit, not
the video; what was lost is said.
"""

from __future__ import annotations

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
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.losses import stated_seconds
from facereel.store.model.errors import VideoError
from facereel.store.model.records import Video

# Containers whose header says how long they are; in others FFmpeg reckons it from what is there.
_LENGTH_STATED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_TOLERATED = 0.5  # seconds that a whole file may fall short: tracks end apart, headers are rounded
_TOLERATED_FRAMES = 0.75  # that a picture stream may fall short of its own length: times are rounded
_REPEAT = 8  # bytes; MPEG-4 in AVI repeats a frame by a packet as small as this
# FFmpeg would follow these to other files and servers; a video is one file.
_LISTS = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "image2", "imf", "tty"})
_SCOPE = {"protocol_whitelist": "file"}

# Of a picture: 8192x8192, twice 8K television. Larger ones are bombs: a hundred of them are on their way at once.
_MAX_PIXELS = 1 << 26

_Packet: TypeAlias = "av.Packet[Any]"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says of itself before its frames are read."""

    path: Path
    width: int  # pixels as displayed
    height: int
    rotation: int
    sample_aspect_ratio: Fraction
    time_base: Fraction
    frame_rate: Fraction
    origin_pts: int
    codec: str
    has_audio: bool
    frame_estimate: int  # 0 when the file does not say
    timed: bool  # the container stores display times

    def video(self, sha256: str, reading: DecodeLog) -> Video:
        """The record of this video after it was read."""
        status = self.path.stat()
        return Video(
            path=str(self.path.resolve()), sha256=sha256, size=status.st_size, mtime_ns=status.st_mtime_ns,
            width=self.width, height=self.height, rotation=self.rotation,
            sample_aspect_ratio=self.sample_aspect_ratio,
            time_base=self.time_base, frame_rate=self.frame_rate,
            origin_pts=self.origin_pts, codec=self.codec, has_audio=self.has_audio,
            frame_count=len(reading.pts), warnings=reading.warnings(),
        )  # fmt: skip


def probe(path: Path) -> Probe:
    """Read a video's headers and first frame; raises VideoError when there is nothing to look at."""
    if path.is_dir():
        raise VideoError(f"{path} is a folder; give a video file")
    if not path.is_file():
        why = "is a pipe or a device; give a file" if path.exists() else "is not there; check the name"
        raise VideoError(f"{path} {why}")
    with _open(path) as container:
        stream = _picture_stream(container, path)
        if (stream.width or 0) * (stream.height or 0) > _MAX_PIXELS:
            raise VideoError(
                f"{path} is {stream.width}x{stream.height}; scale it below {_MAX_PIXELS:,} pixels"
            )
        first = _first_frame(container, stream, path)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        aspect = aspect if aspect > 0 else Fraction(1)
        rotation = round(-first.rotation / 90) * 90 % 360
        width, height = max(1, round(first.width * aspect)), first.height
        if rotation in (90, 270):
            width, height = height, width
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        time_base = Fraction(stream.time_base or Fraction(1, 1000))
        return Probe(
            path=path, width=width, height=height, rotation=rotation, sample_aspect_ratio=aspect,
            time_base=time_base, frame_rate=Fraction(rate) if rate else Fraction(25),
            origin_pts=_origin(container, time_base), codec=stream.codec_context.codec.canonical_name,
            has_audio=bool(container.streams.audio), frame_estimate=_estimate(container, stream, rate),
            timed=container.format.name not in UNTIMED,
        )  # fmt: skip


def read_frames(video: Probe, reading: DecodeLog, threads: int = 0) -> Iterator[Frame]:
    """Decode every frame once, in display order, noting times and losses in `reading`.

    `threads` 0 leaves their number to FFmpeg. Frames get their ticks from indexer/media/clock.py. A reading that goes
    on is not decoded before the frame from which it does.
    """
    with _open(video.path) as container:
        stream = _picture_stream(container, video.path)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        if threads:
            stream.codec_context.thread_count = threads
        usual = usual_duration(video.frame_rate, video.time_base)
        clock = FrameClock(
            video.timed, stream.start_time or 0, usual, reading.pts[-1] if reading.pts else None
        )
        for picture in _pictures(container, stream, reading):
            if reading.begin is not None and (picture.pts is None or picture.pts < reading.begin):
                continue
            reading.concealed += picture.is_corrupt
            pts = clock.tick(picture.pts, picture.dts)
            if pts is None:
                reading.misplaced += 1
                continue
            reading.pts.append(pts)
            reading.durations.append(int(picture.duration or 0))
            yield Frame(len(reading.pts) - 1, pts, picture, video.rotation)


def _pictures(container: InputContainer, stream: VideoStream, reading: DecodeLog) -> Iterator[av.VideoFrame]:
    # Sound is not decoded, but it tells how far the file goes.
    packets = container.demux(stream, *container.streams.audio)
    empty = _REPEAT if stream.codec_context.name == "mpeg4" else 0
    ended: dict[int, int] = {}  # ticks that each stream reaches
    held: list[_Packet] | None = None if reading.begin is None else []
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            reading.truncated = _last_words(error)
            return
        if packet is None:
            reading.truncated = _shortfall(container, stream, reading.packets, ended)
            return
        number = packet.stream.index
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            ended[number] = max(ended.get(number, end), end)
        if number != stream.index:
            continue
        reading.packets += packet.size > empty
        reading.damaged += packet.size > 0 and packet.is_corrupt
        ready, held = _ready(packet, held, reading.begin)
        for one in ready:
            try:
                yield from stream.decode(one)
            except av.error.FFmpegError:
                reading.damaged += not (one.size > 0 and one.is_corrupt)


def _ready(
    packet: _Packet, held: list[_Packet] | None, begin: int | None
) -> tuple[list[_Packet], list[_Packet] | None]:
    """Packets to decode now and those held back: all since the last keyframe, as long as `begin` is to come."""
    if held is None or begin is None:
        return [packet], None
    if packet.size and (packet.dts is None or packet.dts <= begin):
        opens = packet.is_keyframe and packet.pts is not None and packet.pts <= begin
        return [], [packet] if opens else [*held, packet]
    return [*held, packet], None


def _shortfall(container: InputContainer, stream: VideoStream, packets: int, ended: dict[int, int]) -> str:
    """How far a file goes that ends before its header says it does, in words; empty for a whole one."""
    if container.format.name not in _LENGTH_STATED:
        return ""
    if packets < stream.frames:
        return f"{packets} of {stream.frames} packets"
    rate = float(stream.average_rate or 25)
    seconds = {
        number: float(tick * (container.streams[number].time_base or 0)) for number, tick in ended.items()
    }
    stated, reached = _stated(stream), seconds.get(stream.index, 0.0)
    if stated is not None and reached < stated - _TOLERATED_FRAMES / rate:
        return f"{reached:.2f} s of {stated:.2f} s"
    if container.format.name == "avi":
        return ""
    stated = ((container.start_time or 0) + (container.duration or 0)) / av.time_base
    reached = max(seconds.values(), default=0.0)
    return f"{reached:.1f} s of {stated:.1f} s" if reached < stated - _TOLERATED else ""


def _stated(stream: VideoStream) -> float | None:
    """Where the picture ends by its own header, seconds; None when it does not say."""
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return stated_seconds(stream.metadata.get("DURATION"))


def _open(path: Path) -> InputContainer:
    try:
        # An absolute path cannot be taken for a URL or an option.
        container = av.open(str(path.resolve()), "r", metadata_errors="replace", container_options=_SCOPE)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        words = _last_words(error)
        raise VideoError(f"{path} cannot be read as a video ({words}); check the file") from error
    if _LISTS.intersection(container.format.name.split(",")):
        kind = container.format.name
        container.close()
        raise VideoError(f"{path} is a list of other files ({kind}) and no video; give those themselves")
    return container


def _picture_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if int(stream.disposition) & int(av.stream.Disposition.attached_pic):
            continue
        if stream.codec_context is None:
            raise VideoError(f"{path} is in a format that no decoder here knows; convert it to H.264")
        return stream
    raise VideoError(f"{path} has no picture stream; give a file with moving pictures")


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    for picture in _pictures(container, stream, DecodeLog()):
        return picture
    raise VideoError(f"{path} has a picture stream but no frame that can be decoded; the file may be damaged")


def _origin(container: InputContainer, time_base: Fraction) -> int:
    """Tick at which a player shows 0:00: the earliest start of all streams."""
    start = container.start_time
    return 0 if start is None else round(Fraction(start, av.time_base) / time_base)


def _estimate(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> int:
    if stream.frames:
        return int(stream.frames)
    return round(container.duration / av.time_base * rate) if container.duration and rate else 0


def _last_words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
