"""References against people: which tracklets show the person that was asked for, and what just missed.

A person (a group of tracklets from pass one) is held against the references with all its looks pooled. People then
compete: whoever shares a frame with a surer match is somebody else. Members of a matched group come in even when
they alone fall short; a tracklet whose group is somebody else stays out. Pure functions on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from store import evidence
from store.evidence import MEASURED_BAR
from store.records import Floats, Found, Ints, Looks, Reference, Tracklet

# All similarities here are those of the engine they were measured on; `scale` takes another engine's to them.
# What a group with next to no evidence must have more (one small, blurred look).
_BAR_EXTRA = 0.02
# A member of a matched group may look unlike its group (a profile, bad light), but not like a stranger.
_MEMBER = 0.25
# A group just below the bar still belongs to the person when it looks like the sure matches of the same video.
_EXPAND_SLACK = 0.06
_EXPAND = 0.45
# A second group of the same video that looks nothing like the first must be surer than the bar.
_UNLIKE = 0.30
_SURE = 0.55
# One photo among several counts on its own when it agrees this much better than all together.
_SINGLE_PENALTY = 0.04
_TRUSTED = 0.5  # strength that a photo must have for that
_NEAR_MISS = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The pooled evidence of a person in one video."""

    person: int
    members: tuple[int, ...]  # positions in the tracklets
    vector: Floats  # (D,) unit length
    evidence: float  # sum of the qualities of its looks


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """One video's evidence, ready to be asked."""

    tracklets: tuple[Tracklet, ...]
    vectors: Floats  # (T, D) pooled looks of each tracklet, unit length
    best: tuple[int, ...]  # row of each tracklet's best look in `looks`
    groups: tuple[Group, ...]
    looks: Looks


@dataclass(frozen=True, slots=True)
class Hit:
    """A tracklet that answers."""

    tracklet: Tracklet
    similarity: float
    bar: float
    found: Found
    evidence: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A tracklet that just missed, and why."""

    tracklet: Tracklet
    similarity: float
    bar: float
    why: str


def pool(tracklets: tuple[Tracklet, ...], looks: Looks) -> Pooled:
    """Pool the looks of each tracklet and of each person, weighted by quality."""
    rows = _rows_by_tracklet(looks)
    tracklets = tuple(item for item in tracklets if item.number in rows)
    vectors = np.zeros((len(tracklets), looks.embeddings.shape[1] if len(looks) else 1), np.float32)
    best = []
    members: dict[int, list[int]] = {}
    for position, item in enumerate(tracklets):
        own = rows[item.number]
        vectors[position] = evidence.pool(looks.embeddings[own], looks.qualities[own])
        best.append(int(own[looks.qualities[own].argmax()]))
        members.setdefault(item.person, []).append(position)
    groups = []
    for person, positions in members.items():
        weights = [
            evidence.weight(tracklets[p].end - tracklets[p].start, float(looks.qualities[best[p]]))
            for p in positions
        ]
        vector = evidence.unit((np.array(weights)[:, None] * vectors[positions]).sum(axis=0))
        total = sum(float(looks.qualities[rows[tracklets[p].number]].sum()) for p in positions)
        groups.append(Group(person, tuple(positions), vector, total))
    return Pooled(tracklets, vectors, tuple(best), tuple(groups), looks)


def _rows_by_tracklet(looks: Looks) -> dict[int, Ints]:
    """Rows of the looks of each tracklet, in order."""
    order = np.argsort(looks.tracklets, kind="stable")
    numbers, starts = np.unique(looks.tracklets[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=False))


def similarity_to(references: list[Reference], vectors: Floats, scale: float = 1.0) -> Floats:
    """How well references agree with vectors (N, D): (N,).

    All photos pooled, those that disagree with the others weighed down; or one photo alone, at a small penalty.
    """
    photos = np.stack([reference.embedding for reference in references])
    agreement = photos @ photos.T
    weights = np.ones(len(photos))
    if len(photos) > 2:
        np.fill_diagonal(agreement, -1)
        weights = np.clip(agreement.max(axis=1), 0.05, 1.0)
    together = evidence.unit((weights[:, None] * photos).sum(axis=0).astype(np.float32))
    pooled = vectors @ together
    trusted = photos[[reference.quality >= _TRUSTED for reference in references]]
    if len(photos) == 1 or len(trusted) == 0:
        return np.asarray(pooled)
    return np.asarray(np.maximum(pooled, (vectors @ trusted.T).max(axis=1) - scale * _SINGLE_PENALTY))


def bar_for(total: float, base: float = MEASURED_BAR, scale: float = 1.0) -> float:
    """Similarity that a group must reach, by the `total` of the qualities of its looks."""
    return base + scale * _BAR_EXTRA * max(0.0, 1.0 - total / evidence.ENOUGH)


def match(
    pooled: Pooled, references: list[Reference], base: float = MEASURED_BAR, scale: float = 1.0
) -> tuple[list[Hit], list[Miss]]:
    """Tracklets of one video that show the person of the references, in order of time, and what just missed.

    `base` is the similarity that a group with plenty of looks must reach, `scale` the engine's (see Bar.scale).
    """
    if not pooled.groups:
        return [], []
    scores = similarity_to(references, np.stack([group.vector for group in pooled.groups]), scale)
    own = similarity_to(references, pooled.vectors, scale)
    bars = np.array([bar_for(group.evidence, base, scale) for group in pooled.groups])
    accepted, refused = _compete(pooled, scores, bars, scale)
    member, near_miss = scale * _MEMBER, scale * _NEAR_MISS
    hits, misses = [], []
    for index, group in enumerate(pooled.groups):
        for position in group.members:
            tracklet, value = pooled.tracklets[position], float(own[position])
            if index in accepted and value >= member:
                hits.append(
                    _hit(tracklet, value, float(scores[index]), float(bars[index]), len(group.members))
                )
            elif index in accepted:
                why = f"its group is the person, but it alone reaches only {value:.2f} of {member:.2f}"
                misses.append(Miss(tracklet, value, member, why + _weakness(pooled, position)))
            elif max(scores[index], value) >= bars[index] - near_miss:
                why = refused.get(index, f"{scores[index]:.2f} is below the bar of {bars[index]:.2f}")
                misses.append(Miss(tracklet, value, float(bars[index]), why + _weakness(pooled, position)))
    hits.sort(key=lambda hit: (hit.tracklet.start, hit.tracklet.number))
    misses.sort(key=lambda miss: -miss.similarity)
    return hits, misses


def _compete(pooled: Pooled, scores: Floats, bars: Floats, scale: float) -> tuple[set[int], dict[int, str]]:
    """Which groups are the person, surest first; and why others that reach their bar are not."""
    accepted: list[int] = []
    refused: dict[int, str] = {}
    for sure_only in (True, False):
        for index in (int(i) for i in np.argsort(-scores, kind="stable")):
            short = scores[index] < bars[index]
            if index in accepted or index in refused or (short and sure_only):
                continue
            if not sure_only and (not accepted or scores[index] < bars[index] - scale * _EXPAND_SLACK):
                continue
            rival = next((other for other in accepted if _meet(pooled, index, other)), None)
            if rival is not None:
                person = pooled.groups[rival].person
                refused[index] = (
                    f"seen in one frame with person {person}, who agrees better ({scores[rival]:.2f})"
                )
                continue
            alike = _likeness(pooled, index, accepted)
            if short and alike < scale * _EXPAND:
                continue
            if accepted and scores[index] < scale * _SURE and alike < scale * _UNLIKE:
                refused[index] = f"looks unlike the sure matches of this video ({alike:.2f})"
                continue
            accepted.append(index)
    return set(accepted), refused


def _meet(pooled: Pooled, one: int, other: int) -> bool:
    """Do two groups share a frame?"""
    spans = [(pooled.tracklets[p].start, pooled.tracklets[p].end) for p in pooled.groups[one].members]
    return any(
        start < pooled.tracklets[p].end and pooled.tracklets[p].start < end
        for start, end in spans
        for p in pooled.groups[other].members
    )


def _likeness(pooled: Pooled, index: int, accepted: list[int]) -> float:
    if not accepted:
        return 1.0
    together = evidence.unit(
        np.sum([pooled.groups[i].vector * max(pooled.groups[i].evidence, 0.01) for i in accepted], axis=0)
    )
    return float(pooled.groups[index].vector @ together)


def _hit(tracklet: Tracklet, own: float, group: float, bar: float, size: int) -> Hit:
    if own >= bar:
        return Hit(tracklet, own, bar, "direct", f"{own:.2f} against a bar of {bar:.2f}")
    return Hit(
        tracklet, own, bar, "expanded",
        f"{own:.2f} alone; one of {size} tracklets of a person who agrees at {group:.2f} (bar {bar:.2f})",
    )  # fmt: skip


def _weakness(pooled: Pooled, position: int) -> str:
    """What is poor about a tracklet's best look, for --explain."""
    row, looks = pooled.best[position], pooled.looks
    said = []
    if looks.widths[row] < 30:
        said.append(f"small ({looks.widths[row]:.0f} px)")
    if looks.sharpness[row] < 0.25:
        said.append("blurred")
    if looks.frontality[row] < 0.25:
        said.append("seen from the side")
    return f"; its best look is {', '.join(said)}" if said else ""
