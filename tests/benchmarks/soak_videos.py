"""Films for the soak: many short ones, each another, and one of hours whose stream is copied over and over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facereel.store.model.records import Image
from tests.benchmarks.speed_videos import Input, repeated
from tests.fake_engine import PEOPLE, backdrop, draw_face, write_film, write_photo

RATE = 25
_SCENE = 30.0  # seconds that are copied


def photos(folder: Path) -> list[Path]:
    """A photo of each person there is."""
    return [write_photo(folder / f"{person}.png", person) for person in PEOPLE]


def many_films(folder: Path, count: int) -> list[Path]:
    """Films of about a second, two shots each, no two alike."""
    folder.mkdir(parents=True)
    return [
        write_film(folder / f"{number:03}.mp4", _pictures(number, 2, 10 + number % 7, (160, 90)))
        for number in range(count)
    ]


def long_film(folder: Path, hours: float) -> Path:
    """So many hours at 320x180: six shots of five seconds, again and again."""
    scene = folder / "scene.mp4"
    if not scene.exists():
        write_film(scene, _pictures(1, 6, 5 * RATE, (320, 180)))
    return repeated(Input("scene", scene, _SCENE, ()), round(hours * 3600 / _SCENE)).path


def _pictures(seed: int, shots: int, frames: int, size: tuple[int, int]) -> Iterator[Image]:
    """Two people a shot, who walk to the right, before a wall of its own; nobody in every sixth."""
    people = list(PEOPLE)
    for shot in range(shots):
        ground = backdrop(size, 80 + 37 * (seed + shot) % 110, 7 * seed + shot)
        cast = [people[(seed + shot) % 6], people[(seed + 2 * shot + 3) % 6]] if shot % 6 != 5 else []
        for step in range(frames):
            picture = ground.copy()
            for place, person in enumerate(dict.fromkeys(cast)):
                side = size[1] // 3
                across = size[0] * (1 + 4 * place) // 10 + step * size[0] // (8 * frames)
                draw_face(picture, person, (across, size[1] // 3, side, side))
            yield picture
