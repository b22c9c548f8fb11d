"""Cuts the clips of a video: decodes it, finds the frames of each clip by their time stamps, and writes the files.

Clips that lie close together are cut in one pass of decoding, others side by side. Decoding starts at the keyframe
before the first frame. Files that do not seek reliably are read from further back, and in the end from their start,
which repeats exactly what the index saw.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from threading import Event, Lock
from typing import Generic, Protocol, TypeAlias, TypeVar

import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facereel.indexer.media.clock import UNTIMED, FrameClock, usual_duration
from facereel.indexer.media.container import error_text, open_video, picture_stream
from facereel.indexer.media.cropping import NOTHING, crop_of, cropped
from facereel.indexer.media.display import displayed_size
from facereel.indexer.media.fields import deinterlaced
from facereel.indexer.media.packets import Packet, placed_packets
from facereel.indexer.media.source import check_source
from facereel.indexer.media.tags import source_tags
from facereel.query.clips.measure import FaceMeter
from facereel.query.clips.mp4 import ClipFile, Colours, colours_of, encoding_of, planes_of
from facereel.query.clips.resample import Plane
from facereel.query.export.timecode import clip_timecode
from facereel.query.records import ClipPlan
from facereel.store.files.names import printable
from facereel.store.model.errors import CutError
from facereel.store.model.records import FrameTimes, Video

# Decoding across a gap of this many seconds is cheaper than seeking, which goes back to a keyframe; keyframes usually
# come every 2 to 10 seconds.
MAX_GAP = Fraction(2)
# Stretches that are cut at once. Each decodes and encodes on threads of its own, but opening, seeking and resampling
# leave cores idle: on two busy cores two at once take 0.88 (clips of 0.7 s) to 0.94 (2 s) of the time of one by one.
SIDE_BY_SIDE = 2
# Seconds before the first frame to seek to, one after the other: transport streams have no index of keyframes, and a
# seek in them can end late.
SEEK_MARGINS = (Fraction(0), Fraction(5), Fraction(30))


class FrameMissingError(Exception):
    """The decoder does not give a frame of the index; its argument is the frame's number."""


_Frame = TypeVar("_Frame")
_Taken = TypeVar("_Taken", contravariant=True)


class FrameSink(Protocol[_Taken]):
    """What becomes of the frames of a clip: `write` gets each in order, then comes `finish`; or `discard`."""

    def write(self, frame: _Taken, /) -> None:
        """Take the next frame; may raise OSError, FFmpegError, CutError."""
        ...

    def finish(self) -> ClipPlan:
        """Take no more; gives the clip with what was learnt of it."""
        ...

    def discard(self) -> None:
        """Leave nothing behind: not all frames came."""
        ...


Sink: TypeAlias = FrameSink[list[Plane]]  # takes the planes that planes_of gives


def cut_clips(
    video: Video, clips: Sequence[ClipPlan], times: FrameTimes, folder: Path,
    on_clip_done: Callable[[ClipPlan], None] = lambda clip: None,
) -> None:  # fmt: skip
    """Write each clip of a video into a folder; `on_clip_done` gets a clip once its file is complete.

    Of a clip with facts landmarks and sharpness of each face are measured, and `on_clip_done` gets it with them.
    Otherwise as decode_clips.
    """

    @cache
    def timecode() -> str | None:
        return source_tags(Path(video.path)).timecode

    def begin(clip: ClipPlan, colours: Colours) -> _Writing:
        meter = None if clip.facts is None else FaceMeter(clip, clip.facts)
        encoding = encoding_of(clip.codec, clip.file_format, colours.bits)
        first = clip_timecode(timecode(), video, times, clip.start)
        return _Writing(clip, ClipFile(clip.footage, folder, colours, encoding, first), meter)

    _decode(video, clips, times, _converted, begin, on_clip_done)


def decode_clips(
    video: Video, clips: Sequence[ClipPlan], times: FrameTimes, begin: Callable[[ClipPlan, Colours], Sink],
    on_clip_done: Callable[[ClipPlan], None] = lambda clip: None,
) -> None:  # fmt: skip
    """Give the frames of each clip of a video to the sink that `begin` makes for it.

    Clips are done in any order; `begin` and sinks are used in threads of this function, of one clip by one at a time.
    `on_clip_done` gets what a sink's `finish` gives, in such threads too, by one at a time; it must not raise an
    OSError, which would be taken for one of the files. Raises VideoError when the video is gone, changed or no longer a
    video, CutError when a frame is not found or a file cannot be written; what is complete stays.
    """
    _decode(video, clips, times, planes_of, begin, on_clip_done)


def _decode(
    video: Video, clips: Sequence[ClipPlan], times: FrameTimes, convert: Callable[[VideoFrame, Colours], _Frame],
    begin: Callable[[ClipPlan, Colours], FrameSink[_Frame]], on_clip_done: Callable[[ClipPlan], None],
) -> None:  # fmt: skip
    """As decode_clips, for sinks that take what `convert` makes of a decoded picture."""
    check_source(video)
    run = _Run(video, times, convert, begin, on_clip_done, {clip.file: clip for clip in clips})
    try:
        if run.is_timed():
            run.cut_stretches(_stretches(clips, video))
        if run.pending:
            run.cut_from_start()
    except (av.error.FFmpegError, OSError) as error:
        raise CutError(
            f"a clip of {printable(video.name)} cannot be cut ({error_text(error)}); "
            "check the free disk space and the video"
        ) from error


def _stretches(clips: Sequence[ClipPlan], video: Video) -> list[list[ClipPlan]]:
    """Clips by time, in groups that are best cut in one pass of decoding."""
    stretches: list[list[ClipPlan]] = []
    end = 0  # tick
    for clip in sorted(clips, key=lambda clip: (clip.start, clip.end)):
        gap = (int(clip.ticks[0]) - end) * video.time_base
        if not stretches or gap > MAX_GAP:
            stretches.append([])
        stretches[-1].append(clip)
        end = max(end, int(clip.ticks[-1]))
    return stretches


_Converted: TypeAlias = tuple[list[Plane], VideoFrame]


def _converted(picture: VideoFrame, colours: Colours) -> _Converted:
    """The planes, and the picture itself, of which more than eight bits may be written."""
    return planes_of(picture, colours), picture


@dataclass(frozen=True, slots=True)
class _Writing:
    """The sink of a clip that becomes a file, and whose face is measured."""

    clip: ClipPlan
    file: ClipFile
    meter: FaceMeter | None

    def write(self, frame: _Converted, /) -> None:
        """Add the next frame."""
        planes, picture = frame
        self.file.write(planes, picture)
        if self.meter is not None:
            self.meter.add(planes)

    def finish(self) -> ClipPlan:
        """Complete the file; gives the clip with what was measured."""
        self.file.finish()
        return self.clip if self.meter is None else replace(self.clip, facts=self.meter.facts())

    def discard(self) -> None:
        """Delete the unfinished file."""
        self.file.discard()


@dataclass(frozen=True, slots=True)
class _Run(Generic[_Frame]):
    """One call of decode_clips: what is cut, and which clips are still pending, by file name."""

    video: Video
    times: FrameTimes
    convert: Callable[[VideoFrame, Colours], _Frame]
    begin: Callable[[ClipPlan, Colours], FrameSink[_Frame]]
    on_clip_done: Callable[[ClipPlan], None]
    pending: dict[str, ClipPlan]
    lock: Lock = field(default_factory=Lock)
    stop: Event = field(default_factory=Event)

    def is_timed(self) -> bool:
        """Whether the container stores display times, without which no frame is found by its time."""
        with self._open() as container:
            return container.format.name not in UNTIMED

    def cut_stretches(self, stretches: Sequence[Sequence[ClipPlan]]) -> None:
        """Cut stretches, a few at a time. Where the file does not seek reliably, their clips stay pending."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as executor:
            try:
                for future in [executor.submit(self._cut_stretch, stretch) for stretch in stretches]:
                    future.result()
            except BaseException:
                self.stop.set()
                raise

    def cut_from_start(self) -> None:
        """Cut all pending clips in one pass from the start of the video; raises CutError."""
        self.stop.clear()
        try:
            with self._open() as container:
                self._cut_pass(container, list(self.pending.values()), None)
        except FrameMissingError as error:
            raise CutError(
                f"frame {error.args[0]} of {printable(self.video.name)} is not where it was when the video was "
                f"indexed; run: facereel index --force {shlex.quote(printable(self.video.path))}"
            ) from None

    def _cut_stretch(self, stretch: Sequence[ClipPlan]) -> None:
        for margin in SEEK_MARGINS:
            remaining = [clip for clip in stretch if clip.file in self.pending]
            try:
                with self._open() as container:
                    self._cut_pass(container, remaining, margin)
                    return
            except FrameMissingError:
                continue
        self.stop.set()  # the other stretches would fail, too: one pass from the start is cheaper

    def _cut_pass(
        self, container: InputContainer, clips: Sequence[ClipPlan], margin: Fraction | None
    ) -> None:
        """Decode from `margin` seconds before the first frame, or from the start, until `stop` is set.

        Each decoded frame goes to the clips that hold it. Raises FrameMissingError.
        """
        span = min(clip.start for clip in clips), max(clip.end for clip in clips)
        waiting = sorted(clips, key=lambda clip: clip.start, reverse=True)
        writing: list[tuple[ClipPlan, FrameSink[_Frame]]] = []
        colours: Colours | None = None
        try:
            for index, frame in exact_frames(container, self.video, self.times, span, margin):
                if self.stop.is_set():
                    return
                colours = colours or colours_of(frame)
                while waiting and waiting[-1].start == index:
                    clip = waiting.pop()
                    writing.append((clip, self.begin(clip, colours)))
                if not writing:
                    continue
                converted = self.convert(frame, colours)
                for clip, sink in list(writing):
                    sink.write(converted)
                    if index + 1 == clip.end:
                        done = sink.finish()
                        writing.remove((clip, sink))
                        self._done(done)
        finally:
            for _, sink in writing:
                sink.discard()

    def _done(self, clip: ClipPlan) -> None:
        with self.lock:
            del self.pending[clip.file]
            self.on_clip_done(clip)

    def _open(self) -> InputContainer:
        return open_video(Path(self.video.path))


def exact_frames(
    container: InputContainer, video: Video, times: FrameTimes, span: tuple[int, int], margin: Fraction | None
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames [start, end) of the index with their numbers, each exactly once; raises FrameMissingError.

    Decoding starts `margin` seconds before the first of them, or with the file.
    """
    stream = picture_stream(container, Path(video.path))
    stream.thread_type = "AUTO"
    usual = usual_duration(video.frame_rate, video.time_base)
    number, packets = 0, _packets(container, stream, usual)
    if margin is None:
        pictures = _pictures(packets)
    else:
        number, first = span[0], int(times.pts[span[0]]) - round(margin / video.time_base)
        if video.restarts:
            packets = _from_last_keyframe(packets, first)
        elif not _seek(container, stream, first):
            raise FrameMissingError(number)
        pictures = _pictures_from_keyframe(packets, int(times.pts[number]))
    clock = FrameClock(container.format.name, stream.start_time or 0, usual, video.time_base)
    crop = crop_of(Path(video.path), container.format.name, stream)
    whole = displayed_size(stream.width or 0, stream.height or 0, video.sample_aspect_ratio, video.rotation)
    if whole == (video.width, video.height):
        crop = NOTHING  # an index of a version that showed the margins
    for picture in cropped(deinterlaced(pictures), crop):
        tick = clock.tick(picture.pts, picture.dts, picture.duration)
        if tick > times.pts[number]:
            break
        if tick == times.pts[number]:
            if number >= span[0]:
                yield number, picture
            number += 1
            if number == span[1]:
                return
    raise FrameMissingError(number)


def packets_around(
    container: InputContainer, video: Video, times: FrameTimes, frame: int, margin: Fraction
) -> Iterator[Packet]:
    """Packets of the picture, in the order of the file, from a seek to `margin` seconds before a frame of the index on.

    None come where the seek fails; all do where the clock starts again in the file, because no seek is right there.
    """
    stream = picture_stream(container, Path(video.path))
    tick = int(times.pts[frame]) - round(margin / video.time_base)
    if video.restarts or _seek(container, stream, tick):
        yield from _packets(container, stream, usual_duration(video.frame_rate, video.time_base))


def _seek(container: InputContainer, stream: VideoStream, tick: int) -> bool:
    """Go to a keyframe at or before a tick; in some files a seek ends after it."""
    try:
        container.seek(tick, stream=stream)
    except (av.error.FFmpegError, OSError):
        return False
    return True


def _from_last_keyframe(packets: Iterator[Packet], tick: int) -> Iterator[Packet]:
    """Packets from the last keyframe at or before a tick on, where no seek finds it."""
    waiting: list[Packet] = []
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= tick:
            waiting.clear()
        waiting.append(packet)
        if packet.dts is not None and packet.dts > tick:
            break
    yield from waiting
    yield from packets


def _pictures_from_keyframe(packets: Iterator[Packet], tick: int) -> Iterator[VideoFrame]:
    """Frames from the next keyframe on; none when that comes after a tick."""
    key = next((packet for packet in packets if packet.is_keyframe), None)
    if key is None or key.pts is None or key.pts > tick:
        return
    # Frames shown before the keyframe may depend on frames that are not decoded.
    for picture in _pictures(chain([key], packets)):
        if picture.pts is not None and picture.pts >= key.pts:
            yield picture


def _pictures(packets: Iterable[Packet]) -> Iterator[VideoFrame]:
    """The frames of packets; none where a packet is damaged, as in the index."""
    for packet in packets:
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def _packets(container: InputContainer, stream: VideoStream, usual: int) -> Iterator[Packet]:
    """Packets of the picture to the end of the file, or to where it is torn."""
    with suppress(av.error.FFmpegError, OSError):
        for placed in placed_packets(container, stream, usual=usual):
            yield placed.packet
