"""Times as numbers of frames."""

from __future__ import annotations

from fractions import Fraction

_FILM_RATE = 25  # frames a second: rules of scan, track and shots were measured on videos of 24 to 30
_SLOWEST_FILM = 18  # frames a second below which frames are too far apart to be counted as those of a film
# Of frames that are further apart than this, seconds, neither place nor patch says who a face is: heads turn, people
# walk, and another one sits where the first one sat.
SLOW_STEP = 0.22  # 5 frames a second are not that slow, however their times are rounded
# What a time may be longer than its limit, seconds: times in a file are rounded, at most by half of a film's frame.
_ROUNDING = 0.02


def film_frame(frame_rate: Fraction | float) -> int:
    """How many frames last about as long as one of a film: 1 up to 40 frames a second, 2 at 50 and 60, 4 at 100.

    A whole number, so that videos of 24 to 30 frames a second, on which the rules were measured, are all treated alike.
    """
    return max(1, round(float(frame_rate) / 27))


def film_frames_per_frame(frame_rate: float) -> float:
    """How many frames of a film one frame lasts; whole shares of one from the slowest film on, see film_frame()."""
    return _FILM_RATE / frame_rate if frame_rate < _SLOWEST_FILM else 1 / film_frame(frame_rate)


def rounding(frame_rate: Fraction | float) -> float:
    """By how much the time between two frames may exceed a limit because times are rounded, seconds."""
    return min(_ROUNDING, 0.5 / float(frame_rate))


def time_limit(seconds: float, frame_rate: float) -> float:
    """The longest time between two frames that counts as `seconds`: that of as many frames as frames_in() gives."""
    whole = seconds if frame_rate < _SLOWEST_FILM else frames_in(seconds, frame_rate) / frame_rate
    return whole + rounding(frame_rate)


def frames_in(seconds: float, frame_rate: Fraction | float) -> int:
    """The number of frames in a time, rounded to whole film frames, at least one."""
    if frame_rate < _SLOWEST_FILM:
        return max(1, round(seconds * float(frame_rate)))
    return max(1, round(seconds * _FILM_RATE)) * film_frame(frame_rate)
