"""What the user's decisions say of one video, in numbers of its index, for a person who is searched for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from facereel.query.records import PersonQuery
from facereel.query.search.certainty import Criterion
from facereel.query.search.rulings import NO_RULINGS, Rulings
from facereel.query.search.scope import Scope
from facereel.query.search.search import PersonMatches, search
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.library.decisions import FaceVerdict, verdicts
from facereel.store.library.joining import rulings_of_tracklets
from facereel.store.library.people import LibraryPeople, LibraryPerson, Owner
from facereel.store.model.errors import OptionError

# Share of the frames of an answer that makes one person of the library the one whom photos show.
_MOST_FRAMES = 0.5


class LibraryDecisions:
    """The decisions of a library for a search; see the protocol Decisions."""

    def __init__(self, people: LibraryPeople) -> None:
        self._people = people
        # A search looks for everybody in one video before it opens the next.
        self._last: tuple[VideoIndex, _Standing] | None = None
        self._persons: dict[int, LibraryPerson] = {}  # by the id in a query

    def videos(self, query: PersonQuery) -> Collection[str]:
        """The videos with confirmed faces of a person; in a question about the person itself all that show them."""
        if query.person is None:
            return ()
        confirmed = {place.sha256 for place in self._people.rulings(query.person).confirmed}
        if not query.from_library:
            return confirmed
        return confirmed | {member.sha256 for member in self._people.members(query.person)}

    def confirmed(self, index: VideoIndex, person: int) -> frozenset[int]:
        """The tracklets of a video of which the user said that they are a person."""
        ruled = self._standing(index).verdicts
        return frozenset(number for number, verdict in ruled.items() if verdict.confirmed == person)

    def owners(self, index: VideoIndex) -> dict[int, int]:
        """Whose the tracklets of a video are, by number: by decision, or with the cluster; without those of nobody."""
        return dict(self._standing(index).owners)

    def tracklets(self, index: VideoIndex, person: int) -> frozenset[int]:
        """The tracklets of a video that are a person's: by decision, or with the clusters that are the person's."""
        return frozenset(number for number, owner in self.owners(index).items() if owner == person)

    def of(self, index: VideoIndex, query: PersonQuery) -> Rulings:
        """What is settled about one video; a question without photos also gets the clusters of the person.

        A cluster of somebody else is refused where both have a name, where it is somebody else's by decision, and where
        only the library is asked.
        """
        if query.person is None:
            return NO_RULINGS
        standing, person = self._standing(index), self._person(query.person)
        own = {number for number, owner in standing.cluster_owners.items() if owner.id == person.id}
        refused = {
            number: f"it is {owner.name or f'person {owner.id}'} in the library"
            for number, owner in standing.cluster_owners.items()
            if number not in own
            and (
                query.only_library
                or (owner.name and person.name)
                or standing.by_decision.get(number) == owner.id
            )
        }
        excluded = (n for n, verdict in standing.verdicts.items() if _is_excluded(verdict, person.id))
        return Rulings(
            confirmed=self.confirmed(index, person.id),
            clusters=frozenset(own) if query.from_library else frozenset(),
            excluded=frozenset(excluded),
            refused=refused,
        )

    def of_others(self, index: VideoIndex, people: Sequence[PersonQuery]) -> frozenset[int]:
        """The tracklets of a video that are, by name or by decision, somebody else than these people.

        A face that was rejected is somebody else only where it was rejected for all of them.
        """
        asked = {None if query.person is None else self._person(query.person).id for query in people}
        standing = self._standing(index)
        named = {owner.id for owner in standing.cluster_owners.values() if owner.name}
        confirmed = {number for number, verdict in standing.verdicts.items() if verdict.confirmed is not None}
        cluster_of = {item.number: item.cluster for item in index.tracklets()}
        of_somebody_else = {
            number
            for number, owner in standing.owners.items()
            if owner not in asked
            and (
                owner in named or number in confirmed or standing.by_decision.get(cluster_of[number]) == owner
            )
        }
        rejected = {number for number, verdict in standing.verdicts.items() if verdict.rejected >= asked}
        return frozenset(of_somebody_else | rejected)

    def _standing(self, index: VideoIndex) -> _Standing:
        if self._last is None or self._last[0] is not index:
            self._last = index, _Standing.read(index, self._people)
        return self._last[1]

    def _person(self, number: int) -> LibraryPerson:
        if number not in self._persons:
            self._persons[number] = self._people.get(number)
        return self._persons[number]


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the library says of one video, whoever is looked for."""

    verdicts: Mapping[int, FaceVerdict]  # by number of tracklet
    cluster_owners: Mapping[int, Owner]  # by number of cluster
    # Whose the tracklets are, by number: by decision, or with the cluster; without those of nobody.
    owners: Mapping[int, int]
    # The person of each cluster of which a tracklet is confirmed for that person, and none for another.
    by_decision: Mapping[int, int]

    @staticmethod
    def read(index: VideoIndex, people: LibraryPeople) -> _Standing:
        """That of an open index; raises the errors of VideoIndex and LibraryPeople."""
        found = verdicts(rulings_of_tracklets(people, index))
        clusters = people.owners_of(index.video.sha256)
        owners: dict[int, int] = {}
        confirmed: dict[int, set[int]] = {}
        for item in index.tracklets():
            verdict, owner = found.get(item.number, FaceVerdict()), clusters.get(item.cluster)
            if verdict.confirmed is not None:
                owners[item.number] = verdict.confirmed
                confirmed.setdefault(item.cluster, set()).add(verdict.confirmed)
            elif owner is not None and owner.id not in verdict.rejected:
                owners[item.number] = owner.id
        by_decision = {cluster: min(whose) for cluster, whose in confirmed.items() if len(whose) == 1}
        return _Standing(found, clusters, owners, by_decision)


def search_decided(
    people: Sequence[PersonQuery], where: Scope, criterion: Criterion, library: LibraryPeople
) -> list[PersonMatches]:
    """`search` with the decisions of a library.

    Photos whose sure matches are those of one person about whom there are decisions get these decisions too: they are
    asked for a second time.
    """
    if not library.log(last=1) and all(person.person is None for person in people):
        return search(people, where, criterion)
    decisions = LibraryDecisions(library)
    answers = search(people, where, criterion, decisions)
    again: dict[int, PersonQuery] = {}
    for place, answer in enumerate(answers):
        found = owners(answer, library) if answer.person.person is None else ()
        if len(found) == 1 and found[0].decisions:
            again[place] = replace(answer.person, person=found[0].id)
    for place, answer in zip(again, search([*again.values()], where, criterion, decisions), strict=True):
        answers[place] = answer
    return answers


def owners(answer: PersonMatches, people: LibraryPeople) -> tuple[LibraryPerson, ...]:
    """The people of the library whom the sure matches of an answer show, by frames; one with most of them alone."""
    frames = frames_by_owner(answer, people)
    total = sum(len(sightings) for _, sightings in answer.matches)
    most = [number for number, own in frames.most_common(1) if own > _MOST_FRAMES * total]
    return tuple(map(people.get, most or [number for number, _ in frames.most_common()]))


def somebody_else(
    index: VideoIndex, answers: Sequence[PersonMatches], people: LibraryPeople
) -> frozenset[int]:
    """The tracklets of a video that are, by name or by decision, nobody whom the answers are about.

    Photos are about everybody of the library who is among their sure matches.
    """
    asked = [answer.person for answer in answers]
    asked += [
        replace(answer.person, person=owner.id)
        for answer in answers
        if answer.person.person is None
        for owner in owners(answer, people)
    ]
    return LibraryDecisions(people).of_others(index, asked)


def check_asked_once(answers: Sequence[PersonMatches], people: LibraryPeople) -> None:
    """Raise OptionError where photos show somebody of the library who is searched for, too."""
    asked = {answer.person.person for answer in answers} - {None}
    for answer in answers:
        if (
            answer.person.person is None
            and len(found := owners(answer, people)) == 1
            and found[0].id in asked
        ):
            raise OptionError(
                f"{printable(answer.person.references[0].path)} shows {found[0].title}, who is asked for, too; "
                "leave one of them out"
            )


def frames_by_owner(answer: PersonMatches, people: LibraryPeople) -> Counter[int]:
    """In how many frames the sure matches of an answer lie in clusters of each person of the library."""
    owners: dict[str, dict[int, Owner]] = {}
    frames: Counter[int] = Counter()
    for match, sightings in answer.matches:
        sha256 = match.video.sha256
        if sha256 not in owners:
            owners[sha256] = people.owners_of(sha256)
        person = owners[sha256].get(match.tracklet.cluster)
        if person is not None:
            frames[person.id] += len(sightings)
    return frames


def _is_excluded(verdict: FaceVerdict, person: int) -> bool:
    elsewhere = verdict.confirmed is not None and verdict.confirmed != person
    return elsewhere or person in verdict.rejected
