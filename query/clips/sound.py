"""Cuts the sound of a video, exact to the sample.

The time stamps say where sound starts. From there samples are counted, so that time stamps rounded to milliseconds
leave no gaps; only a larger gap or overlap moves it. Where the file has no sound, the clip has silence.

FFmpeg's aresample filter can place sound, too. It gave the same samples in eleven of twelve test files; in Opus it was
one millisecond late after a seek.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from typing import TypeVar, cast

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from facereel.indexer.media.clock import usual_duration
from facereel.indexer.media.container import open_video, picture_stream, sound_stream
from facereel.indexer.media.packets import Packet, placed_packets
from facereel.store.model.records import Floats, Video

_Item = TypeVar("_Item")
Samples = NDArray[np.float32]  # (C, N) a row a channel, -1..1

# Sample rates that all AAC players support; sound of another rate is resampled to the second.
RATES = (44_100, 48_000)
# Seconds. Time stamps may be rounded (to 1 ms in Matroska, to blocks of 23 ms in some AVI); a larger difference is a
# gap or an overlap.
MAX_TIME_ERROR = Fraction(1, 25)
# Where recordings were joined, the sound of the first may last for part of a block into the second. Time stamps of
# such files are exact to the millisecond.
MAX_TIME_ERROR_JOINED = Fraction(1, 200)
# Seconds before the start of the clip to seek to, one after the other: the first block after a seek is incomplete (AAC
# overlaps blocks, Opus needs 80 ms before it), and in some files a seek ends late. None is the start of the file.
USUAL_MARGIN = Fraction(1)
# Blocks that end more than these seconds before the start of the clip are skipped.
_EARLY_SECONDS = Fraction(2, 5)
SEEK_MARGINS = (USUAL_MARGIN, Fraction(10), None)


def output_rate(stream: AudioStream) -> int:
    """Samples a second of the clip's sound."""
    return stream.rate if stream.rate in RATES else RATES[-1]


def layout_of(stream: AudioStream) -> str:
    """The channels of a track by FFmpeg's name; stereo where they have no usual one."""
    try:
        return stream.layout.name if AudioLayout(stream.layout.name).nb_channels else "stereo"
    except ValueError:
        return "stereo"


def read_mono(video: Video, start: Fraction, end: Fraction, rate: int) -> Floats | None:
    """The sound of a video from `start` to `end`, seconds on the file's clock, as one channel, `rate` samples a second.

    (round((end - start) * rate),), -1..1, silence beyond the file's ends; None for a video without sound. Raises
    VideoError, OSError, FFmpegError.
    """
    with open_video(Path(video.path)) as source:
        stream = sound_stream(source)
        if stream is None:
            return None
        blocks = list(cut_sound(source, stream, start, end, sound_packets(source, stream, video), rate))
    joined = np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)
    return np.asarray(joined.mean(axis=0), np.float32)


def sound_packets(container: InputContainer, stream: AudioStream, video: Video) -> Iterator[Packet] | None:
    """All packets of the sound on the clock of the index, where that starts again; else None, as a seek finds them."""
    if not video.restarts:
        return None
    picture = picture_stream(container, Path(video.path))
    usual = usual_duration(video.frame_rate, video.time_base)
    placed = placed_packets(container, picture, (stream,), usual)
    return (one.packet for one in _to_the_end(placed) if one.packet.stream.index == stream.index)


def cut_sound(
    container: InputContainer, stream: AudioStream, start: Fraction, end: Fraction,
    packets: Iterator[Packet] | None = None, rate: int | None = None, layout: str = "stereo",
) -> Iterator[Samples]:  # fmt: skip
    """Sound from `start` to `end`, seconds on the file's clock: round((end - start) * rate) samples a channel.

    Other channels than those of `layout`, FFmpeg's name, are mixed to them. Damaged packets become silence. `packets`
    are those of `sound_packets`; `rate` is that of `output_rate` if None.
    """
    rate = rate or output_rate(stream)
    channels = AudioLayout(layout).nb_channels
    total, done = round((end - start) * rate), 0
    for position, block in _placed(container, stream, rate, start, packets, layout):
        if position >= total:
            break
        while done < position:
            silence = min(rate, position - done)
            yield np.zeros((channels, silence), np.float32)
            done += silence
        piece = block[:, done - position : total - position]
        if piece.size:
            yield piece
            done += piece.shape[1]
    while done < total:
        silence = min(rate, total - done)
        yield np.zeros((channels, silence), np.float32)
        done += silence


def _placed(
    container: InputContainer,
    stream: AudioStream,
    rate: int,
    start: Fraction,
    packets: Iterator[Packet] | None,
    layout: str,
) -> Iterator[tuple[int, Samples]]:
    """Blocks of samples with the position of the first sample in the clip, negative before `start`."""
    resampler: AudioResampler | None = None
    sample_format, expected, position = ("", "", 0), Fraction(0), 0
    before = start - USUAL_MARGIN
    frames = _frames(container, stream, start) if packets is None else _decode(_from(before, packets))
    for frame in chain(frames, [None]):
        time = _time(frame, stream, expected)
        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate) if frame else None
        jumps = abs(time - expected) > (MAX_TIME_ERROR if packets is None else MAX_TIME_ERROR_JOINED)
        if resampler is not None and (jumps or frame_format != sample_format):
            for block in _converted(resampler, None):
                yield position, block
                position += block.shape[1]
            resampler = None
        if frame is None or frame_format is None:
            continue
        if resampler is None:
            resampler = AudioResampler("fltp", layout, rate)
            sample_format, expected = frame_format, time
            position = round((time - start) * rate)
        expected += Fraction(frame.samples, frame.sample_rate)
        for block in _converted(resampler, frame):
            yield position, block
            position += block.shape[1]


def _time(frame: AudioFrame | None, stream: AudioStream, expected: Fraction) -> Fraction:
    if frame is None or frame.pts is None:
        return expected
    return frame.pts * Fraction(frame.time_base or stream.time_base or 1)


def _converted(resampler: AudioResampler, frame: AudioFrame | None) -> list[Samples]:
    return [np.asarray(block.to_ndarray(), np.float32) for block in resampler.resample(frame)]


def _frames(container: InputContainer, stream: AudioStream, start: Fraction) -> Iterator[AudioFrame | None]:
    """As _decode, from before `start` on, or from the start of the file's sound."""
    for margin in SEEK_MARGINS:
        try:
            target = (
                stream.start_time or 0
                if margin is None
                else round((start - margin) / Fraction(stream.time_base or 1))
            )
            container.seek(target, stream=stream)
        except (av.error.FFmpegError, OSError):
            continue
        frames = _decode(_to_the_end(container.demux(stream)))
        first = next((frame for frame in frames if frame is not None), None)
        if first is not None and (margin is None or (first.time is not None and first.time <= start)):
            frames = chain([first], frames)
            return frames if margin is None else _skip_early_blocks(frames, start)
    return iter(())


def _skip_early_blocks(frames: Iterator[AudioFrame | None], start: Fraction) -> Iterator[AudioFrame | None]:
    """Blocks from shortly before the start on: in program streams the times of the first after a seek are guessed.

    A block may last for seconds (PCM in long chunks, FLAC), so its end counts.
    """

    def is_early(frame: AudioFrame | None) -> bool:
        if frame is None:
            return True
        length = Fraction(frame.samples, frame.sample_rate)
        return frame.time is not None and frame.time + length < start - _EARLY_SECONDS

    return dropwhile(is_early, frames)


def _from(start: Fraction, packets: Iterator[Packet]) -> Iterator[Packet]:
    """Packets from the first on that lasts until `start`, seconds, or begins after it."""

    def is_early(packet: Packet) -> bool:
        return packet.pts is None or (packet.pts + (packet.duration or 0)) * packet.time_base < start

    return dropwhile(is_early, packets)


def _to_the_end(packets: Iterable[_Item]) -> Iterator[_Item]:
    """Packets to the end of the file, or to where it is torn."""
    with suppress(av.error.FFmpegError, OSError):
        yield from packets


def _decode(packets: Iterable[Packet]) -> Iterator[AudioFrame | None]:
    """Blocks of sound; None where an edit list leaves some out, so that the next one does not follow the last."""
    for packet in packets:
        if packet.is_discard:
            yield None
        try:
            yield from cast("list[AudioFrame]", packet.decode())
        except av.error.FFmpegError:
            continue
