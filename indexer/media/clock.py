"""When each decoded frame is shown: one rule for the index and for whoever must find its frames again."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# AVI and bare streams store no display times. Those that FFmpeg makes up jump back and forth around B-frames
# and are others after a seek, while frames come out in the right order and their decoding times go on.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo"})


def usual_duration(frame_rate: Fraction, time_base: Fraction) -> int:
    """Ticks that a frame lasts when nothing else is known, at least 1."""
    return max(1, round(1 / (frame_rate * time_base)))


@dataclass(slots=True)
class FrameClock:
    """Gives ticks to frames that arrive in display order."""

    timed: bool  # the container stores display times
    start: int  # tick of the first frame where it does not
    usual: int  # ticks from a frame to one without a stamp
    last: int | None = None
    _shift: int | None = None  # from decoding to display where the container stores no display times

    def tick(self, pts: int | None, dts: int | None) -> int | None:
        """The frame's tick; None when its stamp does not go on, and the frame has no place in time."""
        file_version = pts if self.timed else self._shown(dts)
        if file_version is None:
            file_version = self.start if self.last is None else self.last + self.usual
        if self.last is not None and file_version <= self.last:
            return None
        self.last = file_version
        return file_version

    def _shown(self, dts: int | None) -> int | None:
        """A decoding time without the delay of the decoder, which the first frame shows."""
        if dts is None:
            return None
        if self._shift is None:
            self._shift = (self.start if self.last is None else self.last + self.usual) - dts
        return dts + self._shift
