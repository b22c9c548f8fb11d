"""Clips or tracklets -> the boxes of a video: what all formats of annotation tools are written from.

Frames are those of the index: 0 is the first that the file shows, whatever its rate. Boxes are pixels of the picture as
displayed. An id is the number of a tracklet, as in metadata.json: no two faces of one frame share it. Who it is stands
beside it, because one person may be in a picture twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.query.records import Certainty, ClipPlan
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Sightings, Video

LABEL = "face"  # of every box; whose it is may change without a new class
DECIMALS = 2  # of a pixel, as in metadata.json

Boxes: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedTracklet:
    """The boxes of one face."""

    number: int
    person: str  # by name; empty for nobody of the library
    certainty: Certainty | None  # None: it is no match of a search
    runs: tuple[Sightings, ...]  # in order of time, each without a gap


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedVideo:
    """The faces of one video."""

    name: str  # of its files, without their endings
    video: Video
    tracklets: tuple[AnnotatedTracklet, ...]  # by number, at least one


def of_clips(name: str, people: Sequence[tuple[str, Sequence[ClipPlan]]]) -> tuple[AnnotatedVideo, ...]:
    """The clips of people, an entry for each index they are from; a face that matches several is the surest one's."""
    by_index: dict[Path, list[tuple[str, ClipPlan]]] = {}
    for person, clips in people:
        for clip in clips:
            by_index.setdefault(clip.match.folder, []).append((person, clip))
    return tuple(
        AnnotatedVideo(name, own[0][1].match.video, tuple(_tracklets(own))) for own in by_index.values()
    )


def _tracklets(clips: Sequence[tuple[str, ClipPlan]]) -> Iterator[AnnotatedTracklet]:
    """The tracklets of a video, by number, each as whoever of those that it matches it most surely shows."""
    by_number: dict[int, list[tuple[str, ClipPlan]]] = {}
    for person, clip in clips:
        by_number.setdefault(clip.match.tracklet.number, []).append((person, clip))
    for number, own in sorted(by_number.items()):
        person, surest = max(
            own, key=lambda pair: (pair[1].match.certainty == "sure", pair[1].match.similarity)
        )
        runs = sorted((clip for name, clip in own if name == person), key=lambda clip: clip.start)
        yield AnnotatedTracklet(
            number, person, surest.match.certainty, tuple(clip.sightings for clip in runs)
        )


def of_index(name: str, index: VideoIndex, owners: Mapping[int, str], min_duration: float) -> AnnotatedVideo:
    """Every tracklet of an index that lasts `min_duration` seconds; `owners` are names of people by tracklet."""
    times, video = index.times(), index.video
    numbers = [
        item.number
        for item in index.tracklets()
        if video.duration(times, item.start, item.end) >= min_duration
    ]
    sightings = index.sightings(numbers)
    tracklets = (
        AnnotatedTracklet(number, owners.get(number, ""), None, (sightings[number],)) for number in numbers
    )
    return AnnotatedVideo(name, video, tuple(tracklets))


def boxes_of(run: Sightings) -> Boxes:
    """Whole boxes (N, 4), x y w h, which may lie partly outside the picture."""
    return run.boxes.astype(np.float64).round(DECIMALS)


def clipped(boxes: Boxes, video: Video) -> Boxes:
    """The part of boxes (N, 4), x y w h, that lies in the picture; width or height is 0 where there is none."""
    size: Boxes = np.array([video.width, video.height], np.float64)
    low, high = np.clip(boxes[:, :2], 0, size), np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    part: Boxes = np.concatenate([low, np.maximum(high - low, 0)], axis=1)
    return part.round(DECIMALS)
