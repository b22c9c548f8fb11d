"""The matching rules: which tracklets of one video show the person of the references, and which almost do.

The clusters of a video are compared with the references. Then they compete: of two clusters that share a frame only
the more similar one can be the person. The tracklets of a matching cluster match too, also when their own similarity is
below the threshold; a tracklet whose cluster does not match stays out. Pure functions on arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facereel.query.records import MatchingTracklet, NearTracklet, Reference
from facereel.store.index.embeddings import BestExemplars, ClusterEmbeddings
from facereel.store.model import pooling
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Floats, Tracklet, Video

# All similarities here are those of the engine they were measured on; `scale` converts those of another engine.
# What a cluster with hardly any quality (one small, blurred exemplar) needs beyond the threshold.
_EXTRA_FOR_LOW_QUALITY = 0.02
# A tracklet of a matching cluster may look unlike its cluster (a profile, bad light), but not like a stranger.
_MIN_OWN_SIMILARITY = 0.25
# A cluster just below the threshold still matches when it looks like the sure matches of the same video.
_EXPANSION_SLACK = 0.06
_EXPANSION_SIMILARITY = 0.45
# It does not when no exemplar is this wide, pixels: of pairs of strangers at 16 px one in a hundred reaches 0.48.
_EXPANSION_WIDTH = 18.0
# A second cluster of the same video that looks unlike the first needs more than the threshold.
_UNLIKE = 0.30
_SURE = 0.55
# One photo among several counts on its own when its similarity is higher than that of all together by this much.
_SINGLE_PHOTO_PENALTY = 0.04
_MIN_SINGLE_CONFIDENCE = 0.5  # face confidence that a photo needs for that
_NEAR_MISS = 0.12  # below the threshold
# Exemplars below these are named in the explanation of a near miss.
_SMALL_WIDTH = 30  # pixels
_BLURRED = 0.25
_PROFILE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The references as vectors to be compared with embeddings: all pooled, then those that count on their own."""

    vectors: Floats  # (1 + K, D) unit length
    penalties: Floats  # (1 + K,) subtracted from the similarities of each

    def combine(self, similarities: Floats) -> Floats:
        """How similar the person is to N embeddings, (N,), from the similarity of each vector to them (1 + K, N)."""
        return np.asarray((similarities - self.penalties[:, None]).max(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class VideoFaces:
    """The tracklets of one video that have exemplars, and their clusters."""

    video: Video
    tracklets: Sequence[Tracklet]  # (T,)
    seconds: NDArray[np.float64]  # (T, 2) when each starts and ends, as a player shows it
    best: BestExemplars  # (T,)
    clusters: ClusterEmbeddings  # (C,)
    folder: Path = Path()  # of the index

    def members(self, cluster: int) -> list[int]:
        """Positions of the tracklets of the cluster at that position."""
        number = int(self.clusters.numbers[cluster])
        return [position for position, item in enumerate(self.tracklets) if item.cluster == number]


def directions(references: Sequence[Reference], scale: float = 1.0) -> Directions:
    """The references of one person; photos that are unlike the others weigh less when all are pooled."""
    photos = np.stack([reference.embedding for reference in references])
    agreement = photos @ photos.T
    weights = np.ones(len(photos))
    if len(photos) > 2:
        np.fill_diagonal(agreement, -1)
        weights = np.clip(agreement.max(axis=1), 0.05, 1.0)
    pooled = pooling.unit((weights[:, None] * photos).sum(axis=0).astype(np.float32))
    single = photos[[reference.quality >= _MIN_SINGLE_CONFIDENCE for reference in references]]
    vectors = np.concatenate([pooled[None], single if len(photos) > 1 else single[:0]])
    penalties = np.full(len(vectors), scale * _SINGLE_PHOTO_PENALTY, np.float32)
    penalties[0] = 0
    return Directions(vectors, penalties)


def threshold_for(
    quality_sums: ArrayLike, base: float = DEFAULT_THRESHOLD, scale: float = 1.0
) -> NDArray[np.float64]:
    """Similarity that a cluster must reach, by the sum of the qualities of its exemplars."""
    shortage = np.maximum(0.0, 1.0 - np.asarray(quality_sums) / pooling.SUFFICIENT_QUALITY)
    return np.asarray(base + scale * _EXTRA_FOR_LOW_QUALITY * shortage)


def lowest_similarity(base: float, scale: float) -> float:
    """Below this no cluster matches or is a near miss."""
    return base - scale * _NEAR_MISS


def match(
    faces: VideoFaces, own: Floats, clusters: Floats, base: float = DEFAULT_THRESHOLD, scale: float = 1.0
) -> tuple[list[MatchingTracklet], list[NearTracklet]]:
    """The tracklets of one video that show a person, by time, and the near misses, most similar first.

    `own` (T,) and `clusters` (C,) are the person's similarities to the tracklets and clusters. `base` is the similarity
    that a cluster with good exemplars must reach, `scale` the engine's (Threshold.scale).
    """
    # Every threshold is at least `base`, so nothing can match below this.
    if not len(clusters) or not len(own) or max(clusters.max(), own.max()) < lowest_similarity(base, scale):
        return [], []
    minimum, near_miss = scale * _MIN_OWN_SIMILARITY, scale * _NEAR_MISS
    thresholds = threshold_for(faces.clusters.quality_sums, base, scale)
    accepted, refused = _compete(faces, clusters, thresholds, scale)
    matches, near_misses = [], []
    for index in range(len(clusters)):
        members = faces.members(index)
        similarity, threshold = float(clusters[index]), float(thresholds[index])
        for position in members:
            value = float(own[position])
            if index in accepted and value >= minimum:
                matches.append(_match(faces, position, value, similarity, threshold, len(members)))
            elif index in accepted:
                too_low = f"its own similarity {value:.2f} is below the minimum of {minimum:.2f}"
                reason = f"in a matching cluster, but {too_low}"
                near_misses.append(_near_miss(faces, position, value, minimum, reason))
            elif max(similarity, value) >= threshold - near_miss:
                below = f"the similarity of its cluster, {similarity:.2f}, is below the threshold of {threshold:.2f}"
                reason = refused.get(index, below)
                near_misses.append(_near_miss(faces, position, value, threshold, reason))
    matches.sort(key=lambda match: (match.tracklet.start, match.tracklet.number))
    near_misses.sort(key=lambda miss: -miss.similarity)
    return matches, near_misses


def _compete(
    faces: VideoFaces, similarities: Floats, thresholds: NDArray[np.float64], scale: float
) -> tuple[set[int], dict[int, str]]:
    """Positions of the clusters that are the person, the most similar first; why others with enough similarity are not.

    First those that reach their threshold, then those just below it that look like the first.
    """
    accepted: list[int] = []
    refused: dict[int, str] = {}
    for expanding in (False, True):
        for index in (int(i) for i in np.argsort(-similarities, kind="stable")):
            short = similarities[index] < thresholds[index]
            if index in accepted or index in refused or (short and not expanding):
                continue
            slack = scale * _EXPANSION_SLACK
            if expanding and (not accepted or similarities[index] < thresholds[index] - slack):
                continue
            rival = next((other for other in accepted if _share_a_frame(faces, index, other)), None)
            if rival is not None:
                refused[index] = (
                    f"in one frame with cluster {faces.clusters.numbers[rival]}, "
                    f"which is more similar ({similarities[rival]:.2f})"
                )
                continue
            alike = _similarity_to_accepted(faces.clusters, index, accepted)
            if short and (alike < scale * _EXPANSION_SIMILARITY or _is_narrow(faces, index)):
                continue
            if accepted and similarities[index] < scale * _SURE and alike < scale * _UNLIKE:
                refused[index] = f"unlike the sure matches of this video (similarity {alike:.2f})"
                continue
            accepted.append(index)
    return set(accepted), refused


def _share_a_frame(faces: VideoFaces, one: int, other: int) -> bool:
    own, others = (
        np.array([(faces.tracklets[i].start, faces.tracklets[i].end) for i in faces.members(cluster)])
        for cluster in (one, other)
    )
    before_end = own[:, None, 0] < others[None, :, 1]
    return bool((before_end & (others[None, :, 0] < own[:, None, 1])).any())


def _is_narrow(faces: VideoFaces, cluster: int) -> bool:
    """Are all best exemplars of a cluster too narrow to tell whom they look like?"""
    return bool((faces.best.widths[faces.members(cluster)] < _EXPANSION_WIDTH).all())


def _similarity_to_accepted(clusters: ClusterEmbeddings, index: int, accepted: list[int]) -> float:
    if not accepted:
        return 1.0
    weights = [max(float(clusters.quality_sums[i]), 0.01) for i in accepted]
    pooled = np.sum(
        [clusters.embeddings[i] * weight for i, weight in zip(accepted, weights, strict=True)], axis=0
    )
    return float(clusters.embeddings[index] @ pooling.unit(pooled))


def _match(
    faces: VideoFaces, position: int, own: float, cluster: float, threshold: float, size: int
) -> MatchingTracklet:
    tracklet = faces.tracklets[position]
    if own >= threshold:
        explanation = f"similarity {own:.2f}, threshold {threshold:.2f}"
        return MatchingTracklet(faces.video, tracklet, own, threshold, "photo", explanation, faces.folder)
    of_cluster = f"its cluster of {size} tracklets has {cluster:.2f}, threshold {threshold:.2f}"
    explanation = f"own similarity {own:.2f}; {of_cluster}"
    return MatchingTracklet(faces.video, tracklet, own, threshold, "cluster", explanation, faces.folder)


def _near_miss(faces: VideoFaces, position: int, own: float, threshold: float, reason: str) -> NearTracklet:
    start, end = faces.seconds[position].tolist()
    explanation = reason + _weaknesses(faces.best, position)
    tracklet = faces.tracklets[position]
    return NearTracklet(faces.video, tracklet, start, end, own, threshold, explanation, faces.folder)


def _weaknesses(best: BestExemplars, position: int) -> str:
    """What is poor about the best exemplar of a tracklet, for --explain."""
    poor = []
    if best.widths[position] < _SMALL_WIDTH:
        poor.append(f"small ({best.widths[position]:.0f} px)")
    if best.sharpness[position] < _BLURRED:
        poor.append("blurred")
    if best.frontality[position] < _PROFILE:
        poor.append("from the side")
    return f"; its best face crop is {', '.join(poor)}" if poor else ""
