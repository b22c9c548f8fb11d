"""Who of the library is forgotten with the faces, and which results still show them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def results_showing(out: Path, holdings: Sequence[Holding]) -> tuple[Path, ...]:
    """The folders in `out`, at any depth, whose metadata.json has a clip of one of these faces."""
    places: dict[str, list[Place]] = {}
    for holding in holdings:
        with VideoIndex(holding.folder) as index:
            places.setdefault(index.video.sha256, []).extend(places_of(index, holding.tracklets))
    if not places or not out.is_dir():
        return ()
    return tuple(
        file.parent
        for file in sorted(out.rglob(JSON_FILE))
        if any(_shows(clip, places) for clip in _clips(file))
    )


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
