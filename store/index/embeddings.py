"""Pools the exemplars of one video: one embedding for each tracklet and one for each cluster."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facereel.store.model import pooling
from facereel.store.model.records import ExemplarArrays, Floats, Ints, Tracklet


@dataclass(frozen=True, slots=True, eq=False)
class ClusterEmbeddings:
    """The clusters of one video that have exemplars."""

    numbers: Ints  # (C,) in the order of their first tracklets
    embeddings: Floats  # (C, D) all exemplars of each pooled, unit length
    quality_sums: NDArray[np.float64]  # (C,) sum of the qualities of their exemplars

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True, eq=False)
class PooledEmbeddings:
    """The tracklets of one video that have exemplars, and their clusters."""

    tracklets: Ints  # (T,) numbers, rising
    embeddings: Floats  # (T, D) the exemplars of each pooled, unit length
    clusters: ClusterEmbeddings


@dataclass(frozen=True, slots=True, eq=False)
class BestExemplars:
    """The exemplar with the highest quality of each tracklet that has any."""

    tracklets: Ints  # (T,) numbers, rising
    qualities: Floats  # (T,) 0..1
    widths: Floats  # (T,) face width, pixels
    sharpness: Floats  # (T,) 0..1
    frontality: Floats  # (T,) 0..1
    # (T,) the pooled probability that all its exemplars show a face, 0..1; 1 in older indexes, which do not say
    face_probabilities: Floats

    def __len__(self) -> int:
        return len(self.tracklets)


def pool_exemplars(
    tracklets: tuple[Tracklet, ...], exemplars: ExemplarArrays, frame_rate: Fraction
) -> PooledEmbeddings:
    """Pool the exemplars of each tracklet and of each cluster, weighted by their qualities.

    `tracklets` are in the order of their numbers.
    """
    groups = rows_by_tracklet(exemplars.tracklets)
    own = [item for item in tracklets if item.number in groups]
    embeddings = np.zeros((len(own), exemplars.embeddings.shape[1]), np.float32)
    for position, item in enumerate(own):
        rows = groups[item.number]
        embeddings[position] = pooling.pool(exemplars.embeddings[rows], exemplars.qualities[rows])
    numbers = np.array([item.number for item in own], np.int64)
    clusters = pool_clusters(tracklets, exemplars.tracklets, exemplars.qualities, embeddings, frame_rate)
    return PooledEmbeddings(numbers, embeddings, clusters)


def pool_clusters(
    tracklets: tuple[Tracklet, ...],
    owners: Ints,
    qualities: Floats,
    embeddings: Floats,
    frame_rate: Fraction,
) -> ClusterEmbeddings:
    """Pool the embeddings (T, D) of the tracklets that have exemplars into their clusters.

    `owners` and `qualities` (M,) are the tracklet and the quality of each exemplar; `tracklets` are in the order of
    their numbers.
    """
    groups = rows_by_tracklet(owners)
    own = [item for item in tracklets if item.number in groups]
    weights, quality_sums = np.zeros(len(own)), np.zeros(len(own))
    for position, item in enumerate(own):
        of_tracklet = qualities[groups[item.number]]
        seconds = float((item.end - item.start) / frame_rate)
        weights[position] = pooling.cluster_weight(seconds, float(of_tracklet.max()))
        quality_sums[position] = float(of_tracklet.sum())
    return _pool_clusters(
        np.array([item.cluster for item in own], np.int64), embeddings, weights, quality_sums
    )


def rows_by_tracklet(numbers: Ints) -> dict[int, Ints]:
    """Where each tracklet number stands in `numbers` (M,): positions in rising order, by number."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return dict(zip(ordered[starts].tolist(), np.split(order, starts[1:]), strict=False))


def _pool_clusters(
    own_clusters: Ints, embeddings: Floats, weights: NDArray[np.float64], quality_sums: NDArray[np.float64]
) -> ClusterEmbeddings:
    """Pool tracklets, (T,) and (T, D), into their clusters."""
    numbers = np.array(list(dict.fromkeys(own_clusters.tolist())), np.int64)
    pooled = np.zeros((len(numbers), embeddings.shape[1]), np.float32)
    sums = np.zeros(len(numbers))
    for index, number in enumerate(numbers):
        members = np.flatnonzero(own_clusters == number)
        pooled[index] = pooling.unit((weights[members, None] * embeddings[members]).sum(axis=0))
        sums[index] = sum(quality_sums[members].tolist())
    return ClusterEmbeddings(numbers, pooled, sums)
