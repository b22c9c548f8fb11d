"""Scenes in which faces are covered, turned away, leave and come in."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.paths import along, covering, hold, passing
from tests.benchmarks.render import Event, Layer, Scene, Take
from tests.benchmarks.scenarios import Cast, register, scenario
from tests.benchmarks.stage import thing


def occlusion(cast: Cast, kind: str, frames: int) -> Scene:
    """A face is covered whole for so many frames, twice: once from the left, once from the right."""
    face = hold(320, 145, 90)
    step = 0.85 if frames <= 3 else 0.5
    first, second = 22, 22 + frames + 26
    what = {"plain": thing("plain", 1.7), "textured": thing("textured", 1.7), "skin": thing("skin", 1.35)}
    size = {"plain": 1.6, "textured": 1.6, "skin": 2.3}
    if kind == "head":
        ways = [passing(face, first, frames, step, 1.3), passing(face, second, frames, step, 1.3, -1)]
        covers = tuple(Layer(p, way) for p, way in zip((cast[1], cast[2]), ways, strict=True))
    else:
        ways = [passing(face, f, frames, step, size[kind], s) for f, s in ((first, 1), (second, -1))]
        covers = tuple(Layer(what[kind], way) for way in ways)
    return Scene((Take(second + frames + 24, (Layer(cast[0], face), *covers), 20 + len(kind)),))


for _kind in ("plain", "textured", "skin", "head"):
    for _frames in (1, 2, 3, 5, 10, 30):
        register(f"occlusion_{_kind}_{_frames}", "occlusion", 3, occlusion, kind=_kind, frames=_frames)


def partial(cast: Cast, kind: str) -> Scene:
    """Part of a face is covered for twenty frames, twice; more than half stays to be seen."""
    face = hold(320, 145, 100)
    sprite = {
        "half": thing("plain", 2.2),
        "hand": thing("skin", 1.35),
        "microphone": thing("microphone", 2.0),
    }[kind]
    aside = {"half": (0.86, 0.1), "hand": (0.1, 1.0), "microphone": (0.05, 0.85)}[kind]
    size = {"half": 1.6, "hand": 1.1, "microphone": 0.75}[kind]
    covers = tuple(Layer(sprite, covering(face, f, 24, aside, size)) for f in (20, 60))
    events = tuple(Event("partial", f, f + 24) for f in (20, 60))
    return Scene((Take(105, (Layer(cast[0], face), *covers), 26),), events=events)


for _kind in ("half", "hand", "microphone"):
    register(f"partial_{_kind}", "partial", 1, partial, kind=_kind)


@scenario("occlusion")
def turn_away(cast: Cast) -> Scene:
    """The head turns wholly away within half a second, and back."""

    def yaw(t: float) -> float:
        return float(np.interp(t, (25, 37, 57, 69), (0, 150, 150, 0)))

    return Scene((Take(95, (Layer(cast[0], hold(320, 145, 95), yaw),), 27),))


@scenario("partial")
def turn_aside(cast: Cast) -> Scene:
    """The head turns aside by 45 degrees and back, to both sides: it stays to be seen."""

    def yaw(t: float) -> float:
        return float(np.interp(t, (15, 27, 40, 64, 77, 90), (0, 45, 45, -45, -45, 0)))

    take = Take(105, (Layer(cast[0], hold(320, 145, 95), yaw),), 28)
    return Scene((take,), events=(Event("partial", 15, 52), Event("partial", 53, 90)))


def edge(cast: Cast, side: str) -> Scene:
    """Goes out over one edge of the picture, stays away for a second, and comes back."""
    out = {"left": (-120, 150), "right": (760, 150), "top": (320, -130), "bottom": (320, 490)}[side]
    way = along([(25, 320, 150, 90), (50, *out, 90), (65, *out, 90), (90, 320, 150, 90)])
    return Scene((Take(112, (Layer(cast[0], way),), 30),))


for _side in ("left", "right", "top", "bottom"):
    register(f"edge_{_side}", "edge", 1, edge, side=_side)


@scenario("partial")
def edge_cut(cast: Cast) -> Scene:
    """Moves until a third of the face is over the picture's edge, stays there, and comes back."""
    way = along([(20, 320, 150, 100), (40, 17, 150, 100), (65, 17, 150, 100), (85, 320, 150, 100)])
    return Scene((Take(100, (Layer(cast[0], way),), 31),), events=(Event("partial", 35, 70),))


@scenario("pair", needs=2)
def crossing(cast: Cast) -> Scene:
    """Two people of one size walk past each other."""
    left, right = [(5, 130, 155, 85), (75, 510, 155, 85)], [(5, 510, 140, 80), (75, 130, 140, 80)]
    return Scene((Take(82, (Layer(cast[1], along(right, 1)), Layer(cast[0], along(left))), 32),))


@scenario("pair", needs=2)
def crossing_fast(cast: Cast) -> Scene:
    """Two people pass each other within a second, blurred."""
    left, right = [(20, 130, 155, 85), (45, 510, 155, 85)], [(20, 510, 140, 80), (45, 130, 140, 80)]
    take = Take(68, (Layer(cast[1], along(right, 1)), Layer(cast[0], along(left))), 33, shutter=5)
    return Scene((take,))


@scenario("pair", needs=2)
def passing_behind(cast: Cast) -> Scene:
    """One walks past behind another who stands."""
    way = along([(10, 110, 130, 66), (80, 540, 130, 66)])
    return Scene((Take(90, (Layer(cast[1], way), Layer(cast[0], hold(330, 160, 115))), 34),))


@scenario("pair", needs=2)
def alike_side_by_side(cast: Cast) -> Scene:
    """The two people who resemble each other most, side by side, swaying."""
    first, second = cast.alike
    layers = (Layer(first, hold(240, 150, 95)), Layer(second, hold(410, 155, 95, 2)))
    return Scene((Take(80, layers, 35),))


@scenario("pair", needs=2)
def alike_crossing(cast: Cast) -> Scene:
    """The same two walk past each other."""
    first, second = cast.alike
    left, right = [(10, 150, 155, 85), (70, 490, 155, 85)], [(10, 490, 145, 82), (70, 150, 145, 82)]
    return Scene((Take(80, (Layer(second, along(right, 1)), Layer(first, along(left))), 36),))


@scenario("pair", needs=8)
def eight_at_once(cast: Cast) -> Scene:
    """Eight people in two rows."""
    layers = [Layer(cast[i], hold(170 + 310 * (i % 4), 170 + 330 * (i // 4), 105, i)) for i in range(8)]
    return Scene((Take(60, tuple(layers), 37),), size=(1280, 720))


@scenario("pair", needs=2)
def swap_across_cut(cast: Cast) -> Scene:
    """Two people change places across a cut before the same wall."""
    left, right = hold(210, 150, 95), hold(430, 155, 95, 2)
    orders = ((cast[0], cast[1]), (cast[1], cast[0]), (cast[0], cast[1]))
    return Scene(tuple(Take(26, (Layer(a, left), Layer(b, right)), 38) for a, b in orders))
