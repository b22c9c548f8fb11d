"""The people of a library: who they are, which clusters of which videos are theirs, and every decision about them.

Who somebody is follows from similarity (the table `members`, written by joining) and from what the user decided
(decisions.py), which outranks it. An id is never used again; that of a merged person leads to the person it became.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.library import decisions, videos
from facereel.store.library.backup import Restored, read_backup, restore, write_backup
from facereel.store.library.database import LibraryDatabase
from facereel.store.library.decisions import (
    COUNTS,
    PLACE_COLUMNS,
    Decision,
    Ruling,
    checked_name,
    name_key,
    place_of,
    place_values,
)
from facereel.store.library.erasure import erase, erase_faces
from facereel.store.library.places import Place
from facereel.store.model.errors import OptionError

# What values of an altered file raise.
_INVALID = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, sqlite3.IntegrityError)
_BATCH = 400  # values in one statement; SQLite before 3.32 allows 999


@dataclass(frozen=True, slots=True)
class LibraryPerson:
    """Somebody in the library."""

    id: int
    name: str | None
    hidden: bool
    clusters: int  # of all videos
    # By clusters; of who has none by the single faces that decisions confirm.
    videos: int
    seconds: float  # on screen
    decisions: int  # that count, about this person

    @property
    def title(self) -> str:
        """How the person is called: by name, else by id."""
        return self.name or f"person {self.id}"


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster of an indexed video and whose it is."""

    sha256: str
    cluster: int
    person: int
    by_similarity: int  # whose it would be without decisions
    seconds: float  # for which its tracklets are shown
    quality: float  # sum over its tracklets of the best exemplar's
    anchor: Place  # a face of it, by which the cluster is found again when the video was indexed anew


@dataclass(frozen=True, slots=True)
class Rulings:
    """Faces of which decisions say that they are a person, or are not."""

    confirmed: tuple[Place, ...]
    rejected: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """The person of a cluster."""

    id: int
    name: str | None


class LibraryPeople:
    """The people of one store. Making one changes nothing on the disk; reading a store without people finds none.

    Every call raises the errors of LibraryDatabase; those that write are whole or do nothing.
    """

    def __init__(self, store: Path, database: LibraryDatabase | None = None) -> None:
        self._database = database or LibraryDatabase(store)

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Several calls as one transaction."""
        return self._database.write()

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Several calls about one state; changes wait for the end only when they are stored."""
        return self._database.read()

    # Reading

    def all(self) -> tuple[LibraryPerson, ...]:
        """Everybody with a face, a name or a decision, by id; hidden people too, merged and forgotten ones not."""
        with self._read() as db:
            people = _people(db, None)
        return tuple(one for one in people if one.videos or one.name is not None or one.decisions)

    def awaits_video(self, person: int) -> bool:
        """Whether a decision is about a face of the person in a video that is not indexed."""
        query = """SELECT 1 FROM places WHERE person = ?
                   AND sha256 NOT IN (SELECT sha256 FROM videos) LIMIT 1"""
        with self._read() as db:
            return any(db.execute(query, (one,)).fetchone() for one in decisions.groups(db, person))

    def get(self, person: int) -> LibraryPerson:
        """The person of an id, or the person it became; raises OptionError for an id that nobody has."""
        with self._read() as db:
            return _people(db, [self._final(db, person)])[0]

    def by_name(self, name: str) -> tuple[LibraryPerson, ...]:
        """Everybody with that name, by id; upper and lower case do not matter."""
        key = name_key(" ".join(name.split()))
        if any("\ud800" <= character <= "\udfff" for character in key):  # no text, so nobody's name
            return ()
        with self._read() as db:
            rows = db.execute("SELECT person FROM people WHERE name_key = ? ORDER BY person", (key,))
            return _people(db, [row[0] for row in rows])

    def most_shown(self, most: int) -> tuple[LibraryPerson, ...]:
        """Some people who are not hidden and have faces: those with a name first, then by time on screen."""
        query = """SELECT now.person FROM members JOIN people USING (person)
            JOIN people AS now ON now.person = coalesce(people.merged_into, people.person)
            WHERE NOT now.hidden AND NOT now.forgotten GROUP BY now.person
            ORDER BY now.name IS NULL, sum(seconds) DESC, now.person LIMIT ?"""
        with self._read() as db:
            ids = [int(row[0]) for row in db.execute(query, (most,))]
            people = {one.id: one for one in _people(db, ids)}
            return tuple(people[one] for one in ids)

    def names(self) -> tuple[str, ...]:
        """Every name of people who are not hidden, each once, in alphabetical order."""
        query = """SELECT DISTINCT name FROM people WHERE name_key IS NOT NULL AND NOT hidden
            AND merged_into IS NULL AND NOT forgotten"""
        with self._read() as db:
            return tuple(sorted((str(row[0]) for row in db.execute(query)), key=name_key))

    def people_of(self, sha256: str) -> dict[int, LibraryPerson]:
        """Whose the clusters of a video are, by cluster number."""
        query = """SELECT cluster, coalesce(merged_into, people.person) FROM members
                   JOIN people USING (person) WHERE sha256 = ? ORDER BY cluster"""
        with self._read() as db:
            owners = {int(row[0]): int(row[1]) for row in db.execute(query, (sha256,))}
            people = {one.id: one for one in _people(db, sorted(set(owners.values())))}
            return {cluster: people[owner] for cluster, owner in owners.items()}

    def owners_of(self, sha256: str) -> dict[int, Owner]:
        """Whose the clusters of a video are, by cluster number, without figures over the library."""
        query = """SELECT cluster, now.person, now.name FROM members JOIN people USING (person)
                   JOIN people AS now ON now.person = coalesce(people.merged_into, people.person)
                   WHERE sha256 = ? ORDER BY cluster"""
        with self._read() as db:
            return {
                int(row[0]): Owner(int(row[1]), None if row[2] is None else str(row[2]))
                for row in db.execute(query, (sha256,))
            }

    def numbers_of_people(self, videos: Sequence[str]) -> dict[str, int]:
        """How many people are in each of some videos, by sha256; hidden people count."""
        query = """SELECT count(DISTINCT coalesce(merged_into, people.person)) FROM members
                   JOIN people USING (person) WHERE sha256 = ?"""
        with self._read() as db:
            return {sha256: int(db.execute(query, (sha256,)).fetchone()[0]) for sha256 in videos}

    def person_of(self, sha256: str, cluster: int) -> LibraryPerson | None:
        """Whose a cluster of a video is; None where the library does not have it."""
        return self.people_of(sha256).get(cluster)

    def members(self, person: int) -> tuple[Member, ...]:
        """The clusters of a person in all videos; raises OptionError for an id that nobody has."""
        with self._read() as db:
            found: list[Member] = []
            for one in decisions.groups(db, self._final(db, person)):
                rows = db.execute("SELECT * FROM members WHERE person = ?", (one,))
                found += map(_member, rows)
        return tuple(sorted(found, key=lambda member: (member.sha256, member.cluster)))

    def seconds_by_video(self, person: int) -> dict[str, float]:
        """For how long a person is shown in each video, by sha256; 0 where only single faces are confirmed."""
        found = {place.sha256: 0.0 for place in self.rulings(person).confirmed}
        for member in self.members(person):
            found[member.sha256] = found.get(member.sha256, 0.0) + member.seconds
        return found

    def resembled(self, person: int) -> dict[int, float]:
        """Whom the clusters of a person resemble, decisions aside, and for how many seconds these are shown."""
        query = """SELECT coalesce(whole, by_similarity), sum(seconds) FROM members
                   LEFT JOIN alike ON alike.person = by_similarity WHERE members.person = ? GROUP BY 1"""
        found: dict[int, float] = {}
        with self._read() as db:
            for one in decisions.groups(db, self._final(db, person)):
                for whose, seconds in db.execute(query, (one,)):
                    found[int(whose)] = found.get(int(whose), 0.0) + float(seconds)
        return found

    def members_of(self, sha256: str) -> tuple[Member, ...]:
        """The clusters of a video, as they were joined last."""
        with self._read() as db:
            rows = db.execute("SELECT * FROM members WHERE sha256 = ? ORDER BY cluster", (sha256,))
            return tuple(map(_member, rows))

    def rulings(self, person: int) -> Rulings:
        """The faces that decisions confirm and reject for a person; where two speak of one place, the later."""
        with self._read() as db:
            whose = self._final(db, person)
            found: list[Ruling] = []
            for sha256 in sorted(decisions.videos_ruled(db, decisions.groups(db, whose))):
                found += decisions.read_rulings(db, "sha256 = ?", sha256)
        standing = decisions.latest(found)
        return Rulings(
            tuple(place for place, verdict in standing.items() if verdict.confirmed == whose),
            tuple(place for place, verdict in standing.items() if whose in verdict.rejected),
        )

    def rulings_of_video(self, sha256: str) -> tuple[Ruling, ...]:
        """What decisions say of the faces of a video, in order: `decisions.verdicts` sums it up."""
        with self._read() as db:
            return tuple(decisions.read_rulings(db, "sha256 = ?", sha256))

    def log(self, person: int | None = None, last: int | None = None) -> tuple[Decision, ...]:
        """The decisions in the order in which they count, about one person or all; only the last ones if so asked.

        Raises OptionError for an id that nobody has.
        """
        condition, values = "1", tuple[int, ...]()
        with self._read() as db:
            if person is not None:
                ids = decisions.groups(db, self._final(db, person, forgotten=True))
                marks = ", ".join("?" * len(ids))
                own = f"SELECT decision FROM decisions WHERE person IN ({marks}) OR other IN ({marks})"
                condition, values = f"(decision IN ({own}) OR undoes IN ({own}))", tuple(ids) * 4
            if last is not None:
                newest = f"SELECT decision FROM decisions WHERE {condition} ORDER BY time DESC, decision DESC"
                condition, values = f"decision IN ({newest} LIMIT ?)", (*values, last)
            return tuple(decisions.read_decisions(db, condition, *values))

    def unsettled(self, *, indexed: bool = False) -> tuple[str, ...]:
        """Videos, by sha256, with decisions that their members do not follow yet; `indexed`: only those here."""
        # Looked up one by one: IN would read all videos first.
        here = "EXISTS (SELECT 1 FROM videos WHERE videos.sha256 = unsettled.sha256)"
        condition = here if indexed else "1"
        query = f"SELECT sha256 FROM unsettled WHERE {condition} ORDER BY sha256"
        with self._read() as db:
            return tuple(str(row[0]) for row in db.execute(query))

    # What joining writes

    def add_person(self) -> int:
        """A person nobody knows yet."""
        with self._database.write() as db:
            return decisions.new_person(db)

    def set_members(self, sha256: str, members: Sequence[Member]) -> None:
        """Replace the clusters of a video by those of its index, which follow all decisions."""
        columns = f"cluster, person, by_similarity, seconds, quality, {PLACE_COLUMNS}"
        with self._database.write() as db:
            self._drop(db, sha256)
            db.executemany(
                f"INSERT INTO members ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.cluster,
                        one.person,
                        one.by_similarity,
                        one.seconds,
                        one.quality,
                        *place_values(one.anchor),
                    )
                    for one in members
                ],
            )

    def drop_members(self, sha256: str) -> None:
        """Remove the clusters of a video that is no longer indexed; decisions about its faces stay."""
        with self._database.write() as db:
            self._drop(db, sha256)

    @staticmethod
    def _drop(db: sqlite3.Connection, sha256: str) -> None:
        db.execute("DELETE FROM members WHERE sha256 = ?", (sha256,))
        db.execute("DELETE FROM unsettled WHERE sha256 = ?", (sha256,))

    # Decisions: each call returns the number of what it added to the log

    def name(self, person: int, name: str, *, another: bool = False) -> int:
        """Name a person. `another` allows a name that somebody else has.

        Raises OptionError for an unknown person, a name that cannot be, and one that somebody else has.
        """
        name = checked_name(name)
        with self._write() as db:
            whose = self._final(db, person)
            same = {one.id: one.name or "" for one in self.by_name(name)}
            if same and whose not in same and not another:
                first = min(same)
                raise OptionError(
                    f'person {first} is named "{printable(same[first])}" already; if both are one person run: '
                    f"facereel people merge {first} {whose}; else give another name"
                )
            return decisions.append(db, "name", whose, name=name, places=self._anchors(db, whose))

    def merge(self, person: int, other: int) -> tuple[int, str | None]:
        """Make two people one: `other` becomes `person`, who keeps the name or takes over that of the other.

        Returns the decision, and the name that is given up if both had one. Raises OptionError for unknown people, and
        two that are one.
        """
        with self._write() as db:
            whose, gone = self._final(db, person), self._final(db, other)
            if whose == gone:
                raise OptionError(
                    f"person {person} and person {other} are one person already; name two people"
                )
            kept, given_up = (one.name for one in (_people(db, [whose])[0], _people(db, [gone])[0]))
            places = [*self._anchors(db, whose), *self._anchors(db, gone)]
            number = decisions.append(db, "merge", whose, gone, places=places)
            decisions.unsettle(db, number)
            return number, given_up if kept is not None else None

    def split(self, person: int, places: Sequence[Place]) -> tuple[int, int]:
        """Say that faces of a person are somebody else; returns the decision and the id of that new person."""
        with self._write() as db:
            whose = self._final(db, person)
            other = decisions.new_person(db)
            return self._rule(db, "split", whose, places, other), other

    def accept(self, person: int, places: Sequence[Place]) -> int:
        """Say that faces are this person."""
        with self._write() as db:
            return self._rule(db, "accept", self._final(db, person), places)

    def reject(self, person: int, places: Sequence[Place]) -> int:
        """Say that faces are not this person."""
        with self._write() as db:
            return self._rule(db, "reject", self._final(db, person), places)

    def hide(self, person: int) -> int:
        """Leave a person out of lists and suggestions."""
        with self._write() as db:
            whose = self._final(db, person)
            return decisions.append(db, "hide", whose, places=self._anchors(db, whose))

    def show(self, person: int) -> int:
        """Take a hidden person back into lists."""
        with self._write() as db:
            return decisions.append(db, "show", self._final(db, person))

    def undo(self, number: int | None = None) -> Decision:
        """Undo a decision, or the last one that counts and is no undo; an undo can be undone by its number.

        Returns what was undone. Raises OptionError for one that is not there, does not count, or is a `forget`.
        """
        with self._write() as db:
            if number is None:
                row = db.execute(
                    f"""SELECT decision FROM decisions WHERE kind NOT IN ('undo', 'forget') AND {COUNTS}
                        ORDER BY time DESC, decision DESC LIMIT 1"""
                ).fetchone()
                if row is None:
                    raise OptionError("there is no decision to undo; run: facereel people log")
                number = int(row[0])
            if not 0 < number <= decisions.MAX_ID:
                raise OptionError(f"there is no decision {number}; run: facereel people log")
            undone = next(decisions.read_decisions(db, "decision = ?", number), None)
            if undone is None:
                raise OptionError(f"there is no decision {number}; run: facereel people log")
            if undone.kind == "forget":
                raise OptionError(
                    f"decision {number} forgets a person, of whom nothing is left to bring back"
                )
            if not undone.counts:
                raise OptionError(f"decision {number} is undone already; run: facereel people log")
            decisions.unsettle(db, decisions.append(db, "undo", undone.person, undoes=number))
            return undone

    def forget(self, person: int) -> tuple[int, ...]:
        """Erase everything that is stored of a person, and of all who became that person; returns their ids.

        Only the ids stay, and that they were forgotten. The indexes are not touched, nor are backups. Calling it again
        with an id that was forgotten compacts the file again, as after a disk that was full.
        """
        with self._write() as db:
            (forgotten,) = db.execute(
                "SELECT max(forgotten) FROM people WHERE person = ?", (person,)
            ).fetchone()
            ids = (person,) if forgotten else erase(db, self._final(db, person))
        self._database.compact()
        return ids

    def forget_faces(self, index: VideoIndex, numbers: Collection[int]) -> None:
        """Erase the faces of tracklets, which are to be removed from their index, from all decisions."""
        with self._write() as db:
            erase_faces(db, index, numbers)

    def backup(self, path: Path) -> int:
        """Write all decisions to a new JSON file and return how many; raises ResultExistsError, UnwritableError."""
        with self._read() as db:
            return write_backup(db, path)

    def restore(self, path: Path) -> Restored:
        """Add the decisions of a backup that are not here; raises OptionError for what is no whole backup."""
        backup = read_backup(path)
        with self._write() as db:
            return restore(db, backup)

    # Inside a transaction

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._database.read() as db, self._values():
            yield db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._database.write() as db, self._values():
            yield db

    @contextmanager
    def _values(self) -> Iterator[None]:
        """Values that cannot be, such as a decision about a person who is not there, are damage."""
        try:
            yield
        except _INVALID as error:
            raise self._database.damaged(error) from error

    @staticmethod
    def _final(db: sqlite3.Connection, person: int, *, forgotten: bool = False) -> int:
        """The id of who a person is now."""
        if not 0 < person <= decisions.MAX_ID:
            raise OptionError(f"there is no person {person} in the library; run: facereel people")
        row = db.execute("SELECT merged_into, forgotten FROM people WHERE person = ?", (person,)).fetchone()
        if row is None:
            raise OptionError(f"there is no person {person} in the library; run: facereel people")
        if row["forgotten"] and not forgotten:
            raise OptionError(f"person {person} was forgotten; run: facereel people")
        if row["merged_into"] is not None:
            return int(row["merged_into"])
        whole = db.execute("SELECT whole FROM alike WHERE person = ?", (person,)).fetchone()
        return person if whole is None else LibraryPeople._final(db, int(whole[0]), forgotten=forgotten)

    @staticmethod
    def _anchors(db: sqlite3.Connection, person: int) -> list[tuple[int, Place]]:
        """A face of each cluster of a person, with the person it was of before merges."""
        query = "SELECT * FROM members WHERE person = ?"
        return [
            (one, place_of(row)) for one in decisions.groups(db, person) for row in db.execute(query, (one,))
        ]

    @staticmethod
    def _rule(
        db: sqlite3.Connection, kind: decisions.Kind, person: int, places: Sequence[Place],
        other: int | None = None,
    ) -> int:  # fmt: skip
        if not places:
            raise OptionError(f"no face was given to {kind} for person {person}; name at least one")
        of_whom = person if other is None else other
        number = decisions.append(db, kind, person, other, places=[(of_whom, place) for place in places])
        decisions.unsettle(db, number)
        return number


def _people(db: sqlite3.Connection, ids: Sequence[int] | None) -> tuple[LibraryPerson, ...]:
    """People by id, or all that are neither merged nor forgotten; ids are those of people as they are now."""
    if ids is not None:
        batches = (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
        return tuple(one for batch in batches for one in _batch(db, batch))
    return _batch(db, None)


def _batch(db: sqlite3.Connection, ids: Sequence[int] | None) -> tuple[LibraryPerson, ...]:
    marks = ", ".join("?" * len(ids or ()))
    chosen = "1" if ids is None else f"(people.person IN ({marks}) OR people.merged_into IN ({marks}))"
    values = () if ids is None else (*ids, *ids)
    whose = "coalesce(merged_into, people.person)"
    clusters = _figures(
        db,
        f"""SELECT {whose}, count(*), count(DISTINCT sha256), sum(seconds)
            FROM people JOIN members USING (person) WHERE {chosen} GROUP BY 1""",
        values,
    )
    counted = f"decisions.kind != 'undo' AND {COUNTS}"
    ruled = _figures(
        db,
        f"""SELECT whose, count(DISTINCT decision) FROM (
                SELECT {whose} AS whose, decision FROM people JOIN decisions USING (person)
                WHERE {chosen} AND {counted} UNION ALL
                SELECT {whose} AS whose, decision FROM people JOIN decisions ON people.person = other
                WHERE {chosen} AND {counted}) GROUP BY 1""",
        (*values, *values),
    )
    rows = db.execute(
        f"""SELECT person, name, hidden FROM people
            WHERE {chosen} AND merged_into IS NULL AND NOT forgotten ORDER BY person""",
        values,
    )
    people = rows.fetchall()
    without_clusters = ruled.keys() - clusters.keys()
    single = _confirmed(db, [one["person"] for one in people if one["person"] in without_clusters])
    rates = videos.frame_rates(db, {place.sha256 for places in single.values() for place in places})
    clusters = {person: _shown(places, rates) for person, places in single.items()} | dict(clusters)
    return tuple(
        _person(row, clusters.get(row["person"], (0, 0, 0.0)), ruled.get(row["person"], (0,)))
        for row in people
    )


def _confirmed(db: sqlite3.Connection, ids: Collection[int]) -> dict[int, list[Place]]:
    """The faces that decisions confirm for some people, by id as they are now; without who has none."""
    every = {one for person in ids for one in decisions.groups(db, person)}
    found: dict[int, list[Place]] = {}
    for sha256 in sorted(decisions.videos_ruled(db, every)):
        rulings = list(decisions.read_rulings(db, "sha256 = ?", sha256))
        for place, verdict in decisions.latest(rulings).items():
            if verdict.confirmed is not None and verdict.confirmed in ids:
                found.setdefault(verdict.confirmed, []).append(place)
    return found


def _shown(places: Sequence[Place], rates: Mapping[str, float]) -> tuple[int, int, float]:
    """Clusters, videos and seconds of somebody who has only single faces; `rates` of the videos that are here."""
    frames: dict[str, set[int]] = {}
    for place in places:
        if place.sha256 in rates:
            frames.setdefault(place.sha256, set()).update(range(place.start, place.end))
    return 0, len(frames), sum(len(own) / rates[sha256] for sha256, own in frames.items())


def _person(row: sqlite3.Row, figures: Sequence[float], ruled: Sequence[float]) -> LibraryPerson:
    clusters, videos, seconds = figures
    name = None if row["name"] is None else str(row["name"])
    return LibraryPerson(
        int(row["person"]),
        name,
        bool(row["hidden"]),
        int(clusters),
        int(videos),
        float(seconds),
        int(ruled[0]),
    )


def _figures(db: sqlite3.Connection, query: str, values: Sequence[int]) -> Mapping[int, tuple[float, ...]]:
    return {row[0]: tuple(row)[1:] for row in db.execute(query, values)}


def _member(row: sqlite3.Row) -> Member:
    return Member(
        str(row["sha256"]), int(row["cluster"]), int(row["person"]), int(row["by_similarity"]),
        float(row["seconds"]), float(row["quality"]), place_of(row),
    )  # fmt: skip
