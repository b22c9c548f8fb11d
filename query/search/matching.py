"""References against people: which tracklets show the person that was asked for, and what just missed.

A person (a group of tracklets from pass one) is held against the references with all its looks pooled. People then
compete: whoever shares a frame with a surer match is somebody else. Members of a matched group come in even when
they alone fall short; a tracklet whose group is somebody else stays out. Pure functions on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facereel.query.records import Match, NearMiss, Reference
from facereel.store.index.pooled import Pooled
from facereel.store.model import pooling as evidence
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Floats, Video

# All similarities here are those of the engine they were measured on; `scale` takes another engine's to them.
# What a group with next to no evidence must have more (one small, blurred look).
_BAR_EXTRA = 0.02
# A member of a matched group may look unlike its group (a profile, bad light), but not like a stranger.
_MEMBER = 0.25
# A group just below the threshold still belongs to the person when it looks like the sure matches of the same video.
_EXPAND_SLACK = 0.06
_EXPAND = 0.45
# It does not when no look is this wide, pixels: of strangers' pairs of 16 px one in a hundred agrees at 0.48.
_EXPAND_WIDTH = 18.0
# A second group of the same video that looks nothing like the first must be surer than the threshold.
_UNLIKE = 0.30
_SURE = 0.55
# One photo among several counts on its own when it agrees this much better than all together.
_SINGLE_PENALTY = 0.04
_TRUSTED = 0.5  # strength that a photo must have for that
_NEAR_MISS = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class VideoFaces:
    """The faces of one video that a query compares with the references."""

    video: Video
    pooled: Pooled
    seconds: NDArray[np.float64]  # (T, 2) when each tracklet starts and ends, as a player shows it


def similarity_to(references: list[Reference], vectors: Floats, scale: float = 1.0) -> Floats:
    """How well references agree with vectors (N, D): (N,).

    All photos pooled, those that disagree with the others weighed down; or one photo alone, at a small penalty.
    """
    return _similarity(*_directions(references), vectors, scale)


def _directions(references: list[Reference]) -> tuple[Floats, Floats]:
    """The photos pooled, (D,), and those that may count on their own, (K, D)."""
    photos = np.stack([reference.embedding for reference in references])
    agreement = photos @ photos.T
    weights = np.ones(len(photos))
    if len(photos) > 2:
        np.fill_diagonal(agreement, -1)
        weights = np.clip(agreement.max(axis=1), 0.05, 1.0)
    together = evidence.unit((weights[:, None] * photos).sum(axis=0).astype(np.float32))
    trusted = photos[[reference.quality >= _TRUSTED for reference in references]]
    return together, trusted if len(photos) > 1 else trusted[:0]


def _similarity(together: Floats, trusted: Floats, vectors: Floats, scale: float) -> Floats:
    pooled = vectors @ together
    if len(trusted) == 0:
        return np.asarray(pooled)
    return np.asarray(np.maximum(pooled, (vectors @ trusted.T).max(axis=1) - scale * _SINGLE_PENALTY))


def threshold_for(total: ArrayLike, base: float = DEFAULT_THRESHOLD, scale: float = 1.0) -> Floats:
    """Similarity that a group must reach, by the `total` of the qualities of its looks."""
    return np.asarray(base + scale * _BAR_EXTRA * np.maximum(0.0, 1.0 - np.asarray(total) / evidence.ENOUGH))


def match(
    faces: VideoFaces, references: list[Reference], base: float = DEFAULT_THRESHOLD, scale: float = 1.0
) -> tuple[list[Match], list[NearMiss]]:
    """The tracklets of one video that show the person of the references, by time, and the near misses.

    `base` is the similarity that a cluster with good exemplars must reach, `scale` the engine's (Threshold.scale).
    """
    pooled = faces.pooled
    if not len(pooled.people):
        return [], []
    asked = _directions(references)
    scores, own = (_similarity(*asked, each, scale) for each in (pooled.people_vectors, pooled.vectors))
    member, near_miss = scale * _MEMBER, scale * _NEAR_MISS
    if max(scores.max(), own.max()) < base - near_miss:
        return [], []  # no threshold is lower than the base: most videos of a large store end here
    thresholds = threshold_for(pooled.evidence, base, scale)
    accepted, refused = _compete(pooled, scores, thresholds, scale)
    matches, near_misses = [], []
    for index in range(len(pooled.people)):
        members = pooled.members(index)
        group, threshold = float(scores[index]), float(thresholds[index])
        for position in members:
            value = float(own[position])
            if index in accepted and value >= member:
                matches.append(_match(faces, position, value, group, threshold, len(members)))
            elif index in accepted:
                too_low = f"its own similarity {value:.2f} is below the minimum of {member:.2f}"
                reason = f"in a matching cluster, but {too_low}"
                near_misses.append(_near_miss(faces, position, value, member, reason))
            elif max(group, value) >= threshold - near_miss:
                reason = refused.get(index, f"{group:.2f} is below the threshold of {threshold:.2f}")
                near_misses.append(_near_miss(faces, position, value, threshold, reason))
    matches.sort(key=lambda match: (match.tracklet.start, match.tracklet.number))
    near_misses.sort(key=lambda miss: -miss.similarity)
    return matches, near_misses


def _compete(
    pooled: Pooled, scores: Floats, thresholds: Floats, scale: float
) -> tuple[set[int], dict[int, str]]:
    """Which groups are the person, surest first; and why others that reach their threshold are not."""
    accepted: list[int] = []
    refused: dict[int, str] = {}
    for sure_only in (True, False):
        for index in (int(i) for i in np.argsort(-scores, kind="stable")):
            short = scores[index] < thresholds[index]
            if index in accepted or index in refused or (short and sure_only):
                continue
            if not sure_only and (not accepted or scores[index] < thresholds[index] - scale * _EXPAND_SLACK):
                continue
            rival = next((other for other in accepted if _meet(pooled, index, other)), None)
            if rival is not None:
                person = pooled.people[rival]
                refused[index] = (
                    f"seen in one frame with person {person}, who agrees better ({scores[rival]:.2f})"
                )
                continue
            alike = _similarity_to_accepted(pooled, index, accepted)
            if short and (alike < scale * _EXPAND or _narrow(pooled, index)):
                continue
            if accepted and scores[index] < scale * _SURE and alike < scale * _UNLIKE:
                refused[index] = f"looks unlike the sure matches of this video ({alike:.2f})"
                continue
            accepted.append(index)
    return set(accepted), refused


def _meet(pooled: Pooled, one: int, other: int) -> bool:
    """Do two groups share a frame?"""
    own, others = (pooled.rows[pooled.members(group)] for group in (one, other))
    starts, ends = own["start"][:, None], own["end"][:, None]
    return bool(((starts < others["end"]) & (others["start"] < ends)).any())


def _narrow(pooled: Pooled, index: int) -> bool:
    """Are all best looks of a group too narrow to tell whom they look like?"""
    return bool((pooled.rows["width"][pooled.members(index)] < _EXPAND_WIDTH).all())


def _similarity_to_accepted(pooled: Pooled, index: int, accepted: list[int]) -> float:
    if not accepted:
        return 1.0
    together = evidence.unit(
        np.sum([pooled.people_vectors[i] * max(float(pooled.evidence[i]), 0.01) for i in accepted], axis=0)
    )
    return float(pooled.people_vectors[index] @ together)


def _match(faces: VideoFaces, position: int, own: float, group: float, threshold: float, size: int) -> Match:
    tracklet = faces.pooled.tracklet(position)
    if own >= threshold:
        explanation = f"similarity {own:.2f}, threshold {threshold:.2f}"
        return Match(faces.video, tracklet, own, threshold, "photo", explanation)
    cluster = f"its cluster of {size} tracklets has {group:.2f}, threshold {threshold:.2f}"
    explanation = f"own similarity {own:.2f}; {cluster}"
    return Match(faces.video, tracklet, own, threshold, "cluster", explanation)


def _near_miss(faces: VideoFaces, position: int, own: float, threshold: float, reason: str) -> NearMiss:
    tracklet, (start, end) = faces.pooled.tracklet(position), faces.seconds[position].tolist()
    explanation = reason + _weakness(faces.pooled, position)
    return NearMiss(faces.video, tracklet, start, end, own, threshold, explanation)


def _weakness(pooled: Pooled, position: int) -> str:
    """What is poor about a tracklet's best look, for --explain."""
    look = pooled.rows[position]
    said = []
    if look["width"] < 30:
        said.append(f"small ({look['width']:.0f} px)")
    if look["sharpness"] < 0.25:
        said.append("blurred")
    if look["frontality"] < 0.25:
        said.append("seen from the side")
    return f"; its best look is {', '.join(said)}" if said else ""
