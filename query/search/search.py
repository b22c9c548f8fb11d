"""A query: which indexes it searches, and the matches and near misses of each person in them.

The clusters of all indexes are searched through library.vectors. Only indexes with a similar cluster are opened, and
there the references are compared with the tracklets through vectors.faiss.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facereel.query.records import MatchingTracklet, NearTracklet, PersonQuery
from facereel.query.search.certainty import MOST_STRANGER_SHARE, Criterion, Limits, stranger_shares
from facereel.query.search.matching import Directions, VideoFaces, directions, match
from facereel.query.search.rulings import NO_RULINGS, Decisions, NoDecisions, Rulings, refusing
from facereel.store.files.folders import index_folders
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import Vectors
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import VideoClusters, clusters_of, videos_above
from facereel.store.model.errors import (
    DamagedIndexError,
    EngineMismatchError,
    NewerIndexError,
    NotIndexedError,
    OptionError,
    StoreError,
)
from facereel.store.model.pooling import SUFFICIENT_QUALITY
from facereel.store.model.records import EngineInfo, Floats, FrameTimes, Sightings, Video

_ATTEMPTS = 3  # to read an index that is being written
# FAISS adds up in another order than numpy: candidates are taken a little below the threshold, and compared again.
_ROUNDING = 1e-4

# Why an index was not searched, in a word for scripts.
KINDS = {
    EngineMismatchError: "other_engine", NewerIndexError: "newer_version", DamagedIndexError: "damaged",
    StoreError: "unreadable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkippedVideo:
    """An index that a query could not search, and why."""

    name: str
    reason: str  # one sentence with the remedy, which may name a path
    kind: str = "unreadable"  # a word for scripts: one of KINDS, or gone, changed, busy


@dataclass(frozen=True, slots=True)
class Scope:
    """The indexes that a query searches, and those it does not."""

    searched: tuple[tuple[Path, Video], ...]  # index folder, video with the path where it lies now
    clusters: tuple[VideoClusters, ...]  # of each that is searched
    skipped: tuple[SkippedVideo, ...]
    engine: EngineInfo  # of the query
    named: bool = False  # the user named the videos: one that cannot be searched is an error

    @property
    def cluster_count(self) -> int:
        """How many clusters are searched."""
        return sum(len(video.clusters) for video in self.clusters)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of one index was compared with the references."""

    tracklets: int
    exemplars: int
    tracklets_without_exemplars: int  # not compared: no crop of them is good enough to be an exemplar


@dataclass(frozen=True, slots=True, eq=False)
class PersonMatches:
    """What a query finds of one person."""

    person: PersonQuery
    matches: tuple[tuple[MatchingTracklet, Sightings], ...]  # what is cut
    possible: tuple[tuple[MatchingTracklet, Sightings], ...]  # with most evidence first
    near_misses: tuple[NearTracklet, ...]  # with most evidence first
    times: dict[str, FrameTimes]  # of the videos with either match, by the sha256 of their content
    scope: Scope
    counts: dict[Path, Counts]  # of the indexes searched, by folder
    limits: Limits

    @property
    def threshold(self) -> float:
        """The similarity from which on a match with good exemplars is sure."""
        return float(self.limits.sure(SUFFICIENT_QUALITY)[0])

    def with_possible(self) -> PersonMatches:
        """The same, in which what is possible is cut, too."""
        return replace(self, matches=(*self.matches, *self.possible), possible=())

    def statistics(
        self, min_duration: float, too_short: int, not_cut: Sequence[SkippedVideo]
    ) -> dict[str, Any]:
        """What was searched and what was not, as `search` in metadata.json and --json; names of files, no paths.

        `too_short` counts the matches that `min_duration`, seconds, drops; `not_cut` are videos that are gone or
        changed.
        """
        counts = self.counts.values()
        return {
            "videos": len(counts),
            "clusters": self.limits.clusters,
            "tracklets": sum(one.tracklets for one in counts),
            "exemplars": sum(one.exemplars for one in counts),
            "skipped": [{"video": item.name, "kind": item.kind} for item in self.scope.skipped],
            "not_cut": [{"video": item.name, "kind": item.kind} for item in not_cut],
            "tracklets_without_exemplars": sum(one.tracklets_without_exemplars for one in counts),
            "matches": len(self.matches),
            "possible": len(self.possible),
            "near_misses": len(self.near_misses),
            "min_duration": min_duration,
            "too_short": too_short,
        }


def not_indexed(catalogue: Catalogue, names: Sequence[str | Path]) -> list[Path]:
    """Those of the named videos that are files without an index."""
    fresh = []
    for name in names:
        try:
            catalogue.locate(name)
        except NotIndexedError:
            if not Path(name).is_file():
                raise
            fresh.append(Path(name))
    return fresh


def scope(catalogue: Catalogue, names: Sequence[str | Path], engine: EngineInfo) -> Scope:
    """Which indexes to search: those named, else all that this engine's recogniser made.

    Raises EngineMismatchError, NotIndexedError and the errors of damage for one that is named, and where nothing is
    left to search.
    """
    if names:
        named = {item[0]: item for item in (_named(catalogue, name, engine) for name in names)}
        return Scope(
            tuple((folder, video) for folder, video, _ in named.values()),
            tuple(clusters for _, _, clusters in named.values()), (), engine, named=True,
        )  # fmt: skip
    known = catalogue.searchable()
    searched = tuple(video for video in known.videos if video.engine.compares_with(engine))
    refused: list[tuple[str, StoreError]] = [
        (item.video.name, _mismatch(item.video, item.engine, engine))
        for item in known.videos
        if not item.engine.compares_with(engine)
    ]
    refused += [(folder.name, error) for folder, error in known.failures]
    if not searched and len(refused) == 1:
        raise refused[0][1]
    if not searched and refused:
        raise type(refused[0][1])(
            f"none of the {len(refused)} indexes in {printable(catalogue.store)} can be searched; {refused[0][1]}"
        )
    if not searched:
        raise NotIndexedError(
            f"{printable(catalogue.store)} holds no index; run: facereel index VIDEO (or name another --store)"
        )
    return Scope(
        tuple((item.folder, item.video) for item in searched), searched,
        tuple(SkippedVideo(printable(name), str(error), kind_of(error)) for name, error in refused), engine,
    )  # fmt: skip


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

    `decisions` count for the people whose id in the library is known. An index
    that cannot be read is in the `skipped` of each answer's scope. Raises StoreError for one that is named, and where
    none can be read.
    """
    check_threshold(criterion.threshold)
    decisions = decisions or NoDecisions()
    clusters = where.cluster_count
    wanted = [
        _wanted(person, Limits(criterion, len(person.references), clusters), decisions) for person in people
    ]
    collected: list[list[_VideoAnswer]] = [[] for _ in people]
    searched: list[tuple[Video, VideoClusters] | None] = [
        (video, clusters) for (_, video), clusters in zip(where.searched, where.clusters, strict=True)
    ]
    skipped: list[SkippedVideo] = []
    candidates = _candidates(where.clusters, wanted)
    for place, searchers in _with_decided(candidates, where, people, decisions):
        video = where.searched[place][1]
        try:
            current, answers = _search_video(
                where.clusters[place], video, [wanted[person] for person in searchers]
            )
            searched[place] = current
        except StoreError as error:
            searched[place] = None
            if where.named or not any(searched):
                raise
            skipped.append(SkippedVideo(printable(video.name), str(error), kind_of(error)))
            continue
        for person, answer in zip(searchers, answers, strict=True):
            collected[person].append(answer)
    readable = [pair for pair in searched if pair is not None]
    where = replace(
        where, searched=tuple((clusters.folder, video) for video, clusters in readable),
        clusters=tuple(clusters for _, clusters in readable), skipped=(*where.skipped, *skipped),
    )  # fmt: skip
    counts = {
        item.folder: Counts(item.tracklets, item.exemplars, item.tracklets_without_exemplars)
        for item in where.clusters
    }
    return [_answer(one, answers, where, counts) for one, answers in zip(wanted, collected, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What one person is looked for by."""

    person: PersonQuery
    limits: Limits
    like: Directions
    unlike: tuple[Directions, ...]  # of each photo of --not
    decisions: Decisions

    def rulings(self, index: VideoIndex, known: VideoClusters, similarities: Floats) -> Rulings:
        """What is settled about a video; `similarities` (C,) are those of its clusters to the person."""
        number, clusters = self.person.person, known.clusters
        rulings = NO_RULINGS if number is None else self.decisions.of(index, number)
        if not self.unlike or not len(clusters):
            return rulings
        others = np.max([one.combine(one.vectors @ clusters.embeddings.T) for one in self.unlike], axis=0)
        names = ", ".join(Path(reference.path).name for reference in self.person.unlike)
        return refusing(rulings, clusters.numbers, similarities, others, names)


def _wanted(person: PersonQuery, limits: Limits, decisions: Decisions) -> _Wanted:
    scale = limits.criterion.scale
    unlike = tuple(directions([reference], scale) for reference in person.unlike)
    return _Wanted(person, limits, directions(person.references, scale), unlike, decisions)


def _with_decided(
    candidates: Sequence[tuple[int, list[int]]],
    where: Scope,
    people: Sequence[PersonQuery],
    decisions: Decisions,
) -> list[tuple[int, list[int]]]:
    """The candidates, with the videos about which there are decisions."""
    searchers = {place: set(own) for place, own in candidates}
    for number, person in enumerate(people):
        decided = frozenset(() if person.person is None else decisions.videos(person.person))
        for place, (_, video) in enumerate(where.searched if decided else ()):
            if video.sha256 in decided:
                searchers.setdefault(place, set()).add(number)
    return sorted((place, sorted(own)) for place, own in searchers.items())


@dataclass(frozen=True, slots=True, eq=False)
class _VideoAnswer:
    """What one index answers to one person."""

    video: Video
    matches: list[tuple[MatchingTracklet, Sightings]]  # sure and possible
    near_misses: list[NearTracklet]
    times: FrameTimes | None  # only with matches


def _candidates(videos: Sequence[VideoClusters], people: Sequence[_Wanted]) -> list[tuple[int, list[int]]]:
    """The positions of the videos with a cluster similar enough, rising, each with those of the people it may show."""
    if not people:
        return []
    owners = np.repeat(np.arange(len(people)), [len(person.like.vectors) for person in people])
    queries = np.concatenate([person.like.vectors for person in people])
    thresholds = np.concatenate(
        [person.limits.lowest() - _ROUNDING + person.like.penalties for person in people]
    )
    candidates: dict[int, set[int]] = {}
    for owner, places in zip(
        owners.tolist(), videos_above(videos, queries, thresholds.tolist()), strict=True
    ):
        for place in places.tolist():
            candidates.setdefault(place, set()).add(owner)
    return sorted((place, sorted(searchers)) for place, searchers in candidates.items())


def _search_video(
    known: VideoClusters, video: Video, people: Sequence[_Wanted]
) -> tuple[tuple[Video, VideoClusters], list[_VideoAnswer]]:
    """Compare people with one index; gives what was searched, too, since `known` may be outdated.

    `video` has the path that the user named, if any.
    """
    place = None if video == known.video else (video.path, video.size, video.mtime_ns)
    for _ in range(_ATTEMPTS):
        try:
            with VideoIndex(known.folder, video.path) as index:
                try:
                    if index.version != known.version:
                        known = _read_again(index, known)
                    video = index.video
                    if place is not None:
                        video = replace(video, path=place[0], size=place[1], mtime_ns=place[2])
                    answers = _answers_of(index, video, known, people)
                except Exception:  # whatever rows of two states of the file lead to
                    if index.unchanged():
                        raise
                    continue
                if index.unchanged():
                    return (video, known), answers
        except NotIndexedError:
            # Between two renames a folder that is replaced is not there; listing waits until its successor is.
            if known.folder not in index_folders(known.folder.parent):
                raise
    raise StoreError(f"{printable(known.folder)} is being written by another process; run it again")


def _answers_of(
    index: VideoIndex, video: Video, known: VideoClusters, people: Sequence[_Wanted]
) -> list[_VideoAnswer]:
    faces, vectors = _faces(index, video, known), index.vectors()
    pairs = []
    for wanted in people:
        person = wanted.like
        own = person.combine(vectors.similarities(person.vectors, faces.best.tracklets))
        clusters = person.combine(person.vectors @ known.clusters.embeddings.T)
        rulings = wanted.rulings(index, known, clusters)
        matches, near_misses = match(faces, own, clusters, wanted.limits, rulings)
        matches += _without_exemplars(index, video, faces, rulings)
        pairs.append(_with_evidence(matches, near_misses, faces, vectors, known))
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
    return [
        MatchingTracklet(
            video, item, 0.0, 0.0, "decision", "you said so; no crop can be compared", index.folder
        )
        for item in (index.tracklets() if others else ())
        if item.number in others
    ]


def _with_evidence(
    matches: Sequence[MatchingTracklet],
    near_misses: Sequence[NearTracklet],
    faces: VideoFaces,
    vectors: Vectors,
    known: VideoClusters,
) -> tuple[list[MatchingTracklet], list[NearTracklet]]:
    """Possible matches and near misses with how much speaks for them, near misses with most first.

    First come those of a matching cluster, whose own similarity is too low, last those that are ruled out. A
    small or turned face that the photos miss may still look like a matching cluster of the same video. Average
    precision on a sitcom, one photo a question: where clusters are good, 1.00 instead of 0.84 (5 questions with
    such near misses); with poor clusters, by faces of wide shots alone, 0.84 instead of 0.45 (8 questions).
    """
    numbers = known.clusters.numbers
    clusters = {item.tracklet.cluster for item in matches if item.certainty == "sure"}
    matching = np.isin(numbers, list(clusters))
    alike = vectors.similarities(known.clusters.embeddings[matching], faces.best.tracklets).max(
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


def _read_again(index: VideoIndex, known: VideoClusters) -> VideoClusters:
    """The clusters of an index that was written or replaced since they were read."""
    if not index.engine.compares_with(known.engine):
        raise StoreError(
            f"{printable(known.folder)} was indexed again by {index.engine.name} meanwhile; run it again"
        )
    return clusters_of(index)


def _faces(index: VideoIndex, video: Video, known: VideoClusters) -> VideoFaces:
    best, seconds = index.best_exemplars(), index.tracklet_seconds()
    numbers = set(best.tracklets.tolist())
    tracklets = tuple(item for item in index.tracklets() if item.number in numbers)
    spans = np.array([seconds[item.number] for item in tracklets], np.float64).reshape(-1, 2)
    return VideoFaces(video, tracklets, spans, best, known.clusters, index.folder)


def _with_sightings(
    index: VideoIndex, matches: Sequence[MatchingTracklet]
) -> list[tuple[MatchingTracklet, Sightings]]:
    sightings = index.sightings(match.tracklet.number for match in matches)
    return [(match, sightings[match.tracklet.number]) for match in matches]


def _answer(
    wanted: _Wanted,
    answers: Sequence[_VideoAnswer],
    where: Scope,
    counts: dict[Path, Counts],
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
        counts,
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


def kind_of(error: StoreError) -> str:
    """Why an index is skipped, in a word."""
    return next(word for kind, word in KINDS.items() if isinstance(error, kind))


def _named(catalogue: Catalogue, name: str | Path, engine: EngineInfo) -> tuple[Path, Video, VideoClusters]:
    index = catalogue.searchable([catalogue.locate(name)])
    if index.failures:
        raise index.failures[0][1]
    if not index.videos:
        raise NotIndexedError(f"{printable(name)} was removed or replaced meanwhile; run it again")
    (clusters,) = index.videos
    video, path = clusters.video, Path(name)
    if not clusters.engine.compares_with(engine):
        raise _mismatch(video, clusters.engine, engine)
    if path.is_file():
        # Found by its content: clips are cut from where it lies now.
        status = path.stat()
        video = replace(video, path=str(path.resolve()), size=status.st_size, mtime_ns=status.st_mtime_ns)
    return clusters.folder, video, clusters


def _mismatch(video: Video, made_by: EngineInfo, asking: EngineInfo) -> EngineMismatchError:
    again = f"facereel reembed --engine {asking.name} {shlex.quote(printable(video.path))}"
    if made_by.name == asking.name:
        return EngineMismatchError(
            f"{printable(video.name)} was indexed by {made_by.name} with other weights; run: {again}"
        )
    return EngineMismatchError(
        f"{printable(video.name)} was indexed by {made_by.name}, not {asking.name}; "
        f"add --engine {made_by.name}, or run: {again}"
    )
