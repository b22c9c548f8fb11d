"""Questions whose answers would help most: pairs of people who may be one.

An answer is a decision like any other, by `merge`, `reject` or `hide`; it moves no threshold. A pair that was put to
the user does not come again before all such pairs are asked for anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from facereel.store.index.reader import VideoIndex
from facereel.store.library.decisions import COUNTS, groups, time_text
from facereel.store.library.joining import Looks
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.model.face_odds import face_log_odds

# How many strangers are as similar to one of N clusters: of 786,000 pairs of strangers, one photo against a cluster of
# six crops, 8.6e-4 are more similar than 0.42 and 4.3e-5 than 0.50, one in e for each 1/37 more.
_STRANGERS, _STRANGERS_AT, _TAIL = 8.6e-4, 0.42, 37.0
_BELOW = 0.2  # under the threshold of joining; further down most are strangers
_MOST_PEOPLE = 200  # whose neighbours are looked at: named ones and those who are shown longest
_MIN_LIKELIHOOD = 0.05


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Are these two one person?"""

    person: LibraryPerson  # the named one, else the one who is shown longer
    other: LibraryPerson
    similarity: float  # of both as wholes
    likelihood: float  # that they are, by how similar they are for their quality, among so many clusters
    seconds: float  # for which the other is shown, which the answer adds to the person


@dataclass(frozen=True, slots=True)
class Questions:
    """What is to be asked next, and what waits because it was put to the user before."""

    suggestions: tuple[Suggestion, ...]  # best first
    open: int  # pairs that were not put to the user yet; some may turn out to meet in a frame, and are not asked
    skipped: int  # pairs that were put to the user and not answered


def questions(
    people: LibraryPeople, every_look: Callable[[sqlite3.Connection], Iterator[tuple[Looks, int]]],
    open_index: Callable[[str], VideoIndex | None], most: int,
) -> Questions:  # fmt: skip
    """The `most` questions whose answers gain most; writes nothing down.

    What an answer gains is how long the one is shown who is shown less, times how likely both are one. `every_look`
    gives what people look like and the number of clusters, by recogniser; `open_index` a video by the digest of its
    content.
    Raises the errors of LibraryPeople, VideoIndex and VectorFile.
    """
    with people.reading() as db:
        there = {one.id: one for one in people.all() if not one.hidden and one.clusters}
        found = [pair for looks, count in every_look(db) for pair in _pairs(there, looks, count)]
        best = sorted(found, key=lambda one: (-one.likelihood * one.seconds, one.person.id, one.other.id))
        chosen: list[Suggestion] = []
        unanswered, skipped, together = 0, 0, 0
        for one in best:
            ids = [groups(db, who.id) for who in (one.person, one.other)]
            if _either_way(_are_two, db, ids):
                continue
            if _either_way(_was_asked, db, ids):
                skipped += 1
                continue
            unanswered += 1
            if len(chosen) < most:
                if _meet(people, open_index, one):
                    together += 1
                else:
                    chosen.append(one)
    return Questions(tuple(chosen), unanswered - together, skipped)


def note_asked(people: LibraryPeople, pairs: Iterable[tuple[int, int]]) -> None:
    """Write down that pairs of people were put to the user, so that they do not come again."""
    with people.writing() as db:
        db.executemany(
            "INSERT INTO questions (time, person, other) VALUES (?, ?, ?)",
            [(time_text(datetime.now(timezone.utc)), person, other) for person, other in pairs],
        )


def forget_asked(people: LibraryPeople, pair: tuple[int, int] | None = None) -> None:
    """Let a pair, or all, come again that was put to the user; what was decided meanwhile stays."""
    with people.writing() as db:
        if pair is None:
            db.execute("DELETE FROM questions")
            return
        ids = [groups(db, people.get(one).id) for one in pair]
        for one, other in (ids, ids[::-1]):
            db.executemany(
                "DELETE FROM questions WHERE person = ? AND other = ?", [(a, b) for a in one for b in other]
            )


def _pairs(people: dict[int, LibraryPerson], looks: Looks, count: int) -> list[Suggestion]:
    """Everybody who may be somebody else, each pair once."""
    first = sorted(people.values(), key=lambda one: (one.name is None, -one.seconds, one.id))[:_MOST_PEOPLE]
    wholes = [looks.whole(one.id) for one in first]
    found: dict[frozenset[int], Suggestion] = {}
    for one, near in zip(first, looks.near(wholes, _BELOW), strict=True):
        for similarity, number, _ in near:
            other = people.get(number)
            if other is None or other.id == one.id or (one.name is not None and other.name is not None):
                continue
            person, added = sorted((one, other), key=lambda who: (who.name is None, -who.seconds, who.id))
            alike = similarity / looks.scale
            strangers = count * _STRANGERS * float(np.exp(_TAIL * (_STRANGERS_AT - alike)))
            quality = min(looks.whole(one.id).quality, looks.whole(other.id).quality)
            likelihood = 1 / (1 + strangers) / (1 + float(np.exp(-face_log_odds(alike, quality))))
            if likelihood >= _MIN_LIKELIHOOD:
                found[frozenset((one.id, other.id))] = Suggestion(
                    person, added, similarity, likelihood, min(one.seconds, other.seconds)
                )
    return list(found.values())


def _either_way(
    test: Callable[[sqlite3.Connection, Sequence[int], Sequence[int]], bool], db: sqlite3.Connection,
    ids: Sequence[Sequence[int]],
) -> bool:  # fmt: skip
    return test(db, ids[0], ids[1]) or test(db, ids[1], ids[0])


def _was_asked(db: sqlite3.Connection, ids: Sequence[int], others: Sequence[int]) -> bool:
    """Was the pair put to the user before?"""
    query = "SELECT other FROM questions WHERE person = ?"
    return any(row[0] in others for one in ids for row in db.execute(query, (one,)))


def _are_two(db: sqlite3.Connection, ids: Sequence[int], others: Sequence[int]) -> bool:
    """Are both known to be two: split, or faces of one rejected for the other?"""
    split = f"SELECT other FROM decisions WHERE kind = 'split' AND person = ? AND {COUNTS}"
    # Members whose face is that of the decision: at the same time and place of the picture, more or less.
    rejected = f"""SELECT members.person FROM decisions JOIN places USING (decision) JOIN members USING (sha256)
        WHERE kind = 'reject' AND decisions.person = ? AND {COUNTS}
        AND members.start_frame < places.end_frame AND places.start_frame < members.end_frame
        AND members.x < places.x + places.w AND places.x < members.x + members.w"""
    return any(
        row[0] in others for one in ids for query in (split, rejected) for row in db.execute(query, (one,))
    )


def _meet(people: LibraryPeople, open_index: Callable[[str], VideoIndex | None], pair: Suggestion) -> bool:
    """Does a frame of any video show both?"""
    clusters: list[dict[str, set[int]]] = []
    for one in (pair.person, pair.other):
        own: dict[str, set[int]] = {}
        for member in people.members(one.id):
            own.setdefault(member.sha256, set()).add(member.cluster)
        clusters.append(own)
    for sha256 in clusters[0].keys() & clusters[1].keys():
        index = open_index(sha256)
        if index is None:
            continue
        with index:
            tracklets = index.tracklets()
        spans, others = ([item for item in tracklets if item.cluster in own[sha256]] for own in clusters)
        if any(one.start < other.end and other.start < one.end for one in spans for other in others):
            return True
    return False
