"""Who of the library is forgotten with the faces, and what was written that still shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    for holding in holdings:
        with VideoIndex(holding.folder) as index:
            places.setdefault(index.video.sha256, []).extend(places_of(index, holding.tracklets))
    if not out.is_dir():
        return Shown((), (), ())
    results = tuple(
        file.parent
        for file in sorted(out.rglob(JSON_FILE))
        if any(_shows(clip, places) for clip in _clips(file))
    )
    identities = {identity_of(person) for person in people}
    datasets = {
        file.parent / str(row["id"])
        for file in out.rglob(DATASET_FILE)
        for row in known_rows(file.parent)
        if row.get("id") in identities or _piece_shows(file.parent, row, places)
    }
    videos = {Path(holding.video).stem for holding in holdings}
    exports = (file for file in exports_in(out, videos) if not {*file.parents} & {*results})
    return Shown(results, tuple(sorted(datasets)), tuple(exports))


def _piece_shows(folder: Path, row: Mapping[str, Any], places: Mapping[str, Sequence[Place]]) -> bool:
    """Whether a piece of a data set has one of the faces; where its frames are not known, whether it has the time."""
    try:
        span = range(row["start_frame"], row["end_frame"])
        own = [place for place in places.get(row["video_sha256"], ()) if place.frame in span]
        boxes = source_boxes(folder, row) if own else {}
    except (LookupError, TypeError, ValueError, OSError):
        return True
    for place in own:
        nearest = min(boxes, key=lambda frame: abs(frame - place.frame), default=None)
        if nearest is None or _overlap(place.box, boxes[nearest]) >= _SAME_FACE:
            return True
    return False


def _clips(file: Path) -> Iterator[Mapping[str, Any]]:
    """The clips of a result; none of a file that is no result."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        clips = document["clips"] if document["schema"] in SCHEMAS else []
        yield from (clip for clip in clips if isinstance(clip, dict))
    except (OSError, ValueError, LookupError, TypeError):
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
