"""Decisions as a JSON file, and back: into the library they came from, another one, or one made anew.

Schema facereel.decisions/1, documented in docs/library.md. Everything is named by uids, since numbers are those of one
library. A file is checked as a whole before anything is stored, because it may come from anywhere.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from facereel.store.files.disk import atomic_file
from facereel.store.files.names import printable
from facereel.store.library import decisions
from facereel.store.library.decisions import Decision, Kind, checked_name, kind_of, parse_time, time_text
from facereel.store.library.places import Place
from facereel.store.model.errors import FaceReelError, OptionError, ResultExistsError, UnwritableError
from facereel.store.model.version import FACEREEL_VERSION

SCHEMA = "facereel.decisions/1"
_FAMILY = SCHEMA.partition("/")[0]
_MOST_BYTES = 256 << 20  # 100,000 decisions with three faces each take 60 MiB
_MOST_FRAMES = 1 << 40
_MOST_DIGITS = 20  # of an integer; 2**63 has 19
_LAST_YEAR = 9000  # a decision must be able to come after any other
_UID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ALONE: tuple[Kind, ...] = ("name", "accept", "reject", "hide", "show", "forget")  # about one person
_FACES: tuple[Kind, ...] = ("split", "accept", "reject")  # whose faces are those of its people only
_NO_FACES: tuple[Kind, ...] = ("show", "undo", "forget")


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a backup."""

    added: int  # decisions
    known: int  # decisions that were here before
    forgotten: int  # decisions that were left out, because they are about people who were forgotten here
    renumbered: dict[int, int]  # ids of people in the backup and here, where they differ
    not_forgotten: tuple[int, ...]  # ids here of people who were forgotten there: their decisions here stay


@dataclass(frozen=True, slots=True)
class _Person:
    uid: str
    number: int
    created: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A decision of a backup; people and decisions are named by their uids."""

    uid: str
    time: str
    kind: Kind
    person: str | None
    other: str | None
    name: str | None
    undoes: str | None
    places: tuple[tuple[str, Place], ...]

    def people(self) -> Iterator[str]:
        yield from (uid for uid in (self.person, self.other) if uid is not None)
        yield from (uid for uid, _ in self.places)


@dataclass(frozen=True, slots=True)
class Backup:
    """A checked backup, in the order in which the decisions count."""

    people: dict[str, _Person] = field(repr=False)
    entries: tuple[_Entry, ...] = field(repr=False)


def write_backup(db: sqlite3.Connection, path: Path) -> int:
    """Write all decisions to a new file for its owner only, and return how many.

    Raises ResultExistsError where a file is already, UnwritableError.
    """
    if os.path.lexists(path):
        raise ResultExistsError(f"{printable(path)} is there already; name another file")
    people = {row["person"]: row for row in db.execute("SELECT person, uid, created FROM people")}
    entries = list(decisions.read_decisions(db))
    uids = {entry.number: entry.uid for entry in entries}
    used = {one for entry in entries for one in _people_of(entry)}
    lines = {
        "people": [
            {"uid": people[one]["uid"], "id": one, "created": people[one]["created"]} for one in sorted(used)
        ],
        "decisions": [_document(entry, people, uids) for entry in entries],
    }
    head = {
        "schema": SCHEMA,
        "facereel_version": FACEREEL_VERSION,
        "time": time_text(datetime.now(timezone.utc)),
    }
    try:
        with atomic_file(path) as unfinished:
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(head, ensure_ascii=False)[:-1])
                for key, rows in lines.items():
                    file.write(f',\n"{key}": [')
                    file.write(",".join("\n" + json.dumps(row, ensure_ascii=False) for row in rows))
                    file.write("\n]")
                file.write("}\n")
    except OSError as error:
        raise UnwritableError(
            f"{printable(path)} cannot be written: {error.strerror}; name a file in a folder that is there"
        ) from error
    return len(entries)


def _people_of(entry: Decision) -> Iterator[int]:
    yield from (one for one in (entry.person, entry.other) if one is not None)
    yield from (one for one, _ in entry.places)


def _document(entry: Decision, people: Mapping[int, sqlite3.Row], uids: Mapping[int, str]) -> dict[str, Any]:
    document: dict[str, Any] = {"uid": entry.uid, "time": entry.time, "kind": entry.kind}
    if entry.person is not None:
        document["person"] = people[entry.person]["uid"]
    if entry.other is not None:
        document["other"] = people[entry.other]["uid"]
    if entry.name is not None:
        document["name"] = entry.name
    if entry.undoes is not None:
        document["undoes"] = uids[entry.undoes]
    if entry.places:
        document["places"] = [
            {
                "person": people[whose]["uid"], "sha256": place.sha256, "start_frame": place.start,
                "end_frame": place.end, "frame": place.frame, "box": list(place.box),
            }
            for whose, place in entry.places
        ]  # fmt: skip
    return document


def read_backup(path: Path) -> Backup:
    """Read and check a backup; raises OptionError for anything else than a whole one of this schema."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        with open(path, encoding="utf-8") as file:
            document = json.load(file, parse_constant=_no_number, parse_int=_short_integer)
        return _backup(document)
    except OSError as error:
        raise OptionError(
            f"{printable(path)} cannot be read: {error.strerror}; name a file that `people backup` wrote"
        ) from error
    except (ValueError, RecursionError, FaceReelError) as error:
        raise OptionError(
            f"{printable(path)} is no backup of decisions ({printable(_reason(error)[:200])}); "
            "name a file that `people backup` wrote"
        ) from error


def _reason(error: Exception) -> str:
    """What is wrong with a file, in words of ours where Python speaks of its own matters."""
    match error:
        case json.JSONDecodeError():
            return f"it is no JSON in line {error.lineno}"
        case UnicodeDecodeError():
            return "it is no text in UTF-8"
        case RecursionError():
            return "it has too many lists in lists"
        case _:
            return str(error)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _short_integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} digits")
    return int(text)


def _field(item: Any, key: str) -> Any:
    if not isinstance(item, dict):
        raise ValueError(f'{item} stands where an object with "{key}" is to be')
    if key not in item:
        raise ValueError(f'"{key}" is missing')
    return item[key]


def _backup(document: Any) -> Backup:
    schema = _field(document, "schema")
    if not isinstance(schema, str) or schema.partition("/")[0] != _FAMILY:
        raise ValueError(f"its schema is not {_FAMILY}")
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema}, this version knows {SCHEMA}")
    people = _unique(_person(item) for item in _list(_field(document, "people")))
    entries = _unique(_entry(item) for item in _list(_field(document, "decisions")))
    ordered = sorted(entries.values(), key=lambda entry: entry.time)
    for entry in ordered:
        if not people.keys() >= set(entry.people()):
            raise ValueError(f"decision {entry.uid} is about a person that is not in it")
        target = None if entry.undoes is None else entries.get(entry.undoes)
        if target is not None and (target.time > entry.time or target.uid == entry.uid):
            raise ValueError(f"decision {entry.uid} undoes a later one")
        if target is not None and target.kind == "forget":
            raise ValueError(f"decision {entry.uid} undoes a forget")
    return Backup(people, tuple(ordered))


def _unique(items: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if item.uid in found:
            raise ValueError(f"{item.uid} is in it twice")
        found[item.uid] = item
    return found


def _person(item: Any) -> _Person:
    number = _whole(_field(item, "id"))
    if not 0 < number < _MOST_FRAMES:
        raise ValueError(f"{number} is no id")
    return _Person(_matching(_UID, item, "uid"), number, _time(_field(item, "created")))


def _entry(item: Any) -> _Entry:
    kind = kind_of(_field(item, "kind"))
    needs = {"person", "name"} if kind == "name" else {"person"} if kind in _ALONE else {"person", "other"}
    if kind == "undo":
        needs = {"undoes", *({"person"} & item.keys())}
    if {"person", "other", "name", "undoes"} & item.keys() != needs:
        raise ValueError(f"a decision of kind {kind} needs {', '.join(sorted(needs))} and nothing else")
    places = tuple(
        (_matching(_UID, place, "person"), _place(place)) for place in _list(item.get("places", []))
    )
    person, other, undoes = (
        _matching(_UID, item, key) if key in needs else None for key in ("person", "other", "undoes")
    )
    name = checked_name(_text(item["name"])) if "name" in needs else None
    uid, time = _matching(_UID, item, "uid"), _time(_field(item, "time"))
    entry = _Entry(uid, time, kind, person, other, name, undoes, places)
    # Decisions about a whole person also name faces of people who became that person.
    of_others = {whose for whose, _ in places} - {person, other}
    if (places and kind in _NO_FACES) or (of_others and kind in _FACES):
        raise ValueError(f"decision {entry.uid} is about a face of somebody else")
    if entry.person is not None and entry.person == entry.other:
        raise ValueError(f"decision {entry.uid} is about one person twice")
    return entry


def _place(item: Any) -> Place:
    start, end, frame = (_whole(_field(item, key)) for key in ("start_frame", "end_frame", "frame"))
    box = _list(_field(item, "box"))
    if not 0 <= start <= frame < end < _MOST_FRAMES:
        raise ValueError(f"frame {frame} is not within [{start}, {end})")
    numbers = all(type(side) in (int, float) and math.isfinite(side) for side in box)
    if len(box) != 4 or not numbers or min(box[2:]) <= 0:
        raise ValueError(f"{box} is no box")
    x, y, w, h = map(float, box)
    return Place(_matching(_SHA256, item, "sha256"), start, end, frame, (x, y, w, h))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value} is no list")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value} is no text")
    return value


def _matching(pattern: re.Pattern[str], item: Any, key: str) -> str:
    value = _field(item, key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f'"{key}" is {value}, not {pattern.pattern}')
    return value


def _time(value: Any) -> str:
    text = _text(value)
    try:
        year = parse_time(text).year
    except ValueError as error:
        raise ValueError(f"{text} is no time") from error
    if year >= _LAST_YEAR:
        raise ValueError(f"{text} is too late")
    return text


def restore(db: sqlite3.Connection, backup: Backup) -> Restored:
    """Add the decisions of a backup that are not here, and replay the log: the later decision wins, wherever made.

    People keep their ids where these were never used here. Nothing of people who were forgotten here comes back.
    """
    here = {row["uid"]: row for row in db.execute("SELECT person, uid, forgotten FROM people")}
    gone = {uid for uid, row in here.items() if row["forgotten"]}
    numbers = {row["uid"]: row["decision"] for row in db.execute("SELECT decision, uid FROM decisions")}
    chosen, known, left_out, not_forgotten = [], 0, 0, []
    added: set[str] = set()
    for given in backup.entries:
        entry = _without_forgotten(given, gone)
        if given.uid in numbers:
            known += 1
        elif given.kind == "forget" and given.person in here:
            if given.person not in gone:
                not_forgotten.append(here[given.person]["person"])
        elif entry is None or (
            entry.undoes is not None and not (entry.undoes in numbers or entry.undoes in added)
        ):
            left_out += 1
        else:
            chosen.append(entry)
            added.add(entry.uid)
    people = {uid: int(row["person"]) for uid, row in here.items()}
    people |= _add_people(
        db,
        [backup.people[uid] for uid in {uid: None for e in chosen for uid in e.people()} if uid not in here],
    )
    first = _add_entries(db, chosen, people, numbers)
    decisions.replay(db)
    decisions.unsettle(db, first, decisions.KINDS)
    renumbered = {
        person.number: people[uid]
        for uid, person in backup.people.items()
        if uid in people and people[uid] != person.number
    }
    return Restored(len(chosen), known, left_out, renumbered, tuple(sorted(set(not_forgotten))))


def _without_forgotten(entry: _Entry, gone: set[str]) -> _Entry | None:
    """A decision as `forget` would have left it; None where it leaves nothing."""
    places = tuple((whose, place) for whose, place in entry.places if whose not in gone)
    if entry.person not in gone and entry.other not in gone:
        return replace(entry, places=places)
    if entry.kind == "split" and entry.other not in gone:
        return replace(entry, kind="accept", person=entry.other, other=None)
    if entry.kind == "undo":
        return replace(entry, person=None)
    return None


def _add_people(db: sqlite3.Connection, people: Sequence[_Person]) -> dict[str, int]:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'people'").fetchone()
    last = 0 if row is None else int(row[0])
    found = {}
    for person in sorted(people, key=lambda one: one.number):
        last = max(last + 1, person.number)
        found[person.uid] = last
    db.executemany(
        "INSERT INTO people (person, uid, created) VALUES (?, ?, ?)",
        [(found[person.uid], person.uid, person.created) for person in people],
    )
    return found


def _add_entries(
    db: sqlite3.Connection, entries: Sequence[_Entry], people: Mapping[str, int], numbers: dict[str, int]
) -> int:
    """Add decisions with their places to the log, and return the number of the first."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'decisions'").fetchone()
    first = 1 if row is None else int(row[0]) + 1
    numbers |= {entry.uid: number for number, entry in enumerate(entries, first)}

    def of(uid: str | None) -> int | None:
        return None if uid is None else people[uid]

    db.executemany(
        """INSERT INTO decisions (decision, uid, time, kind, person, other, name, undoes)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        [
            (
                numbers[entry.uid], entry.uid, entry.time, entry.kind, of(entry.person), of(entry.other), entry.name,
                None if entry.undoes is None else numbers[entry.undoes],
            )
            for entry in entries
        ],
    )  # fmt: skip
    decisions.write_places(
        db, ((numbers[entry.uid], people[whose], place) for entry in entries for whose, place in entry.places)
    )
    return first
