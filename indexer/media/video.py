"""What a video file is, and its frames in display order, once.

A fault inside a stream costs the frames that it hits, not the video; a DecodeLog counts what was lost.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from facereel.indexer.media import hardware
from facereel.indexer.media.avi import is_whole
from facereel.indexer.media.clock import BARE, GAP_STEPS, MP4, UNTIMED, FrameClock, usual_duration
from facereel.indexer.media.container import error_text, open_video, other_films, picture_stream, sound_stream
from facereel.indexer.media.cropping import crop_of, cropped
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.display import displayed_size, orientation, unusual_view
from facereel.indexer.media.fields import deinterlaced
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.hardware import HardwareError
from facereel.indexer.media.packets import Packet, Placed, placed_packets
from facereel.store.files.names import printable
from facereel.store.model.errors import VideoError
from facereel.store.model.records import Video

# Containers whose header states how long they are; for others FFmpeg computes it from what is there.
_MATROSKA = "matroska,webm"
_LENGTH_STATED = frozenset({MP4, _MATROSKA, "avi"})
_TOLERANCE = 0.5  # seconds by which a complete file may be short: streams end apart, headers are rounded
_TOLERANCE_FRAMES = 0.75  # by which a video stream may be short of its own stated length: times are rounded
_SLOWER = 1.2  # a film with pauses has an average rate so much below the usual one
_MAX_RATE = 1000  # frames a second; FFmpeg gives 60,000 for DV
_BEGINS_ANYWHERE = BARE | {"mpegts", "mpeg"}
_VP8 = frozenset({"vp8", "libvpx"})
_REPEAT = 8  # bytes; MPEG-4 in AVI repeats a frame by a packet as small as this
_MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


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
    pixel_format: str  # of the first picture, as FFmpeg calls it
    has_audio: bool
    frame_estimate: int  # 0 when the file does not say
    format_name: str  # of the container, as FFmpeg calls it
    other_films: int = 0  # streams of pictures that are not read
    view: tuple[str, ...] = ()  # warnings about stereo 3D and spherical pictures

    @property
    def timed(self) -> bool:
        """Whether the container stores display times."""
        return self.format_name not in UNTIMED

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

    def _unread(self) -> tuple[str, ...]:
        if not self.other_films:
            return ()
        others = (
            "another video stream" if self.other_films == 1 else f"{self.other_films} other video streams"
        )
        return (f"{others}, perhaps other angles, not read; to search one extract it into a file of its own",)

    def video(self, sha256: str, log: DecodeLog) -> Video:
        """The record of this video after it was read."""
        return Video(
            path=str(self.path.resolve()), sha256=sha256, size=self.size, mtime_ns=self.mtime_ns,
            width=self.width, height=self.height, rotation=self.rotation, mirrored=self.mirrored,
            sample_aspect_ratio=self.sample_aspect_ratio,
            time_base=self.time_base, frame_rate=self.frame_rate,
            origin_pts=self.origin_pts, codec=self.codec, has_audio=self.has_audio,
            frame_count=len(log.pts), warnings=(*log.warnings(), *self._unread(), *self.view), restarts=log.restarts,
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
        coded = _first_frame(container, stream, path)
        (first,) = cropped([coded], crop_of(path, container.format.name, stream))
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        aspect = aspect if aspect > 0 else Fraction(1)
        rotation, mirrored = orientation(coded)
        width, height = displayed_size(first.width, first.height, aspect, rotation)
        rate = _frame_rate(container, stream)
        time_base = Fraction(stream.time_base or Fraction(1, 1000))
        return Probe(
            path=path, size=status.st_size, mtime_ns=status.st_mtime_ns,
            width=width, height=height, rotation=rotation, mirrored=mirrored,
            sample_aspect_ratio=aspect,
            time_base=time_base, frame_rate=rate or Fraction(25),
            origin_pts=_origin(container, time_base), codec=stream.codec_context.codec.canonical_name,
            pixel_format=coded.format.name, has_audio=sound_stream(container) is not None,
            frame_estimate=_estimate(container, stream, rate),
            format_name=container.format.name, other_films=other_films(container, path),
            view=unusual_view(coded),
        )  # fmt: skip


def decoder_threads(threads: int) -> int:
    """How many threads decode beside `threads` others that search the pictures.

    One beside one, since several take a seventh more CPU time and other cores have videos of their own; else one more
    than the others, because one of them waits for us.
    """
    return 1 if threads == 1 else threads + 1


def read_frames(video: Probe, log: DecodeLog, threads: int = 0, on_card: bool = False) -> Iterator[Frame]:
    """Decode every frame once, in display order; times and losses go into `log`.

    `threads` 0 leaves their number to FFmpeg. Frames get their ticks from clock.py. After `log.resume` decoding starts
    at the keyframe before the first frame that is needed. `on_card`: by an NVIDIA card where it can; raises
    HardwareError once anything is lost, for a software decoder conceals that otherwise.
    """
    with open_video(video.path, hardware.accelerator() if on_card else None) as container:
        stream = picture_stream(container, video.path)
        stream.thread_type = "AUTO"
        if threads:
            stream.codec_context.thread_count = threads
        usual = usual_duration(video.frame_rate, video.time_base)
        ticks, ticks_per_second = video.time_base.as_integer_ratio()
        clock = FrameClock(video.format_name, stream.start_time or 0, usual, video.time_base)
        log.may_hide = video.codec in ("vp9", "av1")
        clock.resume(log.pts)
        log.gaps = clock.gaps
        first = log.first_pts
        restarts: deque[int] = deque()  # ticks of the first packets after restarts to come
        pictures = _pictures(container, stream, log, video.path, usual, restarts)
        if on_card:
            pictures = map(hardware.planar, pictures)
        for picture in cropped(deinterlaced(pictures), crop_of(video.path, video.format_name, stream)):
            if on_card and (log.damaged or log.concealed):
                raise HardwareError
            if first is not None and (picture.pts is None or picture.pts < first):
                continue
            first = None
            log.pts.append(clock.tick(picture.pts, picture.dts, picture.duration))
            log.misplaced = clock.misplaced
            index = len(log.pts) - 1
            while restarts and log.pts[-1] >= restarts[0]:
                restarts.popleft()
                log.interruptions.add(index)
            if index in clock.gaps:
                log.interruptions.add(index)
            log.durations.append(int(picture.duration or 0))
            # Of integers, a quotient is as exact as that of fractions, in a tenth of the time.
            seconds = (log.pts[-1] - video.origin_pts) * ticks / ticks_per_second
            duration = (log.durations[-1] or usual) * ticks / ticks_per_second
            yield Frame(
                index, picture, seconds, duration, (video.width, video.height), video.rotation, video.mirrored
            )
        if on_card and (log.damaged or log.undecoded):
            raise HardwareError


def frame_ticks(video: Probe, progress: Callable[[int], None] = lambda done: None) -> array[int] | None:
    """The ticks that read_frames will give, from the packets alone; None where these do not tell.

    The whole file is read; `progress` gets the bytes up to each packet.

    Which they do where each packet of the picture holds one frame and says when it is shown. A file that is torn, has
    an edit list or a clock that starts again, or may begin anywhere, is not asked.
    """
    if not video.timed or video.format_name in _BEGINS_ANYWHERE:
        return None
    ticks = array("q")
    with open_video(video.path) as container:
        stream = picture_stream(container, video.path)
        expects = _Expectation(stream.codec_context.name, begins_anywhere=False)
        try:
            for placed in placed_packets(container, stream):
                packet = placed.packet
                if not packet.size:
                    continue  # the last one, which holds nothing
                if placed.restarts or packet.pts is None or packet.is_corrupt or not expects.frame_of(packet):
                    return None
                ticks.append(packet.pts)
                progress(packet.pos or 0)
        except (av.error.FFmpegError, OSError):
            return None
    ticks = array("q", sorted(ticks))
    return ticks if all(before < after for before, after in pairwise(ticks)) else None


def _pictures(
    container: InputContainer, stream: VideoStream, log: DecodeLog, path: Path, usual: int = 1,
    restarts: deque[int] | None = None,
) -> Iterator[av.VideoFrame]:  # fmt: skip
    expects = _Expectation(stream.codec_context.name, container.format.name in _BEGINS_ANYWHERE)
    waiting: list[Packet] | None = None if log.first_pts is None else []
    # Where a recording ends the container takes its last packet, or the first of the next one, for torn.
    after_break = False
    ends: set[int | None] = set()
    torn: set[int | None] = set()
    early: list[int] | None = [] if container.format.name in _BEGINS_ANYWHERE else None
    for packet, restart, before_break in _packets(container, stream, log, path, usual):
        if restart and restarts is not None and packet.pts is not None:
            restarts.append(packet.pts)
        expected = expects.frame_of(packet)
        log.packets += expected
        if expected and early is not None and packet.pts is not None:
            early.append(packet.pts)
        at_break, after_break = before_break or after_break, before_break
        if at_break:
            ends.add(packet.pts)
        elif expected and packet.is_corrupt:
            log.damaged += 1
            torn.add(packet.pts)
        ready, waiting = _ready(packet, waiting, log.first_pts)
        for item in ready:
            try:
                pictures = stream.decode(item)
            except av.error.FFmpegError:
                log.damaged += expects.started and not item.is_corrupt
                continue
            for picture in pictures:
                if early is not None and picture.pts is not None:
                    # Until a picture is complete that is refreshed piece by piece, none is given.
                    # A resumed run decodes later pictures only, but counts all packets of the file.
                    shown = log.pts[0] if log.pts else picture.pts
                    log.packets -= sum(pts < shown for pts in early)
                    early = None
                is_torn = picture.pts in torn
                torn.discard(picture.pts)
                log.damaged -= is_torn  # it gave a frame
                log.concealed += picture.is_corrupt and picture.pts not in ends
                yield picture


@dataclass(slots=True)
class _Expectation:
    """Tells which packets of a whole file give a frame."""

    codec: str
    begins_anywhere: bool  # such a recording may begin between two keyframes
    first: int | None = None  # tick of the first keyframe

    started: bool = field(init=False)

    def __post_init__(self) -> None:
        self.started = not self.begins_anywhere

    def frame_of(self, packet: Packet) -> bool:
        """Whether the next packet should give a frame."""
        if packet.is_keyframe and self.first is None:
            self.started, self.first = True, packet.pts
        # Pictures shown before the first keyframe may refer to some before it, which the file does not hold.
        early = self.first is not None and packet.pts is not None and packet.pts < self.first
        if packet.is_discard or early or not self.started:
            return False
        if self.codec in _VP8 and packet.size:
            return bool(bytes(packet)[0] & 0x10)  # show_frame, RFC 6386, 9.1
        return packet.size > (_REPEAT if self.codec == "mpeg4" else 0)


def _packets(
    container: InputContainer, stream: VideoStream, log: DecodeLog, path: Path, usual: int
) -> Iterator[Placed]:
    """The video stream's packets, up to where the file ends; `log` gets the reason when that is too early."""
    # Sound is not decoded; its packets show how far the file goes.
    packets = placed_packets(container, stream, container.streams.audio, usual)
    reached: dict[int, int] = {}  # ticks up to which each stream has packets
    pictures = 0
    while True:
        try:
            placed = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            log.truncated = error_text(error)
            return
        if placed is None:
            log.truncated = _shortfall(container, stream, path, pictures, reached)
            return
        packet, number = placed.packet, placed.packet.stream.index
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            reached[number] = max(reached.get(number, end), end)
        if number == stream.index:
            pictures += packet.size > 0
            log.restarts += placed.restarts
            yield placed


def _ready(
    packet: Packet, waiting: list[Packet] | None, first_pts: int | None
) -> tuple[list[Packet], list[Packet] | None]:
    """Packets to decode now, and those that wait: all since the last keyframe before `first_pts`, until it is reached.

    Then nothing waits any more (None). Before it, since even a keyframe is deinterlaced with the picture before it.
    """
    if waiting is None or first_pts is None:
        return [packet], None
    if packet.size and (packet.dts is None or packet.dts <= first_pts):
        starts = packet.is_keyframe and packet.pts is not None and packet.pts < first_pts
        return [], [packet] if starts else [*waiting, packet]
    return [*waiting, packet], None


def _shortfall(
    container: InputContainer, stream: VideoStream, path: Path, packets: int, reached: dict[int, int]
) -> str:
    """How far a file goes that ends before its header says it does, in words; empty for a complete one."""
    kind = container.format.name
    if kind not in _LENGTH_STATED:
        return ""
    whole = kind == "avi" and is_whole(path, stream.index, stream.frames)
    # An index names exactly the packets that FFmpeg gives: an edit list leaves some out, and gives others twice.
    expected = len(stream.index_entries) if whole or kind == MP4 else stream.frames
    if packets < expected:
        return f"{packets} of {expected} packets"
    if whole:
        return ""
    rate = float(stream.average_rate or 25)
    seconds = {
        number: float(tick * (container.streams[number].time_base or 0)) for number, tick in reached.items()
    }
    stated, end = _stated_end(stream), seconds.get(stream.index, 0.0)
    if stated is not None and end < stated - _TOLERANCE_FRAMES / rate:
        return f"{end:.2f} s of {stated:.2f} s"
    if kind == "avi":
        return ""
    # In Matroska the length is the time at which the file ends.
    start = 0 if kind == _MATROSKA else container.start_time or 0
    stated = (start + (container.duration or 0)) / av.time_base
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
    for picture in _pictures(container, stream, DecodeLog(), path):
        return picture
    raise VideoError(
        f"{printable(path)} has a video stream but no frame that can be decoded; the file may be damaged"
    )


def _frame_rate(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Frames a second while there are pictures; None if unknown."""
    if container.format.name in BARE:
        # FFmpeg counts with 25 frames a second and knows those of the stream's own header beside.
        stated = stream.codec_context.framerate or stream.guessed_rate
        return Fraction(stated) if stated else None
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    average = next((rate for rate in rates if rate and rate <= _MAX_RATE), None)
    if container.format.name == MP4 and average and average * _SLOWER < (stream.guessed_rate or 0):
        average = _pace(stream) or average
    return Fraction(average) if average else None


def _pace(stream: VideoStream) -> Fraction | None:
    """The average rate by the index of a stream, without times in which there is no picture; None without pictures."""
    times = np.unique([entry.timestamp for entry in stream.index_entries if not entry.is_discard])
    steps = np.diff(times)
    if not len(steps):
        return None
    steps = steps[steps <= GAP_STEPS * np.median(steps)]
    return 1 / (Fraction(int(steps.sum()), len(steps)) * Fraction(stream.time_base or 1))


def _origin(container: InputContainer, time_base: Fraction) -> int:
    """Tick at which a player shows 0:00: the earliest start of all streams."""
    start = container.start_time
    return 0 if start is None else round(Fraction(start, av.time_base) / time_base)


def _estimate(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> int:
    if stream.frames:
        return int(stream.frames)
    return round(container.duration / av.time_base * rate) if container.duration and rate else 0
