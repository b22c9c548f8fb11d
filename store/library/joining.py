"""Clusters of all videos joined into people as they come, by what the user decided and by similarity.

A new video costs the search for the clusters most like its own, and nothing that grows with the looks. Rather two
people than one mixed: a cluster is compared with what somebody looks like as a whole, and must be the more similar the
more clusters there are to be mistaken for. What a decision says of a face outranks all similarity.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facereel.store.index.reader import VideoIndex
from facereel.store.library.decisions import COUNTS, FaceVerdict, Ruling, verdicts
from facereel.store.library.people import LibraryPeople, Member
from facereel.store.library.places import Place, tracklets_at
from facereel.store.library.vectors import ClusterSearch, Neighbours, VectorFile, recogniser
from facereel.store.model.pooling import DEFAULT_THRESHOLD, unit
from facereel.store.model.records import Floats, Ints, Tracklet

# Similarity of a cluster to a person from which on both are one, by the number N of clusters in the library:
# LINK_SIMILARITY up to SMALL_LIBRARY clusters, then more by the logarithm of N. Of 786,000 pairs of strangers, three
# photos against a cluster of six crops, 1.6e-4 are more similar than 0.50 and 5.1e-6 than 0.55: one in e for each
# 1/TAIL more. On average one in a thousand clusters may have a stranger above that line among N = 200 at 0.55, and at
# 0.65 among 200,000. People of one scene are more alike than strangers by chance: in 13 films, cut in three, the most
# similar two that are known to be different (dancers of one age in one light) have 0.58. So 0.05 is added.
LINK_SIMILARITY = 0.60
SMALL_LIBRARY = 200
_TAIL = 69.0
# Poor faces resemble each other: two in the dark of different films, qualities 0.07 and 0.1, have 0.67. One of a
# quality below the first is never linked by similarity; below the second it must be more similar.
_MIN_QUALITY, _GOOD_QUALITY = 0.1, 0.3
_EXTRA_FOR_LOW_QUALITY = 0.1
# Somebody as a whole is the mean of so many best clusters: a wrong one among them does not lead to the next.
_BEST_CLUSTERS = 5
# A cluster may be more like somebody as a whole than like each of the best clusters, by so much at most.
_WHOLE_ABOVE_BEST = 0.1
_NEIGHBOURS = 50  # clusters of the library that are looked at for each cluster of a video


@dataclass(frozen=True, slots=True, eq=False)
class NewCluster:
    """A cluster of a video that is to be somebody's."""

    number: int
    embedding: Floats  # (D,) unit length
    quality: float  # sum over its tracklets of the quality of the best exemplar
    seconds: float  # for which its tracklets are shown
    tracklets: Ints  # (T,) numbers
    spans: Ints  # (T, 2) frames [start, end) of each, in order; none shares a frame with another
    anchor: Place

    def meets(self, other: NewCluster) -> bool:
        """Do both share a frame, so that they are two people?"""
        place = np.searchsorted(other.spans[:, 1], self.spans[:, 0], side="right")
        there = place < len(other.spans)
        return bool((other.spans[place[there], 0] < self.spans[there, 1]).any())


def link_threshold(count: int, quality: float, scale: float = 1.0) -> float:
    """Similarity from which on a cluster is a person of a library of so many clusters; infinity if it never is.

    `scale` is that of the engine's similarities (Threshold.scale).
    """
    if quality < _MIN_QUALITY:
        return float("inf")
    shortage = max(0.0, 1 - (quality - _MIN_QUALITY) / (_GOOD_QUALITY - _MIN_QUALITY))
    growth = float(np.log(max(count, SMALL_LIBRARY) / SMALL_LIBRARY)) / _TAIL
    return scale * (LINK_SIMILARITY + growth + _EXTRA_FOR_LOW_QUALITY * shortage)


def join(people: LibraryPeople, vectors: VectorFile, index: VideoIndex) -> None:
    """Give each cluster of a new or changed video its person, and write that down; `vectors` has them already.

    By decisions about its faces; else the one it was before, if a face of it was in a cluster; else whom it resembles;
    else somebody new. Raises the errors of VideoIndex, LibraryPeople and VectorFile.
    """
    clusters, sha256 = clusters_to_join(index), index.video.sha256
    with people.writing() as db:
        before = _before(clusters, people.members_of(sha256), index)
        decided = _Decided.read(people, db, index)
        # Its own clusters are most like each other: they would crowd out those of other videos.
        here = [int(row[0]) for row in db.execute("SELECT video FROM videos WHERE sha256 = ?", (sha256,))]
        search = vectors.search(db, index.engine, here)
        looks = Looks(db, vectors, search, recogniser(index.engine), sha256, similarity_scale(index))
        known = {number: member.by_similarity for number, member in before.items()}
        by_similarity = known | _linked(clusters, known, looks, decided)
        joined = []
        for one in clusters:
            own = by_similarity.get(one.number) or people.add_person()
            old = before[one.number].person if one.number in before else None
            whose = _whose(people, db, one.tracklets.tolist(), own, old, decided)
            joined.append(Member(sha256, one.number, whose, own, one.seconds, one.quality, one.anchor))
        people.set_members(sha256, joined)
        _unite(db, looks, {member.person for member in joined})


def settle(people: LibraryPeople, index: VideoIndex) -> list[tuple[int, int]]:
    """Let the clusters of a video follow the decisions about its faces; raises as `join` does.

    Whose they are by similarity stays: a decision that is undone brings that back. Nothing changes where the index was
    replaced since it was opened: its clusters have other numbers than those that are known now.

    Gives those that are somebody's by what was decided about a person as a whole, for `follow`: whose they would be
    without decisions, and whose they are.
    """
    tracklets: dict[int, list[int]] = {}
    for item in index.tracklets():
        tracklets.setdefault(item.cluster, []).append(item.number)
    with people.writing() as db:
        if not index.unchanged():
            return []
        decided = _Decided.read(people, db, index)
        settled, anchored = [], []
        for one in people.members_of(index.video.sha256):
            own = tracklets.get(one.cluster, [])
            whose = _whose(people, db, own, one.by_similarity, one.person, decided)
            settled.append(replace(one, person=whose))
            if not decided.is_confirmed(own) and decided.person(own) == whose:
                anchored.append((_standing(db, one.by_similarity), whose))
        people.set_members(index.video.sha256, settled)
    return anchored


def follow(people: LibraryPeople, anchored: Iterable[tuple[int, int]]) -> None:
    """Let the rest of people of this library follow after a restore, as the clusters that decisions name went.

    A name that is restored was given to the clusters that there were then. If all of these that are one person here
    are one restored person, so is everything that is that person here, unless something was decided about them, or a
    video shows both. `anchored` is what `settle` gave; what follows is to be settled once more.
    """
    went: dict[int, set[int]] = {}
    for part, whose in anchored:
        went.setdefault(part, set()).add(whose)
    shared = """SELECT 1 FROM members JOIN members AS others USING (sha256) WHERE members.person = :part
                AND others.person = :whole AND others.by_similarity <> members.by_similarity LIMIT 1"""
    with people.writing() as db:
        for part, wholes in went.items():
            whole = min(wholes)
            if len(wholes) > 1 or part == whole or not _clusters(db, part) or not _is_undecided(db, part):
                continue
            if db.execute(shared, {"part": part, "whole": whole}).fetchone() is None:
                db.execute("UPDATE alike SET whole = ? WHERE whole = ?", (whole, part))
                db.execute("INSERT INTO alike VALUES (?, ?)", (part, whole))
                db.execute(
                    "INSERT OR IGNORE INTO unsettled SELECT sha256 FROM members WHERE person = ?", (part,)
                )


def rulings_of_tracklets(people: LibraryPeople, index: VideoIndex) -> list[tuple[int, Ruling]]:
    """What decisions say of the tracklets of a video, by number, in order; raises as `join` does."""
    rulings = people.rulings_of_video(index.video.sha256)
    tracklets = tracklets_at(index, [one.place for one in rulings])
    return [(number, one) for number, one in zip(tracklets, rulings, strict=True) if number is not None]


def clusters_to_join(index: VideoIndex) -> tuple[NewCluster, ...]:
    """The clusters of an index that have exemplars, by number. Raises the errors of VideoIndex."""
    pooled, looks, seconds = index.pooled().clusters, index.exemplar_arrays(), index.tracklet_seconds()
    by_cluster: dict[int, list[Tracklet]] = {}
    for item in index.tracklets():
        by_cluster.setdefault(item.cluster, []).append(item)
    # Of each cluster the exemplar that is seen best.
    owner = {item.number: item.cluster for own in by_cluster.values() for item in own}
    best: dict[int, tuple[int, int]] = {}
    qualities: dict[int, float] = {}
    for row in np.argsort(-looks.qualities, kind="stable").tolist():
        tracklet = int(looks.tracklets[row])
        qualities.setdefault(tracklet, float(looks.qualities[row]))
        best.setdefault(owner[tracklet], (tracklet, int(looks.frames[row])))
    found = []
    for number, embedding in zip(pooled.numbers.tolist(), pooled.embeddings, strict=True):
        own = sorted(by_cluster[number], key=lambda item: item.start)
        shown = sum(end - start for start, end in (seconds[item.number] for item in own))
        spans = np.array([(item.start, item.end) for item in own], np.int64)
        quality = sum(qualities.get(item.number, 0.0) for item in own)
        numbers = np.array([item.number for item in own], np.int64)
        tracklet, frame = best[number]
        x, y, w, h = (round(value, 1) for value in index.box(tracklet, frame).tolist())
        start, end = next((item.start, item.end) for item in own if item.number == tracklet)
        anchor = Place(index.video.sha256, start, end, frame, (x, y, w, h))
        found.append(NewCluster(number, embedding, quality, shown, numbers, spans, anchor))
    return tuple(sorted(found, key=lambda cluster: cluster.number))


def similarity_scale(index: VideoIndex) -> float:
    """That of the similarities of an index, by the threshold of its engine (Threshold.scale)."""
    threshold = index.config.get("threshold", DEFAULT_THRESHOLD)
    return float(threshold) / DEFAULT_THRESHOLD if isinstance(threshold, float | int) else 1.0


def _before(
    clusters: Sequence[NewCluster], members: Sequence[Member], index: VideoIndex
) -> dict[int, Member]:
    """By number of a cluster, what was known of it before the video was indexed anew; the longest part counts."""
    cluster_of = {number: one.number for one in clusters for number in one.tracklets.tolist()}
    found: dict[int, Member] = {}
    longest_first = sorted(members, key=lambda member: (-member.seconds, member.cluster))
    tracklets = tracklets_at(index, [member.anchor for member in longest_first])
    for member, tracklet in zip(longest_first, tracklets, strict=True):
        if tracklet in cluster_of:
            found.setdefault(cluster_of[tracklet], member)
    return found


def _linked(
    clusters: Sequence[NewCluster], known: Mapping[int, int], looks: Looks, decided: _Decided
) -> dict[int, int]:
    """Whom the clusters resemble of whom nothing is known, by number; the surest clusters choose first."""
    of_person: dict[int, list[NewCluster]] = {}
    for one in clusters:
        if one.number in known:
            of_person.setdefault(looks.final(known[one.number]), []).append(one)
    unknown = [one for one in clusters if one.number not in known]
    found: dict[int, int] = {}
    for _, cluster, person, raw in looks.alike(unknown):
        if cluster.number in found or person in decided.rejected(cluster.tracklets.tolist()):
            continue
        if not any(cluster.meets(other) for other in of_person.get(person, ())):
            of_person.setdefault(person, []).append(cluster)
            found[cluster.number] = raw
    return found


class Looks:
    """What everybody in the library with clusters of one recogniser looks like as a whole."""

    def __init__(
        self, db: sqlite3.Connection, vectors: VectorFile, search: ClusterSearch, recogniser: str, sha256: str,
        scale: float,
    ) -> None:  # fmt: skip
        """`sha256`: a video whose clusters do not count."""
        self._db = db
        self._vectors = vectors
        self._search = search
        self._recogniser = recogniser
        self._sha256 = sha256
        self.scale = scale
        self._wholes: dict[int, Whole] = {}

    def with_all(self) -> Looks:
        """The same with the clusters of every video."""
        return Looks(self._db, self._vectors, self._search, self._recogniser, "", self.scale)

    def alike(self, clusters: Sequence[NewCluster]) -> list[tuple[float, NewCluster, int, int]]:
        """Pairs of a cluster and somebody it may be, most similar first.

        Each with the similarity, who that is now, and whose the most similar cluster of theirs is by similarity.
        """
        found = []
        for cluster, near in zip(
            clusters, self.near([Whole(one.embedding, one.quality) for one in clusters]), strict=True
        ):
            found += [(similarity, cluster, person, raw) for similarity, person, raw in near]
        return sorted(found, key=lambda pair: (-pair[0], pair[1].number, pair[2]))

    def near(self, wholes: Sequence[Whole], below: float = 0.0) -> list[list[tuple[float, int, int]]]:
        """For each of some looks everybody who may have it, most similar first; as for `alike`.

        `below`: how far below the threshold they may be.
        """
        good = [place for place, one in enumerate(wholes) if np.isfinite(self._limit(one.quality))]
        found: list[list[tuple[float, int, int]]] = [[] for _ in wholes]
        if not good or not self._search.count:
            return found
        queries = np.stack([wholes[place].embedding for place in good])
        for place, neighbours in zip(good, self._search.nearest(queries, _NEIGHBOURS), strict=True):
            look = wholes[place]
            lowest = self._limit(look.quality) - self.scale * (_WHOLE_ABOVE_BEST + below)
            for person, raw in self._owners(neighbours, lowest).items():
                whole = self.whole(person)
                similarity = float(look.embedding @ whole.embedding)
                if similarity >= self._limit(min(look.quality, whole.quality)) - self.scale * below:
                    found[place].append((similarity, person, raw))
        return [sorted(own, key=lambda one: (-one[0], one[1])) for own in found]

    def whole(self, person: int) -> Whole:
        """What a person looks like: the mean of the best clusters."""
        if person not in self._wholes:
            # The plus keeps SQLite from walking through all videos of a recogniser.
            query = """SELECT video, cluster, quality FROM people JOIN members USING (person) JOIN videos USING (sha256)
                       WHERE (people.person = ? OR merged_into = ?) AND sha256 <> ? AND +recogniser = ?
                       ORDER BY quality DESC, video, cluster LIMIT ?"""
            values = (person, person, self._sha256, self._recogniser, _BEST_CLUSTERS)
            best = [tuple(row) for row in self._db.execute(query, values)]
            embeddings = self._vectors.embeddings(self._db, [(video, cluster) for video, cluster, _ in best])
            self._wholes[person] = (
                Whole(unit(embeddings.sum(axis=0)), best[0][2])
                if len(embeddings)
                else Whole(np.zeros(self._search.dim, np.float32), 0.0)
            )
        return self._wholes[person]

    def forget_whole(self, person: int) -> None:
        """Read a person again, whose clusters have changed."""
        self._wholes.pop(person, None)

    def final(self, person: int) -> int:
        """Who somebody, by similarity, became: by decisions, or as part of somebody alike."""
        query = "SELECT coalesce(merged_into, person) FROM people WHERE person = ?"
        return int(self._db.execute(query, (_standing(self._db, person),)).fetchone()[0])

    def _limit(self, quality: float) -> float:
        return link_threshold(self._search.count, quality, self.scale)

    def _owners(self, neighbours: Neighbours, lowest: float) -> dict[int, int]:
        """Whose clusters are that similar, most similar first, each with whose that cluster is by similarity."""
        query = """SELECT coalesce(merged_into, people.person), members.person, by_similarity
                   FROM videos JOIN members USING (sha256) JOIN people ON people.person = members.person
                   WHERE video = ? AND cluster = ? AND sha256 <> ?"""
        found: dict[int, int] = {}
        for video, cluster, similarity in zip(
            neighbours.videos.tolist(),
            neighbours.clusters.tolist(),
            neighbours.similarities.tolist(),
            strict=True,
        ):
            if similarity < lowest:
                break
            for final, person, by_similarity in self._db.execute(query, (video, cluster, self._sha256)):
                is_part = _standing(self._db, by_similarity) == person
                found.setdefault(int(final), int(by_similarity if is_part else person))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """What a cluster, or a person, looks like."""

    embedding: Floats  # (D,) unit length
    quality: float  # of a cluster, or of the best one of a person


def _unite(db: sqlite3.Connection, looks: Looks, people: Iterable[int]) -> None:
    """Make people one who are alike as wholes; nothing was decided about either, and no video shows both.

    That is no decision: `alike` and members say who is part of whom, and by_similarity whose each cluster was.
    """
    looks = looks.with_all()
    for person in sorted(people):
        while _is_undecided(db, person) and (other := _most_alike(db, looks, person)) is not None:
            part, whole = max(person, other), min(person, other)
            db.execute("UPDATE alike SET whole = ? WHERE whole = ?", (whole, part))
            db.execute("INSERT INTO alike VALUES (?, ?)", (part, whole))
            db.execute("UPDATE members SET person = ? WHERE person = ?", (whole, part))
            looks.forget_whole(whole)
            person = whole


def _most_alike(db: sqlite3.Connection, looks: Looks, person: int) -> int | None:
    """The person who is most like another one, if they may be one."""
    shared = """SELECT sha256 FROM members WHERE person = ?
                INTERSECT SELECT sha256 FROM members WHERE person = ? LIMIT 1"""
    for _, other, _ in looks.near([looks.whole(person)])[0]:
        if (
            other != person
            and _is_undecided(db, other)
            and not db.execute(shared, (person, other)).fetchone()
        ):
            return other
    return None


def _standing(db: sqlite3.Connection, person: int) -> int:
    """Whose the clusters of somebody are, who may be part of somebody alike."""
    row = db.execute("SELECT whole FROM alike WHERE person = ?", (person,)).fetchone()
    return person if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class _Decided:
    """What decisions say of the tracklets of one video."""

    faces: Mapping[int, FaceVerdict]  # by number
    frames: Mapping[int, int]  # how long each is, by number
    parted: frozenset[int]  # confirmed by a split: the rest of the cluster stays whose it was

    @classmethod
    def read(cls, people: LibraryPeople, db: sqlite3.Connection, index: VideoIndex) -> _Decided:
        """Raises the errors of VideoIndex and LibraryPeople."""
        pairs = rulings_of_tracklets(people, index)
        kinds = dict(
            tuple(row) for number in {ruling.decision for _, ruling in pairs}
            for row in db.execute("SELECT decision, kind FROM decisions WHERE decision = ?", (number,))
        )  # fmt: skip
        parted = {
            tracklet: kinds[ruling.decision] == "split"
            for tracklet, ruling in pairs if ruling.verdict == "confirmed"
        }  # fmt: skip
        return cls(
            verdicts(pairs), {item.number: item.end - item.start for item in index.tracklets()} if pairs else {},
            frozenset(tracklet for tracklet, apart in parted.items() if apart),
        )  # fmt: skip

    def person(self, tracklets: Sequence[int], claimed: bool = False) -> int | None:
        """Whose a cluster is: of whom a face is confirmed and of nobody else, else as it was said of it as a whole.

        `claimed`: without decisions about its faces it is somebody's who is known by decisions. From them a few
        confirmed faces take themselves away, and not the rest of the cluster.
        """
        most = self._mostly({number: face.confirmed for number, face in self._of(tracklets)}, tracklets)
        confirmed = {
            face.confirmed for number, face in self._of(tracklets)
            if face.confirmed is not None and (number not in self.parted or face.confirmed == most)
        }  # fmt: skip
        if len(confirmed) > 1 or confirmed == {most}:
            return most
        anchors = Counter(
            face.anchor for _, face in self._of(tracklets)
            if face.anchor is not None and face.confirmed is None
        )  # fmt: skip
        if anchors:
            return anchors.most_common(1)[0][0]
        return None if claimed else next(iter(confirmed), None)

    def is_confirmed(self, tracklets: Sequence[int]) -> bool:
        """Was a face of a cluster said to be somebody, other than by a decision about a person as a whole?"""
        return any(face.confirmed is not None for _, face in self._of(tracklets))

    def is_not(self, tracklets: Sequence[int], person: int) -> bool:
        """Is most of a cluster rejected for that person?"""
        rejected = {number: person for number, face in self._of(tracklets) if person in face.rejected}
        return self._mostly(rejected, tracklets) == person

    def rejected(self, tracklets: Sequence[int]) -> frozenset[int]:
        """Everybody for whom a face of a cluster is rejected."""
        return frozenset(person for _, face in self._of(tracklets) for person in face.rejected)

    def _of(self, tracklets: Sequence[int]) -> list[tuple[int, FaceVerdict]]:
        return [(number, self.faces[number]) for number in tracklets if number in self.faces]

    def _mostly(self, people: Mapping[int, int | None], tracklets: Sequence[int]) -> int | None:
        """Who has more than half of the frames."""
        frames = Counter[int]()
        for number, person in people.items():
            if person is not None:
                frames[person] += self.frames[number]
        half = sum(self.frames[number] for number in tracklets) / 2 if people else 0
        return next((person for person, own in frames.most_common(1) if own > half), None)


def _whose(
    people: LibraryPeople, db: sqlite3.Connection, tracklets: Sequence[int], by_similarity: int, old: int | None,
    decided: _Decided,
) -> int:  # fmt: skip
    """Whose a cluster is: by decisions, else by similarity, else, where that is rejected, nobody else's."""
    standing = _standing(db, by_similarity)
    person = decided.person(tracklets, not _is_undecided(db, standing))
    if person is not None:
        return person

    def refused(candidate: int) -> bool:
        query = "SELECT coalesce(merged_into, person) FROM people WHERE person = ?"
        return decided.is_not(tracklets, int(db.execute(query, (candidate,)).fetchone()[0]))

    if not refused(standing):
        return standing
    if old is not None and not refused(old) and _is_undecided(db, old) and _clusters(db, old) <= 1:
        return old
    return people.add_person()


def _is_undecided(db: sqlite3.Connection, person: int) -> bool:
    """Does no decision about a person count?"""
    query = f"SELECT 1 FROM decisions WHERE (person = ? OR other = ?) AND kind <> 'undo' AND {COUNTS} LIMIT 1"
    return db.execute(query, (person, person)).fetchone() is None


def _clusters(db: sqlite3.Connection, person: int) -> int:
    return int(db.execute("SELECT count(*) FROM members WHERE person = ?", (person,)).fetchone()[0])
