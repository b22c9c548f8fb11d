"""A stand seen from afar: faces of a few pixels in 1920x1080. Not one of the scenarios: what must be found there
depends on the smallest face that is asked for."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.paths import along, hold
from tests.benchmarks.render import Layer, Path, Scene, Take
from tests.benchmarks.scenarios import Cast, Scenario

WIDTHS = (12, 14, 16, 20)  # pixels
SIZE = (1920, 1080)
FRAMES = 50
MOST = 24  # people


def stand(cast: Cast, width: int) -> Scene:
    """Everybody once, in rows; every fourth walks along theirs."""
    people = cast[:MOST]
    columns = -(-len(people) // 4)
    layers = []
    for n, person in enumerate(people):
        x, y = SIZE[0] * (n % columns + 0.5) / columns, SIZE[1] * (n // columns + 0.5) / 4.6
        walk = along([(0, x - 40, y, width), (FRAMES, x + 40, y, width)], n)
        way: Path = walk if n % 4 == 0 else hold(x, y, width, n)
        layers.append(Layer(person, way))
    return Scene((Take(FRAMES, tuple(layers), 70),), size=SIZE)


SCENES = {width: Scenario(f"stand_{width}", "small", 1, partial(stand, width=width)) for width in WIDTHS}
