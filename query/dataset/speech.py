"""The sound of a stretch of a video as speech models take it, 16 kHz and one channel, and how loud it is."""

from __future__ import annotations

import wave
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facereel.query.clips.sound import read_mono
from facereel.store.model.records import Floats, Ints, Video

RATE = 16_000  # samples a second

_WINDOW = RATE // 50  # samples whose power is taken together
_REACH = 0.1  # seconds to either side of a cut that have to be quiet
SILENCE = -60.0  # decibels of full scale; below, nobody hears more than noise
_READ_SECONDS = 60  # of sound that are in memory at once


def write_wav(path: Path, samples: Floats) -> None:
    """Write samples (N,), -1..1, as a WAV file of 16 bits."""
    whole = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    with path.open("wb") as file, closing(wave.open(file, "wb")) as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(whole.tobytes())


def loudness_at(video: Video, ticks: Ints) -> NDArray[np.float64]:
    """How loud a video is about each tick (N,), decibels above SILENCE, 0 or more; 0 in one without sound.

    Raises VideoError, OSError, FFmpegError.
    """
    base = video.time_base
    start, end = (int(tick) * base for tick in ticks[[0, -1]])
    powers = [np.zeros(0)]
    while start < end:
        samples = read_mono(video, start, min(end, start + _READ_SECONDS), RATE)
        if samples is None:
            break
        powers.append(window_powers(samples))
        start += _READ_SECONDS
    return loudness(np.concatenate(powers), np.asarray((ticks - ticks[0]) * float(base), np.float64))


def window_powers(samples: Floats) -> NDArray[np.float64]:
    """The mean power of each whole fiftieth of a second of samples (N,), of full scale."""
    whole = len(samples) // _WINDOW * _WINDOW
    return np.asarray(
        np.square(samples[:whole].astype(np.float64)).reshape(-1, _WINDOW).mean(axis=1), np.float64
    )


def loudness(powers: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decibels above SILENCE, 0 or more, of the fifth of a second about each moment (N,), by the powers of windows."""
    sums = np.concatenate([[0.0], np.cumsum(powers)])
    middles, reach = (seconds * RATE / _WINDOW).round().astype(np.int64), round(_REACH * RATE / _WINDOW)
    first, last = np.clip(middles - reach, 0, len(powers)), np.clip(middles + reach, 0, len(powers))
    mean = (sums[last] - sums[first]) / np.maximum(last - first, 1)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(mean, 1e-12)) - SILENCE, 0.0), np.float64)
