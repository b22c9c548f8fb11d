"""Who is in the picture with whom: the frames of one person's matches in which others are to be seen, or are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facereel.query.records import MatchingTracklet
from facereel.query.search.search import PersonMatches
from facereel.store.model.records import Ints, Sightings

_Match: TypeAlias = tuple[MatchingTracklet, Sightings]
# By index folder, the tracklets of somebody: number, first frame, end (N, 3).
_Tracklets: TypeAlias = Mapping[Path, Ints]


def together(
    answer: PersonMatches, present: Sequence[PersonMatches], absent: Sequence[PersonMatches]
) -> PersonMatches:
    """The answer in those frames only in which everybody `present` is to be seen too, and nobody `absent`.

    A match gives a piece for each run of such frames. Whoever is only possibly in the picture does
    not make up for one of `present`, and rules a frame out as one of `absent`. A face that matches two people is one of
    them at most: it does not count as company of itself.
    """
    with_them = [_tracklets(other.matches) for other in present]
    without_them = [_tracklets((*other.matches, *other.possible)) for other in absent]
    return replace(
        answer, matches=_pieces(answer.matches, with_them, without_them),
        possible=_pieces(answer.possible, with_them, without_them),
    )  # fmt: skip


def _pieces(
    matches: Sequence[_Match], with_them: Sequence[_Tracklets], without_them: Sequence[_Tracklets]
) -> tuple[_Match, ...]:
    pieces: list[_Match] = []
    for match, sightings in matches:
        wanted = np.ones(len(sightings), bool)
        for tracklets in with_them:
            wanted &= _in_picture(tracklets, match, sightings)
        for tracklets in without_them:
            wanted &= ~_in_picture(tracklets, match, sightings)
        pieces += [(match, _part(sightings, start, end)) for start, end in _runs(wanted)]
    return tuple(pieces)


def _tracklets(matches: Sequence[_Match]) -> _Tracklets:
    rows: dict[Path, list[tuple[int, int, int]]] = {}
    for match, sightings in matches:
        first, last = int(sightings.frames[0]), int(sightings.frames[-1])
        rows.setdefault(match.folder, []).append((match.tracklet.number, first, last + 1))
    return {folder: np.array(own, np.int64) for folder, own in rows.items()}


def _in_picture(tracklets: _Tracklets, match: MatchingTracklet, sightings: Sightings) -> NDArray[np.bool_]:
    """For each sighting of a match, whether somebody else is in its frame."""
    found = np.zeros(len(sightings), bool)
    rows = tracklets.get(match.folder)
    if rows is None:
        return found
    first, end = int(sightings.frames[0]), int(sightings.frames[-1]) + 1
    for number, other_first, other_end in rows[(rows[:, 1] < end) & (rows[:, 2] > first)].tolist():
        if number != match.tracklet.number:
            found[max(0, other_first - first) : max(0, other_end - first)] = True
    return found


def _runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs [start, end) of positions that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _part(sightings: Sightings, start: int, end: int) -> Sightings:
    part = slice(start, end)
    return Sightings(
        sightings.frames[part], sightings.boxes[part], sightings.scores[part], sightings.sources[part]
    )
