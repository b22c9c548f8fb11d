"""Which frames of a video are shown at the times of another frame rate. Arithmetic of integers, exact at any length."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from facereel.store.model.records import Ints


def frame_count(ticks: Ints, time_base: Fraction, rate: Fraction) -> int:
    """How many whole frames of `rate` fit into the time of frames that are shown at ticks (N + 1,)."""
    return int(int(ticks[-1] - ticks[0]) * time_base * rate)


def shown_frames(ticks: Ints, time_base: Fraction, rate: Fraction) -> Ints:
    """For each frame (M,) of `rate` a second, which of N frames it shows: the one on show in the middle of its time.

    ticks (N + 1,): when each frame is shown, and when the last one ends. A change of picture then comes at most half a
    frame of `rate` early or late, and no frame is repeated or dropped unless the rates ask for it.
    """
    step = 1 / (2 * rate * time_base)  # half a frame of `rate`, in ticks
    middles = (2 * np.arange(frame_count(ticks, time_base, rate), dtype=np.int64) + 1) * step.numerator
    return np.searchsorted(ticks[:-1] - ticks[0], middles // step.denominator, "right") - 1
