"""Scenes about size, turn, blur and light, and about how a file is coded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from tests.benchmarks.paths import along, hold, passing, turning
from tests.benchmarks.render import Layer, Scene, Take
from tests.benchmarks.scenarios import Cast, register, scenario
from tests.benchmarks.stage import thing


def size(cast: Cast, width: float, height: int) -> Scene:
    """One person with a face of that many pixels."""
    return Scene((Take(60, (Layer(cast[0], hold(330, height, width)),), 40),))


for _width, _height in ((20, 150), (34, 150), (48, 150), (64, 150), (225, 190)):
    register(f"size_{_width}", "size", 1, size, width=_width, height=_height)


def nearing(cast: Cast, widths: tuple[float, float]) -> Scene:
    """Comes up to the camera, or goes away from it."""
    way = along([(10, 320, 170, widths[0]), (100, 320, 170, widths[1])])
    return Scene((Take(110, (Layer(cast[1], way),), 41),))


register("growing", "size", 2, nearing, widths=(20, 220))
register("shrinking", "size", 2, nearing, widths=(220, 20))


def roll(cast: Cast, most: float) -> Scene:
    """Tilts the head to one side and the other, up to that many degrees."""
    way = turning(hold(320, 160, 95), lambda t: most * np.sin(t / 15))
    return Scene((Take(100, (Layer(cast[2], way),), 42),))


register("roll_20", "turn", 3, roll, most=20.0)
register("roll_45", "turn", 3, roll, most=45.0)


@scenario("blur", needs=3)
def motion_blur(cast: Cast) -> Scene:
    """Swings from side to side with a long exposure: blurred over a sixth of the face at the fastest."""

    def way(t: float) -> tuple[float, float, float, float]:
        return 320 + 170 * float(np.sin(t / 6.5)), 155, 95, 4 * float(np.sin(t / 6.5))

    return Scene((Take(90, (Layer(cast[2], way),), 43, shutter=9),))


def _lit(cast: Cast, gain: float, grain: float, coding: dict[str, Any]) -> Scene:
    """Two people, one walks; darkened, noisy or coarsely coded."""
    walker = along([(10, 150, 150, 80), (70, 300, 150, 95)])
    layers = (Layer(cast[1], walker), Layer(cast[0], hold(480, 150, 85, 2)))
    take = Take(80, layers, 44, grade=lambda picture, t: picture * np.float32(gain))
    return Scene((take,), grain=grain, coding=coding)


register("dark", "light", 2, _lit, gain=0.28, grain=4.0, coding={})
register("noisy", "light", 2, _lit, gain=1.0, grain=20.0, coding={})
register("low_bit_rate", "light", 2, _lit, gain=1.0, grain=2.0, coding={"options": {"crf": "38"}})


def coded(cast: Cast, **coding: Any) -> Scene:
    """One short story for every coding: two people, five frames hidden, a cut, a walk out, a cut back."""
    height, width = coding.pop("tall", 360), coding.pop("broad", 640)
    face, middle = hold(0.4 * width, 150, 85), 0.6 * width
    cover = Layer(thing("textured", 1.7), passing(face, 20, 5, 0.6, 1.6))
    leaving = along([(8, middle, 150, 90), (30, width + 140, 150, 90)])
    takes = (
        Take(44, (Layer(cast[0], face), cover), 45),
        Take(40, (Layer(cast[1], leaving),), 46),
        Take(24, (Layer(cast[0], hold(middle, 160, 100)),), 47),
    )
    return Scene(takes, size=(width, height), coding=coding)


RATES = {
    "12": Fraction(12),
    "23976": Fraction(24000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "60": Fraction(60),
}
for _name, _rate in RATES.items():
    register(f"fps_{_name}", "coding", 2, coded, rate=_rate)
register("variable_rate", "coding", 2, coded, ticks=[3000, 3000, 6000, 1500, 9000, 3600])
for _turned in (90, 180, 270):
    register(f"rotated_{_turned}", "coding", 2, coded, turned=_turned, broad=360, tall=640)
register("wide_pixels", "coding", 2, coded, aspect=Fraction(4, 3))
register("narrow_pixels", "coding", 2, coded, aspect=Fraction(8, 9))
register(
    "ten_bit",
    "coding",
    2,
    coded,
    codec="libx265",
    pix_fmt="yuv420p10le",
    options={"x265-params": "log-level=0"},
)
register("late_start", "coding", 2, coded, delay=135000)
register("b_frames", "coding", 2, coded, options={"bf": "8", "preset": "slow", "b-adapt": "2", "g": "250"})
register("mpeg4", "coding", 2, coded, codec="mpeg4", options={"b": "1500k"})
