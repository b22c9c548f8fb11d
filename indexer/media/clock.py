"""When each decoded frame is shown: one rule for the index and for whoever looks up its frames again."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# AVI and bare streams store no display times. FFmpeg invents some, which jump back and forth around B-frames and
# differ after a seek; the frames themselves come out in display order, and their decoding times increase.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo"})


def usual_duration(frame_rate: Fraction, time_base: Fraction) -> int:
    """Ticks that a frame lasts when nothing else is known, at least 1."""
    return max(1, round(1 / (frame_rate * time_base)))


@dataclass(slots=True)
class FrameClock:
    """Gives ticks to frames that arrive in display order."""

    timed: bool  # the container stores display times
    start: int  # tick of the first frame where it does not
    usual: int  # ticks from a frame to the next one when that has no time stamp
    last: int | None = None  # tick of the frame before
    _shift: int | None = None  # from decoding to display time where the container stores no display times

    def tick(self, pts: int | None, dts: int | None) -> int | None:
        """The frame's tick; None when its time stamp is not after the frame before, so it has no place in time."""
        tick = pts if self.timed else self._display_time(dts)
        if tick is None:
            tick = self._next()
        if self.last is not None and tick <= self.last:
            return None
        self.last = tick
        return tick

    def _display_time(self, dts: int | None) -> int | None:
        """A decoding time without the decoder's delay, which the first frame shows."""
        if dts is None:
            return None
        if self._shift is None:
            self._shift = self._next() - dts
        return dts + self._shift

    def _next(self) -> int:
        return self.start if self.last is None else self.last + self.usual
