"""Two libraries become one: the indexes of another store, its people and its decisions.

The other store is only read, and as what may come from anywhere: each index is copied and checked before it counts, and
the decisions go through the checks of a backup. Each index is here whole or not at all, and so are all decisions; what
was interrupted is finished by merging again.

People become one as when their videos are indexed: by similarity, unless something was decided. What two users decided
apart is kept apart and listed, with one exception: people of one name who also resemble each other become one, by a
decision that can be undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facereel.query.library.people import PeopleOfLibrary
from facereel.store.files import folders
from facereel.store.files.digest import hash_file
from facereel.store.files.disk import make_store
from facereel.store.files.names import hash_suffix, printable
from facereel.store.index.database import DATABASE, writing
from facereel.store.index.install import install_index, readable_index
from facereel.store.library.backup import Restored, read_backup
from facereel.store.library.database import LIBRARY, LibraryDatabase
from facereel.store.library.decisions import FaceVerdict, name_key, verdicts
from facereel.store.library.joining import rulings_of_tracklets
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.model.errors import (
    DamagedLibraryError,
    InputError,
    OptionError,
    StoreError,
    UnwritableError,
)

# Of the seconds of somebody from the other store, the share that must resemble a person here of the same name.
_MOSTLY = 0.5
_MOST_NAMED = 5  # faces in one sentence
_DECISIONS = "decisions.json"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that is otherwise in both stores, and what was done."""

    # video: indexed in both; name: one person, two names; face: said to be somebody in one store and not in the other;
    # people: two that may be one person
    about: Literal["video", "name", "face", "people"]
    text: str  # one sentence
    persons: tuple[int, ...] = ()  # ids here


@dataclass(frozen=True, slots=True)
class United:
    """Two people of one name who resemble each other, and were made one."""

    person: LibraryPerson
    other: int  # the id under which the person came from the other store
    decision: int  # its number in the log, by which it can be undone


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of merging another store."""

    added: tuple[Path, ...]  # folders of indexes
    known: int  # indexes that are the same here
    failed: tuple[tuple[Path, StoreError], ...]  # of the other store, that were left out
    decisions: Restored
    united: tuple[United, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(slots=True)
class _Indexes:
    """What came of the indexes of the other store."""

    added: list[Path] = field(default_factory=list)
    known: int = 0
    failed: list[tuple[Path, StoreError]] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def merge(
    people: PeopleOfLibrary, other: Path, on_index: Callable[[int, int], None] = lambda done, total: None
) -> Merged:
    """Add the indexes, people and decisions of another store; `on_index` gets how many of its indexes are done.

    Raises OptionError for what is no other store, DamagedLibraryError for one whose library.db cannot be used, and then
    nothing has changed; UnwritableError. An index that cannot be used is in `failed`.
    """
    catalogue = people.catalogue
    _check(other, catalogue.store)
    catalogue.clean()
    make_store(catalogue.store)
    with writing(catalogue.store), folders.temporary_folder(catalogue.store) as scratch:
        theirs = _other_people(other, scratch)
        names = {one.id: one.name for one in theirs.all() if one.name is not None}
        indexes = _add_indexes(other, catalogue.store, on_index)
        catalogue.refresh()
        before = {one.id: one.name for one in people.stored.all() if one.name is not None}
        last = max((one.number for one in people.stored.log()), default=0)
        restored = people.restore(scratch / _DECISIONS)
        numbers = range(last + 1, max((one.number for one in people.stored.log()), default=0) + 1)
    came = {restored.renumbered.get(number, number): name for number, name in names.items()}
    united: list[United] = []
    conflicts = indexes.conflicts
    if restored.added:
        united, apart = _same_names(people.stored, before, came)
        conflicts += [*_names(people.stored, before, came), *apart, *_faces(people, numbers)]
    return Merged(
        tuple(indexes.added), indexes.known, tuple(indexes.failed), restored, tuple(united), tuple(conflicts)
    )


def _check(other: Path, store: Path) -> None:
    if not other.is_dir():
        raise OptionError(f"{printable(other)} is no folder; name the folder of another store")
    if store.exists() and other.samefile(store):
        raise OptionError(f"{printable(other)} is this store itself; name another")
    if not folders.index_folders(other) and not (other / LIBRARY).exists():
        raise OptionError(f"{printable(other)} holds no index; name the folder of another store")


def _other_people(other: Path, scratch: Path) -> LibraryPeople:
    """The people of the other store, in a copy of its library.db whose every page and value was checked."""
    path = other / LIBRARY
    try:
        if path.exists() and path.stat().st_size:
            if not path.is_file():
                raise sqlite3.DatabaseError("it is no file")
            uri = f"{path.resolve().as_uri()}?mode=ro"
            with (
                closing(sqlite3.connect(uri, uri=True, timeout=30)) as source,
                closing(sqlite3.connect(scratch / LIBRARY)) as copy,
            ):
                source.backup(copy)
        LibraryDatabase(scratch).check()
        people = LibraryPeople(scratch)
        people.backup(scratch / _DECISIONS)
        read_backup(scratch / _DECISIONS)
        people.all()
    except (sqlite3.Error, OSError, StoreError, OptionError) as error:
        reason = printable(str(error)).replace(printable(scratch), printable(other))
        raise DamagedLibraryError(
            f"the decisions of {printable(other)} cannot be used, and nothing was merged: {reason}"
        ) from error
    return people


def _add_indexes(other: Path, store: Path, on_index: Callable[[int, int], None]) -> _Indexes:
    found, sources = _Indexes(), folders.index_folders(other)
    mine: dict[str | None, list[Path]] = {}  # listed once: a large store takes long to list
    for folder in folders.index_folders(store):
        mine.setdefault(hash_suffix(folder.name), []).append(folder)
    for done, source in enumerate(sources, start=1):
        same = mine.setdefault(hash_suffix(source.name), [])
        own = readable_index(same)
        try:
            if own is None and (added := install_index(source, store)) is not None:
                found.added.append(added)
                same.append(added)
            elif own is not None and _same(own / DATABASE, source / DATABASE):
                found.known += 1
            else:
                name = printable(source.name)
                found.conflicts.append(
                    Conflict(
                        "video",
                        f"{name} is indexed in both stores, not in the same way; the index here stays",
                    )
                )
        except UnwritableError:
            raise
        except (StoreError, InputError, OSError) as error:
            found.failed.append((source, _as_store_error(source, error)))
        on_index(done, len(sources))
    return found


def _same(one: Path, other: Path) -> bool:
    """Have two files the same bytes? Nothing that is no file is read."""
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return hash_file(one) == hash_file(other)


def _as_store_error(source: Path, error: StoreError | InputError | OSError) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, InputError):  # of reading it to compare
        return StoreError(str(error))
    return StoreError(f"{printable(source)} cannot be read: {error.strerror}; check its permissions")


def _names(people: LibraryPeople, before: Mapping[int, str], came: Mapping[int, str]) -> list[Conflict]:
    """People of both stores who have another name in each."""
    found = []
    for number, name in sorted(came.items()):
        own, now = before.get(number), _current(people, number)
        if own is not None and now is not None and name_key(own) != name_key(name):
            text = (
                f'person {number} is "{printable(own)}" here and "{printable(name)}" there; '
                f'the later decision counts: "{printable(now.title)}"'
            )
            found.append(Conflict("name", text, (number,)))
    return found


def _same_names(
    people: LibraryPeople, before: Mapping[int, str], came: Mapping[int, str]
) -> tuple[list[United], list[Conflict]]:
    """Make people of one name one who resemble each other; gives also those that may be one and are kept apart."""
    by_name: dict[str, list[int]] = {}
    by_look: dict[int, list[int]] = {}
    for number, name in sorted(before.items()):
        by_name.setdefault(name_key(name), []).append(number)
        for look in people.resembled(number):
            by_look.setdefault(look, []).append(number)
    united, conflicts = [], []
    for number in sorted(came.keys() - before.keys()):
        new = _current(people, number)
        if new is None or new.name is None or new.id in before:
            continue
        seconds = people.resembled(new.id)
        alike: dict[int, float] = {}
        for look, own in seconds.items():
            for one in by_look.get(look, ()):
                alike[one] = alike.get(one, 0.0) + own
        most = _MOSTLY * sum(seconds.values())
        namesakes = by_name.get(name_key(new.name), [])
        for one in sorted({*namesakes, *(one for one, own in alike.items() if own > most)}):
            person = _current(people, one)
            if person is None or person.id == new.id:
                continue
            if (
                one in namesakes
                and alike.get(one, 0.0) > most
                and not _decided_apart(people, person.id, new.id)
            ):
                decision, _ = people.merge(person.id, new.id)
                united.append(United(person, new.id, decision))
                break
            conflicts.append(_apart(person, new, one in namesakes))
    return united, conflicts


def _apart(person: LibraryPerson, new: LibraryPerson, namesakes: bool) -> Conflict:
    one, other = printable(person.title), printable(new.title)
    what = (
        f'two people are named "{one}", person {person.id} here and person {new.id} of the other store'
        if namesakes
        else f'"{one}" here (person {person.id}) and "{other}" of the other store (person {new.id}) resemble each other'
    )
    remedy = f"facereel people merge {person.id} {new.id}"
    return Conflict(
        "people", f"{what}; they are kept apart, if both are one person run: {remedy}", (person.id, new.id)
    )


def _decided_apart(people: LibraryPeople, one: int, other: int) -> bool:
    """Was a merge of two people undone, or does a decision say of a face of the one that it is not the other?"""
    if any(
        entry.kind == "merge" and {entry.person, entry.other} == {one, other} for entry in people.log(one)
    ):
        return True
    return any(
        {place.sha256 for place in people.rulings(first).rejected}
        & {member.sha256 for member in people.members(second)}
        for first, second in ((one, other), (other, one))
    )


def _faces(people: PeopleOfLibrary, numbers: range) -> list[Conflict]:
    """Faces of indexed videos of which decisions here and those that came, by their `numbers`, say different things."""
    stored, found = people.stored, list[Conflict]()
    came = (entry for entry in stored.log() if entry.number in numbers)
    for sha256 in sorted({place.sha256 for entry in came for _, place in entry.places}):
        try:
            index = people.catalogue.by_hash(sha256)
        except StoreError:
            continue
        if index is None:
            continue
        with index:
            pairs = rulings_of_tracklets(stored, index)
            name = printable(index.video.name)
        here = verdicts(pair for pair in pairs if pair[1].decision < numbers.start)
        there = verdicts(pair for pair in pairs if pair[1].decision in numbers)
        now = verdicts(pairs)
        groups: dict[tuple[str, str, str], list[int]] = {}
        for tracklet in sorted(here.keys() & there.keys()):
            if _contradict(here[tracklet], there[tracklet]):
                words = tuple(_words(stored, one[tracklet]) for one in (here, there, now))
                groups.setdefault((words[0], words[1], words[2]), []).append(tracklet)
        for (own, others, result), tracklets in groups.items():
            faces = ", ".join(f"{name}#t{number}" for number in tracklets[:_MOST_NAMED])
            more = f" and {len(tracklets) - _MOST_NAMED} more" if len(tracklets) > _MOST_NAMED else ""
            text = f"{faces}{more}: {own} here, {others} there; the later decision counts: {result}"
            found.append(Conflict("face", text))
    return found


def _contradict(here: FaceVerdict, there: FaceVerdict) -> bool:
    own, other = here.confirmed or here.anchor, there.confirmed or there.anchor
    return (
        (own is not None and other is not None and own != other)
        or own in there.rejected
        or other in here.rejected
    )


def _words(people: LibraryPeople, verdict: FaceVerdict) -> str:
    whose = verdict.confirmed or verdict.anchor
    if whose is not None:
        return printable(_title(people, whose))
    return " and ".join(f"not {printable(_title(people, one))}" for one in sorted(verdict.rejected))


def _title(people: LibraryPeople, number: int) -> str:
    person = _current(people, number)
    return f"person {number}" if person is None else person.title


def _current(people: LibraryPeople, number: int) -> LibraryPerson | None:
    """Who an id is now; None for one that was forgotten, or of whom nothing came."""
    with suppress(OptionError):
        return people.get(number)
    return None
