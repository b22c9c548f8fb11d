"""Who of the library is forgotten with the faces, and what was written that still shows them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from facereel.query.dataset.manifest import DATASET_FILE, identity_of, source_boxes
from facereel.query.dataset.notes import known_rows
from facereel.query.export.editors import exports_in
from facereel.query.export.metadata import JSON_FILE, SCHEMAS
from facereel.query.records import PersonQuery
from facereel.query.search.forget import Holding
from facereel.store.index.reader import VideoIndex
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.library.places import Place, places_of
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Sightings

_SAME_FACE = 0.5  # overlap (iou) of two boxes in one frame


def persons(questions: Sequence[PersonQuery], people: LibraryPeople) -> tuple[LibraryPerson, ...]:
    """The people of the library whom questions are about: those asked for, or whose decisions photos got."""
    asked = [question.person for question in questions]
    return tuple({number: people.get(number) for number in asked if number is not None}.values())


@dataclass(frozen=True, slots=True)
class Shown:
    """What lies in a folder of results and shows somebody who is forgotten, or may."""

    results: tuple[Path, ...]  # folders of clips
    datasets: tuple[Path, ...]  # folders of people in data sets
    exports: tuple[Path, ...]  # what `export` wrote of the videos: names, times or boxes, of whomever


def shown_in(out: Path, holdings: Sequence[Holding], people: Sequence[PersonQuery]) -> Shown:
    """What in `out`, at any depth, shows the faces of holdings, by metadata.json and by the manifests of data sets.

    Exports do not say whom they show: those of the videos of the holdings are listed, by their names.
    """
    places: dict[str, list[Place]] = {}
    by_content: dict[str, list[Holding]] = {}
    for holding in holdings:
        with VideoIndex(holding.folder) as index:
            by_content.setdefault(index.video.sha256, []).append(holding)
            places.setdefault(index.video.sha256, []).extend(places_of(index, holding.tracklets))
    if not out.is_dir():
        return Shown((), (), ())
    results = tuple(
        file.parent
        for file in sorted(out.rglob(JSON_FILE))
        if any(_shows(clip, places) for clip in _clips(file))
    )
    identities = {identity_of(person) for person in people}
    datasets = [
        folder / identity
        for folder in sorted(file.parent for file in out.rglob(DATASET_FILE))
        for identity in sorted(_shown_in_dataset(folder, by_content, identities))
    ]
    videos = {Path(holding.video).stem for holding in holdings}
    exports = (file for file in exports_in(out, videos) if not {*file.parents} & {*results})
    return Shown(results, tuple(datasets), tuple(exports))


def _shown_in_dataset(
    folder: Path, holdings: Mapping[str, Sequence[Holding]], identities: Collection[str]
) -> set[str]:
    """Whose pieces of a data set show the faces of holdings, by the hash of the video, or are of these people."""
    shown: set[str] = set()
    rows = groupby(known_rows(folder), key=lambda row: (row["id"], row["video_sha256"]))
    for (identity, sha256), own in rows:
        if identity in identities:
            shown.add(identity)
        elif identity not in shown and sha256 in holdings:
            faces = [faces for holding in holdings[sha256] for faces in _faces(holding)]
            if any(_piece_shows(folder, row, faces) for row in own):
                shown.add(identity)
    return shown


def _faces(holding: Holding) -> Collection[Sightings]:
    with VideoIndex(holding.folder) as index:
        return index.sightings(holding.tracklets).values()


def _piece_shows(folder: Path, row: Mapping[str, Any], faces: Sequence[Sightings]) -> bool:
    """Whether a piece of a data set has one of the faces; where its boxes are not known, whether it has the time."""
    try:
        start, end = int(row["start_frame"]), int(row["end_frame"])
        near = [one for one in faces if one.frames[0] < end and start <= one.frames[-1]]
        boxes = source_boxes(folder, row) if near else {}
    except (LookupError, TypeError, ValueError, ArithmeticError, OSError):
        return True
    for one in near:
        first = int(one.frames[0])
        frames = [frame for frame in boxes if first <= frame < first + len(one)]
        overlaps = [_overlap(one.boxes[frame - first].tolist(), boxes[frame]) for frame in frames]
        if overlaps and median(overlaps) >= _SAME_FACE:
            return True
    return False


def _clips(file: Path) -> Iterator[Mapping[str, Any]]:
    """The clips of a result; none of a file that is no result."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        clips = document["clips"] if document["schema"] in SCHEMAS else []
        yield from (clip for clip in clips if isinstance(clip, dict))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return


def _shows(clip: Mapping[str, Any], places: Mapping[str, Sequence[Place]]) -> bool:
    """Whether a clip has one of the faces in one of its frames."""
    try:
        boxes = {int(frame["frame"]): frame["box"] for frame in clip["frames"]}
        return any(
            place.frame in boxes and _overlap(place.box, boxes[place.frame]) >= _SAME_FACE
            for place in places.get(clip["video"]["sha256"], ())
        )
    except (LookupError, TypeError, ValueError):
        return False


def _overlap(box: Sequence[float], other: Sequence[float]) -> float:
    pair = xywh_to_xyxy(np.array([box, other], np.float32).reshape(2, 4))
    return float(iou(pair[:1], pair[1:])[0, 0])
