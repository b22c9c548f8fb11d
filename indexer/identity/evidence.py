"""How probable it is that two tracklets of one video show one person: by their faces, their clothes and their places.

Each kind of evidence is the natural logarithm of a likelihood ratio, so that they add up; 0 says nothing. Faces count
by what their quality is worth. How much clothes tell is learned from the video itself: by the pairs that share a frame
and so are two people, and by those whose faces surely are one person. Where all wear the same, clothes say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.face_odds import face_log_odds
from facereel.store.model.records import CLOTHES_BINS, Floats

Matrix = NDArray[np.float64]

# Clothes count for a join by the share of strangers who are dressed as much alike. Taken off is what every second pair
# of strangers reaches. On a sitcom, a stage, dancers, a rally, a comedy and portraits nobody is mixed up to a weight of
# 1.75; from 2 on, or with similarities 7% higher, two faces in the dark are.
_CLOTHES_WEIGHT, _CLOTHES_CHANCE = 1.75, 0.7
_MAX_CLOTHES = 4.0
# They count against one by the share of pairs of one person that are dressed as differently, where both faces are so
# poor that they say little, and so close in time that nobody changes clothes. Taken off is what chance gives.
_POOR_QUALITY = 0.12
_SCENE_SECONDS = 30.0
_DIFFERENCE_WEIGHT, _DIFFERENCE_CHANCE = 1.5, 1.0
_MAX_DIFFERENCE = 3.0
_SURE_LOG_ODDS = 4.0  # of faces that surely are one person
# People change clothes from scene to scene, not within one: after this time they count half, seconds.
_CLOTHES_HALF_LIFE = 180.0
# Who leaves a place in a shot and who at once appears elsewhere in it are rarely one person: so many widths of the face
# away. In a long shot people walk about: the evidence fades evenly, and after this time, seconds, it says nothing.
_FAR, _FAR_LOG_ODDS = 3.0, -3.0
_CROSSING_SECONDS = 10.0
_ROWS = 256  # pairs of so many tracklets with all others are worked on at once


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of N tracklets."""

    embeddings: Floats  # (N, D) unit length, scaled to the default engine's similarities
    qualities: NDArray[np.float64]  # (N,)
    shots: NDArray[np.int64]  # (N,)
    spans: NDArray[np.int64]  # (N, 2) frames [start, end)
    seconds: NDArray[np.float64]  # (N, 2) the same in seconds
    ends: Floats  # (N, 2, 4) the first and the last box, x y w h
    clothes: Floats  # (N, CLOTHES_BINS) unit length, zeros where they are not known


def unit_clothes(clothes: Sequence[bytes | None]) -> Floats:
    """Stored clothes as vectors (N, CLOTHES_BINS) of unit length; zeros for None."""
    vectors = np.zeros((len(clothes), CLOTHES_BINS), np.float32)
    for row, stored in zip(vectors, clothes, strict=True):
        if stored is not None:
            row[:] = np.frombuffer(stored, np.uint8)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def log_odds(evidence: Evidence) -> Matrix:
    """Logarithm of the odds that each two of N tracklets are one person, (N, N); -inf for those that share a frame.

    Before any evidence somebody in a frame of n people is each of them with the same probability.
    """
    count = len(evidence.qualities)
    odds = np.empty((count, count))
    clothes = _clothes_of_pairs(evidence)
    people = _most_at_once(evidence.spans)
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        block = odds[rows]
        quality = np.minimum(evidence.qualities[rows, None], evidence.qualities[None])
        block[:] = face_log_odds(evidence.embeddings[rows] @ evidence.embeddings.T, quality)
        block += _clothes_log_odds(evidence, rows, clothes)
        block += _place_log_odds(evidence, rows)
        block -= np.log(np.maximum(people[rows, None], people[None]))
        block[_share_a_frame(evidence.spans, rows)] = -np.inf
    np.fill_diagonal(odds, -np.inf)
    return odds


@dataclass(frozen=True, slots=True, eq=False)
class _ClothesOfPairs:
    """How much the clothes of pairs are alike of whom the video shows who they are; all rising."""

    strangers: Floats  # of pairs that share a frame
    by_tracklet: list[Floats]  # the same for each of N tracklets
    same: Floats  # of pairs whose faces surely are one person


def _clothes_of_pairs(evidence: Evidence) -> _ClothesOfPairs:
    known, count = _with_clothes(evidence), len(evidence.qualities)
    by_tracklet: list[Floats] = []
    strangers, same = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        alike = evidence.clothes[rows] @ evidence.clothes.T
        share = _share_a_frame(evidence.spans, rows)
        faces = face_log_odds(
            evidence.embeddings[rows] @ evidence.embeddings.T,
            np.minimum(evidence.qualities[rows, None], evidence.qualities[None]),
        )
        sure = ~share & (faces > _SURE_LOG_ODDS) & (_seconds_between(evidence, rows) < _SCENE_SECONDS)
        pairs = known[rows, None] & known[None]
        others = np.arange(count)[None] != np.arange(count)[rows, None]
        by_tracklet += [np.sort(row[own]) for row, own in zip(alike, pairs & share & others, strict=True)]
        pairs &= np.arange(count)[None] > np.arange(count)[rows, None]
        strangers.append(alike[pairs & share])
        same.append(alike[pairs & sure])
    return _ClothesOfPairs(np.sort(np.concatenate(strangers)), by_tracklet, np.sort(np.concatenate(same)))


def _clothes_log_odds(evidence: Evidence, rows: slice, clothes: _ClothesOfPairs) -> Matrix:
    """From how much the clothes of strangers and those of one person are alike in this video.

    The shares of all strangers and of all sure pairs are conformal p-values (Vovk et al., "Algorithmic learning in a
    random world", 2005): without pairs to compare with they are 1 and say nothing.
    """
    alike = evidence.clothes[rows] @ evidence.clothes.T
    as_alike = len(clothes.strangers) - np.searchsorted(clothes.strangers, alike, side="left")
    surprise = -np.log((1 + as_alike) / (1 + len(clothes.strangers)))
    # Whom somebody in a frame with one of the two resembles as much cannot be distinguished from that one by clothes.
    by_row = [_surprise(own, row) for own, row in zip(clothes.by_tracklet[rows], alike, strict=True)]
    by_column = [_surprise(own, column) for own, column in zip(clothes.by_tracklet, alike.T, strict=True)]
    surprise = np.minimum(surprise, np.minimum(np.stack(by_row), np.stack(by_column, axis=1)))
    odds = np.clip(_CLOTHES_WEIGHT * (surprise - _CLOTHES_CHANCE), 0, _MAX_CLOTHES)
    between = _seconds_between(evidence, rows)
    odds *= 0.5 ** (between / _CLOTHES_HALF_LIFE)
    as_different = np.searchsorted(clothes.same, alike, side="right")
    difference = -np.log((1 + as_different) / (1 + len(clothes.same)))
    against = np.clip(_DIFFERENCE_WEIGHT * (difference - _DIFFERENCE_CHANCE), 0, _MAX_DIFFERENCE)
    better = np.maximum(evidence.qualities[rows, None], evidence.qualities[None])
    odds -= against * ((better < _POOR_QUALITY) & (between < _SCENE_SECONDS))
    known = _with_clothes(evidence)
    return np.asarray(odds * (known[rows, None] & known[None]))


def _surprise(strangers: Floats, alike: Floats) -> Matrix:
    """Of clothes that are as much alike (M,) as those of some of one tracklet's strangers; else nothing limits it."""
    as_alike = len(strangers) - np.searchsorted(strangers, alike, side="left")
    return np.where(as_alike > 0, -np.log(np.maximum(as_alike, 1) / (1 + len(strangers))), np.inf)


def _with_clothes(evidence: Evidence) -> NDArray[np.bool_]:
    return np.asarray(evidence.clothes.any(axis=1))


def _seconds_between(evidence: Evidence, rows: slice) -> Matrix:
    starts, ends = evidence.seconds.T
    between = np.maximum(starts[rows, None] - ends[None], starts[None] - ends[rows, None])
    return np.asarray(np.maximum(0, between))


def _place_log_odds(evidence: Evidence, rows: slice) -> Matrix:
    """Against a join of two tracklets of one shot when the later one soon begins far from where the earlier ended."""
    first, last = evidence.ends[:, 0], evidence.ends[:, 1]
    later = evidence.spans[rows, 0, None] > evidence.spans[None, :, 0]
    distance = np.where(later, _distance(first[rows], last), _distance(last[rows], first))
    same_shot = evidence.shots[rows, None] == evidence.shots[None]
    remaining = np.maximum(0, 1 - _seconds_between(evidence, rows) / _CROSSING_SECONDS)
    return np.where(same_shot & (distance > _FAR), _FAR_LOG_ODDS * remaining, 0.0)


def _distance(boxes: Floats, others: Floats) -> Matrix:
    """From centre to centre of boxes (N, 4) and others (M, 4) in widths of the wider face: (N, M)."""
    steps = (boxes[:, None, :2] + boxes[:, None, 2:] / 2) - (others[None, :, :2] + others[None, :, 2:] / 2)
    width = np.maximum(np.maximum(boxes[:, None, 2], others[None, :, 2]), 1.0)
    return np.asarray(np.hypot(steps[..., 0], steps[..., 1]) / width)


def _share_a_frame(spans: NDArray[np.int64], rows: slice) -> NDArray[np.bool_]:
    starts, ends = spans.T
    return np.asarray((starts[rows, None] < ends[None]) & (starts[None] < ends[rows, None]))


def _most_at_once(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most tracklets that any frame of each tracklet shows, itself among them: (N,)."""
    moments = np.unique(spans)
    begin, finish = np.searchsorted(moments, spans[:, 0]), np.searchsorted(moments, spans[:, 1])
    change = np.zeros(len(moments) + 1, np.int64)
    np.add.at(change, begin, 1)
    np.add.at(change, finish, -1)
    visible = np.cumsum(change)
    return np.array([visible[a:b].max() for a, b in zip(begin, finish, strict=True)], np.int64)
