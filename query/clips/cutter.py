"""Clips -> files: exactly their frames, in one pass over the video where they lie close together, else side by side.

Frames are known by their time stamps in the index. Decoding starts at the keyframe before; where a file does
not seek as it should, further back, and in the end at its start, where decoding repeats what the index saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from threading import Event, Lock

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facereel.indexer.media.clock import UNTIMED, FrameClock, usual_duration
from facereel.indexer.media.source import check_source
from facereel.query.clips.mp4 import ClipFile, Colours, colours_of, planes_of
from facereel.query.records import Clip
from facereel.store.model.errors import CutError, VideoError
from facereel.store.model.records import FrameTimes, Video

# Decoding on over a gap is cheaper than a jump back to a keyframe, of which there is usually one in 2 to 10
# s.
LARGEST_GAP = Fraction(2)
# Stretches that are cut at once. Each decodes and encodes on threads of its own, but opening, seeking and resampling
# leave cores idle: on two busy cores two at once take 0.88 (clips of 0.7 s) to 0.94 (2 s) of the time of one by one.
SIDE_BY_SIDE = 2
# Seconds to seek before the first frame: further back for files that land late (transport streams have no
# index of keyframes).
RUN_UPS = (Fraction(0), Fraction(5), Fraction(30))


@dataclass(frozen=True, slots=True)
class Job:
    """One clip to cut and where to."""

    number: int  # position in what the caller gave
    clip: Clip
    target: Path


class _FrameMissingError(Exception):
    """The decoder does not give a frame of the index; its argument is the frame's number."""


def cut_clips(
    video: Video, clips: Sequence[Clip], times: FrameTimes, targets: Sequence[Path],
    on_clip_done: Callable[[int], None] = lambda number: None,
) -> None:  # fmt: skip
    """Write each clip of a video to its target; `on_clip_done` gets its position once it is whole on disk.

    Files of one stretch come in order of their clips' ends. Raises VideoError when the video is gone or
    changed, CutError when a frame is not found or a file cannot be written; files finished before stay.
    """
    check_source(video)
    pairs = zip(clips, targets, strict=True)
    jobs = [Job(number, clip, target) for number, (clip, target) in enumerate(pairs)]
    pending, one_at_a_time = {job.number: job for job in jobs}, Lock()

    def done(number: int) -> None:
        with one_at_a_time:
            del pending[number]
            on_clip_done(number)

    try:
        if _is_timed(video):
            _cut_stretches(video, _stretches(jobs, times, video), pending, times, done)
        if pending:
            # One pass for all that is left: a file that failed to seek once is not asked again.
            _cut_pass_from_start(video, list(pending.values()), times, done)
    except (av.error.FFmpegError, OSError) as error:
        words = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise CutError(
            f"a clip of {video.name} cannot be cut ({words}); check the disk's space and the video"
        ) from error


def _stretches(jobs: Sequence[Job], times: FrameTimes, video: Video) -> list[list[Job]]:
    """Jobs in order of time, those together that one run of decoding serves best."""
    stretches: list[list[Job]] = []
    reached = 0
    for job in sorted(jobs, key=lambda job: (job.clip.start, job.clip.end)):
        gap = (int(times.pts[job.clip.start]) - reached) * video.time_base
        if not stretches or gap > LARGEST_GAP:
            stretches.append([])
        stretches[-1].append(job)
        reached = max(reached, times.end_pts(job.clip.end))
    return stretches


def _is_timed(video: Video) -> bool:
    with _open(video) as container:
        return container.format.name not in UNTIMED


def _cut_stretches(
    video: Video, stretches: Sequence[Sequence[Job]], pending: Mapping[int, Job], times: FrameTimes,
    done: Callable[[int], None],
) -> None:  # fmt: skip
    """Cut stretches, a few at a time; once the file does not seek well enough, what is left stays pending."""
    stop = Event()

    def cut(stretch: Sequence[Job]) -> None:
        for run_up in RUN_UPS:
            left = [job for job in stretch if job.number in pending]
            try:
                with _open(video) as container:
                    _cut_pass(container, video, left, times, run_up, done, stop)
                    return
            except _FrameMissingError:
                continue
        stop.set()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as cutters:
        try:
            for work in [cutters.submit(cut, stretch) for stretch in stretches]:
                work.result()
        except BaseException:
            stop.set()
            raise


def _cut_pass_from_start(
    video: Video, jobs: Sequence[Job], times: FrameTimes, done: Callable[[int], None]
) -> None:
    try:
        with _open(video) as container:
            _cut_pass(container, video, jobs, times, None, done)
    except _FrameMissingError as error:
        raise CutError(
            f"frame {error.args[0]} of {video.name} is not found where it was when indexed; "
            f"run: python cli.py index --force {video.path}"
        ) from None


def _cut_pass(
    container: InputContainer, video: Video, jobs: Sequence[Job], times: FrameTimes, run_up: Fraction | None,
    done: Callable[[int], None], stop: Event | None = None,
) -> None:  # fmt: skip
    """Feed each decoded frame to the clips that hold it, until somebody sets `stop`."""
    first, end = min(job.clip.start for job in jobs), max(job.clip.end for job in jobs)
    waiting = sorted(jobs, key=lambda job: job.clip.start, reverse=True)
    writing: dict[int, tuple[Job, ClipFile]] = {}
    colours: Colours | None = None
    try:
        for index, frame in _frames(container, video, times, (first, end), run_up):
            if stop is not None and stop.is_set():
                return
            while waiting and waiting[-1].clip.start == index:
                job = waiting.pop()
                colours = colours or colours_of(frame)
                writing[job.number] = (job, ClipFile(job.clip, times, job.target, _open(video), colours))
            if not writing or colours is None:
                continue
            planes = planes_of(frame, colours)
            for job, file in list(writing.values()):
                file.write(planes)
                if index + 1 == job.clip.end:
                    file.finish()
                    del writing[job.number]
                    done(job.number)
    finally:
        for _, file in writing.values():
            file.discard()


def _frames(
    container: InputContainer, video: Video, times: FrameTimes, span: tuple[int, int], run_up: Fraction | None
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames [span) of the index with their numbers, each exactly once; raises _FrameMissingError."""
    stream = next(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
    stream.thread_type = "AUTO"
    if run_up is None:
        following, pictures = 0, _pictures(container, stream)
    else:
        following, pictures = span[0], _pictures_from_keyframe(container, stream, times, span[0], run_up)
    usual = usual_duration(video.frame_rate, video.time_base)
    clock = FrameClock(container.format.name not in UNTIMED, stream.start_time or 0, usual)
    for picture in pictures:
        tick = clock.tick(picture.pts, picture.dts)
        if tick is None:
            continue
        if tick > times.pts[following]:
            break
        if tick == times.pts[following]:
            if following >= span[0]:
                yield following, picture
            following += 1
            if following == span[1]:
                return
    raise _FrameMissingError(following)


def _pictures_from_keyframe(
    container: InputContainer, stream: VideoStream, times: FrameTimes, first: int, run_up: Fraction
) -> Iterator[VideoFrame]:
    """Frames from a keyframe at or before frame `first` on; raises _FrameMissingError without one."""
    wanted = int(times.pts[first])
    try:
        container.seek(wanted - round(run_up / Fraction(stream.time_base or 1)), stream=stream)
    except (av.error.FFmpegError, OSError):
        raise _FrameMissingError(first) from None
    packets = _packets(container, stream)
    key = next((packet for packet in packets if packet.is_keyframe), None)
    if key is None or key.pts is None or key.pts > wanted:
        raise _FrameMissingError(first)
    for packet in chain([key], packets):
        # Pictures shown before the keyframe may lean on ones that were never decoded.
        for picture in _decode(packet):
            if picture.pts is not None and picture.pts >= key.pts:
                yield picture


def _pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in _packets(container, stream):
        yield from _decode(packet)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets to the end of the file or to where it breaks off."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None:
            return
        yield packet


def _decode(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """A packet's frames; none where it is damaged, as the index leaves them out too."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


def _open(video: Video) -> InputContainer:
    try:
        return av.open(video.path, "r", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{video.path} cannot be read as a video ({error}); check the file") from error
