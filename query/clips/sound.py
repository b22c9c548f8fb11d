"""A video's first sound stream, cut to the sample.

Sound is placed by the time stamps of the file, then counted by samples, so that time stamps rounded to
milliseconds neither tear nor squeeze it. Where the file has no sound, there is silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (2, N) left and right, -1..1

# What AAC players all know; another rate is resampled to the second.
RATES = (44_100, 48_000)
# Time stamps may be off by rounding (1 ms in Matroska, 23 ms blocks in some AVI); more than this is a gap or
# an overlap.
LARGEST_SLIP = Fraction(1, 25)
# Decoding starts before the wanted time, since the first block after a jump lacks what it overlaps with (AAC)
# or needs a run-up (Opus: 80 ms); the next numbers are for files in which the jump lands late, the last is
# the file's start.
RUN_UPS = (Fraction(1), Fraction(10), None)


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The first stream of sound that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def output_rate(stream: AudioStream) -> int:
    """Samples a second of the clip's sound."""
    return stream.rate if stream.rate in RATES else RATES[-1]


def cut_sound(
    container: InputContainer, stream: AudioStream, start: Fraction, end: Fraction
) -> Iterator[Samples]:
    """Stereo from `start` to `end`, seconds on the file's clock: round((end - start) * rate) samples.

    More than two channels are mixed down. Damaged packets become silence.
    """
    rate = output_rate(stream)
    total, done = round((end - start) * rate), 0
    for position, block in _placed(container, stream, rate, start):
        if position >= total:
            break
        while done < position:
            silence = min(rate, position - done)
            yield np.zeros((2, silence), np.float32)
            done += silence
        piece = block[:, done - position : total - position]
        if piece.size:
            yield piece
            done += piece.shape[1]
    while done < total:
        silence = min(rate, total - done)
        yield np.zeros((2, silence), np.float32)
        done += silence


def _placed(
    container: InputContainer, stream: AudioStream, rate: int, start: Fraction
) -> Iterator[tuple[int, Samples]]:
    """Blocks of samples with the place of their first one, counted from `start`."""
    resampler: AudioResampler | None = None
    shape, expected, position = ("", "", 0), Fraction(0), 0
    for frame in chain(_frames(container, stream, start), [None]):
        time = _time(frame, stream, expected)
        arrived = (frame.format.name, frame.layout.name, frame.sample_rate) if frame else None
        slipped = abs(time - expected) > LARGEST_SLIP
        if resampler is not None and (slipped or arrived != shape):
            for block in _converted(resampler, None):
                yield position, block
                position += block.shape[1]
            resampler = None
        if frame is None or arrived is None:
            return
        if resampler is None:
            resampler, shape, expected = AudioResampler("fltp", "stereo", rate), arrived, time
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


def _frames(container: InputContainer, stream: AudioStream, start: Fraction) -> Iterator[AudioFrame]:
    """Decoded sound from before `start` on, or from where the file's sound begins."""
    for run_up in RUN_UPS:
        try:
            target = (
                stream.start_time or 0
                if run_up is None
                else round((start - run_up) / Fraction(stream.time_base or 1))
            )
            container.seek(target, stream=stream)
        except (av.error.FFmpegError, OSError):
            continue
        frames = _decode(container, stream)
        first = next(frames, None)
        if first is not None and (run_up is None or (first.time is not None and first.time <= start)):
            return chain([first], frames)
    return iter(())


def _decode(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            packet = None
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue
