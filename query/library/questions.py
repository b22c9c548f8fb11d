"""People of the library as questions: each with references, so that a search finds them in other videos too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facereel.query.library.decisions import LibraryDecisions
from facereel.query.library.people import PeopleOfLibrary
from facereel.query.library.persons import Face
from facereel.query.library.references import cluster_references, person_references
from facereel.query.records import OtherPeople, PersonQuery, Reference
from facereel.store.files.names import printable, result_name
from facereel.store.index.reader import VideoIndex
from facereel.store.library.people import LibraryPerson
from facereel.store.model.errors import FaceReelError, OptionError
from facereel.store.model.records import EngineInfo


def person_query(
    people: PeopleOfLibrary, word: str, engine: EngineInfo, *, faceless: bool = False
) -> PersonQuery:
    """The person that a word means; a face whose cluster is nobody's in the library stands for itself.

    Raises OptionError for a word that means nobody or more than one, and for a person without a clear face; with
    `faceless` that person is given without references, whom nothing but the library itself finds.
    """
    if (face := Face.parse(word)) is not None and not people.has_name(word):
        found = people.face(word)
        if found.person is None or face.tracklet is not None:
            with VideoIndex(found.folder) as index:
                references = cluster_references(index, found.tracklets)
            if not references:
                raise OptionError(f"{printable(word)} shows no clear face; name another one")
            number = None if found.person is None else found.person.id
            return PersonQuery(_name(found.person, word), references, (), person=number)
    person = people.find(word)
    references = person_references(person.id, people.stored, people.catalogue, engine)
    if not references and not faceless:
        raise OptionError(
            f"{person.title} has no clear face in the library to search by; name another PERSON"
        )
    return PersonQuery(_name(person, word), references, (), person=person.id)


def everybody(
    people: PeopleOfLibrary, videos: Sequence[Path] | None, engine: EngineInfo
) -> tuple[tuple[PersonQuery, ...], list[tuple[str, FaceReelError]]]:
    """Everybody who is not hidden and has a clear face, in the library or in some videos; and who cannot be used.

    Raises OptionError where nobody is left.
    """
    found: list[PersonQuery] = []
    failed: list[tuple[str, FaceReelError]] = []
    stored = people.stored
    for person in _people_in(people, videos):
        try:
            references = person_references(person.id, stored, people.catalogue, engine)
        except FaceReelError as error:
            failed.append((person.title, error))
            continue
        if references:
            found.append(PersonQuery(_name(person, ""), references, (), person.id, only_library=True))
    if not found and failed:
        raise failed[0][1]
    if not found:
        raise OptionError("there is nobody with a clear face; run: facereel people")
    return distinct(found), failed


def narrowed(
    person: PersonQuery,
    unlike: Sequence[Reference],
    present: Sequence[PersonQuery],
    absent: Sequence[PersonQuery],
) -> PersonQuery:
    """A question that also says who is not meant and who else has to be in the picture; its name says so too.

    Raises OptionError where one person of the library is asked for in two of these ways.
    """
    here, away = ({one.person: one.name for one in others if one.person} for others in (present, absent))
    for one, option in ((person, "--with"), (person, "--without")):
        if one.person in (here if option == "--with" else away):
            raise OptionError(f"{one.name} is searched for; name somebody else for {option}")
    for number in here.keys() & away.keys():
        raise OptionError(f"{here[number]} cannot be in the picture and not; leave --with or --without out")
    others = OtherPeople(tuple(one.name for one in present), tuple(one.name for one in absent))
    name = person.name
    if others.present:
        name += f" with {' and '.join(others.present)}"
    if others.absent:
        name += f" without {' and '.join(others.absent)}"
    return replace(person, name=result_name(name, "person"), unlike=tuple(unlike), others=others)


def distinct(persons: Sequence[PersonQuery]) -> tuple[PersonQuery, ...]:
    """The people, each of the library once, with names of which each gives another folder."""
    names: set[str] = set()
    found: list[PersonQuery] = []
    for person in persons:
        if person.person is not None and person.person in (one.person for one in found):
            continue
        name = person.name
        if name.casefold() in names:
            name = f"{name} {person.person}" if person.person is not None else f"{name} {len(names) + 1}"
        names.add(name.casefold())
        found.append(replace(person, name=name))
    return tuple(found)


def _people_in(people: PeopleOfLibrary, videos: Sequence[Path] | None) -> tuple[LibraryPerson, ...]:
    everyone = people.all()
    if videos is None:
        return tuple(person for person in everyone if person.videos)
    there, decisions = set[int](), LibraryDecisions(people.stored)
    for name in videos:
        with people.catalogue.find(name) as index:
            there |= set(decisions.owners(index).values())
    return tuple(person for person in everyone if person.id in there)


def _name(person: LibraryPerson | None, word: str) -> str:
    """The name of a person's result."""
    return result_name(word, "person") if person is None else result_name(person.title, f"person {person.id}")
