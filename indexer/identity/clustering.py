"""Tracklets into clusters: average linkage of the log odds that two are one person; never two faces of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facereel.indexer.identity.evidence import (
    Evidence,
    close_pairs,
    log_odds,
    log_odds_of_pairs,
    unit_clothes,
    video_statistics,
)
from facereel.indexer.identity.linkage import Groups, link, link_sparse
from facereel.store.model.pooling import cluster_weight, pool
from facereel.store.model.records import Cluster, Floats, Ints, Tracklet
from facereel.store.model.views import shows_face

# Log odds down to which clusters are joined. At 0 both answers are as probable; two people in one cluster are worse
# than one person in two. On eleven films, at 0.25 two faces in the dark are mixed, from 0.75 on people fall apart.
MIN_LOG_ODDS = 0.5
# The table of all pairs takes 8 bytes a pair and is exact; of more tracklets each is compared with its nearest ones.
# Fourteen films one after another, again and again, their faces varied: of 5,248 tracklets the table takes 325 MiB and
# 16 s, nearest ones 120 MiB and 4 s, with the same clusters; of 2,296 89 and 60 MiB, with one cluster more.
MOST_IN_TABLE = 2000
NEIGHBOURS = 32


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


def cluster(
    identities: Sequence[TrackletIdentity], scale: float = 1.0, most_in_table: int = MOST_IN_TABLE
) -> list[int]:
    """The cluster of each tracklet, a label from 0 on; labels are in order of each cluster's first tracklet.

    More than `most_in_table` tracklets with faces are compared with their nearest ones only, see MOST_IN_TABLE.
    """
    # What is nobody's face is no evidence either: what lies below a lamp is not somebody's clothes.
    faces = [place for place, identity in enumerate(identities) if identity.joinable]
    joined = _join([identities[place] for place in faces], scale, most_in_table)
    groups = dict(zip(faces, joined, strict=True))
    labels: dict[tuple[bool, int], int] = {}
    keys = ((place in groups, groups.get(place, place)) for place in range(len(identities)))
    return [labels.setdefault(key, len(labels)) for key in keys]


def _join(identities: Sequence[TrackletIdentity], scale: float, most_in_table: int) -> list[int]:
    if not identities:
        return []
    order = sorted(range(len(identities)), key=lambda place: (identities[place].start, place))
    identities = [identities[place] for place in order]
    weights = np.array([identity.weight for identity in identities])
    evidence = _evidence(identities, scale)
    if len(identities) <= most_in_table:
        labels = link(log_odds(evidence), weights, MIN_LOG_ODDS)
    else:
        labels = _link_many(evidence, weights)
    return [label for _, label in sorted(zip(order, labels, strict=True))]


def _link_many(evidence: Evidence, weights: NDArray[np.float64]) -> list[int]:
    """As `link`, of tracklets whose table would be too large."""
    video = video_statistics(evidence)
    items = Groups(weights, evidence.embeddings, evidence.qualities, np.log(video.people))
    first, second = _nearest(items)
    near, nearer = close_pairs(evidence, video, NEIGHBOURS, MIN_LOG_ODDS)
    count = len(weights)
    keys = np.unique(np.concatenate([first * count + second, near * count + nearer]))
    first, second = np.divmod(keys, count)
    pairs = first, second, log_odds_of_pairs(evidence, video, first, second)
    return link_sparse(items, pairs, _nearest, partial(_never_meet, evidence.spans), MIN_LOG_ODDS)


def _nearest(groups: Groups) -> tuple[Ints, Ints]:
    """Pairs of groups, the lower one first: each with those whose mean faces are the most similar to its own."""
    import faiss

    vectors = groups.embeddings / np.maximum(np.linalg.norm(groups.embeddings, axis=1, keepdims=True), 1e-9)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    _, nearest = index.search(vectors, min(NEIGHBOURS + 1, len(vectors)))
    one, other = np.repeat(np.arange(len(vectors)), nearest.shape[1]), nearest.ravel().astype(np.int64)
    one, other = one[one != other], other[one != other]
    keys = np.unique(np.minimum(one, other) * len(vectors) + np.maximum(one, other))
    return np.divmod(keys, len(vectors))


def _never_meet(spans: Ints, labels: Ints, first: Ints, second: Ints) -> NDArray[np.bool_]:
    """Does no tracklet of one group share a frame with one of the other? (P,) for P pairs of labels of N tracklets.

    Those of one group never do, so in order of time each one's frames begin after those of the one before.
    """
    order = np.lexsort((spans[:, 0], labels))
    labels, spans = labels[order], spans[order]
    starts = np.searchsorted(labels, np.arange(labels[-1] + 2))
    sizes = np.diff(starts)
    swap = sizes[first] > sizes[second]
    small, large = np.where(swap, second, first), np.where(swap, first, second)
    pair = np.repeat(np.arange(len(first)), sizes[small])
    member = np.arange(len(pair)) + np.repeat(
        starts[small] - np.cumsum(sizes[small]) + sizes[small], sizes[small]
    )
    # The first tracklet of the other group that ends after this one begins: no other can overlap if it does not.
    reach = int(spans[:, 1].max()) + 1
    place = np.searchsorted(
        labels * reach + spans[:, 1], large[pair] * reach + spans[member, 0], side="right"
    )
    there = place < starts[large[pair] + 1]
    meet = there & (spans[np.minimum(place, len(spans) - 1), 0] < spans[member, 1])
    return np.asarray(np.bincount(pair, meet, len(first)) == 0)


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
