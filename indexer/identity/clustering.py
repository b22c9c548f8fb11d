"""Tracklets into clusters: average linkage of the log odds that two are one person; never two faces of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.identity.evidence import Evidence, log_odds, unit_clothes
from facereel.store.model.pooling import cluster_weight, pool
from facereel.store.model.records import Cluster, Floats, Tracklet
from facereel.store.model.views import shows_face

# Log odds down to which clusters are joined. At 0 both answers are as probable; two people in one cluster are worse
# than one person in two. On eleven films, at 0.25 two faces in the dark are mixed, from 0.75 on people fall apart.
MIN_LOG_ODDS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TrackletIdentity:
    """What clustering needs of a tracklet."""

    embedding: Floats  # (D,) pooled exemplars, unit length
    quality: float  # of its best exemplar, 0..1
    shot: int
    start: int  # frames, [start, end)
    end: int
    start_seconds: float  # when its first frame is shown
    seconds: float  # for which it is there
    ends: Floats  # (2, 4) its first and its last box, x y w h
    clothes: bytes | None = None  # see Tracklet
    joinable: bool = True  # false where no crop shows a face: it may be no person at all

    @property
    def weight(self) -> float:
        """How much it counts in its cluster."""
        return cluster_weight(self.seconds, self.quality)


def tracklet_identity(
    tracklet: Tracklet,
    ends: Floats,
    embeddings: Floats,
    qualities: Floats,
    face_probabilities: Sequence[float | None],
    span: tuple[float, float],
) -> TrackletIdentity:
    """The identity of a tracklet from its first and last box (2, 4) and its N exemplars.

    Embeddings are (N, D), qualities (N,). `span` is from when to when the tracklet is there, seconds.
    """
    return TrackletIdentity(
        embedding=pool(embeddings, qualities),
        quality=float(qualities.max(initial=0)),
        shot=tracklet.shot,
        start=tracklet.start,
        end=tracklet.end,
        start_seconds=span[0],
        seconds=span[1] - span[0],
        # As an index stores them, so that a resumed run gives the same clusters.
        ends=np.round(np.asarray(ends, np.float64), 1).astype(np.float32),
        clothes=tracklet.clothes,
        joinable=shows_face(tracklet.face_width, face_probabilities),
    )


def make_clusters(identities: Sequence[TrackletIdentity], scale: float = 1.0) -> tuple[Cluster, ...]:
    """The clusters of tracklets 1, 2, ...; numbered from 1, the one that is there longest first.

    `scale` is that of the engine's similarities, see Threshold.scale.
    """
    members: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for tracklet, (label, identity) in enumerate(
        zip(cluster(identities, scale), identities, strict=True), start=1
    ):
        members.setdefault(label, []).append(tracklet)
        seconds[label] = seconds.get(label, 0.0) + identity.seconds
    longest_first = sorted(members, key=lambda label: (-round(seconds[label], 3), label))
    return tuple(
        Cluster(number, None, tuple(members[label])) for number, label in enumerate(longest_first, start=1)
    )


def cluster(identities: Sequence[TrackletIdentity], scale: float = 1.0) -> list[int]:
    """The cluster of each tracklet, a label from 0 on; labels are in order of each cluster's first tracklet."""
    # What is nobody's face is no evidence either: what lies below a lamp is not somebody's clothes.
    faces = [place for place, identity in enumerate(identities) if identity.joinable]
    joined = _join([identities[place] for place in faces], scale)
    groups = dict(zip(faces, joined, strict=True))
    labels: dict[tuple[bool, int], int] = {}
    keys = ((place in groups, groups.get(place, place)) for place in range(len(identities)))
    return [labels.setdefault(key, len(labels)) for key in keys]


def _join(identities: Sequence[TrackletIdentity], scale: float) -> list[int]:
    if not identities:
        return []
    weights = np.array([identity.weight for identity in identities])
    return link(log_odds(_evidence(identities, scale)), weights, MIN_LOG_ODDS)


def _evidence(identities: Sequence[TrackletIdentity], scale: float) -> Evidence:
    seconds = np.array([(item.start_seconds, item.start_seconds + item.seconds) for item in identities])
    return Evidence(
        # The similarity of two is that of their embeddings divided by the scale.
        embeddings=np.stack([item.embedding for item in identities]) / np.float32(np.sqrt(scale)),
        qualities=np.array([item.quality for item in identities]),
        shots=np.array([item.shot for item in identities], np.int64),
        spans=np.array([(item.start, item.end) for item in identities], np.int64),
        seconds=seconds,
        ends=np.stack([item.ends for item in identities]),
        clothes=unit_clothes([item.clothes for item in identities]),
    )


def link(similarity: NDArray[np.float64], weights: NDArray[np.float64], minimum: float) -> list[int]:
    """Labels of N items, joined by weighted average linkage while two are at least that similar; changes its arguments.

    `similarity` (N, N) has -inf on its diagonal, and for two that are never joined.
    """
    labels: dict[int, int] = {}
    return [labels.setdefault(int(root), len(labels)) for root in _link(similarity, weights, minimum)]


def _link(similarity: NDArray[np.float64], weights: NDArray[np.float64], minimum: float) -> NDArray[np.int64]:
    """Join the most similar pair until none reaches the minimum; -inf forbids. Returns a root for each item.

    Items of one cluster have the same root. Weighted average linkage by the Lance-Williams update. Each row's most
    similar partner is remembered, so that a join costs one row and not the whole table; a mean is never above both its
    parts, so no other row finds a more similar partner in it.
    """
    count = len(weights)
    roots = np.arange(count)
    partner = similarity.argmax(axis=1)
    highest = similarity[np.arange(count), partner]
    while True:
        row = int(highest.argmax())
        if highest[row] < minimum:
            return roots
        keep, drop = sorted((row, int(partner[row])))
        total = weights[keep] + weights[drop]
        mean = (weights[keep] * similarity[keep] + weights[drop] * similarity[drop]) / total
        mean[[keep, drop]] = -np.inf
        weights[keep] = total
        similarity[keep], similarity[:, keep] = mean, mean
        similarity[drop], similarity[:, drop] = -np.inf, -np.inf
        roots[roots == drop] = keep
        for stale in {keep, *np.flatnonzero((partner == keep) | (partner == drop)).tolist()}:
            partner[stale] = similarity[stale].argmax()
            highest[stale] = similarity[stale, partner[stale]]
        highest[drop] = -np.inf
