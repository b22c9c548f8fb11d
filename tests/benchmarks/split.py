"""One long video in parts against one pass: the same shots, the same tracklets but at joins, nobody mixed, the time.

A rendered film of coloured squares, of which it is known who is where in each frame: chapters with a cut every few
seconds, and chapters of one shot in which three people move slowly, so that parts meet at cuts and within shots. And
the footage joined to five minutes, with the default engine.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.video.stream import VideoStream

from facereel import Library
from facereel.indexer.jobs.events import Event, Indexed, Job
from facereel.indexer.jobs.local import LocalRunner
from facereel.store.index.reader import VideoIndex
from facereel.store.model.config import Config
from facereel.store.model.records import Image
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.portraits import media
from tests.benchmarks.report import Report, say
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film

SECONDS, RATE = 7200, 12  # of the rendered film
CHAPTER = 400 * RATE  # frames; of three joins of two hours one is in a chapter with cuts
FOOTAGE_SECONDS, FOOTAGE_RATE, FOOTAGE_SIZE = 300, 25, (640, 360)
WORKERS = 4  # of the rendered film, also where there are fewer cores, so that there are three joins
LIMIT = 60.0  # seconds of video, from which on it is divided

Box = tuple[int, int, int, int]  # x y w h


def split(only: str) -> Iterator[Report]:
    """The rendered film, then the footage."""
    with tempfile.TemporaryDirectory() as place:
        if only in "rendered":
            say(f"  rendering {SECONDS} s")
            film = write_film(Path(place) / "rendered.mp4", map(_picture, range(SECONDS * RATE)), fps=RATE)
            one, parts = _both(film, WORKERS, _by_squares)
            figures = [
                *_same(one, parts),
                at_most("frames of a tracklet with another face", _wrong(parts), 0),
            ]
            yield "split: a rendered film", [_row(one), _row(parts)], figures
        footage = media()
        if footage is not None and only in "footage":
            film = _join_footage(footage, Path(place) / "footage.mp4")
            one, parts = _both(film, 2, _by_faces)
            figures = [
                *_same(one, parts),
                at_least("time of one pass, of that in parts", one["s"] / parts["s"], 1.2),
            ]
            yield "split: footage", [_row(one), _row(parts)], figures


def _people(frame: int) -> dict[str, Box]:
    """Who is where in a frame of the rendered film."""
    chapter, place = divmod(frame, CHAPTER)
    if chapter % 2:
        return {
            "red": (20, 30, 60, 60),
            "green": (100 + round(20 * math.sin(place / 90)), 90, 60, 60),
            "blue": (230 + round(20 * math.sin(place / 70)), 20, 50, 50),
        }
    shot = _shot(frame)
    people: dict[str, Box] = {("red", "green", "cyan")[shot % 3]: (30 + place % 40, 40, 60, 60)}
    return people | ({"blue": (200, 60, 70, 70)} if shot % 2 else {})


def _shot(frame: int) -> int:
    """Its shot: in every other chapter one after 3 to 9 seconds, all of the others are one."""
    chapter, place = divmod(frame, CHAPTER)
    lengths = [3 + number * 5 % 7 for number in range(60)]
    starts = (sum(lengths[:number]) * RATE for number in range(60))
    return 100 * chapter + (0 if chapter % 2 else sum(start <= place for start in starts))


def _picture(frame: int) -> Image:
    shot = _shot(frame)
    picture = backdrop(seed=shot, shade=80 if shot % 2 else 180)
    for person, box in _people(frame).items():
        draw_face(picture, person, box)
    return picture


def _join_footage(footage: Path, film: Path) -> Path:
    """The videos of the footage one after another, by name, as long as they are to be."""

    def pictures() -> Iterator[av.VideoFrame]:
        for video in sorted(footage.glob("*.mp4")):
            with av.open(str(video)) as source:
                shown = 0.0
                for picture in source.decode(source.streams.video[0]):
                    while picture.time is not None and picture.time >= shown:
                        shown += 1 / FOOTAGE_RATE
                        yield picture.reformat(*FOOTAGE_SIZE, format="yuv420p")

    with av.open(str(film), "w") as target:
        stream = target.add_stream("libx264", rate=FOOTAGE_RATE, options={"preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = FOOTAGE_SIZE
        for number, picture in enumerate(islice(pictures(), FOOTAGE_SECONDS * FOOTAGE_RATE)):
            picture.pts, picture.time_base = number, Fraction(1, FOOTAGE_RATE)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    return film


def _by_squares(film: Path, store: Path, jobs: int) -> Event:
    job = Job(film, store, Config(), split_longer_than=LIMIT)
    return list(LocalRunner(FakeEngine, jobs).run([job]))[-1]


def _by_faces(film: Path, store: Path, jobs: int) -> Event:
    return Library(store).index([film], jobs=jobs, split_longer_than=LIMIT).videos[0]


def _both(
    film: Path, jobs: int, index: Callable[[Path, Path, int], Event]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one pass and one in parts find, the faster of two each, by turns."""
    best: dict[int, dict[str, Any]] = {}
    for turn in range(2):
        for number in (1, jobs):
            say(f"  {film.name}, --jobs {number}")
            begin = time.monotonic()
            event = index(film, film.with_name(f"{film.stem}{number}-{turn}"), number)
            seconds = time.monotonic() - begin
            if not isinstance(event, Indexed):
                raise RuntimeError(str(event))
            if number not in best or seconds < best[number]["s"]:
                best[number] = {"jobs": number, "s": seconds, "folder": event.folder}
    return best[1], best[jobs]


def _same(one: dict[str, Any], parts: dict[str, Any]) -> list[Figure]:
    """How what was found in parts differs from what one pass has found."""
    with VideoIndex(one["folder"]) as first, VideoIndex(parts["folder"]) as second:
        shots = set(first.shots()) ^ set(second.shots())
        spans = [
            {(t.start, t.end, t.start_reason, t.end_reason) for t in index.tracklets()}
            for index in (first, second)
        ]
    # A tracklet that was not joined is one less and two more.
    return [
        at_most("shots that differ", len(shots), 0),
        at_most("tracklets that differ", len(spans[0] ^ spans[1]), 3 * 3 * (WORKERS - 1)),
    ]


def _wrong(parts: dict[str, Any]) -> int:
    """Sightings whose box is that of somebody else than the first one of their tracklet."""
    wrong = 0
    with VideoIndex(parts["folder"]) as index:
        for _, seen in index.sightings(t.number for t in index.tracklets()).items():
            who = [_nearest(int(f), b) for f, b in zip(seen.frames, seen.boxes.tolist(), strict=True)]
            wrong += sum(person != who[0] for person in who)
    return wrong


def _nearest(frame: int, box: list[float]) -> str:
    def distance(other: Box) -> float:
        return math.hypot(
            box[0] + box[2] / 2 - other[0] - other[2] / 2, box[1] + box[3] / 2 - other[1] - other[3] / 2
        )

    people = _people(frame)
    return min(people, key=lambda person: distance(people[person]))


def _row(one: dict[str, Any]) -> dict[str, Any]:
    with VideoIndex(one["folder"]) as index:
        found = len(index.shots()), len(index.tracklets()), len(index.clusters())
    return {"jobs": one["jobs"], "s": round(one["s"], 1)} | dict(
        zip(("shots", "tracklets", "clusters"), found, strict=True)
    )
