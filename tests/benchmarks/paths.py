"""How people, things and cameras move: functions of the frame number, fractions included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.benchmarks.render import Path, Pose


def hold(x: float, y: float, width: float, phase: float = 0.0) -> Path:
    """Stays where it is as a living head does: sways a little, breathes, tilts."""

    def pose(t: float) -> Pose:
        sway = 0.06 * width * np.sin(t / 11 + phase), 0.03 * width * np.sin(t / 9 + 1 + phase)
        breath = width * (1 + 0.015 * np.sin(t / 14 + phase))
        return x + sway[0], y + sway[1], breath, 2.5 * np.sin(t / 17 + phase)

    return pose


def along(keys: Sequence[tuple[float, float, float, float]], phase: float = 0.0) -> Path:
    """Through (frame, x, y, width) in straight lines, swaying as `hold` does; stays at either end."""
    table = np.array(keys)

    def pose(t: float) -> Pose:
        x, y, width = (float(np.interp(t, table[:, 0], table[:, i])) for i in (1, 2, 3))
        return hold(x, y, width, phase)(t)

    return pose


def turning(path: Path, turn: Callable[[float], float]) -> Path:
    """The same way, tilted in the picture's plane by `turn` degrees."""

    def pose(t: float) -> Pose:
        x, y, width, own = path(t)
        return x, y, width, own + turn(t)

    return pose


def passing(target: Path, start: int, frames: int, step: float, size: float, side: int = 1) -> Path:
    """Comes from one side, covers the target whole for `frames` frames from `start` on, leaves on the other.

    step: speed outside in face widths a frame; size: in face widths; side: 1 from the left, -1 right.
    """

    def pose(t: float) -> Pose:
        x, y, width, _ = target(t)
        since, last = t - start, frames - 1
        inside = 0.0 if not last else 0.3 * min(max(since / last, 0.0), 1.0) - 0.15
        offset = inside + step * (min(since, 0.0) + max(since - last, 0.0))
        return x + side * offset * width, y, size * width, 0.0

    return pose


def covering(target: Path, start: int, frames: int, aside: tuple[float, float], size: float) -> Path:
    """Comes within 4 frames to a place `aside` (in face widths) of the target, stays, and goes back down."""

    def pose(t: float) -> Pose:
        x, y, width, _ = target(t)
        away = max(start + 4 - t, t - (start + frames - 4), 0.0)
        return x + aside[0] * width, y + (aside[1] + 0.7 * away) * width, size * width, 0.0

    return pose
