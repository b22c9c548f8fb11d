"""Whom a change is about, and how it is said to the page: its decisions, by which it can be undone, and a sentence."""

from __future__ import annotations

from typing import Any

from facereel import api
from facereel.query.web.guard import Refused


def title(person: api.LibraryPerson) -> str:
    """How pages call somebody."""
    return person.name or f"person {person.id}"


def same_person(people: api.PeopleOfLibrary, number: int) -> api.LibraryPerson:
    """The person of an id; refused where they were merged into somebody else since the page was shown.

    The library follows a merge, but what is said on a page about Ben must not happen to Anna.
    """
    person = people.find(str(number))
    if person.id != number:
        raise Refused(409, f"person {number} is now part of {title(person)}; reload the page")
    return person


def described(change: api.Change, message: str) -> dict[str, Any]:
    """A change as a page hears of it: what to say, and the decisions that Undo undoes."""
    return {
        "decisions": list(change.decisions), "message": message,
        "person": {"id": change.person.id, "name": change.person.name},
    }  # fmt: skip
