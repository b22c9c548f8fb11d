"""Clips of a video's own packets, which are not encoded again: nothing is lost, but a picture may need others.

A copy begins with the key frame at or before the clip, because only that can be decoded alone, and ends where no frame
is left out that is shown before one it holds. Sound begins and ends with the packets that the pictures cover, to a
block of it. A file whose container stores no display times cannot be copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
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
from facereel.query.clips.cutter import SEEK_MARGINS, packets_from_keyframe
from facereel.query.clips.sound import USUAL_MARGIN, sound_packets
from facereel.query.export.timecode import clip_timecode
from facereel.query.records import ClipPlan, FileFormat
from facereel.store.files.names import printable
from facereel.store.model.errors import CutError
from facereel.store.model.records import FrameTimes, Video

_Placed: TypeAlias = "tuple[Fraction, Packet]"  # when it is decoded, seconds


def with_key_frames(clip: ClipPlan, times: FrameTimes) -> ClipPlan:
    """A clip with the frames that its copy holds. Raises VideoError, CutError."""
    video = clip.match.video
    first, packets = _pictures(clip, times)
    start, end = first, first + len(packets)
    count = end - start
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
    with av.open(BytesIO(), "w", format=file_format) as container:
        known = container.supported_codecs
    return [
        stream
        for stream in source.streams.audio
        if stream.codec_context is not None and stream.codec_context.name in known
    ]


def _write(source: InputContainer, clip: ClipPlan, times: FrameTimes, target: Path) -> None:
    video = clip.match.video
    start, end = (int(tick) * video.time_base for tick in clip.ticks[[0, -1]])
    _, packets = _pictures(clip, times)
    timecode = clip_timecode(source_tags(Path(video.path)).timecode, video, times, clip.start)
    with av.open(str(target), "w", format=clip.file_format, options={"movflags": "+faststart"}) as container:
        picture = container.add_stream_from_template(picture_stream(source, Path(video.path)))
        if timecode is not None:
            picture.metadata["timecode"] = timecode.text
        _set_decoding_times(packets)
        placed = [_moved(packet, start, picture) for packet in packets]
        for stream in copied_sounds(source, clip.file_format):
            track = container.add_stream_from_template(stream)
            if language := stream.metadata.get("language"):
                track.metadata["language"] = language
            placed += [_moved(packet, start, track) for packet in _sounds(video, stream.index, start, end)]
        for _, packet in sorted(placed, key=lambda pair: pair[0]):
            container.mux(packet)


def _set_decoding_times(packets: Sequence[Packet]) -> None:
    """Give packets in the order of decoding times that grow and come no later than they are shown.

    Matroska stores none, and what FFmpeg makes of that after a seek is not always in order.
    """
    shown = [packet.pts or 0 for packet in packets]
    ordered = sorted(shown)
    delay = max(time - own for time, own in zip(ordered, shown, strict=True))
    for packet, time in zip(packets, ordered, strict=True):
        packet.dts = time - delay


def _moved(packet: Packet, start: Fraction, stream: av.stream.Stream) -> _Placed:
    """A packet for another file, whose time begins at `start` seconds of the source."""
    shift = round(start / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - shift
    packet.dts = None if packet.dts is None else packet.dts - shift
    packet.stream = stream
    return (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base, packet


def _pictures(clip: ClipPlan, times: FrameTimes) -> tuple[int, list[Packet]]:
    """Packets from the key frame before a clip on, and the number of the frame that this one is."""
    video = clip.match.video
    for margin in SEEK_MARGINS:
        with open_video(Path(video.path)) as source:
            if source.format.name in UNTIMED:
                break
            found = _unbroken(packets_from_keyframe(source, video, times, clip.start, margin), clip, times)
        if found is not None:
            return found
    raise CutError(
        f"the pictures of {printable(video.name)} cannot be copied from its key frames on; use --codec h264"
    )


def _unbroken(
    packets: Iterator[Packet], clip: ClipPlan, times: FrameTimes
) -> tuple[int, list[Packet]] | None:
    """Packets up to where they hold the clip and no frame is left out; None where they never do."""
    first, last, run = -1, -1, list[Packet]()
    with suppress(av.error.FFmpegError, OSError):
        for packet in packets:
            if packet.pts is None or (run and packet.pts < times.pts[first]):
                continue  # shown before the key frame, of which it may need an earlier one
            place = int(np.searchsorted(times.pts, packet.pts))
            if place == len(times.pts) or times.pts[place] != packet.pts:
                return None
            if not run:
                first = place
            run.append(packet)
            last = max(last, place)
            if last + 1 >= clip.end and last - first + 1 == len(run):
                return first, run
    return None


def _sounds(video: Video, index: int, start: Fraction, end: Fraction) -> list[Packet]:
    """The packets of a track of the sound that are heard between two times, seconds."""
    with open_video(Path(video.path)) as source:
        stream = next(one for one in source.streams.audio if one.index == index)
        packets = sound_packets(source, stream, video)
        if packets is None:
            source.seek(round((start - USUAL_MARGIN) / Fraction(stream.time_base or 1)), stream=stream)
            packets = source.demux(stream)
        heard = []
        for packet in packets:
            if packet.pts is None:
                continue
            time = packet.pts * packet.time_base
            if time >= end:
                break
            if time + (packet.duration or 0) * packet.time_base > start:
                heard.append(packet)
        return heard
