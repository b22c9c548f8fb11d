"""What the user decided about people: an append-only log, and what follows from it.

Decisions count in order of their time; the later one wins. One that is undone does not count, an undo can be undone.
What they say of a person (name, hidden, merged into whom) is replayed into the table `people`; what they say of faces
is read from the log itself, a video or a person at a time. Nothing else of the library is a decision.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeAlias, TypeVar, get_args
from uuid import uuid4

from facereel.store.files.names import printable
from facereel.store.library.places import Place, face_tracks
from facereel.store.model.errors import OptionError

Kind: TypeAlias = Literal["name", "merge", "split", "accept", "reject", "hide", "show", "undo", "forget"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# confirmed: this face is that person; rejected: it is not; anchor: the cluster it was in belonged to that person when
# something was decided about the person as a whole. An anchor speaks for a cluster, never against another ruling.
Verdict: TypeAlias = Literal["confirmed", "rejected", "anchor", "merged"]
VERDICTS: Mapping[Kind, Verdict] = {
    "accept": "confirmed", "split": "confirmed", "reject": "rejected",
    "name": "anchor", "merge": "anchor", "hide": "anchor",
}  # fmt: skip
_FACES: tuple[Kind, ...] = ("accept", "split", "reject")  # kinds about single faces
MAX_NAME = 200  # characters
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"  # in which the order of texts is the order of times
_TIME_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)

MAX_ID = 2**63 - 1  # SQLite has no larger integers
PLACE_COLUMNS = "sha256, start_frame, end_frame, frame, x, y, w, h"
# The ids of a person. An arm each for what is found by an index: with OR, SQLite reads all of alike.
GROUP = """SELECT person FROM people WHERE person = :who OR merged_into = :who
           UNION SELECT person FROM alike WHERE whole = :who
           UNION SELECT alike.person FROM people JOIN alike ON whole = people.person WHERE merged_into = :who"""
COUNTS = "decision NOT IN (SELECT decision FROM undone)"  # condition on a decision

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the log."""

    number: int
    uid: str  # the same in every copy and backup of the library
    time: str  # UTC, ISO 8601
    kind: Kind
    person: int | None  # as it was given; people are merged later
    other: int | None  # merge: who became `person`; split: the new person
    name: str | None
    undoes: int | None  # number of another decision
    counts: bool  # False: undone
    places: tuple[tuple[int, Place], ...]  # faces that it is about, each with the person of whom it speaks

    @property
    def face_tracks(self) -> int:
        """How many face tracks it is about; a long one has several places."""
        return face_tracks(place for _, place in self.places)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a decision that counts says of one face."""

    decision: int
    person: int  # who the person of the decision is now
    verdict: Verdict
    place: Place


@dataclass(frozen=True, slots=True)
class FaceVerdict:
    """What all decisions together say of one face."""

    confirmed: int | None = None  # person
    rejected: frozenset[int] = frozenset()  # people
    anchor: int | None = None  # person of its cluster, where nothing above speaks against it


def verdicts(rulings: Iterable[tuple[Key, Ruling]]) -> dict[Key, FaceVerdict]:
    """What rulings, in their order, say of the faces that `Key` stands for, such as today's tracklets.

    The later ruling wins: a face is one person, and nobody is both confirmed and rejected for it.
    """
    found: dict[Key, FaceVerdict] = {}
    for key, ruling in rulings:
        before, person = found.get(key, FaceVerdict()), ruling.person
        if ruling.verdict == "confirmed":
            found[key] = FaceVerdict(person, before.rejected - {person}, person)
        elif ruling.verdict == "rejected":
            confirmed, anchor = (
                None if standing == person else standing for standing in (before.confirmed, before.anchor)
            )
            found[key] = FaceVerdict(confirmed, before.rejected | {person}, anchor)
        elif ruling.verdict == "merged" and before.confirmed is None:
            found[key] = FaceVerdict(None, before.rejected - {person}, person)
        elif before.confirmed is None and person not in before.rejected:
            found[key] = FaceVerdict(None, before.rejected, person)
    return found


def checked_name(name: str) -> str:
    """A person's name as it is stored; raises OptionError for one that no command could show or tell from an id."""
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if not clean:
        raise OptionError("a person's name is empty; give at least one letter")
    shown = printable(clean[:40])
    if not clean.isprintable():
        raise OptionError(f'the name "{shown}" has characters that do not print; leave them out')
    if len(clean) > MAX_NAME:
        raise OptionError(f'the name "{shown}..." is longer than {MAX_NAME} characters; give a shorter one')
    if clean.lstrip("#").strip().isdecimal():
        raise OptionError(f'the name "{shown}" looks like the id of a person; add a letter')
    return clean


def name_key(name: str) -> str:
    """What two spellings of one name have in common: upper and lower case do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def time_text(time: datetime) -> str:
    """A time as decisions bear it."""
    return time.astimezone(timezone.utc).strftime(_TIME)


def parse_time(text: str) -> datetime:
    """The time of its text; raises ValueError for any other text."""
    if not _TIME_TEXT.fullmatch(text):
        raise ValueError(f"{text} is no time")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)  # strptime takes four times as long


def new_person(db: sqlite3.Connection) -> int:
    """A person with an id that was never used."""
    values = (uuid4().hex, time_text(datetime.now(timezone.utc)))
    number = db.execute("INSERT INTO people (uid, created) VALUES (?, ?)", values).lastrowid
    assert number is not None
    return number


def append(
    db: sqlite3.Connection, kind: Kind, person: int | None, other: int | None = None, *,
    name: str | None = None, undoes: int | None = None, places: Iterable[tuple[int, Place]] = (),
) -> int:  # fmt: skip
    """Add a decision to the log, replay what it changes, and return its number."""
    values = (uuid4().hex, _next_time(db), kind, person, other, name, undoes)
    number = db.execute(
        "INSERT INTO decisions (uid, time, kind, person, other, name, undoes) VALUES (?, ?, ?, ?, ?, ?, ?)",
        values,
    ).lastrowid
    assert number is not None
    write_places(db, ((number, of_whom, place) for of_whom, place in places))
    if kind == "undo":
        replay(db)
    elif person is not None:
        _follow(db, kind, person, other, name)
    return number


def write_places(db: sqlite3.Connection, places: Iterable[tuple[int, int, Place]]) -> None:
    """Add the places of decisions: (decision, person, place)."""
    db.executemany(
        f"INSERT INTO places (decision, person, {PLACE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((decision, person, *place_values(place)) for decision, person, place in places),
    )


def place_values(place: Place) -> tuple[str | int | float, ...]:
    """A place as PLACE_COLUMNS."""
    return place.sha256, place.start, place.end, place.frame, *place.box


def place_of(row: sqlite3.Row) -> Place:
    """The place of a row with PLACE_COLUMNS; raises ValueError or TypeError for values that are none."""
    x, y, w, h = (float(row[column]) for column in "xywh")
    return Place(
        str(row["sha256"]), int(row["start_frame"]), int(row["end_frame"]), int(row["frame"]), (x, y, w, h)
    )


def read_decisions(db: sqlite3.Connection, condition: str = "1", *values: object) -> Iterator[Decision]:
    """The decisions for which a condition of SQL holds, in the order in which they count."""
    chosen = f"SELECT decision FROM decisions WHERE {condition}"
    places: dict[int, list[tuple[int, Place]]] = {}
    for row in db.execute(f"SELECT * FROM places WHERE decision IN ({chosen}) ORDER BY place", values):
        places.setdefault(row["decision"], []).append((int(row["person"]), place_of(row)))
    rows = db.execute(
        f"SELECT *, {COUNTS} AS counts FROM decisions WHERE decision IN ({chosen}) ORDER BY time, decision",
        values,
    )
    for row in rows:
        number = row["decision"]
        yield Decision(
            number, str(row["uid"]), str(row["time"]), kind_of(row["kind"]), row["person"], row["other"], row["name"],
            row["undoes"], bool(row["counts"]), tuple(places.get(number, ())),
        )  # fmt: skip


def kind_of(text: object) -> Kind:
    """A kind of decision; raises ValueError for any other text."""
    for kind in KINDS:
        if text == kind:
            return kind
    raise ValueError(f"an unknown kind of decision: {text}")


def read_rulings(db: sqlite3.Connection, condition: str, *values: object) -> Iterator[Ruling]:
    """What decisions that count say of the places for which a condition of SQL holds, in order."""
    rows = db.execute(
        f"""SELECT decision, kind, coalesce(merged_into, people.person) AS whose,
                   kind = 'merge' AND places.person = decisions.other AS is_merged, {PLACE_COLUMNS}
            FROM places JOIN decisions USING (decision) JOIN people ON people.person = places.person
            WHERE {condition} AND {COUNTS} ORDER BY time, decision, place""",
        values,
    )
    for row in rows:
        verdict = VERDICTS.get(kind_of(row["kind"]))
        if row["is_merged"]:  # of the one who became the other: that they are, however they were ruled before
            verdict = "merged"
        if verdict is not None:
            yield Ruling(int(row["decision"]), int(row["whose"]), verdict, place_of(row))


def videos_ruled(db: sqlite3.Connection, people: Iterable[int]) -> set[str]:
    """The videos, by sha256, with faces that decisions confirm or reject for some people."""
    query = f"""SELECT DISTINCT sha256 FROM places JOIN decisions USING (decision)
                WHERE places.person = ? AND kind IN {_FACES}"""
    return {str(row[0]) for person in people for row in db.execute(query, (person,))}


def unsettle(db: sqlite3.Connection, since: int, kinds: Sequence[Kind] = _FACES) -> None:
    """Note the videos whose members may change by the decisions from number `since` on, and by what these undo.

    `kinds` are those whose faces matter. Merging people matters to the videos in which faces were ruled on.
    """
    query = """WITH RECURSIVE chosen(decision) AS (
                   SELECT decision FROM decisions WHERE decision >= ?
                   UNION SELECT undoes FROM decisions JOIN chosen USING (decision) WHERE undoes IS NOT NULL) """
    marks = ", ".join("?" * len(kinds))
    db.execute(
        f"""INSERT OR IGNORE INTO unsettled {query} SELECT DISTINCT sha256
            FROM chosen JOIN decisions USING (decision) JOIN places USING (decision) WHERE kind IN ({marks})""",
        (since, *kinds),
    )
    merges = db.execute(
        query + "SELECT person, other FROM chosen JOIN decisions USING (decision) WHERE kind = 'merge'",
        (since,),
    ).fetchall()
    merged = {one for row in merges for person in row for one in groups(db, person)}
    db.executemany(
        "INSERT OR IGNORE INTO unsettled VALUES (?)", [(v,) for v in sorted(videos_ruled(db, merged))]
    )
    # Where members were written after the merge, they name the person whom it made.
    db.executemany(
        """INSERT OR IGNORE INTO unsettled
           SELECT DISTINCT sha256 FROM members WHERE person = ? AND by_similarity <> person""",
        [(one,) for one in sorted(merged)],
    )


def replay(db: sqlite3.Connection) -> None:
    """Derive which decisions count, and names, hidden and merged people, from the whole log."""
    rows = db.execute(
        "SELECT decision, kind, person, other, name, undoes FROM decisions ORDER BY time, decision"
    ).fetchall()
    # From the last to the first: whether an undo counts depends on later ones only.
    undone: set[int] = set()
    fixed = {row["decision"] for row in rows if row["kind"] == "forget"}
    for row in reversed(rows):
        number, undoes = row["decision"], row["undoes"]
        fixed.add(number)  # nothing undoes a later decision
        if row["kind"] == "undo" and number not in undone and undoes is not None and undoes not in fixed:
            undone.add(undoes)
    standings = {person: _Standing() for (person,) in db.execute("SELECT person FROM people")}
    for row in rows:
        if row["decision"] not in undone and row["person"] is not None:
            _apply(standings, row["kind"], row["person"], row["other"], row["name"])
    db.execute("DELETE FROM undone")
    db.executemany("INSERT INTO undone VALUES (?)", [(number,) for number in sorted(undone)])
    before = _read_standings(db, "1")
    _compress(standings)
    _write_standings(db, {person: now for person, now in standings.items() if before[person] != now})


@dataclass(slots=True)
class _Standing:
    """What decisions say of a person as a whole."""

    name: str | None = None
    hidden: bool = False
    merged_into: int | None = None
    forgotten: bool = False


def _follow(db: sqlite3.Connection, kind: Kind, person: int, other: int | None, name: str | None) -> None:
    """Replay one decision, the last of all."""
    now = "(SELECT coalesce(merged_into, person) FROM people WHERE person IN (?, ?))"
    query = f"person IN (?, ?) OR person IN {now} OR merged_into IN {now}"
    standings = _read_standings(db, query, *(person, other) * 3)
    _apply(standings, kind, person, other, name)
    _compress(standings)
    _write_standings(db, standings)


def _apply(
    standings: dict[int, _Standing], kind: str, person: int, other: int | None, name: str | None
) -> None:
    whose = _final(standings, person)
    standing = standings[whose]
    if kind == "name":
        standing.name = name
    elif kind in ("hide", "show"):
        standing.hidden = kind == "hide"
    elif kind == "forget":
        standings[person].forgotten = True
    elif kind == "merge" and other is not None:
        gone = _final(standings, other)
        if gone != whose:
            standing.name = standing.name or standings[gone].name
            standings[gone].name, standings[gone].merged_into = None, whose


def _final(standings: Mapping[int, _Standing], person: int) -> int:
    """Who a person became; raises ValueError for what only an altered file can hold."""
    for _ in standings:
        into = standings[person].merged_into
        if into is None:
            return person
        person = into
    raise ValueError("people are merged in a circle")


def _compress(standings: Mapping[int, _Standing]) -> None:
    """Let every merged person lead to the final one at once."""
    for person, standing in standings.items():
        if standing.merged_into is not None:
            standing.merged_into = _final(standings, person)


def _read_standings(db: sqlite3.Connection, condition: str, *values: int | None) -> dict[int, _Standing]:
    rows = db.execute(
        f"SELECT person, name, hidden, merged_into, forgotten FROM people WHERE {condition}", values
    )
    return {row[0]: _Standing(row[1], bool(row[2]), row[3], bool(row[4])) for row in rows}


def _write_standings(db: sqlite3.Connection, standings: Mapping[int, _Standing]) -> None:
    db.executemany(
        "UPDATE people SET name = ?, name_key = ?, hidden = ?, merged_into = ?, forgotten = ? WHERE person = ?",
        [
            (now.name, now.name and name_key(now.name), now.hidden, now.merged_into, now.forgotten, person)
            for person, now in standings.items()
        ],
    )


def _next_time(db: sqlite3.Connection) -> str:
    """Now, but later than every decision there is: a clock that was set back makes nothing lose that is new."""
    now = datetime.now(timezone.utc)
    (last,) = db.execute("SELECT max(time) FROM decisions").fetchone()
    if last is not None:
        now = max(now, parse_time(str(last)) + timedelta(microseconds=1))
    return time_text(now)


def groups(db: sqlite3.Connection, person: int) -> tuple[int, ...]:
    """A person's id and those of all who became that person."""
    return tuple(row[0] for row in db.execute(GROUP, {"who": person}))


def latest(rulings: Sequence[Ruling]) -> dict[Place, FaceVerdict]:
    """`verdicts` of the places themselves."""
    return verdicts((ruling.place, ruling) for ruling in rulings)
