"""Scenes with scene changes, and with what is none."""

from __future__ import annotations

import numpy as np

from facereel.store.model.records import Floats
from tests.benchmarks.paths import along, hold, passing
from tests.benchmarks.render import Event, Grade, Join, Layer, Scene, Take
from tests.benchmarks.scenarios import Cast, register, scenario
from tests.benchmarks.stage import thing


@scenario("change", needs=3)
def cut_hard(cast: Cast) -> Scene:
    """Four places, three people, three hard cuts."""
    people = (cast[0], cast[1], cast[2], cast[0])
    places = ((320, 150, 90), (220, 170, 110), (430, 140, 75), (300, 160, 130))
    return Scene(
        tuple(
            Take(28, (Layer(p, hold(*at)),), i) for i, (p, at) in enumerate(zip(people, places, strict=True))
        )
    )


@scenario("change", needs=3)
def cut_rapid(cast: Cast) -> Scene:
    """Shots of half a second and less."""
    lengths = (14, 9, 12, 7, 16, 10)
    takes = [
        Take(n, (Layer(cast[i % 3], hold(240 + 40 * i, 150, 80 + 8 * i, i)),), i)
        for i, n in enumerate(lengths)
    ]
    return Scene(tuple(takes))


@scenario("change", needs=2)
def cut_to_alike(cast: Cast) -> Scene:
    """Another person in the same place before the same wall, and back."""
    first, second = cast.alike
    return Scene(tuple(Take(26, (Layer(p, hold(320, 150, 95)),), 4) for p in (first, second, first)))


@scenario("change")
def cut_same_person(cast: Cast) -> Scene:
    """The same person before the same wall, elsewhere in the picture."""
    places = ((200, 150, 90), (430, 165, 90), (300, 140, 150))
    return Scene(tuple(Take(26, (Layer(cast[0], hold(*at)),), 5) for at in places))


@scenario("change")
def cut_jump(cast: Cast) -> Scene:
    """A jump cut: the same person before the same wall, closer by a sixth and a little aside."""
    near = Take(30, (Layer(cast[0], hold(345, 165, 112)),), 6, camera=lambda t: (10.0, 4.0, 1.17))
    return Scene((Take(30, (Layer(cast[0], hold(320, 150, 96)),), 6), near))


def gradual(cast: Cast, kind: str, frames: int) -> Scene:
    """Two gradual changes between three people."""
    takes = tuple(Take(30, (Layer(cast[i], hold(220 + 100 * (i % 2), 155, 95, i)),), 7 + i) for i in range(3))
    return Scene(takes, (Join(kind, frames), Join(kind, frames)))


for _kind, _frames in (
    ("dissolve", 5), ("dissolve", 12), ("dissolve", 25), ("fade_black", 16), ("fade_white", 16), ("wipe", 14)
):  # fmt: skip
    register(f"{_kind}_{_frames}", "change", 3, gradual, kind=_kind, frames=_frames)


def brighter(frames: set[int], share: float) -> Grade:
    """A burst of light that takes the picture a share of the way to white in these frames."""

    def grade(picture: Floats, t: int) -> Floats:
        return picture + (255 - picture) * np.float32(share if t in frames else 0.0)

    return grade


def flash(cast: Cast, frames: int) -> Scene:
    """Two flashes of some frames; the face stays faintly visible."""
    lit = {f + i for f in (24, 52) for i in range(frames)}
    take = Take(80, (Layer(cast[0], hold(300, 150, 100)),), 10, grade=brighter(lit, 0.75))
    return Scene((take,), events=tuple(Event("flash", f, f + frames) for f in (24, 52)))


for _frames in (1, 2, 3):
    register(f"flash_{_frames}", "no change", 1, flash, frames=_frames)


@scenario("no change")
def strobe(cast: Cast) -> Scene:
    """A light that is on for two frames in four, for a second."""
    lit = {f for f in range(25, 50) if f % 4 < 2}
    take = Take(75, (Layer(cast[0], hold(340, 150, 100)),), 11, grade=brighter(lit, 0.45))
    return Scene((take,), events=(Event("strobe", 25, 50),))


@scenario("no change", needs=2)
def fast_pan(cast: Cast) -> Scene:
    """The camera swings from one person to another in nine frames, blurred."""

    def camera(t: float) -> tuple[float, float, float]:
        return float(np.interp(t, (30, 39), (0, -640))), 2 * float(np.sin(t / 20)), 1.0

    layers = (Layer(cast[0], hold(300, 150, 95)), Layer(cast[1], hold(980, 150, 95)))
    return Scene((Take(75, layers, 12, camera, shutter=7, wide=2),), events=(Event("pan", 30, 40),))


@scenario("no change")
def zoom(cast: Cast) -> Scene:
    """A crash zoom to twice the size in twelve frames, and back slowly."""

    def camera(t: float) -> tuple[float, float, float]:
        return 0.0, 0.0, float(np.interp(t, (25, 37, 50, 85), (1, 2, 2, 1)))

    take = Take(90, (Layer(cast[0], hold(320, 165, 75)),), 13, camera, shutter=3)
    return Scene((take,), events=(Event("zoom", 25, 38),))


@scenario("no change")
def lamp(cast: Cast) -> Scene:
    """A lamp is switched on, and off later."""

    def grade(picture: Floats, t: int) -> Floats:
        return picture if 30 <= t < 60 else picture * np.array([0.50, 0.45, 0.42], dtype=np.float32)

    take = Take(90, (Layer(cast[0], hold(320, 150, 100)),), 14, grade=grade)
    return Scene((take,), events=(Event("lamp", 29, 31), Event("lamp", 59, 61)))


@scenario("no change")
def passer_by(cast: Cast) -> Scene:
    """Somebody walks past close to the camera: a dark shape as high as the picture covers all for moments."""
    face = hold(320, 150, 90)
    passer = Layer(thing("passer", 1.6), passing(face, 36, 3, 1.0, 6.0))
    take = Take(85, (Layer(cast[0], face), passer), 15)
    return Scene((take,), events=(Event("passer", 30, 45),))


@scenario("no change")
def empty(cast: Cast) -> Scene:
    """Nobody, then somebody after a cut, then nobody."""
    away = along([(0, 320, 150, 90)])
    return Scene((Take(30, (), 16), Take(40, (Layer(cast[0], away),), 17), Take(30, (), 18)))
