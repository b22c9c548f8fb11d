"""Frame rates of editors, the positions of frames on their even grid, and SMPTE timecode (ST 12-1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from facereel.store.model.records import FrameTimes, Ints, Video

_NTSC = Fraction(1000, 1001)
# What cameras record and editing programs offer.
STANDARD_RATES = (
    24 * _NTSC, Fraction(24), Fraction(25), 30 * _NTSC, Fraction(30), 48 * _NTSC, Fraction(48), Fraction(50),
    60 * _NTSC, Fraction(60), Fraction(100), 120 * _NTSC, Fraction(120),
)  # fmt: skip
_CLOSE = Fraction(1, 5000)  # 23.976 and 24 differ by 1/1000; what containers state is rounded far less
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d{2,3})")


@dataclass(frozen=True, slots=True)
class Timecode:
    """The timecode of a frame."""

    text: str
    rate: Fraction  # frames a second at which it counts


def clip_timecode(text: str | None, video: Video, times: FrameTimes, frame: int) -> Timecode | None:
    """The timecode of a frame of a video whose file begins with `text`; None without one that exists at its rate."""
    rate = nominal_rate(video.frame_rate, times, video.time_base)
    start = frames_of(text or "", rate)
    if start is None:
        return None
    since = np.array([times.pts[frame] - times.pts[0]])
    position = start[0] + int(grid_positions(since, video.time_base, rate)[0])
    return Timecode(timecode_of(position, rate, start[1]), rate)


def nominal_rate(stated: Fraction, times: FrameTimes, time_base: Fraction) -> Fraction:
    """The rate, frames a second, at which an editing program takes a video.

    It is the standard or whole rate on whose grid all frames lie one after the other; the one that the container
    states (`stated`) before the average. Where there is none, the video's rate varies: the standard rate that is next
    to that of most frames.
    """
    rates = [stated]
    if len(times.pts) > 1:
        rates.append((len(times.pts) - 1) / (int(times.pts[-1] - times.pts[0]) * time_base))
    for rate in rates:
        for candidate in (_nearest(rate), Fraction(round(rate))):
            if candidate and abs(candidate / rate - 1) < _CLOSE and is_constant(times, time_base, candidate):
                return candidate
    for rate in rates[1:]:  # a few frames, whose average is as coarse as the ticks
        if is_constant(times, time_base, _nearest(rate)):
            return _nearest(rate)
    usual = int(np.median(np.diff(times.pts) if len(times.pts) > 1 else times.durations))
    return _nearest(1 / (usual * time_base))


def _nearest(rate: Fraction) -> Fraction:
    return min(STANDARD_RATES, key=lambda standard: abs(standard / rate - 1))


def is_constant(times: FrameTimes, time_base: Fraction, rate: Fraction) -> bool:
    """Whether all frames of a video lie one after the other on the grid of a rate."""
    positions = grid_positions(times.pts - times.pts[0], time_base, rate)
    return bool(np.array_equal(positions, np.arange(len(positions))))


def grid_positions(ticks: Ints, time_base: Fraction, rate: Fraction) -> Ints:
    """The frames of a grid (N,) that are nearest to times since its start (N,), in ticks."""
    frames = time_base * rate  # a tick
    return (2 * ticks * frames.numerator + frames.denominator) // (2 * frames.denominator)


def base_of(rate: Fraction) -> int:
    """How many frames a second of timecode has: 24 at 23.976."""
    return round(rate)


def can_drop(rate: Fraction) -> bool:
    """Whether drop-frame timecode exists for a rate: 29.97 and its multiples."""
    return rate.denominator != 1 and base_of(rate) % 30 == 0


def frames_of(timecode: str, rate: Fraction) -> tuple[int, bool] | None:
    """Frames since 00:00:00:00 of a timecode, and whether it is drop-frame; None for what is no timecode.

    Drop-frame timecode has another mark than a colon before the frames.
    """
    parts = _TIMECODE.fullmatch(timecode.strip())
    if parts is None:
        return None
    base = base_of(rate)
    hours, minutes, seconds, frames = (int(parts[group]) for group in (1, 2, 3, 5))
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= base:
        return None
    drop = parts[4] != ":" and can_drop(rate)
    total_minutes = 60 * hours + minutes
    dropped = base // 15 * (total_minutes - total_minutes // 10) if drop else 0
    return (60 * total_minutes + seconds) * base + frames - dropped, drop


def timecode_of(frames: int, rate: Fraction, drop: bool) -> str:
    """The timecode of a frame since 00:00:00:00, `01:00:00:00` or with drop-frame `01:00:00;00`; after a day from 0.

    Drop-frame skips the first two numbers (four at 59.94) of every minute but each tenth, so that it keeps up with
    the clock.
    """
    base = base_of(rate)
    if drop:
        skipped = base // 15
        in_minute = 60 * base - skipped
        tens, rest = divmod(frames, 10 * in_minute + skipped)
        frames += (9 * tens + max(0, (rest - skipped) // in_minute)) * skipped
    seconds, frame = divmod(frames, base)
    width = len(str(base - 1))
    mark = ";" if drop else ":"
    return (
        f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{frame:0{max(2, width)}}"
    )
