"""When each decoded frame is shown: one rule for the index and for whoever looks up its frames again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median_low
from typing import NamedTuple

# AVI and bare streams store no display times. FFmpeg invents some, which jump back and forth around B-frames and
# differ after a seek; the frames themselves come out in display order.
BARE = frozenset(
    {"h264", "hevc", "m4v", "mpegvideo", "vc1", "vvc", "cavsvideo", "dirac", "h261", "h263", "obu"}
)
UNTIMED = BARE | {"avi"}
# Its clock cannot start again. Decoding times go back where an edit list leaves pictures out or shows them twice.
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"

# From here on the clock is taken to have jumped, and no frames to be missing. FFmpeg takes a packet that comes so much
# later than the one before for a jump, too (its option dts_delta_threshold).
JUMP_SECONDS = 10
# A gap is a time without a picture: the frame before it is not shown until it is over. In a video that follows a pace
# a gap is this long at least, and this many times the longest of the last steps. A slideshow has no gap.
_GAP_SECONDS = 1  # also the time for which a track may wait for its face
GAP_STEPS = 10
_STEPS = 12  # as many of the last steps as are compared: half a second of film
_MIN_STEPS = 3


def usual_duration(frame_rate: Fraction, time_base: Fraction) -> int:
    """Ticks that a frame lasts when nothing else is known, at least 1."""
    return max(1, round(1 / (frame_rate * time_base)))


class Gap(NamedTuple):
    """A time without a picture."""

    shown: int  # ticks for which the frame before it is shown
    seconds: float  # from then to the frame after it


@dataclass(slots=True)
class FrameClock:
    """Gives ticks to frames that arrive in display order, and notes the gaps between them."""

    format_name: str  # of the container, as FFmpeg calls it
    start: int  # tick of the first frame where the container stores no display times
    usual: int  # ticks from a frame to the next one when that has no time stamp
    time_base: Fraction
    last: int | None = None  # tick of the frame before
    misplaced: int = 0  # frames whose time stamp was not after the frame before
    gaps: dict[int, Gap] = field(default_factory=dict)  # by the first frame after each
    _frames: int = 0
    _duration: int = 0  # ticks that the frame before says it lasts; 0 where that is not to be used
    _shift: int | None = None  # from decoding to display time where the container stores no display times
    _steps: deque[int] = field(default_factory=lambda: deque(maxlen=_STEPS))

    def tick(self, pts: int | None, dts: int | None, duration: int | None = None) -> int:
        """The frame's tick. Where its time stamp is not after the frame before, it is shown half a frame later."""
        if self.format_name not in UNTIMED:
            tick = pts
        elif self.format_name in BARE:
            tick = None
        else:
            tick = self._display_time(dts)
        if tick is None:
            tick = self._next()
        if self.last is not None and tick <= self.last:
            self.misplaced += 1
            tick = self.last + max(1, self.usual // 2)
        self._advance(tick)
        if self.format_name in BARE:
            # A picture of which a field is shown again lasts half a frame longer.
            self._duration = max(self.usual, duration or 0)
        return tick

    def resume(self, ticks: Iterable[int]) -> None:
        """Go on after frames whose ticks are known."""
        for tick in ticks:
            self._advance(tick)

    def _advance(self, tick: int) -> None:
        if self.last is not None:
            step = tick - self.last
            # Two in a row are none: from here on the video has another pace.
            if self._is_gap(step) and self._frames - 1 not in self.gaps:
                shown = median_low(self._steps)
                self.gaps[self._frames] = Gap(shown, float((step - shown) * self.time_base))
            else:
                self._steps.append(step)
        self.last = tick
        self._frames += 1

    def _is_gap(self, step: int) -> bool:
        # The fraction last: it takes longer than all else that is done with a frame here.
        if len(self._steps) < _MIN_STEPS or step <= GAP_STEPS * max(self._steps):
            return False
        return step * self.time_base >= _GAP_SECONDS

    def _display_time(self, dts: int | None) -> int | None:
        """A decoding time without the decoder's delay, which the first frame shows."""
        if dts is None:
            return None
        if self._shift is None:
            self._shift = self._next() - dts
        return dts + self._shift

    def _next(self) -> int:
        return self.start if self.last is None else self.last + (self._duration or self.usual)
