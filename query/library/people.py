"""The people of a library: a call for each command `people ...`, all but the decisions of which write nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from facereel.query.library.appearances import PersonVideos, videos_of
from facereel.query.library.decisions import LibraryDecisions
from facereel.query.library.moments import Moment, best_moments
from facereel.query.library.persons import ANY_VERSIONS, FoundFace, Persons, Versions, check_name
from facereel.store.index.reader import VideoIndex
from facereel.store.library.backup import Restored
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.decisions import Decision
from facereel.store.library.joining import follow
from facereel.store.library.people import LibraryPeople, LibraryPerson, Member
from facereel.store.library.places import Place, face_tracks
from facereel.store.library.suggestions import Questions, Suggestion, forget_asked, note_asked
from facereel.store.model.errors import NotIndexedError, OptionError, StoreError


@dataclass(frozen=True, slots=True)
class Appearance:
    """A person in one video."""

    video: str  # the file's name; of an index that cannot be opened the start of the video's hash
    folder: Path | None  # of the index; None where it cannot be opened
    clusters: tuple[int, ...]
    tracklets: int
    seconds: float  # for which they are shown
    start: float  # of the first, seconds


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Some of the people of the library."""

    people: tuple[LibraryPerson, ...]
    offset: int  # of the first among all that were asked for
    total: int
    unnamed: int  # people whom the search means and who have no name, whether or not they were asked for
    hidden: int  # people who are hidden, whether or not they were asked for


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """All about a person in short."""

    person: LibraryPerson
    appearances: tuple[Appearance, ...]  # by video
    confirmed: int  # face tracks
    rejected: int
    decisions: tuple[Decision, ...]  # about the person, in order


@dataclass(frozen=True, slots=True)
class PeopleSheet:
    """A contact sheet of the library: a row a person."""

    file: Path
    people: tuple[LibraryPerson, ...]
    left_out: int  # people who are not on it


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision did; several where several people were merged."""

    decisions: tuple[int, ...]  # their numbers in the log, by which they can be undone
    person: LibraryPerson  # as it is now
    faces: tuple[FoundFace, ...] = ()  # that it is about, with the person of each before
    given_up: tuple[str, ...] = ()  # names of people who were merged
    split_off: LibraryPerson | None = None  # the new person of a split


Verdict: TypeAlias = Literal["same", "different", "ignore", "skip"]


class PeopleOfLibrary:
    """The people of one store; `library.people` of the API. Words that name people and faces are those of the commands.

    A PERSON is an id, a name, a face of the library (`movie.mp4#3` is cluster 3 of that video, `movie.mp4#t12` its
    tracklet 12), or a photo. Every call raises OptionError for a word that means nobody or more than one, and the
    errors of an index or a library that cannot be read; those that decide also UnwritableError.

    Numbers of faces are those of one version of an index. Who shows faces to somebody who then decides passes the
    `versions` that were shown, by the name of the index folder, as `Moment.version` and others have them: where an
    index was written anew since, ChangedIndexError is raised and nothing is decided.
    """

    def __init__(self, catalogue: Catalogue, by_photo: Callable[[Path], tuple[LibraryPerson, ...]]) -> None:
        self._catalogue = catalogue
        self._people = catalogue.people
        self._persons = Persons(catalogue, self._people, by_photo)

    @property
    def stored(self) -> LibraryPeople:
        """The people as they are stored; up to date with the indexes as far as these were searched or listed."""
        self._catalogue.settle()
        return self._people

    @property
    def catalogue(self) -> Catalogue:
        """The indexes."""
        return self._catalogue

    # -- Reading

    def has_name(self, name: str) -> bool:
        """Whether somebody has that name."""
        return bool(self._people.by_name(name))

    def all(self, *, unnamed: bool = False, hidden: bool = False) -> tuple[LibraryPerson, ...]:
        """Everybody, by time on screen; `unnamed`: only people without a name, `hidden`: hidden ones too.

        Left out is who has neither a name nor a face, as after all faces were split off.
        """
        self._refresh()
        found = [
            person
            for person in self._people.all()
            if (hidden or not person.hidden)
            and not (unnamed and person.name)
            and (person.name or person.videos or person.hidden or self._people.awaits_video(person.id))
        ]
        return tuple(sorted(found, key=lambda person: (-person.seconds, person.id)))

    def page(
        self,
        *,
        search: str = "",
        named: bool | None = None,
        hidden: bool = False,
        offset: int = 0,
        most: int = 60,
    ) -> PeoplePage:
        """Some of the people, named ones first, then by time on screen: `named` only such, or only others, or all.

        `search` is part of a name, or an id; `hidden` gives the hidden ones alone.
        """
        wanted, everybody = search.strip().casefold(), self.all(hidden=True)
        meant = [
            person
            for person in everybody
            if person.hidden == hidden
            and (wanted in (person.name or "").casefold() or wanted == str(person.id))
        ]
        unnamed = [person for person in meant if person.name is None]
        with_name = [person for person in meant if person.name is not None]
        chosen = {None: with_name + unnamed, True: with_name, False: unnamed}[named]
        return PeoplePage(
            tuple(chosen[offset : offset + most]), offset, len(chosen), len(unnamed),
            sum(person.hidden for person in everybody),
        )  # fmt: skip

    def most_shown(self, most: int) -> tuple[LibraryPerson, ...]:
        """Some people who are not hidden and have faces, named ones first, then by time on screen; reads only them."""
        self._refresh()
        return self._people.most_shown(most)

    def names(self, most: int | None = None) -> tuple[str, ...]:
        """The names of people who are not hidden, in alphabetical order; with `most` the first of them."""
        return self._people.names()[:most]

    def find(self, person: str) -> LibraryPerson:
        """Whom a word means."""
        self._refresh()
        return self._persons.find(person)

    def face(self, face: str, *, versions: Versions = ANY_VERSIONS) -> FoundFace:
        """Which face of the library a word means."""
        self._refresh()
        return self._persons.faces(face, versions)

    def details(self, person: str) -> PersonDetails:
        """Where a person is seen, and what was decided about the person."""
        found = self.find(person)
        rulings = self._people.rulings(found.id)
        by_video: dict[str, list[Member]] = {}
        for member in self._people.members(found.id):
            by_video.setdefault(member.sha256, []).append(member)
        if not by_video:
            by_video = {
                place.sha256: [] for place in rulings.confirmed if self._catalogue.of_content(place.sha256)
            }
        appearances = [self._appearance(found, sha256, members) for sha256, members in by_video.items()]
        return PersonDetails(
            found, tuple(sorted(appearances, key=lambda one: (one.video, one.start))), face_tracks(rulings.confirmed),
            face_tracks(rulings.rejected), self._people.log(found.id),
        )  # fmt: skip

    def videos(
        self, person: str, *, present: Sequence[str] = (), absent: Sequence[str] = (), first: int = 0, most: int = 12
    ) -> PersonVideos:  # fmt: skip
        """Every appearance of a person, `most` videos at a time, those first that show the person longest.

        With `present` and `absent` only frames in which all of those people are in the picture too, and nobody of
        these. Who is in the picture is what the library says; `Library.narrowed` searches.
        """
        found = self.find(person)
        here, away = ([self._persons.find(word) for word in words] for words in (present, absent))
        return videos_of(found, here, away, self._people, self._catalogue, max(0, first), max(1, most))

    def data(self, person: str) -> dict[str, Any]:
        """Everything that is stored of a person: decisions; of each video tracklets, boxes, embeddings, crops."""
        found = self.find(person)
        rulings, decisions = self._people.rulings(found.id), LibraryDecisions(self._people)
        videos = {place.sha256 for place in rulings.confirmed}
        videos |= {member.sha256 for member in self._people.members(found.id)}
        stored, unreadable = [], []
        for sha256 in sorted(videos):
            try:
                index = self._catalogue.by_hash(sha256)
                if index is not None:
                    with index:
                        stored.append(_data_of(index, decisions.tracklets(index, found.id)))
            except StoreError as error:
                unreadable.append({"sha256": sha256, "reason": str(error)})
        return {
            "person": asdict(found), "confirmed": list(map(_place, rulings.confirmed)),
            "rejected": list(map(_place, rulings.rejected)),
            "decisions": [
                asdict(one) | {"places": [{"person": whose, **_place(place)} for whose, place in one.places]}
                for one in self._people.log(found.id)
            ],
            "videos": stored, "unreadable": unreadable,
        }  # fmt: skip

    def log(self, person: str | None = None, *, last: int | None = None) -> tuple[Decision, ...]:
        """The decisions in their order, about one person or all; `last`: only so many of the newest."""
        return self._people.log(None if person is None else self.find(person).id, last)

    def sheet(self, out: Path, *, most: int = 40, unnamed: bool = False) -> PeopleSheet:
        """Draw people as a PNG, a row a person, those with most time on screen first.

        Raises UnwritableError, and OptionError where there is nobody to draw.
        """
        from facereel.query.export.people_sheet import write_people_sheet

        people = [person for person in self.all(unnamed=unnamed) if person.videos]
        if not people:
            whom = "without a name " if unnamed else ""
            raise OptionError(f"nobody {whom}is in the library, so nothing is drawn; run: facereel people")
        shown, left_out = people[:most], max(0, len(people) - most)
        tracklets = LibraryDecisions(self._people).tracklets
        write_people_sheet(shown, left_out, self._people, self._catalogue, tracklets, Path(out))
        return PeopleSheet(Path(out), tuple(shown), left_out)

    def suggest(self, most: int = 10) -> tuple[Suggestion, ...]:
        """Pairs of people who may be one person, those first whose answer gains most; none is suggested twice.

        If they are one, `merge` them; if not, `reject` the faces of one for the other. That they were suggested is
        written down, and nothing else.
        """
        self._refresh()
        return self._catalogue.suggest(most)

    def questions(self, most: int = 10) -> Questions:
        """As `suggest`, without writing down that they were put to anybody; and how many there are."""
        self._refresh()
        return self._catalogue.questions(most)

    def skip(self, person: str, other: str) -> None:
        """Write down that it was asked whether two people are one, and not answered: `questions` leaves it out."""
        note_asked(self._people, [(self.find(person).id, self.find(other).id)])

    def answer(self, person: int, other: int, verdict: Verdict) -> Change:
        """Answer one of `questions`: the two are the same person or different people; or ignore the other, or skip it.

        Only about the people as they were asked about: raises OptionError for an id that was merged or forgotten
        meanwhile, because the question is then another one. Without decisions for `skip`.
        """
        self._refresh()
        faces = []
        if verdict == "different":
            faces = [
                self._persons.faces(f"{one.folder.name}#{cluster}")
                for one in self.details(str(other)).appearances
                if one.folder is not None
                for cluster in one.clusters
            ]
        with self._people.writing():
            now = [self._people.get(one).id for one in (person, other)]
            if now[0] == now[1]:
                raise OptionError(
                    f"person {person} and person {other} are one person already; answer the next question"
                )
            if now != [person, other]:
                raise OptionError(
                    f"person {person} or person {other} was merged meanwhile; answer the next question"
                )
            decisions: list[int] = []
            if verdict == "same":
                decisions.append(self._people.merge(person, other)[0])
            elif verdict == "different":
                decisions.append(self._people.reject(person, _places(faces)))
            elif verdict == "ignore":
                decisions.append(self._people.hide(other))
            elif verdict == "skip":
                note_asked(self._people, [(person, other)])
            else:
                raise OptionError(f"{verdict} is no answer; give same, different, ignore or skip")
        return self._change(other if verdict == "ignore" else person, decisions, tuple(faces))

    def ask_again(self, person: str | None = None, other: str | None = None) -> None:
        """Let `questions` and `suggest` give a pair again, or all, that were suggested or skipped and not answered."""
        pair = None
        if person is not None and other is not None:
            pair = self.find(person).id, self.find(other).id
        forget_asked(self._people, pair)

    def moments(self, person: str, most: int = 6) -> tuple[Moment, ...]:
        """The best faces of a person, of different videos first, each with the stretch in which it is shown."""
        found = self.find(person)
        return best_moments(self._people.members(found.id), self._catalogue, most)

    # -- Deciding

    def name(self, person: str, name: str) -> Change:
        """Give a person a name, or another one; raises OptionError for one that somebody else has."""
        check_name(name)
        found = self.find(person)
        return self._change(found.id, [self._people.name(found.id, name)])

    def merge(self, person: str, others: Sequence[str]) -> Change:
        """Say that people are one person: the others become the first, who keeps its id and name."""
        found = self.find(person)
        gone = [self.find(other) for other in others]
        with self._people.writing():
            merged = [self._people.merge(found.id, other) for other in dict.fromkeys(one.id for one in gone)]
        names = tuple(name for _, name in merged if name)
        return self._change(found.id, [number for number, _ in merged], given_up=names)

    def split(self, person: str, faces: Sequence[str], *, versions: Versions = ANY_VERSIONS) -> Change:
        """Say that faces of a person are somebody else, who becomes a new person.

        A face is a cluster or tracklet of a video; a video alone is all faces of the person in it. Raises OptionError
        for a face that is somebody else's.
        """
        found = self.find(person)
        chosen = _once(self._persons.faces_of(face, found, versions) for face in faces)
        number, new = self._people.split(found.id, _places(chosen))
        return self._change(found.id, [number], chosen, split_off=new)

    def accept(self, person: str, faces: Sequence[str], *, versions: Versions = ANY_VERSIONS) -> Change:
        """Say that faces are a person; from then on they are also what the person is searched by."""
        found, chosen = self.find(person), self._chosen(faces, versions)
        return self._change(found.id, [self._people.accept(found.id, _places(chosen))], chosen)

    def reject(self, person: str, faces: Sequence[str], *, versions: Versions = ANY_VERSIONS) -> Change:
        """Say that faces are not a person; they never match it again."""
        found, chosen = self.find(person), self._chosen(faces, versions)
        return self._change(found.id, [self._people.reject(found.id, _places(chosen))], chosen)

    def identify(
        self, face: str, who: str, *, whole: bool = False, versions: Versions = ANY_VERSIONS
    ) -> Change:
        """Say who a face is, by the id or name of somebody, or by a new name; several decisions at most, all or none.

        The face alone becomes that person, or a new one of that name; with `whole` everybody it is of now does.
        """
        found = self.face(face, versions=versions)
        known = who.strip().isdecimal() or self.has_name(who)
        if not known:
            check_name(who)
        person = self.find(who.strip()) if known else None
        if person is not None and (found.person is None or found.person.id == person.id):
            return self.accept(str(person.id), [face], versions=versions)
        if whole and found.person is not None:
            own = str(found.person.id)
            return self.name(own, who) if person is None else self.merge(str(person.id), [own])
        with self._people.writing():
            # Split off first: a face that is accepted takes the rest of its cluster along.
            if found.person is not None:
                number, new = self._people.split(found.person.id, _places([found]))
            else:
                new = self._people.add_person()
                number = self._people.accept(new, _places([found]))
            last = self._people.name(new, who) if person is None else self._people.merge(person.id, new)[0]
        return self._change(new, [number, last], (found,))

    def hide(self, person: str, *more: str) -> Change:
        """Leave people out of lists, sheets, suggestions and `everybody`, all or none; the change is about the first.

        Raises OptionError for one who is hidden.
        """
        return self._set_hidden((person, *more), True)

    def unhide(self, person: str, *more: str) -> Change:
        """Take hidden people back, all or none; raises OptionError for one who is not hidden."""
        return self._set_hidden((person, *more), False)

    def undo(self, *decisions: int) -> tuple[Decision, ...]:
        """Undo decisions by their numbers in the log, all or none, or the last one; returns what was undone."""
        with self._people.writing():
            newest_first = [self._people.undo(number) for number in sorted(set(decisions), reverse=True)]
            undone = newest_first or [self._people.undo()]
        self._catalogue.settle()
        return tuple(undone)

    def backup(self, file: Path) -> int:
        """Write all decisions into a new JSON file; returns how many. Raises ResultExistsError, UnwritableError."""
        return self._people.backup(Path(file))

    def restore(self, file: Path) -> Restored:
        """Add the decisions of a backup that are not here; raises OptionError for what is no whole backup."""
        restored = self._people.restore(Path(file))
        self._catalogue.refresh()
        follow(self._people, self._catalogue.settle())
        self._catalogue.settle()
        return restored

    def erase(self, person: int) -> None:
        """Erase names and decisions of a person whose faces were removed; only the id stays, and is not used again."""
        self._people.forget(person)
        self._catalogue.settle()

    # -- What the calls share

    def _refresh(self) -> None:
        """Let the library know the indexes that are there, and decisions whose consequences are not written yet."""
        self._catalogue.refresh()
        self._catalogue.settle()

    def _chosen(self, faces: Sequence[str], versions: Versions) -> tuple[FoundFace, ...]:
        return _once(self.face(face, versions=versions) for face in faces)

    def _set_hidden(self, persons: Sequence[str], hidden: bool) -> Change:
        chosen = list(dict.fromkeys(self.find(person).id for person in persons))
        decide = self._people.hide if hidden else self._people.show
        with self._people.writing():
            for person in map(self._people.get, chosen):
                if person.hidden == hidden:
                    state, option = ("hidden already", "run") if hidden else ("not hidden", "see who is")
                    raise OptionError(f"{person.title} is {state}; {option}: facereel people --hidden")
            decisions = [decide(person) for person in chosen]
        return self._change(chosen[0], decisions)

    def _change(
        self,
        person: int,
        decisions: Sequence[int],
        faces: tuple[FoundFace, ...] = (),
        given_up: tuple[str, ...] = (),
        split_off: int | None = None,
    ) -> Change:
        self._catalogue.settle()
        new = None if split_off is None else self._people.get(split_off)
        return Change(tuple(decisions), self._people.get(person), faces, given_up, new)

    def _appearance(self, person: LibraryPerson, sha256: str, members: Sequence[Member]) -> Appearance:
        """A person in a video, by clusters; without any by the single faces that decisions confirm."""
        clusters = tuple(member.cluster for member in members)
        seconds = sum(member.seconds for member in members)
        try:
            index = self._catalogue.by_hash(sha256)
            if index is None:
                raise NotIndexedError(f"{sha256[:12]} is not in the library")
            with index:
                own = {item.number for item in index.tracklets() if item.cluster in clusters}
                times = index.tracklet_seconds()
                if not members:
                    own = set(LibraryDecisions(self._people).tracklets(index, person.id))
                    seconds = sum(times[number][1] - times[number][0] for number in own)
                start = min((times[number][0] for number in own), default=0.0)
                return Appearance(index.video.name, index.folder, clusters, len(own), seconds, start)
        except StoreError:
            return Appearance(sha256[:12], None, clusters, 0, seconds, 0.0)


def _once(faces: Iterable[FoundFace]) -> tuple[FoundFace, ...]:
    """Each tracklet once: a face may be named twice, or by its tracklet and its cluster."""
    found: list[FoundFace] = []
    known: set[tuple[Path, int]] = set()
    for face in faces:
        new = tuple(number for number in face.tracklets if (face.folder, number) not in known)
        if new:
            found.append(replace(face, tracklets=new))
        known |= {(face.folder, number) for number in new}
    return tuple(found)


def _places(faces: Sequence[FoundFace]) -> tuple[Place, ...]:
    """Each place once, though it may belong to two of the faces."""
    return tuple(dict.fromkeys(place for face in faces for place in face.places))


def _place(place: Place) -> dict[str, Any]:
    return asdict(place) | {"box": list(place.box)}


def _data_of(index: VideoIndex, chosen: frozenset[int]) -> dict[str, Any]:
    """Everything that one index holds of some of its faces."""
    own = [item for item in index.tracklets() if item.number in chosen]
    numbers = [item.number for item in own]
    sightings, exemplars, seconds = (
        index.sightings(numbers),
        index.exemplars(numbers),
        index.tracklet_seconds(),
    )
    return {
        "video": index.video.name,
        "path": index.video.path,
        "sha256": index.video.sha256,
        "folder": str(index.folder),
        "tracklets": [
            {
                "tracklet": item.number, "cluster": item.cluster, "start_frame": item.start, "end_frame": item.end,
                "start": seconds[item.number][0], "end": seconds[item.number][1],
                "clothes": None if item.clothes is None else base64.b64encode(item.clothes).decode(),
                "boxes": [[round(value, 1) for value in box] for box in sightings[item.number].boxes.tolist()],
                "exemplars": [
                    {
                        "frame": exemplar.frame, "box": [round(value, 1) for value in exemplar.box.tolist()],
                        "quality": exemplar.quality, "embedding": [round(v, 6) for v in exemplar.embedding.tolist()],
                        "crop": base64.b64encode(exemplar.jpeg).decode(),
                    }
                    for exemplar in exemplars.get(item.number, ())
                ],
            }
            for item in own
        ],
    }  # fmt: skip
