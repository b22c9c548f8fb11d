"""How a change is said to the page: its decisions, by which it can be undone, and a sentence."""

from __future__ import annotations

from typing import Any

from facereel import api


def title(person: api.LibraryPerson) -> str:
    """How pages call somebody."""
    return person.name or f"person {person.id}"


def described(change: api.Change, message: str) -> dict[str, Any]:
    """A change as a page hears of it: what to say, and the decisions that Undo undoes."""
    return {
        "decisions": list(change.decisions), "message": message,
        "person": {"id": change.person.id, "name": change.person.name},
    }  # fmt: skip
