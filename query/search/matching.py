"""The matching rules: which tracklets of one video show the person of the references, and which almost do.

The clusters of a video are compared with the references. Then they compete: of two clusters that share a frame only
the more similar one can be the person. The tracklets of a matching cluster match too, also when their own similarity is
below the threshold; a tracklet whose cluster does not match stays out. A cluster that is similar, but not enough to be
sure among all that are searched, is possible. What the user decided comes before all of that. Pure functions on arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facereel.query.records import Certainty, MatchedBy, MatchingTracklet, NearTracklet
from facereel.query.search.certainty import Limits
from facereel.query.search.rulings import NO_RULINGS, Rulings
from facereel.store.index.embeddings import BestExemplars, ClusterEmbeddings
from facereel.store.model import pooling, views
from facereel.store.model.face_odds import similarity_at
from facereel.store.model.records import Floats, Tracklet, Video

# All similarities here are those of the engine they were measured on; `scale` converts those of another engine.
# A tracklet of a matching cluster may look unlike the person (a profile, bad light, few pixels), but not plainly like
# a stranger: log odds. Of a good face that is a similarity of 0.2; a poor one is hardly ever plainly a stranger.
_MIN_OWN_LOG_ODDS = -6.0
# A tracklet is surer than another one when its similarity is higher by this much.
_SURER = 0.1
# A cluster just below the threshold still matches when it looks like the sure matches of the same video.
_EXPANSION_SLACK = 0.06
_EXPANSION_SIMILARITY = 0.50
# It does not when no exemplar is this wide, pixels: of pairs of strangers at 16 px one in a hundred reaches 0.48.
_EXPANSION_WIDTH = 18.0
# A further cluster of the same video needs more than the threshold when it looks unlike the sure matches, and more yet
# when it is far less similar to the person than they are: clustering had reasons to keep it apart.
_UNLIKE = 0.30
_SURE = 0.55
_FAR_LESS = 0.15
# Exemplars below these are named in the explanation of a near miss.
_SMALL_WIDTH = 30  # pixels
_BLURRED = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class VideoFaces:
    """The tracklets of one video that have exemplars, and their clusters."""

    video: Video
    tracklets: Sequence[Tracklet]  # (T,)
    seconds: NDArray[np.float64]  # (T, 2) when each starts and ends, as a player shows it
    best: BestExemplars  # (T,)
    clusters: ClusterEmbeddings  # (C,)
    folder: Path = Path()  # of the index
    version: str = ""  # of the index

    def members(self) -> list[list[int]]:
        """Positions of the tracklets of each of the C clusters."""
        members: dict[int, list[int]] = {number: [] for number in self.clusters.numbers.tolist()}
        for position, item in enumerate(self.tracklets):
            if item.cluster in members:
                members[item.cluster].append(position)
        return list(members.values())


def match(
    faces: VideoFaces, own: Floats, clusters: Floats, limits: Limits, rulings: Rulings = NO_RULINGS
) -> tuple[list[MatchingTracklet], list[NearTracklet]]:
    """The tracklets of one video that show a person, surely or possibly, by time; near misses, most similar first.

    `own` (T,) and `clusters` (C,) are the person's similarities to the tracklets and clusters. A confirmed tracklet
    always matches; an excluded one does not and is no near miss.
    """
    if not len(clusters) or not len(own):
        return [], []
    # Every limit is at least this, so nothing can match below it.
    if not rulings and max(clusters.max(), own.max()) < limits.lowest():
        return [], []
    scale, sums = limits.criterion.scale, faces.clusters.quality_sums
    minimums = scale * similarity_at(_MIN_OWN_LOG_ODDS, faces.best.qualities)
    thresholds, near = limits.sure(sums), limits.near_miss(sums)
    # One that shows a person from behind, if at all, matches only by its own similarity.
    widths = np.array([item.face_width for item in faces.tracklets], np.float32)
    visible = views.match_by_cluster(widths, faces.best.face_probabilities)
    numbers = np.array([item.number for item in faces.tracklets], np.int64)
    confirmed, excluded = np.isin(numbers, list(rulings.confirmed)), np.isin(numbers, list(rulings.excluded))
    answers = (own >= minimums) & (visible | (own >= limits.criterion.threshold)) & ~excluded | confirmed
    members = faces.members()
    settled = _settled(faces, members, confirmed, rulings)
    competition = _Competition(
        # Nothing is surer than what the user said.
        faces, members, np.where(confirmed, np.inf, own), clusters, thresholds, limits.possible(sums), answers, scale,
        settled, refused=_refused(faces, members, excluded, settled, rulings),
    )  # fmt: skip
    competition.run()
    sure, possible = {*competition.accepted, *settled}, set(competition.possible)
    reasons = _reasons(clusters, limits, sums) | competition.unlike | competition.refused
    matches, near_misses = [], []
    for index, strangers in enumerate(limits.expected_strangers(clusters, sums).tolist()):
        similarity, threshold = float(clusters[index]), float(thresholds[index])
        for position in members[index]:
            value, minimum = float(own[position]), float(minimums[position])
            if excluded[position]:
                continue
            if confirmed[position]:
                matches.append(_decided(faces, position, value, threshold))
            elif index in sure and position in competition.doubtful:
                reason = competition.doubtful[position]
                ruled_out = _near_miss(faces, position, value, threshold, reason)
                near_misses.append(replace(ruled_out, ruled_out=True))
            elif answers[position] and (index in sure or index in possible):
                in_library = index in settled and max(similarity, value) < threshold
                size = None if in_library else len(members[index])
                found = _match(faces, position, value, similarity, threshold, size)
                text = (
                    found.explanation if index in sure else reasons[index] + _weaknesses(faces.best, position)
                )
                certainty: Certainty = "sure" if index in sure else "possible"
                matches.append(
                    replace(found, certainty=certainty, expected_strangers=strangers, explanation=text)
                )
            elif index in sure:
                too_low = f"its own similarity {value:.2f} is below the minimum of {minimum:.2f}"
                reason = f"in a matching cluster, but {'no face is visible' if value >= minimum else too_low}"
                near_misses.append(_near_miss(faces, position, value, minimum, reason))
            elif max(similarity, value) >= near[index]:
                near_misses.append(_near_miss(faces, position, value, threshold, reasons[index]))
    matches.sort(key=lambda match: (match.tracklet.start, match.tracklet.number))
    near_misses.sort(key=lambda miss: -miss.similarity)
    return matches, near_misses


def _reasons(clusters: Floats, limits: Limits, sums: NDArray[np.float64]) -> dict[int, str]:
    """Why the similarities of clusters (C,) with these quality sums (C,) are not enough, for the user, by position."""
    in_one_video, thresholds = limits.in_one_video(sums), limits.sure(sums)
    reasons = {}
    for position, (similarity, alone, threshold) in enumerate(
        zip(clusters.tolist(), in_one_video.tolist(), thresholds.tolist(), strict=True)
    ):
        reasons[position] = (
            f"the similarity of its cluster, {similarity:.2f}, is below the threshold of {threshold:.2f}"
        )
        if alone <= similarity:
            reasons[position] = (
                f"the similarity of its cluster, {similarity:.2f}, is sure in a few videos (from {alone:.2f} on), but "
                f"among the {limits.clusters:,} clusters that are searched now only {threshold:.2f} is"
            )
    return reasons


def _settled(
    faces: VideoFaces, members: Sequence[Sequence[int]], confirmed: NDArray[np.bool_], rulings: Rulings
) -> frozenset[int]:
    """Positions of the clusters that are the person, whatever their similarity: by decision, or in the library."""
    return frozenset(
        position
        for position, number in enumerate(faces.clusters.numbers.tolist())
        if number in rulings.clusters or any(confirmed[mine] for mine in members[position])
    )


def _refused(
    faces: VideoFaces,
    members: Sequence[Sequence[int]],
    excluded: NDArray[np.bool_],
    settled: frozenset[int],
    rulings: Rulings,
) -> dict[int, str]:
    """Positions of the clusters that are not the person, whatever their similarity, and why."""
    refused = {}
    for position, number in enumerate(faces.clusters.numbers.tolist()):
        if position not in settled and number in rulings.refused:
            refused[position] = rulings.refused[number]
        elif position not in settled and all(excluded[mine] for mine in members[position]):
            refused[position] = "you said that it is not the person"
    return refused


@dataclass(slots=True, eq=False)
class _Competition:
    """Which clusters are the person: of two that share a frame only one can be; a doubtful tracklet decides nothing.

    First those that reach their threshold compete, the most similar first, then those just below it that look like the
    first. What is left may be possible, unless it is in one frame with a surer one. A settled cluster is the person in
    any case; one that is not similar enough speaks for no other.
    """

    faces: VideoFaces
    members: Sequence[Sequence[int]]  # (C,) positions of tracklets
    own: Floats  # (T,)
    similarities: Floats  # (C,)
    thresholds: NDArray[np.float64]  # (C,) from which on a cluster is sure
    lowest: NDArray[np.float64]  # (C,) from which on it may be possible
    answers: NDArray[np.bool_]  # (T,) whether a tracklet matches if its cluster does
    scale: float
    settled: frozenset[int] = frozenset()  # positions of clusters that are the person in any case
    accepted: list[int] = field(default_factory=list)  # positions of clusters
    possible: list[int] = field(default_factory=list)
    unlike: dict[int, str] = field(default_factory=dict)  # why some with enough similarity are not sure
    refused: dict[int, str] = field(default_factory=dict)  # why others cannot be the person
    doubtful: dict[int, str] = field(
        default_factory=dict
    )  # positions of tracklets of accepted clusters that stay out

    def run(self) -> None:
        """Decide on all clusters."""
        self._doubt_who_meets_a_confirmed_face()
        for expanding in (False, True):
            for index in (int(i) for i in np.argsort(-self.similarities, kind="stable")):
                short = self.similarities[index] < self.thresholds[index]
                decided = index in self.accepted or index in self.refused or index in self.unlike
                if decided or (short and not expanding):
                    continue
                slack = self.scale * _EXPANSION_SLACK
                if expanding and (
                    not self.accepted or self.similarities[index] < self.thresholds[index] - slack
                ):
                    continue
                self._decide(index, short)
        for index in (int(i) for i in np.argsort(-self.similarities, kind="stable")):
            sure = index in self.accepted or index in self.settled
            if sure or index in self.refused or self.similarities[index] < self.lowest[index]:
                continue
            if not self._is_ruled_out(index, self._rivals(index)):
                self.possible.append(index)

    def _doubt_who_meets_a_confirmed_face(self) -> None:
        """A tracklet of a settled cluster is doubtful in one frame with one that the user confirmed."""
        tracklets = self.faces.tracklets
        own = [mine for cluster in self.settled for mine in self.members[cluster] if self.answers[mine]]
        confirmed = [mine for mine in own if np.isinf(self.own[mine])]
        for mine in own:
            for other in confirmed if not np.isinf(self.own[mine]) else ():
                if (
                    tracklets[mine].start < tracklets[other].end
                    and tracklets[other].start < tracklets[mine].end
                ):
                    self.doubtful[mine] = (
                        f"in one frame with tracklet {tracklets[other].number}, which you confirmed"
                    )

    def _decide(self, index: int, short: bool) -> None:
        if index in self.settled:
            self.accepted += [] if short else [index]
            return
        rivals = self._rivals(index)
        if self._is_ruled_out(index, rivals):
            return
        alike = _similarity_to_accepted(self.faces.clusters, index, self.accepted)
        if short and (alike < self.scale * _EXPANSION_SIMILARITY or self._is_narrow(index)):
            return
        highest = max((self.similarities[other] for other in self.accepted), default=0.0)
        far_less = self.similarities[index] < highest - self.scale * _FAR_LESS
        unlike = alike < self.scale * (_EXPANSION_SIMILARITY if far_less else _UNLIKE)
        if self.accepted and self.similarities[index] < self.scale * _SURE and unlike:
            self.unlike[index] = f"unlike the sure matches of this video (similarity {alike:.2f})"
            return
        for mine, other in rivals:
            number = self.faces.tracklets[mine].number
            self.doubtful[other] = (
                f"in one frame with tracklet {number}, which is more similar ({self.own[mine]:.2f})"
            )
        self.accepted.append(index)

    def _is_ruled_out(self, index: int, rivals: Sequence[tuple[int, int]]) -> bool:
        """Is a cluster in one frame with one that is more similar? Then it is refused."""
        rival = next((other for mine, other in rivals if not self._is_surer(mine, other)), None)
        if rival is None:
            return False
        cluster = self._cluster_of(rival)
        self.refused[index] = (
            f"in one frame with cluster {self.faces.clusters.numbers[cluster]}, "
            f"which is more similar ({self.similarities[cluster]:.2f})"
        )
        return True

    def _rivals(self, index: int) -> list[tuple[int, int]]:
        """Positions of tracklets of a cluster that would answer, each with one that does and shares a frame with it."""
        tracklets = self.faces.tracklets
        candidates = [mine for mine in self.members[index] if self.answers[mine]]
        return [
            (mine, other)
            for cluster in dict.fromkeys((*self.settled, *self.accepted, *self.possible))
            for other in self.members[cluster]
            if self.answers[other] and other not in self.doubtful
            for mine in candidates
            if tracklets[mine].start < tracklets[other].end and tracklets[other].start < tracklets[mine].end
        ]

    def _is_surer(self, mine: int, other: int) -> bool:
        """Is a tracklet so much surer than another one that this must be a mistake of its cluster?"""
        threshold = self.thresholds[self._cluster_of(mine)]
        return bool(self.own[mine] >= threshold and self.own[mine] > self.own[other] + self.scale * _SURER)

    def _cluster_of(self, position: int) -> int:
        numbers = self.faces.clusters.numbers
        return int(np.flatnonzero(numbers == self.faces.tracklets[position].cluster)[0])

    def _is_narrow(self, index: int) -> bool:
        """Are all best exemplars of a cluster too narrow to tell whom they look like?"""
        return bool((self.faces.best.widths[self.members[index]] < _EXPANSION_WIDTH).all())


def _similarity_to_accepted(clusters: ClusterEmbeddings, index: int, accepted: list[int]) -> float:
    if not accepted:
        return 1.0
    weights = [max(float(clusters.quality_sums[i]), 0.01) for i in accepted]
    pooled = np.sum(
        [clusters.embeddings[i] * weight for i, weight in zip(accepted, weights, strict=True)], axis=0
    )
    return float(clusters.embeddings[index] @ pooling.unit(pooled))


def _match(
    faces: VideoFaces, position: int, own: float, cluster: float, threshold: float, size: int | None
) -> MatchingTracklet:
    """The match of a tracklet; `size` is that of its cluster, None where that matches by the library only."""
    tracklet = faces.tracklets[position]
    if own >= threshold:
        explanation = f"similarity {own:.2f}, threshold {threshold:.2f}"
        return _matching(faces, tracklet, own, threshold, "photo", explanation)
    of_cluster = f"its cluster of {size} tracklets has {cluster:.2f}, threshold {threshold:.2f}"
    if size is None:
        of_cluster = "its cluster is the person's in the library"
    explanation = f"own similarity {own:.2f}; {of_cluster}"
    return _matching(faces, tracklet, own, threshold, "cluster", explanation)


def _decided(faces: VideoFaces, position: int, own: float, threshold: float) -> MatchingTracklet:
    tracklet, explanation = faces.tracklets[position], f"you said so; similarity {own:.2f}"
    return _matching(faces, tracklet, own, threshold, "decision", explanation)


def _matching(
    faces: VideoFaces, tracklet: Tracklet, own: float, threshold: float, matched: MatchedBy, explanation: str
) -> MatchingTracklet:
    return MatchingTracklet(
        faces.video, tracklet, own, threshold, matched, explanation, faces.folder, faces.version
    )


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
    if best.frontality[position] < views.MIN_FRONTALITY:
        poor.append("from the side")
    return f"; its best face crop is {', '.join(poor)}" if poor else ""
