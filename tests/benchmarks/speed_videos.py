"""Videos for the speed tables: people who talk, a crowd, nobody, a cut every second; rendered once and kept.

A few seconds are drawn and played back and forth under fresh noise, coded as a camera's H.264 would be. What
lasts longer is the same stream copied over and over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np

from facereel.store.model.records import Floats, Image
from tests.benchmarks import portraits
from tests.benchmarks.encode import write_video
from tests.benchmarks.paths import hold
from tests.benchmarks.portraits import Portrait
from tests.benchmarks.render import Layer, Take, draw

Cast: TypeAlias = tuple[Portrait, ...]
RATE = 30
DRAWN = 90  # frames
HEIGHTS = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
# Spread of the noise, grey levels. It asks for more bits than these, which are what film sites take for uploads, so
# that a frame costs to decode what one of a camera's does.
GRAIN = 5.0
CODING: dict[str, object] = {"crf": "23", "preset": "veryfast", "threads": "2"}
BITS = {"360p": "1000k", "720p": "5000k", "1080p": "8000k"}


@dataclass(frozen=True, slots=True)
class Input:
    """A video to be measured on."""

    name: str  # 1080p-talk
    path: Path
    seconds: float
    references: tuple[Path, ...]  # photos of one of the people in it; none when nobody is


def _talk(cast: Cast, count: int, size: tuple[int, int]) -> list[Take]:
    """So many people beside each other, looking into the camera; faces a seventh of the height wide."""
    width, height = size
    layers = (
        Layer(cast[n], hold(width * (n + 1) / (count + 1), 0.42 * height, 0.15 * height, n))
        for n in range(count)
    )
    return [Take(DRAWN, tuple(layers), 60, camera=_hand(size))]


def _crowd(cast: Cast, size: tuple[int, int]) -> list[Take]:
    """Eight people in two rows."""
    width, height = size
    layers = [
        Layer(
            cast[n % len(cast)],
            hold(
                width * (n % 4 + 0.8 + 0.4 * (n // 4)) / 5, (0.25 + 0.3 * (n // 4)) * height, 0.1 * height, n
            ),
        )
        for n in range(8)
    ]
    return [Take(DRAWN, tuple(layers), 61, camera=_hand(size))]


def _cuts(cast: Cast, size: tuple[int, int]) -> list[Take]:
    """Another person in another room every second."""
    width, height = size
    return [
        Take(RATE, (Layer(cast[n % len(cast)], hold(0.5 * width, 0.4 * height, 0.2 * height, n)),), 62 + n)
        for n in range(4)
    ]


SCENES: dict[str, Callable[[Cast, tuple[int, int]], list[Take]]] = {
    "one": lambda cast, size: _talk(cast, 1, size),
    "talk": lambda cast, size: _talk(cast, 2, size),
    "three": lambda cast, size: _talk(cast, 3, size),
    "crowd": _crowd,
    "nobody": lambda cast, size: _talk(cast, 0, size),
    "cuts": _cuts,
}
NAMES = tuple(f"{height}-{scene}" for height in HEIGHTS for scene in SCENES)


def video(name: str, seconds: int) -> Input:
    """The video of that name and length, from the cache when the code and the photos are the same as then."""
    height, _, scene = name.partition("-")
    cast = portraits.load_cast()
    path = folder() / f"{name}-{seconds}s.mp4"
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        takes = SCENES[scene](cast, HEIGHTS[height])
        coding = CODING | {"maxrate": BITS[height], "bufsize": BITS[height]}
        write_video(part, _pictures(takes, HEIGHTS[height], seconds * RATE), Fraction(RATE), options=coding)
        part.replace(path)
    references = () if scene == "nobody" else cast[0].references
    return Input(name, path, float(seconds), references)


def repeated(source: Input, times: int) -> Input:
    """The same video so many times over, as a copy of its stream."""
    path = source.path.with_name(f"{source.path.stem}-x{times}.mp4")
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        with av.open(str(part), "w") as target:
            stream = None
            for turn in range(times):
                with av.open(str(source.path)) as container:
                    stream = stream or target.add_stream_from_template(container.streams.video[0])
                    for packet in container.demux(container.streams.video[0]):
                        if packet.dts is None or packet.pts is None or packet.time_base is None:
                            continue
                        shift = round(turn * source.seconds / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        target.mux(packet)
        part.replace(path)
    return Input(f"{source.name} x{times}", path, source.seconds * times, source.references)


def folder() -> Path:
    """Where these videos are kept."""
    here = Path(__file__).parent
    code = b"".join((here / name).read_bytes() for name in (Path(__file__).name, "stage.py", "render.py"))
    digest = hashlib.sha256(code + portraits.cast_digest().encode()).hexdigest()[:12]
    place = portraits.cache_folder() / f"speed-{digest}"
    place.mkdir(exist_ok=True)
    return place


def _hand(size: tuple[int, int]) -> Callable[[float], tuple[float, float, float]]:
    """A camera that is held by hand: moves by about a hundredth of the picture."""
    reach = size[1] / 100

    def camera(t: float) -> tuple[float, float, float]:
        return reach * float(np.sin(t / 40)), 0.7 * reach * float(np.sin(t / 33)), 1.0

    return camera


def _pictures(takes: list[Take], size: tuple[int, int], count: int) -> Iterator[Image]:
    drawn = [_still(draw(take, t, size)[0]) for take in takes for t in range(take.frames)]
    # One take goes back and forth, so that it has no cut; several follow each other.
    order = [*range(len(drawn)), *range(len(drawn) - 2, 0, -1)] if len(takes) == 1 else [*range(len(drawn))]
    rng = np.random.default_rng(5)
    spare = 64
    field = rng.normal(0, GRAIN, (size[1] + spare, size[0] + spare, 1)).round().astype(np.int16)
    for number in range(count):
        y, x = (int(v) for v in rng.integers(spare, size=2))
        noise = field[y : y + size[1], x : x + size[0]]
        yield np.clip(drawn[order[number % len(order)]] + noise, 0, 255).astype(np.uint8)


def _still(picture: Floats) -> Image:
    return np.clip(picture, 0, 255).astype(np.uint8)
