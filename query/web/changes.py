"""Whom a change is about, and how it is said to the page: its decisions, by which it can be undone, and a sentence."""

from __future__ import annotations

from typing import Any

from facereel import api
from facereel.query.web.fields import Fields
from facereel.query.web.guard import Refused
from facereel.query.web.site import Site


class MergedPersonError(Refused):
    """A page is about somebody who was merged into another person since it was shown; `person` is that one's id."""

    def __init__(self, before: int, now: api.LibraryPerson) -> None:
        super().__init__(409, f"person {before} is now part of {now.title}, so nothing was changed")
        self.person = now.id


def same_person(people: api.PeopleOfLibrary, number: int) -> api.LibraryPerson:
    """The person of an id; refused where they were merged into somebody else since the page was shown.

    The library follows a merge, but what is said on a page about Ben must not happen to Anna.
    """
    person = people.find(str(number))
    if person.id != number:
        raise MergedPersonError(number, person)
    return person


def chosen_faces(site: Site, words: Fields) -> tuple[list[str], dict[str, str]]:
    """The `faces` of a body as the API names them, and the versions of their indexes that the page shows.

    Each has a `folder`, a `tracklet` and a `version`. Raises OptionError where there is none.
    """
    faces: list[str] = []
    versions: dict[str, str] = {}
    for face in words.objects("faces"):
        folder, version = site.index(face.text("folder")), face.text("version")
        faces.append(f"{folder}#t{face.integer('tracklet')}")
        # Of two versions of one index at least one is an old one: the text of none is empty.
        versions[folder] = version if versions.get(folder, version) == version else ""
    if not faces:
        raise api.OptionError("no face is chosen; choose at least one")
    return faces, versions


def described(change: api.Change, message: str) -> dict[str, Any]:
    """A change as a page hears of it: what to say, and the decisions that Undo undoes."""
    return {
        "decisions": list(change.decisions), "message": message,
        "person": {"id": change.person.id, "name": change.person.name},
    }  # fmt: skip
