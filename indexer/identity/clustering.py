"""Tracklets into clusters: average linkage of pooled embeddings; two faces of one frame are never in one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facereel.store.model.pooling import cluster_weight, pool
from facereel.store.model.records import Cluster, Floats, Tracklet

# Similarity down to which clusters are joined. On a sitcom with six people who look alike, every value from 0.36 to
# 0.43 gives clusters that are pure and large enough; from 0.50 on they stay small and recall falls.
MIN_SIMILARITY = 0.40
# Small faces resemble each other: of pairs of rendered strangers 5 in 100 reach MIN_SIMILARITY at 16 px, 1 in 100 at
# 20. Where --min-face asks for smaller faces than usual, one below this width, pixels, is never joined.
MIN_JOINED_WIDTH = 24
USUAL_MIN_FACE = 20  # pixels: from this --min-face on all tracklets may be joined


@dataclass(frozen=True, slots=True, eq=False)
class TrackletIdentity:
    """What clustering needs of a tracklet."""

    embedding: Floats  # (D,) pooled exemplars, unit length
    quality: float  # of its best exemplar, 0..1
    start: int  # frames, [start, end)
    end: int
    seconds: float  # from start to end
    joinable: bool = True  # false for a face too small to be compared

    @property
    def weight(self) -> float:
        """How much it counts in its cluster."""
        return cluster_weight(self.seconds, self.quality)


def tracklet_identity(
    tracklet: Tracklet, embeddings: Floats, qualities: Floats, frame_rate: Fraction, min_face: int
) -> TrackletIdentity:
    """The identity of a tracklet from embeddings (N, D) and qualities (N,) of its exemplars."""
    return TrackletIdentity(
        pool(embeddings, qualities), float(qualities.max(initial=0)), tracklet.start, tracklet.end,
        float((tracklet.end - tracklet.start) / frame_rate), is_joinable(tracklet.face_width, min_face),
    )  # fmt: skip


def is_joinable(face_width: float, min_face: int) -> bool:
    """Is a face of this median width large enough to be compared, or --min-face a usual one? Both in pixels."""
    return face_width >= MIN_JOINED_WIDTH or min_face >= USUAL_MIN_FACE


def make_clusters(identities: list[TrackletIdentity], scale: float = 1.0) -> tuple[Cluster, ...]:
    """The clusters of tracklets 1, 2, ...; numbered from 1, the one with most frames first.

    `scale` is that of the engine's similarities, see Threshold.scale.
    """
    members: dict[int, list[int]] = {}
    frames: dict[int, int] = {}
    for tracklet, (label, identity) in enumerate(
        zip(cluster(identities, scale * MIN_SIMILARITY), identities, strict=True), start=1
    ):
        members.setdefault(label, []).append(tracklet)
        frames[label] = frames.get(label, 0) + identity.end - identity.start
    most_frames_first = sorted(members, key=lambda label: (-frames[label], label))
    return tuple(
        Cluster(number, None, tuple(members[label]))
        for number, label in enumerate(most_frames_first, start=1)
    )


def cluster(identities: list[TrackletIdentity], min_similarity: float = MIN_SIMILARITY) -> list[int]:
    """The cluster of each tracklet, a label from 0 on; labels are in order of each cluster's first tracklet."""
    count = len(identities)
    if count == 0:
        return []
    vectors = np.stack([identity.embedding for identity in identities])
    weights = np.array([identity.weight for identity in identities])
    similarity = (vectors @ vectors.T).astype(np.float64)
    similarity[_share_a_frame(identities)] = -np.inf
    single = [not identity.joinable for identity in identities]
    similarity[single], similarity[:, single] = -np.inf, -np.inf
    np.fill_diagonal(similarity, -np.inf)
    labels: dict[int, int] = {}
    return [labels.setdefault(int(root), len(labels)) for root in _link(similarity, weights, min_similarity)]


def _share_a_frame(identities: list[TrackletIdentity]) -> NDArray[np.bool_]:
    """Which pairs of tracklets share a frame: (N, N)."""
    starts = np.array([identity.start for identity in identities])
    ends = np.array([identity.end for identity in identities])
    return np.asarray((starts[:, None] < ends[None]) & (starts[None] < ends[:, None]))


def _link(
    similarity: NDArray[np.float64], weights: NDArray[np.float64], min_similarity: float
) -> NDArray[np.int64]:
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
        if highest[row] < min_similarity:
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
