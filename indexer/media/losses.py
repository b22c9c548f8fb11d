"""What a file lost, told from what it says of itself and from the times of what is left. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

# A film counts as regular when so many of its frames follow at one pace; phones and screen recorders, which leave
# frames out on purpose, stay below.
_REGULAR = 0.9
_HOLE = 1.5  # of a frame's time: a frame is missing
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def missing_frames(pts: Sequence[int]) -> tuple[int, int]:
    """Gaps in the times (F,) of a regular film, ticks, and how many frames would fill them; 0, 0 for others."""
    steps = np.diff(np.array(pts, np.float64))
    if len(steps) < 4:
        return 0, 0
    pace = float(np.median(steps))
    wide = steps > _HOLE * pace
    usual = np.abs(steps - pace) <= max(1.0, 0.05 * pace)
    # Of a short film a single hole is more than a tenth.
    if usual.sum() < min(_REGULAR * len(steps), len(steps) - 1):
        return 0, 0
    return int(wide.sum()), int(np.rint(steps[wide] / pace - 1).sum())


def stated_seconds(tag: str | None) -> float | None:
    """Seconds of a track as Matroska states it, `00:01:02.040000000`; None when it does not."""
    found = _CLOCK.fullmatch(tag.strip("\0 ")) if tag else None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
