"""The footage with hand-checked truth: its films, and the same films smaller or with fewer frames a second."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from facereel.store.model.records import Image
from tests.benchmarks import portraits
from tests.benchmarks.encode import write_video

QUALITY: dict[str, object] = {"crf": "16"}  # of derived films: close to the film they come from
GRAIN, GRAIN_SIZE = 3.0, (1920, 1080)  # spread of the noise, grey levels; pixels
GRAIN_CODING: dict[str, object] = {"crf": "21", "threads": "2"}


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """A video with its truth and the photos of the people in it."""

    name: str
    video: Path
    truth: Mapping[str, Any]
    references: dict[str, list[Path]]  # photos by person


def films(only: str = "") -> Iterator[Film]:
    """Every film whose plainly visible faces are all in its truth; none without footage."""
    yield from _films(only, ".truth.json")


def partial_films(only: str = "") -> Iterator[Film]:
    """Films whose truth is `partial`: small faces in wide shots count, and not every face is listed."""
    yield from _films(only, ".wide.json")


def footage_videos(only: str = "") -> list[Path]:
    """Every video among the footage, with truth or without."""
    folder = portraits.media()
    return [] if folder is None else [path for path in sorted(folder.glob("*.mp4")) if only in path.name]


def shrunk(film: Film, width: int, height: int) -> Film:
    """The film in pictures of that size, its boxes scaled."""

    def smaller(picture: Image) -> Image:
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    rate, pictures = read_pictures(film.video)
    factor = width / pictures[0].shape[1]
    video = _derived(film, f"{width}x{height}", lambda path: _write(path, map(smaller, pictures), rate))
    return replace(film, name=f"{film.name} {width}x{height}", video=video, truth=scaled(film.truth, factor))


def slowed(film: Film, rate: int) -> Film:
    """The film at so many frames a second: of each time the nearest frame, the others are dropped."""
    own_rate, pictures = read_pictures(film.video)
    sources = nearest_frames(len(pictures), own_rate, rate)
    video = _derived(
        film, f"{rate}fps", lambda path: _write(path, (pictures[n] for n in sources), Fraction(rate))
    )
    return replace(film, name=f"{film.name} {rate} fps", video=video, truth=retimed(film.truth, sources))


def grain(film: Film) -> Path:
    """The film four times over, enlarged to 1920x1080, with noise that changes in every frame."""
    _, pictures = read_pictures(film.video)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, GRAIN, (*GRAIN_SIZE[::-1], 3)).astype(np.int16)

    def noisy() -> Iterator[Image]:
        for picture in 4 * pictures:
            large = cv2.resize(picture, GRAIN_SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
            yield np.clip(large + np.roll(noise, int(rng.integers(1000)), 0), 0, 255).astype(np.uint8)

    return _derived(film, "grain", lambda path: _write(path, noisy(), Fraction(30), GRAIN_CODING))


def nearest_frames(count: int, own_rate: Fraction, rate: int) -> list[int]:
    """The numbers of the frames that stay at another rate."""
    sources = (round(number * own_rate / rate) for number in range(count))
    return [source for source in sources if source < count]


def scaled(truth: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The truth of a film in pictures that are so many times as large."""

    def boxes(by_frame: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        return {frame: [factor * value for value in box] for frame, box in by_frame.items()}

    objects = {
        frame: [[factor * value for value in box] for box in every]
        for frame, every in truth.get("objects", {}).items()
    }
    people = {name: {**person, "frames": boxes(person["frames"])} for name, person in truth["people"].items()}
    return {**truth, "people": people, "objects": objects}


def retimed(truth: Mapping[str, Any], sources: Sequence[int]) -> dict[str, Any]:
    """The truth of a film that holds only those frames of another, in order."""

    def ranges(old: Sequence[Sequence[int]]) -> list[list[int]]:
        """Half-open ranges; those of which no frame is left are gone."""
        moved = ([_first_from(sources, start), _first_from(sources, end)] for start, end in old)
        return [[start, end] for start, end in moved if start < end]

    def of_frames(by_frame: Mapping[str, Any]) -> dict[str, Any]:
        return {str(new): by_frame[str(old)] for new, old in enumerate(sources) if str(old) in by_frame}

    def person(old: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **old,
            "frames": of_frames(old["frames"]),
            "may": ranges(old["may"]),
            "hidden": ranges(old["hidden"]),
        }

    def starts(old: Sequence[int]) -> list[int]:
        moved = sorted({_first_from(sources, start) for start in old})
        return [start for start in moved if start < len(sources)]

    return {
        **truth,
        "frames": len(sources),
        "shots": starts(truth["shots"]),
        "unsure_cuts": starts(truth["unsure_cuts"]),
        "ghost_frames": [new for new, source in enumerate(sources) if source in truth["ghost_frames"]],
        "people": {name: person(old) for name, old in truth["people"].items()},
        "objects": of_frames(truth.get("objects", {})),
    }  # fmt: skip


def _first_from(sources: Sequence[int], frame: int) -> int:
    """The first of the frames that stay which is not before `frame`."""
    return int(np.searchsorted(sources, frame))


def _films(only: str, suffix: str) -> Iterator[Film]:
    folder = portraits.media()
    for path in sorted(folder.glob(f"*{suffix}")) if folder is not None else ():
        if only in path.name:
            truth = json.loads(path.read_text())
            references = {
                name: [folder / photo for photo in person["references"]]
                for name, person in truth["people"].items()
            }
            name = path.name.removesuffix(".truth.json").removesuffix(".json")
            yield Film(name, path.parent / truth["video"], truth, references)


def _derived(film: Film, kind: str, write: Callable[[Path], None]) -> Path:
    """A film made of another; kept in the cache as long as this code and the other film's size stay."""
    state = f"{film.video.stat().st_size}".encode() + Path(__file__).read_bytes()
    folder = portraits.cache_folder() / f"footage-{hashlib.sha256(state).hexdigest()[:12]}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{film.video.stem}-{kind}.mp4"
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        write(part)
        part.replace(path)
    return path


def read_pictures(video: Path) -> tuple[Fraction, list[Image]]:
    """Frames a second, and all pictures, BGR; for films of a minute or so."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        return rate, [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(stream)
        ]


def _write(
    path: Path, pictures: Iterator[Image], rate: Fraction, coding: Mapping[str, object] = QUALITY
) -> None:
    write_video(path, pictures, rate, options=dict(coding))
