"""A query: which indexes it searches, and the matches and near misses of each person in them.

The clusters of all indexes are searched through library.vectors. Only indexes with a similar cluster are opened, and
there the references are compared with the tracklets through vectors.faiss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from facereel.query.people.directions import Directions, directions
from facereel.query.records import MatchingTracklet, NearTracklet, PersonQuery
from facereel.query.search.certainty import MOST_STRANGER_SHARE, Criterion, Limits, stranger_shares
from facereel.query.search.matching import VideoFaces, match
from facereel.query.search.rulings import Decisions, NoDecisions, Rulings, refusing
from facereel.query.search.scope import Scope, SkippedVideo, kind_of
from facereel.store.files.folders import index_names
from facereel.store.files.names import printable
from facereel.store.index.database import IndexVersion
from facereel.store.index.embeddings import ClusterEmbeddings
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import Vectors
from facereel.store.library.vectors import ClusterSearch
from facereel.store.library.videos import StoredVideo
from facereel.store.model.errors import NotIndexedError, OptionError, StoreError
from facereel.store.model.pooling import SUFFICIENT_QUALITY
from facereel.store.model.records import Floats, FrameTimes, Sightings, Video

_ATTEMPTS = 3  # to read an index that is being written
_SEARCHES = 20  # of clusters, while other processes replace indexes


# Index folder, tracklet, first frame: --with and --without make several matches of one tracklet.
MatchKey: TypeAlias = tuple[Path, int, int]


def key_of(match: MatchingTracklet, sightings: Sightings) -> MatchKey:
    """By what a match is found again in an answer."""
    return match.folder, match.tracklet.number, int(sightings.frames[0])


@dataclass(frozen=True, slots=True, eq=False)
class PersonMatches:
    """What a query finds of one person."""

    person: PersonQuery
    matches: tuple[tuple[MatchingTracklet, Sightings], ...]  # what is cut
    possible: tuple[tuple[MatchingTracklet, Sightings], ...]  # with most evidence first
    near_misses: tuple[NearTracklet, ...]  # with most evidence first
    times: dict[str, FrameTimes]  # of the videos with either match, by the sha256 of their content
    scope: Scope
    limits: Limits
    # How well mouth and sound agree in the frames (N,) of each match, above 0 if they do; where that was asked for.
    speaking: Mapping[MatchKey, Floats] = field(default_factory=dict)
    not_speaking: int = 0  # matches that were left out because they do not agree

    @property
    def threshold(self) -> float:
        """The similarity from which on a match with good exemplars is sure."""
        return float(self.limits.sure(SUFFICIENT_QUALITY)[0])

    def with_possible(self) -> PersonMatches:
        """The same, in which what is possible is cut, too."""
        return replace(self, matches=(*self.matches, *self.possible), possible=())

    def only(self, keys: Iterable[MatchKey]) -> PersonMatches:
        """The same, in which these matches alone are cut.

        Raises OptionError for one that is neither a match nor possible.
        """
        chosen = set(keys)
        pairs = {key_of(*pair): pair for pair in (*self.matches, *self.possible)}
        if unknown := chosen - pairs.keys():
            folder, tracklet, _ = min(unknown)
            raise OptionError(f"{printable(folder.name)}#t{tracklet} does not match; choose of the matches")
        return replace(self, matches=tuple(pairs[key] for key in pairs if key in chosen), possible=())

    def of_tracklets(self, chosen: Collection[tuple[Path, int]]) -> PersonMatches:
        """The same, in which the matches, sure or possible, of some tracklets alone are cut: index folder, number."""
        pairs = (*self.matches, *self.possible)
        own = tuple(pair for pair in pairs if (pair[0].folder, pair[0].tracklet.number) in chosen)
        return replace(self, matches=own, possible=())

    def statistics(
        self, min_duration: float, too_short: int, not_cut: Sequence[SkippedVideo]
    ) -> dict[str, Any]:
        """What was searched and what was not, as `search` in metadata.json and --json; names of files, no paths.

        `too_short` counts the matches that `min_duration`, seconds, drops; `not_cut` are videos that are gone or
        changed.
        """
        counts = self.scope.counts
        return {
            "videos": counts.videos,
            "clusters": self.limits.clusters,
            "tracklets": counts.tracklets,
            "exemplars": counts.exemplars,
            "skipped": [{"video": item.name, "kind": item.kind} for item in self.scope.skipped],
            "not_cut": [{"video": item.name, "kind": item.kind} for item in not_cut],
            "tracklets_without_exemplars": counts.tracklets_without_exemplars,
            "matches": len(self.matches),
            "possible": len(self.possible),
            "near_misses": len(self.near_misses),
            "min_duration": min_duration,
            "too_short": too_short,
            "not_speaking": self.not_speaking,
        }


def check_threshold(threshold: float) -> None:
    """Raise OptionError for a similarity that cannot be a threshold."""
    if not 0 < threshold < 1:
        raise OptionError(f"--threshold must be between 0 and 1, not {threshold:g}")


def search(
    people: Sequence[PersonQuery],
    where: Scope,
    criterion: Criterion,
    decisions: Decisions | None = None,
) -> list[PersonMatches]:
    """Compare everybody with every index; only indexes with a similar cluster, or with a decision, are opened.

    `decisions` count for the people whose id in the library is known. An index that cannot be read is in the `skipped`
    of each answer's scope. Raises StoreError for one that is named, and where none can be read.
    """
    check_threshold(criterion.threshold)
    decisions = decisions or NoDecisions()
    for _ in range(_SEARCHES):
        clusters = where.cluster_count
        wanted = [
            _wanted(person, Limits(criterion, len(person.references), clusters), decisions)
            for person in people
        ]
        candidates = _candidates(where.clusters, wanted)
        searched, where = where, where.current()
        if where is searched:  # nobody replaced an index while its clusters were compared
            break
    else:
        raise StoreError(
            f"{printable(where.catalogue.store)} is being written by other processes; run it again"
        )
    if not where.counts.videos:
        raise NotIndexedError("every index was removed meanwhile; run: facereel index VIDEO")
    collected: list[list[_VideoAnswer]] = [[] for _ in people]
    _add_decided(candidates, where, people, decisions)
    counts, skipped, unreadable, changed = where.counts, [], set(), []
    for known, video in where.videos(candidates):
        searchers = sorted(candidates[known.number])
        try:
            version, answers = _search_video(known, video, [wanted[person] for person in searchers])
        except StoreError as error:
            counts = counts.plus(known, -1)
            if where.named or not counts.videos:
                raise
            unreadable.add(known.folder)
            kind, folder = kind_of(error), known.folder.name
            skipped.append(SkippedVideo(printable(video.name), str(error), kind, folder))
            continue
        if version != known.version:
            changed.append(known)
        for person, answer in zip(searchers, answers, strict=True):
            collected[person].append(answer)
    for known in changed:
        with suppress(StoreError):  # written or removed by another process again
            counts = counts.plus(known, -1).plus(where.catalogue.current(known.folder))
    if changed:
        with suppress(StoreError):
            where.catalogue.refresh()  # so that the next query need not list the store
    where = replace(
        where, counts=counts, skipped=(*where.skipped, *skipped), unreadable=frozenset(unreadable)
    )  # fmt: skip
    return [_answer(one, answers, where) for one, answers in zip(wanted, collected, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What one person is looked for by."""

    person: PersonQuery
    limits: Limits
    like: Directions
    unlike: tuple[Directions, ...]  # of each photo of --not
    decisions: Decisions

    def rulings(self, index: VideoIndex, clusters: ClusterEmbeddings, similarities: Floats) -> Rulings:
        """What is settled about a video; `similarities` (C,) are those of its clusters to the person."""
        rulings = self.decisions.of(index, self.person)
        if not self.unlike or not len(clusters):
            return rulings
        others = np.max([one.combine(one.vectors @ clusters.embeddings.T) for one in self.unlike], axis=0)
        names = ", ".join(Path(reference.path).name for reference in self.person.unlike)
        return refusing(rulings, clusters.numbers, similarities, others, names)


def _wanted(person: PersonQuery, limits: Limits, decisions: Decisions) -> _Wanted:
    scale = limits.criterion.scale
    unlike = tuple(directions([reference], scale) for reference in person.unlike)
    return _Wanted(person, limits, directions(person.references, scale), unlike, decisions)


def _add_decided(
    candidates: dict[int, set[int]], where: Scope, people: Sequence[PersonQuery], decisions: Decisions
) -> None:
    """Add the videos about which there are decisions to the candidates."""
    for position, person in enumerate(people):
        for number in where.of_contents(decisions.videos(person)):
            candidates.setdefault(number, set()).add(position)


@dataclass(frozen=True, slots=True, eq=False)
class _VideoAnswer:
    """What one index answers to one person."""

    video: Video
    matches: list[tuple[MatchingTracklet, Sightings]]  # sure and possible
    near_misses: list[NearTracklet]
    times: FrameTimes | None  # only with matches


def _candidates(clusters: ClusterSearch, people: Sequence[_Wanted]) -> dict[int, set[int]]:
    """The numbers of the videos with a cluster similar enough, each with the positions of the people it may show."""
    candidates: dict[int, set[int]] = {}
    compared = [(position, one) for position, one in enumerate(people) if not one.person.only_library]
    if not compared:
        return candidates
    owners = np.repeat([position for position, _ in compared], [len(one.like.vectors) for _, one in compared])
    queries = np.concatenate([one.like.vectors for _, one in compared])
    thresholds = np.concatenate([one.limits.lowest() + one.like.penalties for _, one in compared])
    for owner, found in zip(owners.tolist(), clusters.above(queries, thresholds.tolist()), strict=True):
        for number in sorted(set(found.videos.tolist())):  # np.unique would import numpy.ma
            candidates.setdefault(number, set()).add(owner)
    return candidates


def _search_video(
    known: StoredVideo, video: Video, people: Sequence[_Wanted]
) -> tuple[IndexVersion, list[_VideoAnswer]]:
    """Compare people with one index; gives its version, too, which may be another than the library knows.

    `video` has the path that the user named, if any.
    """
    place = None if video == known.video else (video.path, video.size, video.mtime_ns)
    for _ in range(_ATTEMPTS):
        try:
            with VideoIndex(known.folder, video.path) as index:
                try:
                    _check_recogniser(index, known)
                    video = index.video
                    if place is not None:
                        video = replace(video, path=place[0], size=place[1], mtime_ns=place[2])
                    answers = _answers_of(index, video, people)
                except Exception:  # whatever rows of two states of the file lead to
                    if index.unchanged():
                        raise
                    continue
                if index.unchanged():
                    return index.version, answers
        except NotIndexedError:
            # Between two renames a folder that is replaced is not there; listing waits until its successor is.
            if known.folder.name not in index_names(known.folder.parent):
                raise
    raise StoreError(f"{printable(known.folder)} is being written by another process; run it again")


def _answers_of(index: VideoIndex, video: Video, people: Sequence[_Wanted]) -> list[_VideoAnswer]:
    vectors = index.vectors()
    faces = _faces(index, video, vectors)
    pairs: list[tuple[list[MatchingTracklet], list[NearTracklet]]] = []
    for wanted in people:
        person = wanted.like
        own = person.combine(vectors.similarities(person.vectors, faces.best.tracklets))
        clusters = person.combine(person.vectors @ faces.clusters.embeddings.T)
        rulings = wanted.rulings(index, faces.clusters, clusters)
        if not rulings and clusters.max(initial=-1.0) < wanted.limits.lowest():
            # Opened only because vectors are rounded: that must not decide what is found.
            pairs.append(([], []))
            continue
        matches, near_misses = match(faces, own, clusters, wanted.limits, rulings)
        matches += _without_exemplars(index, video, faces, rulings)
        pairs.append(_with_evidence(matches, near_misses, faces, vectors))
    times = index.times() if any(matches for matches, _ in pairs) else None
    return [
        _VideoAnswer(video, _with_sightings(index, matches), near_misses, times if matches else None)
        for matches, near_misses in pairs
    ]


def _without_exemplars(
    index: VideoIndex, video: Video, faces: VideoFaces, rulings: Rulings
) -> list[MatchingTracklet]:
    """The confirmed tracklets that have no embedding: nothing but the decision says who they are."""
    others = rulings.confirmed - {item.number for item in faces.tracklets}
    said, version = "you said so; no crop can be compared", index.version.to_text()
    return [
        MatchingTracklet(video, item, 0.0, 0.0, "decision", said, index.folder, version)
        for item in (index.tracklets() if others else ())
        if item.number in others
    ]


def _with_evidence(
    matches: Sequence[MatchingTracklet],
    near_misses: Sequence[NearTracklet],
    faces: VideoFaces,
    vectors: Vectors,
) -> tuple[list[MatchingTracklet], list[NearTracklet]]:
    """Possible matches and near misses with how much speaks for them, near misses with most first.

    First come those of a matching cluster, whose own similarity is too low, last those that are ruled out. A
    small or turned face that the photos miss may still look like a matching cluster of the same video. Average
    precision on a sitcom, one photo a question: where clusters are good, 1.00 instead of 0.84 (5 questions with
    such near misses); with poor clusters, by faces of wide shots alone, 0.84 instead of 0.45 (8 questions).
    """
    numbers = faces.clusters.numbers
    clusters = {item.tracklet.cluster for item in matches if item.certainty == "sure"}
    matching = np.isin(numbers, list(clusters))
    alike = vectors.similarities(faces.clusters.embeddings[matching], faces.best.tracklets).max(
        axis=0, initial=-1.0
    )
    to_matches = dict(zip(faces.best.tracklets.tolist(), alike.tolist(), strict=True))

    def evidence(item: MatchingTracklet | NearTracklet) -> float:
        if isinstance(item, NearTracklet) and item.ruled_out:
            return -1.0
        if item.tracklet.cluster in clusters:
            return 1.0
        return max(item.similarity, float(to_matches.get(item.tracklet.number, -1.0)))

    return (
        [replace(item, evidence=evidence(item)) for item in matches],
        sorted((replace(item, evidence=evidence(item)) for item in near_misses), key=_most_evidence),
    )


def _most_evidence(item: MatchingTracklet | NearTracklet) -> tuple[float, float]:
    return -item.evidence, -item.similarity


def _check_recogniser(index: VideoIndex, known: StoredVideo) -> None:
    if not index.engine.compares_with(known.engine):
        raise StoreError(
            f"{printable(known.folder)} was indexed again by {index.engine.name} meanwhile; run it again"
        )


def _faces(index: VideoIndex, video: Video, vectors: Vectors) -> VideoFaces:
    best, seconds = index.best_exemplars(), index.tracklet_seconds()
    numbers = set(best.tracklets.tolist())
    tracklets = tuple(item for item in index.tracklets() if item.number in numbers)
    spans = np.array([seconds[item.number] for item in tracklets], np.float64).reshape(-1, 2)
    return VideoFaces(
        video, tracklets, spans, best, index.clusters_by(vectors), index.folder, index.version.to_text()
    )


def _with_sightings(
    index: VideoIndex, matches: Sequence[MatchingTracklet]
) -> list[tuple[MatchingTracklet, Sightings]]:
    sightings = index.sightings(match.tracklet.number for match in matches)
    return [(match, sightings[match.tracklet.number]) for match in matches]


def _answer(
    wanted: _Wanted,
    answers: Sequence[_VideoAnswer],
    where: Scope,
) -> PersonMatches:
    times = {answer.video.sha256: answer.times for answer in answers if answer.times is not None}
    matches = [pair for answer in answers for pair in answer.matches]
    possible, near_misses = _parted([pair for pair in matches if pair[0].certainty == "possible"], times)
    near_misses += [miss for answer in answers for miss in answer.near_misses]
    return PersonMatches(
        wanted.person,
        tuple(pair for pair in matches if pair[0].certainty == "sure"),
        tuple(possible),
        tuple(sorted(near_misses, key=_most_evidence)),
        times,
        where,
        wanted.limits,
    )


def _parted(
    uncertain: Sequence[tuple[MatchingTracklet, Sightings]], times: Mapping[str, FrameTimes]
) -> tuple[list[tuple[MatchingTracklet, Sightings]], list[NearTracklet]]:
    """Those of which few are strangers, with the share; the others, of which most are, become near misses."""
    clusters = {(match.folder, match.tracklet.cluster): match.expected_strangers for match, _ in uncertain}
    shares = dict(zip(clusters, stranger_shares(list(clusters.values())), strict=True))
    possible, near_misses = [], []
    for found, sightings in sorted(uncertain, key=lambda pair: _most_evidence(pair[0])):
        share = shares[found.folder, found.tracklet.cluster]
        if share <= MOST_STRANGER_SHARE:
            possible.append((replace(found, stranger_share=share), sightings))
            continue
        video, frames, tracklet = found.video, times[found.video.sha256], found.tracklet
        start, end = (
            video.seconds(int(frames.pts[tracklet.start])),
            video.seconds(frames.end_pts(tracklet.end)),
        )
        near_misses.append(NearTracklet(
            video, tracklet, start, end, found.similarity, found.threshold, found.explanation, found.folder,
            evidence=found.evidence,
        ))  # fmt: skip
    return possible, near_misses
