"""What is settled about the faces of a video before any similarity is compared: the user's decisions, and --not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from facereel.query.records import PersonQuery
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Rulings:
    """Which tracklets of one video are the person of a query, and which are not, by their numbers in its index."""

    confirmed: frozenset[int] = frozenset()  # tracklets that the user said are the person
    clusters: frozenset[int] = frozenset()  # that are the person's in the library
    # Tracklets that the user said are not the person, or are somebody else.
    excluded: frozenset[int] = frozenset()
    refused: Mapping[int, str] = field(default_factory=dict)  # clusters that do not match, and why not

    def __bool__(self) -> bool:
        return bool(self.confirmed or self.clusters or self.excluded or self.refused)


NO_RULINGS = Rulings()


class Decisions(Protocol):
    """The user's decisions, as a search asks for them."""

    def videos(self, query: PersonQuery) -> Collection[str]:
        """The sha256 of the videos that are to be opened for a person, however unlike their faces are."""

    def of(self, index: VideoIndex, query: PersonQuery) -> Rulings:
        """What is settled about one video for a person."""

    def of_others(self, index: VideoIndex, people: Sequence[PersonQuery]) -> Collection[int]:
        """The tracklets of a video that are, by name or by decision, somebody else than these people."""


class NoDecisions:
    """Those of a library in which nobody decided anything."""

    def videos(self, query: PersonQuery) -> Collection[str]:
        """None."""
        return ()

    def of(self, index: VideoIndex, query: PersonQuery) -> Rulings:
        """Nothing."""
        return NO_RULINGS

    def of_others(self, index: VideoIndex, people: Sequence[PersonQuery]) -> Collection[int]:
        """None."""
        return ()


def refusing(rulings: Rulings, numbers: Ints, person: Floats, unlike: Floats, names: str) -> Rulings:
    """Rulings that also refuse the clusters (C,) that are more like the photos of --not than like the person.

    Refused are also those that are the person's in the library: only a face that was confirmed outranks --not.
    `person` and `unlike` (C,) are the similarities of the clusters to both.
    """
    closer = {
        int(number): f"more similar to {names} ({other:.2f}) than to the person ({own:.2f})"
        for number, own, other in zip(numbers, person, unlike, strict=True)
        if other > own
    }
    return replace(rulings, clusters=rulings.clusters - closer.keys(), refused=closer | dict(rulings.refused))
