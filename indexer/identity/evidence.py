"""How probable it is that two tracklets of one video show one person: by their faces, their clothes and their places.

Each kind of evidence is the natural logarithm of a likelihood ratio, so that they add up; 0 says nothing. Faces count
by what their quality is worth. How much clothes tell is learned from the video itself: by the pairs that share a frame
and so are two people, and by those whose faces surely are one person. Where all wear the same, clothes say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.face_odds import face_log_odds
from facereel.store.model.records import CLOTHES_BINS, Floats, Ints

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
_ROWS, _COLUMNS = 256, 4096  # pairs of so many tracklets with so many others are worked on at once
_PAIRS = 1 << 13  # or so many pairs of a list, whose vectors are copied
# A tracklet is compared with so many that start after it; how much clothes are alike is rounded there to as many levels
# as the second says.
_NEAR, _LEVELS = 1000, 1024
_KEY = 4.0  # more than twice the largest similarity of clothes


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of N tracklets, in order of their start."""

    embeddings: Floats  # (N, D) unit length, scaled to the default engine's similarities
    qualities: NDArray[np.float64]  # (N,)
    shots: Ints  # (N,)
    spans: Ints  # (N, 2) frames [start, end)
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
    video, count = video_statistics(evidence), len(evidence.qualities)
    odds = np.empty((count, count))
    for start in range(0, count, _ROWS):
        rows = np.arange(start, min(start + _ROWS, count))[:, None]
        odds[start : start + _ROWS] = _odds(
            evidence, video, rows, np.arange(count)[None],
            evidence.embeddings[start : start + _ROWS] @ evidence.embeddings.T,
            evidence.clothes[start : start + _ROWS] @ evidence.clothes.T,
        )  # fmt: skip
    np.fill_diagonal(odds, -np.inf)
    return odds


def log_odds_of_pairs(
    evidence: Evidence, video: VideoStatistics, first: Ints, second: Ints
) -> NDArray[np.float64]:
    """The same for P pairs of tracklets, positions (P,) each: (P,)."""
    odds = np.empty(len(first))
    for start in range(0, len(first), _PAIRS):
        i, j = first[start : start + _PAIRS], second[start : start + _PAIRS]
        odds[start : start + _PAIRS] = _odds(
            evidence, video, i, j,
            np.einsum("pd,pd->p", evidence.embeddings[i], evidence.embeddings[j]),
            np.einsum("pd,pd->p", evidence.clothes[i], evidence.clothes[j]),
        )  # fmt: skip
    return odds


def _odds(
    evidence: Evidence, video: VideoStatistics, i: Ints, j: Ints, similarity: Floats, alike: Floats
) -> NDArray[np.float64]:
    """Log odds of the pairs of tracklets at i and j, which are broadcast, from how similar faces and clothes are."""
    odds = face_log_odds(similarity, np.minimum(evidence.qualities[i], evidence.qualities[j]))
    odds += _clothes_log_odds(evidence, video, i, j, alike)
    odds += _place_log_odds(evidence, i, j)
    odds -= np.log(np.maximum(video.people[i], video.people[j]))
    odds[_share_a_frame(evidence.spans, i, j)] = -np.inf
    return odds


@dataclass(frozen=True, slots=True, eq=False)
class VideoStatistics:
    """What a video shows of its N tracklets together: how many are there at once, and whether clothes tell them apart.

    How much the clothes of pairs are alike of whom it shows who they are; all rising.
    """

    people: Ints  # (N,) the most tracklets that any frame of each shows, itself among them
    strangers: Floats  # of pairs that share a frame
    same: Floats  # of pairs whose faces surely are one person
    # Of the pairs that share a frame those of each tracklet, both ways: its position times _KEY plus how much they are
    # alike, so that one search finds a value among those of one tracklet.
    own_strangers: NDArray[np.float64]


def video_statistics(evidence: Evidence) -> VideoStatistics:
    """Look at the pairs of tracklets that share a frame or are close in time; tracklets are in order of their start."""
    known = _with_clothes(evidence)
    strangers, same = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    own: list[NDArray[np.float64]] = [np.zeros(0)]
    for rows, columns in _close_blocks(evidence):
        i, j = rows[:, None], columns[None]
        alike = evidence.clothes[rows] @ evidence.clothes[columns].T
        pairs = known[i] & known[j] & (j > i)
        share = _share_a_frame(evidence.spans, i, j)
        faces = face_log_odds(
            evidence.embeddings[rows] @ evidence.embeddings[columns].T,
            np.minimum(evidence.qualities[i], evidence.qualities[j]),
        )
        sure = ~share & (faces > _SURE_LOG_ODDS) & (_seconds_between(evidence, i, j) < _SCENE_SECONDS)
        one, other = np.nonzero(pairs & share)
        strangers.append(alike[one, other])
        own += [
            np.asarray(position * _KEY + strangers[-1], np.float64)
            for position in (rows[one], columns[other])
        ]
        same.append(alike[pairs & sure])
    return VideoStatistics(
        _most_at_once(evidence.spans), np.sort(np.concatenate(strangers)), np.sort(np.concatenate(same)),
        np.sort(np.concatenate(own)),
    )  # fmt: skip


def close_pairs(evidence: Evidence, video: VideoStatistics, most: int, lowest: float) -> tuple[Ints, Ints]:
    """Pairs of tracklets near each other in time that faces, clothes or both may join, positions (P,), lower first.

    Of each tracklet with the _NEAR that start after it, the `most` pairs with the highest log odds as far as clothes
    can bring them, from `lowest` on.
    """
    levels = np.arange(_LEVELS + 1) / _LEVELS
    as_alike = len(video.strangers) - np.searchsorted(video.strangers, levels, side="left")
    surprise = -np.log((1 + as_alike) / (1 + len(video.strangers)))
    by_level = np.clip(_CLOTHES_WEIGHT * (surprise - _CLOTHES_CHANCE), 0, _MAX_CLOTHES).astype(np.float32)
    known, count, found = _with_clothes(evidence), len(evidence.qualities), []
    for start in range(0, count, _ROWS):
        rows = np.arange(start, min(start + _ROWS, count))
        columns = np.arange(start, min(start + _ROWS + _NEAR, count))
        i, j = rows[:, None], columns[None]
        odds = face_log_odds(
            evidence.embeddings[rows] @ evidence.embeddings[columns].T,
            np.minimum(evidence.qualities[i], evidence.qualities[j]),
        )
        alike = np.ceil((evidence.clothes[rows] @ evidence.clothes[columns].T) * _LEVELS).astype(np.int64)
        decay = 0.5 ** (_seconds_between(evidence, i, j) / _CLOTHES_HALF_LIFE)
        odds += by_level[np.minimum(alike, _LEVELS)] * decay * (known[i] & known[j])
        odds -= np.log(np.maximum(video.people[i], video.people[j]))
        odds[(j <= i) | _share_a_frame(evidence.spans, i, j)] = -np.inf
        if len(columns) > most:
            rest = np.argpartition(-odds, most, axis=1)[:, most:]
            np.put_along_axis(odds, rest, -np.inf, axis=1)
        one, other = np.nonzero(odds >= lowest)
        found.append((rows[one], columns[other]))
    first, second = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return first, second


def _close_blocks(evidence: Evidence) -> Iterator[tuple[Ints, Ints]]:
    """Blocks of the table of pairs, rows and columns, with all pairs that share a frame or are close in time."""
    starts = evidence.seconds[:, 0]
    for first in range(0, len(starts), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(starts)))
        last = float(evidence.seconds[rows, 1].max()) + _SCENE_SECONDS
        columns = np.arange(first, np.searchsorted(starts, last, side="right"))
        for begin in range(0, len(columns), _COLUMNS):
            yield rows, columns[begin : begin + _COLUMNS]


def _clothes_log_odds(
    evidence: Evidence, video: VideoStatistics, i: Ints, j: Ints, alike: Floats
) -> NDArray[np.float64]:
    """From how much the clothes of strangers and those of one person are alike in this video.

    The shares of all strangers and of all sure pairs are conformal p-values (Vovk et al., "Algorithmic learning in a
    random world", 2005): without pairs to compare with they are 1 and say nothing.
    """
    as_alike = len(video.strangers) - np.searchsorted(video.strangers, alike, side="left")
    surprise = -np.log((1 + as_alike) / (1 + len(video.strangers)))
    # Whom somebody in a frame with one of the two resembles as much cannot be distinguished from that one by clothes.
    surprise = np.minimum(surprise, np.minimum(_surprise(video, i, alike), _surprise(video, j, alike)))
    odds = np.clip(_CLOTHES_WEIGHT * (surprise - _CLOTHES_CHANCE), 0, _MAX_CLOTHES)
    between = _seconds_between(evidence, i, j)
    odds *= 0.5 ** (between / _CLOTHES_HALF_LIFE)
    as_different = np.searchsorted(video.same, alike, side="right")
    difference = -np.log((1 + as_different) / (1 + len(video.same)))
    against = np.clip(_DIFFERENCE_WEIGHT * (difference - _DIFFERENCE_CHANCE), 0, _MAX_DIFFERENCE)
    better = np.maximum(evidence.qualities[i], evidence.qualities[j])
    odds -= against * ((better < _POOR_QUALITY) & (between < _SCENE_SECONDS))
    known = _with_clothes(evidence)
    return np.asarray(odds * (known[i] & known[j]))


def _surprise(video: VideoStatistics, i: Ints, alike: Floats) -> NDArray[np.float64]:
    """Of clothes as much alike as those of some of the strangers of tracklets i; else nothing limits it."""
    first, end = (np.searchsorted(video.own_strangers, (i + step) * _KEY - 1) for step in (0, 1))
    as_alike = end - np.searchsorted(video.own_strangers, i * _KEY + alike.astype(np.float64), side="left")
    return np.where(as_alike > 0, -np.log(np.maximum(as_alike, 1) / (1 + end - first)), np.inf)


def _with_clothes(evidence: Evidence) -> NDArray[np.bool_]:
    return np.asarray(evidence.clothes.any(axis=1))


def _seconds_between(evidence: Evidence, i: Ints, j: Ints) -> NDArray[np.float64]:
    starts, ends = evidence.seconds.T
    return np.asarray(np.maximum(0, np.maximum(starts[i] - ends[j], starts[j] - ends[i])))


def _place_log_odds(evidence: Evidence, i: Ints, j: Ints) -> NDArray[np.float64]:
    """Against a join of two tracklets of one shot when the later one soon begins far from where the earlier ended."""
    later = evidence.spans[i, 0] > evidence.spans[j, 0]
    distance = np.where(later, _distance(evidence.ends, i, j), _distance(evidence.ends, j, i))
    same_shot = evidence.shots[i] == evidence.shots[j]
    remaining = np.maximum(0, 1 - _seconds_between(evidence, i, j) / _CROSSING_SECONDS)
    return np.where(same_shot & (distance > _FAR), _FAR_LOG_ODDS * remaining, 0.0)


def _distance(ends: Floats, later: Ints, earlier: Ints) -> Floats:
    """From the centre of the first box of one tracklet to that of the last of another, in widths of the wider face."""
    first, last = ends[:, 0], ends[:, 1]
    centres, others = first[:, :2] + first[:, 2:] / 2, last[:, :2] + last[:, 2:] / 2
    width = np.maximum(np.maximum(first[later, 2], last[earlier, 2]), 1.0)
    across, down = (centres[later, axis] - others[earlier, axis] for axis in (0, 1))
    return np.asarray(np.hypot(across, down) / width)


def _share_a_frame(spans: Ints, i: Ints, j: Ints) -> NDArray[np.bool_]:
    starts, ends = spans.T
    return np.asarray((starts[i] < ends[j]) & (starts[j] < ends[i]))


def _most_at_once(spans: Ints) -> Ints:
    """The most tracklets that any frame of each tracklet shows, itself among them: (N,)."""
    moments = np.unique(spans)
    begin, finish = np.searchsorted(moments, spans[:, 0]), np.searchsorted(moments, spans[:, 1])
    change = np.zeros(len(moments) + 1, np.int64)
    np.add.at(change, begin, 1)
    np.add.at(change, finish, -1)
    visible = np.cumsum(change)
    return np.asarray(np.maximum.reduceat(visible, np.stack([begin, finish], axis=1).ravel())[::2])
