"""The story of the sample: who stands where, when, before which background, and what passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

# isort: split
from portraits import Array, Pose
from scenery import (
    HEIGHT,
    Background,
    dusk,
    garden,
    make_microphone,
    make_panel,
    microphone_at,
    night,
    panel_at,
    room,
    stage_curtain,
)

FRAMES = 750
SHOTS = (0, 150, 330, 465, 600)
DISSOLVE = (323, 337)  # half-open; the second picture outweighs the first from 330 on
HARD_CUTS = (150, 465, 600)
Keys: TypeAlias = dict[int, float]


@dataclass(frozen=True, slots=True)
class Actor:
    """A person in a shot: for every field of Pose its keyframes, frame -> value."""

    name: str
    keys: dict[str, Keys]

    def pose(self, frame: float) -> Pose:
        """Where and how the person stands, with the small sway of somebody alive."""
        pose = Pose(**{name: curve(keys, frame) for name, keys in self.keys.items()})
        phase = sum(map(ord, self.name))
        return replace(
            pose,
            x=pose.x + 0.02 * pose.size * math.sin(frame / 17 + phase),
            y=pose.y + 0.015 * pose.size * math.sin(frame / 11 + 2 * phase),
            tilt=pose.tilt + 1.5 * math.sin(frame / 14 + phase) + 0.8 * np.sin(frame / 6.1 + phase),
            turn=pose.turn + 0.25 * math.sin(frame / 21 + phase),
        )


@dataclass(frozen=True, slots=True)
class Take:
    """What is filmed from `start` to `end` (half-open): actors from back to front, then a prop."""

    start: int
    end: int
    background: Background
    actors: tuple[Actor, ...]
    prop: Callable[[float], Array | None]  # frame -> layer in front of everybody
    prop_speed: float = 0.0  # pixels a frame


def curve(keys: Keys, frame: float) -> float:
    """Cubic Hermite through the keyframes (finite-difference tangents), held outside them."""
    at = sorted(keys)
    if frame <= at[0] or frame >= at[-1]:
        return keys[at[0] if frame <= at[0] else at[-1]]
    values = [keys[k] for k in at]
    slopes = np.gradient(np.array(values, float), np.array(at, float)) if len(at) > 1 else np.zeros(1)
    slopes[0] = slopes[-1] = 0.0
    k = int(np.searchsorted(at, frame, side="right")) - 1
    span = at[k + 1] - at[k]
    t = (frame - at[k]) / span
    held = values[k] == values[k + 1]
    a, b = (0.0, 0.0) if held else (slopes[k], slopes[k + 1])
    return float(
        (2 * t**3 - 3 * t**2 + 1) * values[k] + (t**3 - 2 * t**2 + t) * span * a
        + (3 * t**2 - 2 * t**3) * values[k + 1] + (t**3 - t**2) * span * b
    )  # fmt: skip


# fmt: off
def story() -> list[Take]:
    """The five takes of the film."""
    collins = Actor("collins", {
        "x": {0: 690, 75: 640, 150: 600}, "y": {0: 320, 150: 300}, "size": {0: 104, 150: 146},
        "roll": {0: -2, 75: 2, 150: -1}, "turn": {0: -0.6, 60: 0.5, 120: -0.2, 150: 0.6},
        "gain": {0: 0.72, 60: 0.95, 150: 0.85}, "side": {0: -0.6, 75: 0.5, 150: -0.3},
        "warmth": {0: -0.1, 150: 0.4}})
    obama = Actor("obama", {
        "x": {150: 900, 330: 860}, "y": {150: 318, 330: 300}, "size": {150: 158, 330: 176},
        "roll": {150: 1, 240: -2, 330: 1}, "turn": {150: 0.5, 200: -0.7, 260: 0.4, 337: -0.2},
        "gain": {150: 0.95, 240: 0.8, 337: 0.95}, "side": {150: -0.3, 337: 0.3},
        "warmth": {150: 0.5, 337: 0.2}})
    hopper = Actor("hopper", {
        "x": {150: -300, 158: -280, 205: 360, 337: 400}, "y": {150: 430, 337: 420},
        "size": {150: 150, 337: 160},
        "roll": {158: 3, 205: 0, 337: -1}, "turn": {150: 0.8, 205: 0.3, 250: -0.5, 337: 0.6},
        "gain": {150: 0.8, 205: 0.95, 337: 0.85}, "side": {150: 0.5, 337: 0.2}, "warmth": {150: 0.3}})
    biden = Actor("biden", {
        "x": {323: 655, 378: 640, 386: 600, 424: -300}, "y": {323: 330, 380: 320, 424: 340},
        "size": {323: 165, 380: 200},
        "roll": {323: 0, 380: 1, 424: -3}, "turn": {323: 0.5, 360: -0.4, 400: -0.9},
        "gain": {323: 1.1, 424: 1.2}, "side": {323: 0.3, 380: -0.4}, "warmth": {323: -0.2}})
    left, right = _pull_back("collins", -290, 415, 74), _pull_back("biden", 255, 474, 78)
    group = left, right, _pull_back("obama", 10, 446, 76)
    closer = Actor("hopper", {
        "x": {600: 640, 680: 600, 735: 380, 750: 372}, "y": {600: 352, 690: 372, 750: 400},
        "size": {600: 215, 685: 282, 740: 205}, "roll": {600: -2, 680: 2, 750: 0},
        "turn": {600: -0.8, 650: 0.6, 700: -0.4, 750: 0.5},
        "gain": {600: 0.7, 640: 1.0, 690: 0.75, 750: 0.95},
        "side": {600: 0.8, 660: -0.8, 750: 0.3}, "warmth": {600: -0.5, 675: 0.6, 750: 0.0}})
    joins = Actor("obama", {
        "x": {690: 1560, 698: 1540, 735: 930, 750: 915}, "y": {690: 330, 750: 318},
        "size": {690: 196, 750: 186},
        "roll": {690: -3, 740: 1}, "turn": {690: -0.8, 735: -0.3, 750: 0.2},
        "gain": {690: 0.85}, "side": {690: 0.4}})
    microphone = make_microphone(52)
    panel, post = make_panel(21, 470, (0.42, 0.36, 0.20)), make_panel(22, 84, (0.4, 0.36, 0.34))
    lift: Keys = {60: 900, 66: 880, 80: 0, 112: 0, 128: 880, 134: 900}

    def speak(frame: float) -> Array | None:
        pose, low = collins.pose(frame), curve(lift, frame)
        near = pose.y + 0.52 * pose.size + low
        return microphone_at(microphone, pose.x + 8 + 0.12 * low, near) if near < HEIGHT + 60 else None

    def hide(frame: float) -> Array | None:
        return panel_at(panel, 1300 - 28 * (frame - 240)) if 240 <= frame < 304 else None

    def halve(frame: float) -> Array | None:
        return panel_at(post, -90 + 21 * (frame - 630)) if 630 <= frame < 696 else None

    return [
        Take(0, 150, night(1), (collins,), speak, 10),
        Take(150, 337, room(2), (obama, hopper), hide, 28),
        Take(323, 465, garden(3), (biden,), lambda f: None),
        Take(465, 600, stage_curtain(4), group, lambda f: None),
        Take(600, 750, dusk(5), (closer, joins), halve, 21),
    ]


def _pull_back(name: str, across: float, y: float, size: float) -> Actor:
    zoom = {465: 1.5, 590: 1.0}
    return Actor(name, {
        "x": {f: 640 + across * z for f, z in zoom.items()},
        "y": {f: 446 + (y - 446) * z - 60 * (z - 1) for f, z in zoom.items()},
        "size": {f: size * z for f, z in zoom.items()}, "roll": {465: across / 200, 600: -across / 200},
        "turn": {465: across / 500, 510: -across / 400, 560: 0.3, 600: -0.3},
        "gain": {465: 0.8, 530: 1.05, 600: 0.85},
        "side": {465: -across / 500}, "warmth": {465: 0.35}})
# fmt: on
