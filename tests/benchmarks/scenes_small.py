"""A stand seen from afar: faces of a few pixels in 1920x1080.

Not among the scenarios: what must be found here depends on the smallest face that is asked for.
"""

from __future__ import annotations

from functools import partial

from tests.benchmarks.paths import along, hold
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.render import Join, Layer, Scene, Take
from tests.benchmarks.scenarios import Cast, Scenario

WIDTHS = (12, 14, 16, 20)  # pixels
SIZE = (1920, 1080)
FRAMES = 30  # a take
TOGETHER = 8  # people a take, in two rows: to draw more takes too long


def stand(cast: Cast, width: int) -> Scene:
    """Everybody once; every fourth walks along their row."""
    groups = [cast[first : first + TOGETHER] for first in range(0, len(cast), TOGETHER)]
    takes = tuple(_take(group, width, 70 + number) for number, group in enumerate(groups))
    return Scene(takes, joins=(Join(),) * (len(takes) - 1), size=SIZE)


def _take(people: tuple[Portrait, ...], width: int, room: int) -> Take:
    layers = []
    for n, person in enumerate(people):
        x, y = SIZE[0] * (n // 2 + 0.5) / (TOGETHER / 2), SIZE[1] * (0.25 + 0.4 * (n % 2))
        walk = along([(0, x - 30, y, width), (FRAMES, x + 30, y, width)], n)
        layers.append(Layer(person, walk if n % 4 == 0 else hold(x, y, width, n)))
    return Take(FRAMES, tuple(layers), room)


SCENES = {width: Scenario(f"stand_{width}", "small", 1, partial(stand, width=width)) for width in WIDTHS}
