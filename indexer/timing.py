"""Times as numbers of frames."""

from __future__ import annotations

from fractions import Fraction

_FILM_RATE = 25  # frames a second: rules of scan, track and shots were measured on videos of 24 to 30


def film_frame(frame_rate: Fraction | float) -> int:
    """How many frames last about as long as one of a film: 1 up to 40 frames a second, 2 at 50 and 60, 4 at 100.

    A whole number, so that videos of 24 to 30 frames a second, on which the rules were measured, are all treated alike.
    """
    return max(1, round(float(frame_rate) / 27))


def frames_in(seconds: float, frame_rate: Fraction | float) -> int:
    """The number of frames in a time, rounded to whole film frames, at least one."""
    return max(1, round(seconds * _FILM_RATE)) * film_frame(frame_rate)
