"""Scenes in which two heads meet and one hides the other: who is seen afterwards is not who was seen before.

Heads are solid and the one in front is often in profile, so that a detector misses it and a recogniser mistakes it.
Times are in seconds, so that one plan serves every frame rate; widths are those of the face behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from tests.benchmarks.paths import along
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.render import Layer, Path, Scene, Take
from tests.benchmarks.scenarios import Cast, register

_Keys = Sequence[tuple[float, float, float]]  # seconds, across and down in face widths from the middle
_Turns = Sequence[tuple[float, float]]  # seconds, degrees


SIZE = (640, 360)


class _Stage:
    """A picture with its clock: places in face widths from its middle, times in seconds."""

    def __init__(self, width: float, rate: int, shutter: int, size: tuple[int, int]) -> None:
        self._width, self._rate, self._shutter, self._size = width, rate, shutter, size

    def person(self, who: Portrait, keys: _Keys, turns: _Turns = ((0, 0),), size: float = 1.0) -> Layer:
        """Somebody on their way, the head turning."""
        return Layer(who, self._way(keys, size), self._yaw(turns), solid=True)

    def scene(self, seconds: float, room: int, *layers: Layer) -> Scene:
        """The layers from back to front."""
        take = Take(round(seconds * self._rate), layers, room, shutter=self._shutter)
        return Scene((take,), size=self._size, coding={"rate": Fraction(self._rate)})

    def _way(self, keys: _Keys, size: float) -> Path:
        width, middle = self._width, (self._size[0] / 2, 0.46 * self._size[1])
        return along(
            [
                (s * self._rate, middle[0] + x * width, middle[1] + y * width, size * width)
                for s, x, y in keys
            ],
            size,
        )

    def _yaw(self, turns: _Turns) -> Callable[[float], float]:
        table = np.array(turns, float)
        return lambda t: float(np.interp(t / self._rate, table[:, 0], table[:, 1]))


def passing_in_profile(
    cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE
) -> Scene:
    """Somebody turns to a profile, passes close before a face, and turns back to the camera."""
    stage = _Stage(width, rate, shutter, size)
    walker = stage.person(
        cast[0], [(0.5, -1.9, 0.1), (1.1, -1.2, 0.1), (1.8, 1.2, 0.1), (2.4, 1.9, 0.1)],
        [(0.4, 0), (0.8, 78), (1.9, 78), (2.3, 0)], 1.25,
    )  # fmt: skip
    return stage.scene(3.0, 80, stage.person(cast[1], [(0, 0, 0)]), walker)


def stopping_in_front(
    cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE
) -> Scene:
    """Somebody comes in profile, stops where another face is, turns to the camera; the other comes out behind."""
    stage = _Stage(width, rate, shutter, size)
    behind = stage.person(cast[1], [(2.2, 0, 0), (2.8, 1.8, -0.1)], [(2.1, 0), (2.3, 50), (2.8, 20)])
    comer = stage.person(cast[0], [(0.6, -1.9, 0.05), (1.1, 0, 0.05)], [(0, 78), (1.1, 78), (1.6, 0)], 1.2)
    return stage.scene(3.4, 81, behind, comer)


def embrace(cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE) -> Scene:
    """Two lean together, one head hides the other, and they part to where they came from."""
    stage = _Stage(width, rate, shutter, size)
    left = [(0.6, -1.2, 0.0), (1.1, -0.1, 0.05), (2.1, -0.1, 0.05), (2.6, -1.2, 0.0)]
    right = [(0.6, 1.2, 0.0), (1.1, 0.1, 0.0), (2.1, 0.1, 0.0), (2.6, 1.2, 0.0)]
    turns = [(0.4, 25), (1.0, 70), (2.2, 70), (2.7, 25)]
    away = [(s, -yaw) for s, yaw in turns]
    return stage.scene(3.2, 82, stage.person(cast[1], left, turns), stage.person(cast[0], right, away, 1.2))


def embrace_and_swap(
    cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE
) -> Scene:
    """As an embrace, but each comes out on the other's side."""
    stage = _Stage(width, rate, shutter, size)
    left = [(0.6, -1.2, 0.0), (1.1, -0.1, 0.05), (1.8, 0.1, 0.05), (2.4, 1.2, 0.0)]
    right = [(0.6, 1.2, 0.0), (1.1, 0.1, 0.0), (1.8, -0.1, 0.0), (2.4, -1.2, 0.0)]
    turns = [(0.4, 25), (1.0, 70), (1.9, 70), (2.5, 10)]
    away = [(s, -yaw) for s, yaw in turns]
    return stage.scene(3.2, 83, stage.person(cast[1], left, turns), stage.person(cast[0], right, away, 1.2))


def ducking(cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE) -> Scene:
    """Somebody ducks behind another, who looks aside, and comes up on the other side."""
    stage = _Stage(width, rate, shutter, size)
    ducker = stage.person(
        cast[1], [(0.7, -1.4, 0.0), (1.1, 0.0, 0.15), (1.7, 0.0, 0.2), (2.1, 1.4, -0.05)],
        [(0.6, 0), (0.9, 40), (1.9, 40), (2.2, 0)],
    )  # fmt: skip
    other = stage.person(cast[0], [(0, 0, 0)], [(0.5, 60), (2.3, 60), (2.6, 0)], 1.2)
    return stage.scene(3.0, 84, ducker, other)


def taking_the_place(
    cast: Cast, width: float, rate: int, shutter: int = 1, size: tuple[int, int] = SIZE
) -> Scene:
    """Two walk abreast the same way; one comes before the other and stays there, face on; then goes on."""
    stage = _Stage(width, rate, shutter, size)
    behind = stage.person(cast[1], [(0, -1.0, 0), (3.0, 1.0, 0)])
    front = stage.person(
        cast[0], [(0.4, -2.6, 0.05), (1.2, -0.2, 0.05), (1.8, 0.2, 0.05), (2.6, 2.4, 0.05)],
        [(0.3, 70), (1.2, 60), (1.4, 10), (1.8, 10), (2.1, 70)], 1.25,
    )  # fmt: skip
    return stage.scene(3.2, 85, behind, front)


PLANS: dict[str, Callable[..., Scene]] = {
    "profile": passing_in_profile, "stop": stopping_in_front, "embrace": embrace, "swap": embrace_and_swap,
    "duck": ducking, "place": taking_the_place,
}  # fmt: skip
_FORMS = ((30, 25, 1), (60, 24, 1), (90, 30, 3), (130, 50, 1))
for _name, _plan in PLANS.items():
    for _width, _rate, _shutter in _FORMS:
        register(
            f"meeting_{_name}_{_width}_{_rate}", "meeting", 2, _plan,
            width=_width, rate=_rate, shutter=_shutter,
        )  # fmt: skip
