"""Sound as mel-frequency cepstral coefficients (MFCC), 13 every 10 ms, as models of active speakers take them.

LR-ASD and Light-ASD use the package python_speech_features with its defaults (Light-ASD, Columbia_test.py:
`mfcc(audio, 16000, numcep=13, winlen=0.025, winstep=0.010)`). That has had no release since 2017 and comes as source
only, so its definition is written again here; a test holds the result against numbers that it gave.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.records import Floats

RATE = 16_000  # samples a second
WINDOW, STEP = 400, 160  # samples: 25 and 10 ms
COEFFICIENTS = 13
_FFT = 512
_FILTERS = 26
_EMPHASIS = 0.97  # how much of the sample before is taken off
_LIFTER = 22
_LEAST = float(np.finfo(np.float64).eps)  # for the logarithm of silence
_FULL_SCALE = 32_768  # the models were trained on samples of 16 bits

_Matrix = NDArray[np.float64]


def mfcc(samples: Floats) -> Floats:
    """Coefficients (T, 13) of sound (N,), -1..1 at RATE: T = 1 + ceil((N - WINDOW) / STEP), at least 1.

    The first coefficient is the logarithm of the energy.
    """
    scaled = np.clip(np.round(samples.astype(np.float64) * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    emphasised = np.append(scaled[:1], scaled[1:] - _EMPHASIS * scaled[:-1])
    count = 1 + max(0, -(-(len(scaled) - WINDOW) // STEP))
    padded = np.zeros((count - 1) * STEP + WINDOW)
    padded[: len(emphasised)] = emphasised[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    filters, cosines, lifter = _constants()
    logarithms = np.log(np.maximum(power @ filters.T, _LEAST))
    cepstrum = logarithms @ cosines.T * lifter
    cepstrum[:, 0] = np.log(np.maximum(power.sum(axis=1), _LEAST))
    return np.asarray(cepstrum, np.float32)


@lru_cache(maxsize=1)
def _constants() -> tuple[_Matrix, _Matrix, _Matrix]:
    """Triangular filters (26, 257) even on the mel scale, the cosines (13, 26) of a DCT-II, and the lifter (13,)."""
    highest = 2595 * np.log10(1 + RATE / 2 / 700)  # mel
    hertz = 700 * (10 ** (np.linspace(0, highest, _FILTERS + 2) / 2595) - 1)
    corners = np.floor((_FFT + 1) * hertz / RATE)
    bins = np.arange(_FFT // 2 + 1)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - low) / np.maximum(middle - low, 1)
    falling = (high - bins) / np.maximum(high - middle, 1)
    filters = np.where((bins >= low) & (bins < middle), rising, 0)
    filters = np.where((bins >= middle) & (bins < high), falling, filters)
    orders = np.arange(COEFFICIENTS)[:, None]
    cosines = np.sqrt(2 / _FILTERS) * np.cos(np.pi * orders * (2 * np.arange(_FILTERS) + 1) / (2 * _FILTERS))
    cosines[0] /= np.sqrt(2)
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFTER)
    return filters, cosines, lifter
