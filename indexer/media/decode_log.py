"""What one pass over a video has met so far: the times of its frames, and what was lost."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from facereel.indexer.media.clock import JUMP_SECONDS, Gap, usual_duration
from facereel.store.model.records import FrameTimes

# A video is regular when this share of its frames follow at one pace. Phones and screen recorders, which leave out
# frames on purpose, stay below.
_REGULAR_SHARE = 0.9
_GAP = 1.5  # of the usual step between two frames: from here on a frame is missing


@dataclass(slots=True)
class DecodeLog:
    """What one pass over a video has met so far; filled in while its frames are read."""

    # As arrays of 64 bits: a list of numbers takes five times as much, and a film has a million frames.
    pts: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(
        default_factory=lambda: array("q")
    )  # as the frames say, 0 where they do not
    packets: int = 0  # of the video stream that should give a frame
    may_hide: bool = False  # the codec stores pictures that are not for display
    damaged: int = 0  # packets that could not be decoded
    concealed: int = 0  # frames that the decoder marks as partly invented
    misplaced: int = 0  # frames whose time stamp is not after the frame before
    restarts: int = 0  # how often the clock of the file starts again
    interruptions: set[int] = field(default_factory=set)  # first frames after a gap or a restart
    gaps: dict[int, Gap] = field(default_factory=dict)  # by the first frame after each
    truncated: str = ""  # how far the file goes, when it ends too early
    first_pts: int | None = (
        None  # tick of the first frame to decode in a resumed run; those before are in `pts`
    )

    @property
    def intact(self) -> bool:
        """Whether nothing was lost so far."""
        return not (self.damaged or self.concealed or self.misplaced)

    @property
    def undecoded(self) -> int:
        """Packets that gave no frame although the decoder reported no error; several threads lose some reports.

        Where each field has a packet of its own, and where pictures may not be for display, only gaps tell.
        """
        lost = max(0, self.packets - self.damaged - len(self.pts))
        fields = 1.8 * len(self.pts) < self.packets < 2.1 * len(self.pts)
        return min(lost, self._missing()[1]) if fields or self.may_hide else lost

    def resume(self, pts: list[int], frame: int) -> None:
        """Continue with `frame`: take over the ticks of an earlier run, which include that frame's own."""
        self.pts, self.durations = array("q", pts[:frame]), array("q", [0]) * frame
        self.first_pts = pts[frame]

    def times(
        self, frame_rate: Fraction, time_base: Fraction, start: int = 0, end: int | None = None
    ) -> FrameTimes:
        """Time stamps with durations of the frames [start, end): one lasts until the next one is shown, or a gap comes.

        The frame after the last one must have been read, if there is one.
        """
        end = len(self.pts) if end is None else end
        pts = np.array(self.pts[start : end + 1], np.int64)
        if end == len(self.pts):
            last = self.durations[-1] or usual_duration(frame_rate, time_base)
            pts = np.append(pts, pts[-1] + last)
        durations = np.diff(pts)
        for frame, gap in self.gaps.items():
            if start < frame <= end:
                durations[frame - 1 - start] = gap.shown
        return FrameTimes(pts[:-1], durations)

    def losses(self) -> dict[str, int]:
        """Numbers of what was lost, by the fields of IndexStats."""
        return {
            "skipped": 0, "damaged": self.damaged + self.undecoded, "concealed": self.concealed,
            "missing": self._missing()[1],
        }  # fmt: skip

    def warnings(self) -> tuple[str, ...]:
        """What was lost, one sentence for each kind."""
        gaps, missing = self._missing()
        jumps = [gap.seconds for gap in self._jumps().values()]
        where = "a gap" if gaps == 1 else f"{gaps:,} gaps"
        sentences = (
            (self.damaged, f"{_count(self.damaged, 'damaged packet')} could not be decoded"),
            (self.undecoded, f"{_count(self.undecoded, 'packet')} gave no frame"),
            (self.concealed, f"{_count(self.concealed, 'frame')} partly invented by the decoder"),
            (
                missing,
                f"{_count(missing, 'frame')} {_seem(missing)} to be missing ({where} in the time stamps)",
            ),
            (
                jumps,
                f"the clock jumps ahead {'once' if len(jumps) == 1 else f'{len(jumps):,} times'}, "
                f"by {sum(jumps):,.1f} s without a picture",
            ),
            (self.misplaced, f"{_count(self.misplaced, 'frame')} with impossible time stamps, shown late"),
            (
                self.truncated,
                f"the file ends early, after {_count(len(self.pts), 'frame')} ({self.truncated})",
            ),
        )
        return tuple(sentence for lost, sentence in sentences if lost)

    def _jumps(self) -> dict[int, Gap]:
        return {frame: gap for frame, gap in self.gaps.items() if gap.seconds > JUMP_SECONDS}

    def _missing(self) -> tuple[int, int]:
        return missing_frames(self.pts, tuple(self._jumps()))


def missing_frames(pts: Sequence[int], jumps: Sequence[int] = ()) -> tuple[int, int]:
    """Gaps in the times (F,) of a regular video, ticks, and how many frames would fill them; (0, 0) for others.

    `jumps` are the first frames after jumps of the clock, where no frames are missing.
    """
    steps = np.diff(np.array(pts, np.float64))
    steps = np.delete(steps, np.array(jumps, np.int64) - 1)
    if len(steps) < 4:
        return 0, 0
    pace = float(np.median(steps))
    wide = steps > _GAP * pace
    usual = np.abs(steps - pace) <= max(1.0, 0.05 * pace)
    # In a short video a single gap is more than a tenth of all steps.
    if usual.sum() < min(_REGULAR_SHARE * len(steps), len(steps) - 1):
        return 0, 0
    return int(wide.sum()), int(np.rint(steps[wide] / pace - 1).sum())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _seem(number: int) -> str:
    return "seems" if number == 1 else "seem"
