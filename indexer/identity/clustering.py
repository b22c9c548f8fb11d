"""Tracklets into people: average linkage of pooled looks; two faces of one frame are never one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.pooling import weight
from facereel.store.model.records import Cluster, Floats

# Similarity down to which groups are joined. On a sitcom of six alike people every value from 0.36 to 0.43
# gives pure groups that are large enough; from 0.50 on the groups stay small and recall falls.
JOIN = 0.40
# Small faces resemble each other: of rendered strangers' pairs 5 in 100 reach JOIN at 16 px, 1 in 100 at 20. Where ones
# smaller than usual are asked for, a face below this width, pixels, stands alone.
RECOGNISABLE = 24
USUAL = 20  # pixels: from this --min-face on all are joined


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What speaks for a tracklet's identity."""

    vector: Floats  # (D,) pooled looks, unit length
    quality: float  # of its best look, 0..1
    start: int  # frames, [start, end)
    end: int
    alone: bool = False  # never joined: too small

    @property
    def weight(self) -> float:
        """How much it counts in a group."""
        return weight(self.end - self.start, self.quality)


def group(evidence: list[Evidence], join: float = JOIN) -> list[int]:
    """Number of the group of each tracklet, from 0; groups are numbered by their first member."""
    count = len(evidence)
    if count == 0:
        return []
    vectors = np.stack([item.vector for item in evidence])
    weights = np.array([item.weight for item in evidence])
    similarity = (vectors @ vectors.T).astype(np.float64)
    similarity[_together(evidence)] = -np.inf
    alone = [item.alone for item in evidence]
    similarity[alone], similarity[:, alone] = -np.inf, -np.inf
    np.fill_diagonal(similarity, -np.inf)
    member_of = _link(similarity, weights, join)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(root), len(numbers)) for root in member_of]


def number_people(evidence: list[Evidence], scale: float = 1.0) -> list[int]:
    """Number of the person of each tracklet, from 1, the one who is seen longest first.

    `scale` is that of the engine's similarities, see Bar.scale.
    """
    groups = group(evidence, scale * JOIN)
    seen: dict[int, int] = {}
    for number, item in zip(groups, evidence, strict=True):
        seen[number] = seen.get(number, 0) + item.end - item.start
    longest_first = sorted(seen, key=lambda key: (-seen[key], key))
    order = {number: rank for rank, number in enumerate(longest_first, start=1)}
    return [order[number] for number in groups]


def stands_alone(face_width: float, min_face: int) -> bool:
    """Is a face too small to be joined by its looks? Both in pixels; never where the smallest is the usual one."""
    return face_width < RECOGNISABLE and min_face < USUAL


def as_people(numbers: list[int]) -> tuple[Cluster, ...]:
    """The people of tracklets 1, 2, ..., of whom the numbers are given."""
    members: dict[int, list[int]] = {}
    for tracklet, person in enumerate(numbers, start=1):
        members.setdefault(person, []).append(tracklet)
    return tuple(Cluster(number, None, tuple(members[number])) for number in sorted(members))


def _together(evidence: list[Evidence]) -> NDArray[np.bool_]:
    """Which tracklets share a frame: (N, N)."""
    starts = np.array([item.start for item in evidence])
    ends = np.array([item.end for item in evidence])
    return np.asarray((starts[:, None] < ends[None]) & (starts[None] < ends[:, None]))


def _link(similarity: NDArray[np.float64], weights: NDArray[np.float64], join: float) -> NDArray[np.int64]:
    """Merge the most alike pair until none reaches `join`; -inf forbids. Gives each item its group's root.

    Weighted average linkage by the Lance-Williams update; the best partner of each row is kept, so that a
    merge costs one row and not the whole table. A mean is never above both its parts, so that no other row
    finds a better partner in it.
    """
    count = len(weights)
    roots = np.arange(count)
    best = similarity.argmax(axis=1)
    value = similarity[np.arange(count), best]
    while True:
        one = int(value.argmax())
        if value[one] < join:
            return roots
        keep, drop = sorted((one, int(best[one])))
        total = weights[keep] + weights[drop]
        row = (weights[keep] * similarity[keep] + weights[drop] * similarity[drop]) / total
        row[[keep, drop]] = -np.inf
        weights[keep] = total
        similarity[keep], similarity[:, keep] = row, row
        similarity[drop], similarity[:, drop] = -np.inf, -np.inf
        roots[roots == drop] = keep
        for stale in {keep, *np.flatnonzero((best == keep) | (best == drop)).tolist()}:
            best[stale] = similarity[stale].argmax()
            value[stale] = similarity[stale, best[stale]]
        value[drop] = -np.inf
