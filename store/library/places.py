"""Places: where a face is in a video, in words that no index has made up.

A decision of the user is about places, because the numbers of tracklets and clusters change when a video is indexed
again: the content of the video, frames, and where the face is in one of them do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from facereel.store.index.reader import VideoIndex
from facereel.store.model.boxes import iou, xywh_to_xyxy
from facereel.store.model.records import Tracklet

# A longer tracklet gives several places, because another engine may follow the same face in two pieces.
_PIECE = 75  # frames
_SAME_FACE = 0.5  # overlap (iou) of two boxes in one frame
# An index may lack the face in just that frame; this many frames away it has hardly moved.
_MOST_DISTANT = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A face in a stretch of a video."""

    sha256: str  # of the video's content, hex
    start: int  # frames [start, end)
    end: int
    frame: int  # one of them, and where the face is in it
    box: tuple[float, float, float, float]  # x y w h, pixels of the picture as displayed


def places_of(index: VideoIndex, numbers: Iterable[int]) -> tuple[Place, ...]:
    """The places of some tracklets of an index, by tracklet and time; at least one of each.

    The frame is that of the best exemplar, where the face is seen best. Raises OptionError for a number that no
    tracklet has.
    """
    chosen = sorted(set(numbers))
    sightings, looks = index.sightings(chosen), index.exemplar_arrays()
    places = []
    for number in chosen:
        own = sightings[number]
        rows = np.flatnonzero(looks.tracklets == number)
        by_quality = looks.frames[rows[np.argsort(-looks.qualities[rows], kind="stable")]].tolist()
        first, last = int(own.frames[0]), int(own.frames[-1])
        for start, end in pairwise(_edges(first, last + 1)):
            frame = next((frame for frame in by_quality if start <= frame < end), (start + end) // 2)
            x, y, w, h = own.boxes[frame - first].tolist()
            box = (round(x, 1), round(y, 1), round(w, 1), round(h, 1))
            places.append(Place(index.video.sha256, start, end, frame, box))
    return tuple(places)


def face_tracks(places: Iterable[Place]) -> int:
    """How many tracklets places are of, without their index: `places_of` gives a long one several.

    Of two tracklets one of which begins where the other ends, as at a cut, it may count one: where their lengths are
    those of the halves of a single one.
    """
    runs: dict[tuple[str, int], list[list[Place]]] = defaultdict(list)  # by video and end
    for place in sorted(set(places), key=lambda one: (one.sha256, one.start, one.end)):
        before = runs[place.sha256, place.start]
        runs[place.sha256, place.end].append([*before.pop(), place] if before else [place])
    return sum(_tracks_of(run) for ending in runs.values() for run in ending)


def tracklets_at(index: VideoIndex, places: Sequence[Place]) -> tuple[int | None, ...]:
    """The number of the tracklet that shows the face of each place; None where this index has no such face.

    A place of another video has none. Of several tracklets the one whose box overlaps most is taken.
    """
    tracklets = index.tracklets()
    starts = np.array([item.start for item in tracklets], np.int64)
    ends = np.array([item.end for item in tracklets], np.int64)
    found: list[int | None] = []
    for place in places:
        if place.sha256 != index.video.sha256:
            found.append(None)
            continue
        near = (starts <= place.frame + _MOST_DISTANT) & (ends > place.frame - _MOST_DISTANT)
        within = (starts < place.end) & (ends > place.start)
        found.append(_best(index, place, [tracklets[i] for i in np.flatnonzero(near & within)]))
    return tuple(found)


def _edges(start: int, end: int) -> list[int]:
    """Where the places of a tracklet of frames [start, end) begin, and where the last one ends."""
    return [int(edge) for edge in np.linspace(start, end, _pieces(start, end) + 1)]


def _pieces(start: int, end: int) -> int:
    """How many places a tracklet of frames [start, end) has."""
    return (end - 1 - start) // _PIECE + 1


def _tracks_of(run: Sequence[Place]) -> int:
    """How many tracklets give places that follow on one another, if as few as can be."""
    first, count = 0, 0
    edges = [run[0].start, *(place.end for place in run)]
    while first < len(run):
        start, most = edges[first], 1
        # No place is longer than a piece: where they are too many, more of them are, too.
        while first + most < len(run) and _pieces(start, edges[first + most + 1]) == most + 1:
            most += 1
        ends = ((number, edges[first : first + number + 1]) for number in range(most, 1, -1))
        first += next((number for number, own in ends if _edges(start, own[-1]) == own), 1)
        count += 1
    return count


def _best(index: VideoIndex, place: Place, candidates: Sequence[Tracklet]) -> int | None:
    """The tracklet whose box is that of the place: one that has the frame itself before others."""
    wanted = xywh_to_xyxy(np.array([place.box], np.float32))
    ranked = []
    for item in candidates:
        frame = min(max(place.frame, item.start), item.end - 1)
        overlap = float(iou(wanted, xywh_to_xyxy(index.box(item.number, frame)[None]))[0, 0])
        if overlap >= _SAME_FACE:
            ranked.append((abs(frame - place.frame), -overlap, item.number))
    return min(ranked)[2] if ranked else None
