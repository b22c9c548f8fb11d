"""Copies with covered faces: whether any face shows, and whether who is kept does, in every frame of the truth.

Judged is what is painted (query/blur/paint.py), face by face: the share of the ellipse in a face's box that is fully
covered. That the copy shows it is for tests/test_blur.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facereel.api import Library
from facereel.indexer.engines.devices import Compute
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.engines.registry import load_engine
from facereel.indexer.jobs.events import Job
from facereel.indexer.jobs.job import run_job
from facereel.indexer.media.decode_log import DecodeLog
from facereel.indexer.media.video import Probe, probe
from facereel.query.blur.covers import Covers, choose
from facereel.query.blur.identity import IndexedFaces, looks_of
from facereel.query.blur.paint import Covering, opacity
from facereel.query.blur.search import FoundFaces, find_faces
from facereel.query.blur.selection import People, selection_of
from facereel.store.index.reader import VideoIndex
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.config import Config
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.media_truth import films, partial_films
from tests.benchmarks.report import Report, say
from tests.benchmarks.run_facereel import index_folder
from tests.benchmarks.scenarios import all_scenarios, render
from tests.benchmarks.scoring import Box, boxes_by_frame

VISIBLE = 0.25  # share of a face from which on it may not show
COVERED = 0.9  # share of a face's ellipse from which on it is covered
SHOWN = 0.75  # share of it that a kept face shows at least
SMALL = 20.0  # pixels of width

_SCENARIOS, _MEETINGS, _FOOTAGE = "blur, scenarios", "blur, meetings", "blur, footage"


class Face(NamedTuple):
    """A face in one frame."""

    box: Box  # x y w h
    share: float  # of it that is visible, 0..1


@dataclass(slots=True)
class BlurScore:
    """What became of the faces of one video, or of several."""

    faces: int = 0
    uncovered: list[str] = field(default_factory=list)  # person and frame, faces of 20 px and more
    small: int = 0  # uncovered ones that are smaller
    kept: int = 0
    kept_covered: list[str] = field(default_factory=list)
    beside: int = 0  # of these, beside a face of somebody else
    leaked: list[str] = field(default_factory=list)  # somebody else who is uncovered where one person is kept
    only: int = 0  # faces of the person who alone is to be covered
    missed: list[str] = field(default_factory=list)  # of these, that are not
    others: int = 0  # faces of everybody else then
    others_covered: int = 0  # of these, at least a quarter
    unknown: int = (
        0  # people of whom no face is surely known: nobody is kept, and a copy without them is refused
    )
    frames: int = 0
    seconds: float = 0.0  # that the search took

    def add(self, other: BlurScore) -> None:
        """Add the counts of another video."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Searched:
    """What a video was found to hold, from which all three copies of it are made."""

    header: Probe
    everybody: FoundFaces  # without an index
    known: FoundFaces  # with the index of the store
    store: Path
    seconds: float  # that the first search took


def blur(only: str) -> Iterator[Report]:
    """Rendered scenarios, those in which heads hide each other apart from the others, and footage; a process a core."""
    names = [name for name in all_scenarios() if only in name]
    footage = [film.name for film in (*films(only), *partial_films(only))]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        scores = {
            **{name: processes.submit(_judge_film, name) for name in footage},
            **{name: processes.submit(_judge_scenario, name) for name in names},
        }
        rows: dict[str, list[dict[str, Any]]] = {_SCENARIOS: [], _MEETINGS: [], _FOOTAGE: []}
        totals = {title: BlurScore() for title in rows}
        for name, future in scores.items():
            title, score = future.result()
            say(name)
            totals[title].add(score)
            rows[title].append({"video": name} | _row(score))
    for title in rows:
        if rows[title]:
            yield title, rows[title], _figures(totals[title], meetings=title == _MEETINGS)


def _judge_film(name: str) -> tuple[str, BlurScore]:
    """The score of a film, for a process of its own."""
    film = next(film for film in (*films(name), *partial_films(name)) if film.name == name)
    references = {who: photos for who, photos in film.references.items() if who in film.truth["people"]}
    return _FOOTAGE, _judge(film.video, film.truth, references)


def _judge_scenario(name: str) -> tuple[str, BlurScore]:
    """The score of a scenario, and with which others it counts; for a process of its own."""
    rendered = render(all_scenarios()[name])
    title = _MEETINGS if _has_meetings(rendered.truth) else _SCENARIOS
    return title, _judge(rendered.video, rendered.truth, rendered.references)


def _has_meetings(truth: Mapping[str, Any]) -> bool:
    """Whether the boxes of two faces overlap in a frame that shows one shot alone."""
    mixed = {
        frame for kind, start, end in truth["changes"] if kind != "cut" for frame in range(start, end)
    }  # fmt: skip
    faces = _faces(truth)
    return any(
        _overlap(face.box, other.box)
        for name, own in faces.items()
        for frame, face in own.items()
        if frame not in mixed
        for other in (faces[who][frame] for who in faces if who > name and frame in faces[who])
    )


def _overlap(box: Box, other: Box) -> bool:
    corners = xywh_to_xyxy(np.array([box, other], np.float32))
    return bool(iou(corners[:1], corners[1:])[0, 0] > 0)


def _judge(video: Path, truth: Mapping[str, Any], references: Mapping[str, list[Path]]) -> BlurScore:
    with TemporaryDirectory(prefix="facereel-bench-") as temporary:
        return judge(search(video, Path(temporary)), truth, references)


def search(video: Path, store: Path) -> Searched:
    """Search a video as for a copy without an index, index it into the store, and search it with that."""
    engine, header, started = _engine(), probe(video), time.monotonic()
    everybody = find_faces(header, DecodeLog(), engine)
    seconds = time.monotonic() - started
    run_job(Job(video, store, Config()), engine)
    with VideoIndex(index_folder(store)) as index:
        log = DecodeLog()
        everybody_there = [tracklet.number for tracklet in index.tracklets()]
        looks = looks_of(index, everybody_there, engine.threshold.value, engine)
        known = find_faces(header, log, engine, detections_of=IndexedFaces(index, log, looks).detections)
    return Searched(header, everybody, known, store, seconds)


@cache
def _engine() -> FaceEngine:
    """The engine of this process, which shares the machine with one a core."""
    return load_engine(compute=Compute(threads=1))


def judge(searched: Searched, truth: Mapping[str, Any], references: Mapping[str, list[Path]]) -> BlurScore:
    """How well the faces of a video are covered: everybody's, everybody's but one, and one person's alone."""
    header = searched.header
    rate, size, faces = float(header.frame_rate), (header.width, header.height), _faces(truth)
    score = BlurScore(frames=len(searched.everybody.times.pts), seconds=searched.seconds)
    everybody = choose(searched.everybody, selection_of(None, None), rate)
    for person, boxes in faces.items():
        for frame, face in boxes.items():
            score.faces += 1
            if covered_share(everybody.of(frame), face.box, size) < COVERED:
                if face.box[2] >= SMALL:
                    score.uncovered.append(f"{person} {frame}")
                else:
                    score.small += 1
    library = Library(searched.store)
    with VideoIndex(index_folder(library.store)) as index:
        for person, photos in references.items():
            matches = (library.find(photos)._found,)
            if not matches[0].matches:
                score.unknown += 1
                continue
            for mode in ("keep", "only"):
                people = People("keep" if mode == "keep" else "only", matches, _engine().threshold.value)
                covers = choose(searched.known, selection_of(index, people), rate)
                _judge_one(score, person, faces, truth, covers, size, mode == "keep")
    return score


def _judge_one(
    score: BlurScore, person: str, faces: Mapping[str, Mapping[int, Face]], truth: Mapping[str, Any], covers: Covers,
    size: tuple[int, int], keep: bool,
) -> None:  # fmt: skip
    own = faces[person]
    if not keep:
        score.only += len(own)
        for frame, face in own.items():
            if covered_share(covers.of(frame), face.box, size, _fronts(faces, frame, face)) < COVERED:
                score.missed.append(f"{person} {frame}")
        for frame, face in ((f, face) for name in faces if name != person for f, face in faces[name].items()):
            score.others += 1
            score.others_covered += covered_share(covers.of(frame), face.box, size) > 1 - SHOWN
        return
    others = {name: faces[name] for name in faces if name != person}
    for frame, box in boxes_by_frame(truth, person).items():
        score.kept += 1
        hidden = 1 - own[frame].share
        # What of it is hidden may be covered: it is somebody else or a thing that shows there.
        if covered_share(covers.of(frame), box, size) - hidden > 1 - SHOWN:
            score.kept_covered.append(f"{person} {frame}")
            score.beside += _is_beside(box, [face[frame].box for face in others.values() if frame in face])
    for name, other in others.items():
        for frame, face in other.items():
            fronts = _fronts({person: own}, frame, face)
            if covered_share(covers.of(frame), face.box, size, fronts) < COVERED:
                score.leaked.append(f"{name} {frame}")


def _fronts(faces: Mapping[str, Mapping[int, Face]], frame: int, face: Face) -> list[Box]:
    """The faces that may hide parts of one: of what is hidden nothing is to be seen."""
    others = (own[frame] for own in faces.values() if frame in own)
    return [other.box for other in others if other.share > face.share]


def covered_share(covering: Covering, box: Box, size: tuple[int, int], fronts: Sequence[Box] = ()) -> float:
    """Share of the ellipse in a face's box that is fully covered, as far as it lies in the picture.

    Nor does what the ellipses of other boxes in front of it hide count.
    """
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    width, height = (
        min(size[0], int(box[0] + box[2]) + 1) - left,
        min(size[1], int(box[1] + box[3]) + 1) - top,
    )
    if width <= 0 or height <= 0:
        return 1.0
    corner = np.array([left, top, 0, 0], np.float32)
    moved = Covering(covering.boxes - corner, covering.over, covering.spared - corner)
    inside = _ellipse((left, top, width, height), box)
    for front in fronts:
        inside &= ~_ellipse((left, top, width, height), front)
    return float((opacity((width, height), moved)[inside] >= 1).mean()) if inside.any() else 1.0


def _ellipse(part: tuple[int, int, int, int], box: Box) -> NDArray[np.bool_]:
    """Which pixels (H, W) of a part x y w h of a picture lie in the ellipse of a box."""
    left, top, width, height = part
    columns = (np.arange(width) + 0.5 + left - box[0] - box[2] / 2) / (box[2] / 2)
    rows = (np.arange(height) + 0.5 + top - box[1] - box[3] / 2) / (box[3] / 2)
    return np.asarray(columns[None] ** 2 + rows[:, None] ** 2 <= 1)


def _is_beside(box: Box, others: list[Box]) -> bool:
    """Whether the reach of another face's cover meets a face."""
    own = xywh_to_xyxy(np.array([box], np.float32))
    grown = np.array([[x - w / 2, y - h / 2, 2 * w, 2 * h] for x, y, w, h in others], np.float32).reshape(
        -1, 4
    )
    return bool((iou(own, xywh_to_xyxy(grown)) > 0).any())


def _faces(truth: Mapping[str, Any]) -> dict[str, dict[int, Face]]:
    """Where faces of which enough is visible are, by person; of footage, where they plainly are."""
    faces: dict[str, dict[int, Face]] = {}
    for name, person in truth["people"].items():
        if "seen" in person:
            seen = {int(frame): Face(values[:4], values[4]) for frame, values in person["seen"].items()}
            gone = _faded(truth, seen)
            faces[name] = {
                frame: face for frame, face in seen.items() if face.share >= VISIBLE and frame not in gone
            }
        else:
            faces[name] = {frame: Face(box, 1.0) for frame, box in boxes_by_frame(truth, name).items()}
    return faces


def _faded(truth: Mapping[str, Any], seen: Mapping[int, Face]) -> set[int]:
    """Frames of fades in which somebody is not to be seen, though the truth has both shots in all of them.

    A fade shows the one shot in its first half, the other in its second (render.mix).
    """
    gone: set[int] = set()
    for kind, start, end in truth["changes"]:
        if kind.startswith("fade"):
            middle = next((f for f in range(start, end) if 2 * (f - start + 1) >= end - start + 1), end)
            gone |= set(range(start, middle)) if start - 1 not in seen else set()
            gone |= set(range(middle, end)) if end not in seen else set()
    return gone


def _row(score: BlurScore) -> dict[str, Any]:
    return {
        "faces": score.faces,
        "uncovered": len(score.uncovered),
        "below 20 px": score.small,
        "kept": score.kept,
        "kept, covered": len(score.kept_covered),
        "beside others": score.beside,
        "others shown": len(score.leaked),
        "only: shown": len(score.missed),
        "only: others covered": score.others_covered,
        "unknown": score.unknown,
        "frames/s": score.frames / score.seconds,
        "where": " ".join((score.uncovered + score.leaked + score.missed)[:3]) or None,
    }


def _figures(total: BlurScore, meetings: bool) -> list[Figure]:
    share = (len(total.kept_covered) - total.beside) / total.kept if total.kept else None
    return [
        at_most("frames with an uncovered face", len(total.uncovered), 0),
        Figure("uncovered faces below 20 px", total.small, "", None),
        # Where people meet, faces are covered on purpose.
        Figure("kept faces that are covered, share", share, "", None)
        if meetings
        else at_most("kept faces that are covered, share", share, 0.005),
        Figure("kept faces covered beside somebody else", total.beside, "", None),
        at_most("--keep: frames with somebody else uncovered", len(total.leaked), 0),
        at_most("--only: frames with the person uncovered", len(total.missed), 0),
        Figure(
            "--only: faces of others covered, share", total.others_covered / max(1, total.others), "", None
        ),
        Figure("people of whom no face is surely known", total.unknown, "", None),
        Figure("frames searched a second", total.frames / total.seconds, "", None),
    ]
