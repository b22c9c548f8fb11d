"""Clips of a video's own packets, which are not encoded again: nothing is lost, but a picture may need others.

A copy begins with the key frame at or before the clip, because only that can be decoded alone, and ends where no frame
is left out that is shown before one it holds. Sound begins and ends with the packets that the pictures cover, to a
block of it. A file whose container stores no display times cannot be copied.

Packets pass through one by one: a film may have a single key frame, and hours may lie between that and the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import merge
from io import BytesIO
from itertools import dropwhile
from pathlib import Path
from typing import TypeAlias

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from facereel.indexer.media.clock import UNTIMED
from facereel.indexer.media.container import error_text, open_video, picture_stream
from facereel.indexer.media.packets import Packet
from facereel.indexer.media.tags import source_tags
from facereel.query.clips.cutter import SEEK_MARGINS, packets_around
from facereel.query.clips.sound import USUAL_MARGIN, sound_packets
from facereel.query.export.timecode import clip_timecode
from facereel.query.records import ClipPlan, FileFormat
from facereel.store.files.names import printable
from facereel.store.model.errors import CutError
from facereel.store.model.records import FrameTimes, Video

_Placed: TypeAlias = "tuple[Fraction, Packet]"  # when it is decoded, seconds


@dataclass(frozen=True, slots=True)
class _Run:
    """The packets of the picture that a copy holds, from a key frame on."""

    margin: Fraction  # seconds before the clip; a seek to there finds the key frame
    first: int  # the number of the key frame in the index
    shown: tuple[int, ...]  # when each packet is shown, ticks, in the order of the file


def with_key_frames(clip: ClipPlan, times: FrameTimes) -> ClipPlan:
    """A clip with the frames that its copy holds. Raises VideoError, CutError."""
    video = clip.match.video
    run = _find_run(clip, times)
    count = len(run.shown)
    start, end = run.first, run.first + count
    return replace(
        clip, start=start, end=end, ticks=np.append(times.pts[start:end], times.end_pts(end)),
        crops=np.tile(np.array([0, 0, video.width, video.height], np.float32), (count, 1)),
        width=video.width, height=video.height,
    )  # fmt: skip


def copy_clip(clip: ClipPlan, times: FrameTimes, folder: Path) -> None:
    """Write a clip that `with_key_frames` gave; raises VideoError, CutError."""
    video, target = clip.match.video, folder / clip.file
    temporary = folder / f".{clip.file}.part"
    try:
        with open_video(Path(video.path)) as source:
            _write(source, clip, times, temporary)
        temporary.replace(target)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise CutError(
            f"a clip of {printable(video.name)} cannot be copied ({error_text(error)}); use --codec h264"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def copied_sounds(source: InputContainer, file_format: FileFormat) -> list[AudioStream]:
    """The sound tracks of a video that a file of that format can hold as they are."""
    known = _codecs_in(file_format)
    return [
        stream
        for stream in source.streams.audio
        if stream.codec_context is not None and stream.codec_context.name in known
    ]


def _codecs_in(file_format: FileFormat) -> set[str]:
    """The codecs that files of a format can hold."""
    with av.open(BytesIO(), "w", format=file_format) as container:
        return set(container.supported_codecs)


def _write(source: InputContainer, clip: ClipPlan, times: FrameTimes, target: Path) -> None:
    video = clip.match.video
    start, end = (int(tick) * video.time_base for tick in clip.ticks[[0, -1]])
    run = _find_run(clip, times)
    timecode = clip_timecode(source_tags(Path(video.path)).timecode, video, times, clip.start)
    with av.open(str(target), "w", format=clip.file_format, options={"movflags": "+faststart"}) as container:
        picture = container.add_stream_from_template(picture_stream(source, Path(video.path)))
        if timecode is not None:
            picture.metadata["timecode"] = timecode.text
        tracks = [_moved(_pictures(source, clip, times, run), start, picture)]
        for stream in copied_sounds(source, clip.file_format):
            track = container.add_stream_from_template(stream)
            if language := stream.metadata.get("language"):
                track.metadata["language"] = language
            tracks.append(_moved(_sounds(video, stream.index, start, end), start, track))
        for _, packet in merge(*tracks, key=lambda placed: placed[0]):
            container.mux(packet)


def _decoding_times(shown: Sequence[int]) -> list[int]:
    """Decoding times of packets that are shown at these times: they grow and come no later than the packet is shown.

    Matroska stores none, and what FFmpeg makes of that after a seek is not always in order.
    """
    ordered = sorted(shown)
    delay = max(time - own for time, own in zip(ordered, shown, strict=True))
    return [time - delay for time in ordered]


def _moved(packets: Iterable[Packet], start: Fraction, stream: av.stream.Stream) -> Iterator[_Placed]:
    """Packets for another file, whose time begins at `start` seconds of the source."""
    for packet in packets:
        shift = round(start / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = stream
        yield (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base, packet


def _pictures(source: InputContainer, clip: ClipPlan, times: FrameTimes, run: _Run) -> Iterator[Packet]:
    """The packets of a run; raises CutError where they are not there any more."""
    video, key = clip.match.video, run.shown[0]
    packets = packets_around(source, video, times, clip.start, run.margin)
    from_key = dropwhile(lambda packet: not (packet.is_keyframe and packet.pts == key), packets)
    own = (packet for packet in from_key if packet.pts is not None and packet.pts >= key)
    taken = 0
    for time, packet in zip(_decoding_times(run.shown), own, strict=False):
        packet.dts = time
        taken += 1
        yield packet
    if taken < len(run.shown):
        raise CutError(f"{printable(video.name)} changed while it was copied; run it again")


def _find_run(clip: ClipPlan, times: FrameTimes) -> _Run:
    """Which packets a copy of a clip holds; raises VideoError, and CutError where none can."""
    video = clip.match.video
    if video.codec not in _codecs_in(clip.file_format):
        raise CutError(
            f"the pictures of {printable(video.name)} are {video.codec}, which {clip.file_format} files cannot hold; "
            "use --codec h264"
        )
    for margin in SEEK_MARGINS:
        with open_video(Path(video.path)) as source:
            if source.format.name in UNTIMED:
                break
            run = _unbroken(packets_around(source, video, times, clip.start, margin), clip, times, margin)
        if run is not None:
            return run
    raise CutError(
        f"the pictures of {printable(video.name)} cannot be copied from its key frames on; use --codec h264"
    )


def _unbroken(packets: Iterable[Packet], clip: ClipPlan, times: FrameTimes, margin: Fraction) -> _Run | None:
    """From the last key frame before a clip to where packets hold it and no frame is left out, if they ever do."""
    tick = int(times.pts[clip.start])
    first, last, shown = -1, -1, list[int]()
    for packet in packets:
        if packet.pts is None:
            continue
        place = int(np.searchsorted(times.pts, packet.pts))
        if packet.is_keyframe and packet.pts <= tick:
            first, last, shown = place, -1, []
        if first < 0 or (shown and packet.pts < shown[0]):
            continue  # shown before the key frame, of which it may need an earlier one
        if place == len(times.pts) or times.pts[place] != packet.pts:
            first = -1  # a frame that the index does not have: only another key frame can help
            continue
        shown.append(packet.pts)
        last = max(last, place)
        if last + 1 >= clip.end and last - first + 1 == len(shown):
            return _Run(margin, first, tuple(shown))
    return None


def _sounds(video: Video, index: int, start: Fraction, end: Fraction) -> Iterator[Packet]:
    """The packets of a track of the sound that are heard between two times, seconds."""
    with open_video(Path(video.path)) as source:
        stream = next(one for one in source.streams.audio if one.index == index)
        packets = sound_packets(source, stream, video)
        if packets is None:
            source.seek(round((start - USUAL_MARGIN) / Fraction(stream.time_base or 1)), stream=stream)
            packets = source.demux(stream)
        for packet in packets:
            if packet.pts is None:
                continue
            time = packet.pts * packet.time_base
            if time >= end:
                break
            if time + (packet.duration or 0) * packet.time_base > start:
                yield packet
