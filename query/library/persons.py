"""PERSON: whom a word means, in every command: an id, a name, a face of the library, or a photo."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from facereel.query.library.decisions import LibraryDecisions
from facereel.store.files.kinds import PHOTO_SUFFIXES, VIDEO_SUFFIXES
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.library.places import Place, places_of
from facereel.store.model.errors import ChangedIndexError, NotIndexedError, OptionError

# `movie.mp4#3` is cluster 3 of that video, `movie.mp4#t12` its tracklet 12.
_FACE = re.compile(r"(?P<video>.+)#(?P<tracklet>t?)(?P<number>[0-9]{1,9})", re.DOTALL)
_FACE_END = re.compile(r"#t?[0-9]+\s*$")
_MOST_CANDIDATES = 5  # that an error names

# By the name of an index folder the version of the index whose numbers words use; others are taken as they are now.
Versions: TypeAlias = Mapping[str, str]
ANY_VERSIONS: Versions = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Face:
    """A face of the library as it is written: a cluster or a tracklet of a video."""

    video: str  # name, path or folder
    cluster: int | None
    tracklet: int | None

    @classmethod
    def parse(cls, text: str) -> Face | None:
        """The face that a word names; None for a word of another form."""
        found = _FACE.fullmatch(text)
        if found is None:
            return None
        number = int(found["number"])
        return cls(found["video"], None, number) if found["tracklet"] else cls(found["video"], number, None)


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face of the library in its index."""

    folder: Path  # of the index
    sha256: str  # of the video
    video: str  # its name
    cluster: int
    tracklets: tuple[int, ...]
    places: tuple[Place, ...]
    person: (
        LibraryPerson | None
    )  # whose it is: of a cluster as a whole, of a tracklet by what was decided about it
    version: str  # of the index, by which the face has its number


class Persons:
    """Finds out whom a word means.

    `by_photo` gives the people of the library whom a photo surely shows, most likely first.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        people: LibraryPeople,
        by_photo: Callable[[Path], tuple[LibraryPerson, ...]],
    ) -> None:
        self._catalogue, self._people, self._by_photo = catalogue, people, by_photo
        self._decisions = LibraryDecisions(people)

    def find(self, text: str) -> LibraryPerson:
        """Whom a word means: an id before a name, a name before a face, a face before a photo.

        Raises OptionError for nobody and for more than one, and the errors of opening an index.
        """
        if text.removeprefix("-").isdecimal():
            return self._people.get(
                int(text[:20])
            )  # a longer one is nobody's either, and may be none to Python
        named = self._people.by_name(text)
        if len(named) > 1:
            raise OptionError(f'"{printable(text)}" names {len(named)} people; give an id: {_listed(named)}')
        if named:
            return named[0]
        if (face := Face.parse(text)) is not None:
            found = self.face(face)
            if found.person is None:
                raise OptionError(
                    f"{printable(text)} is nobody in the library yet; run: facereel people, then try again"
                )
            return found.person
        if is_photo(text):
            return self._photo(Path(text))
        raise self._nobody(text)

    def face(self, face: Face, versions: Versions = ANY_VERSIONS) -> FoundFace:
        """A face in its index; raises OptionError for a number that the index does not have, and as `_open`."""
        with self._open(face.video, versions) as index:
            tracklets = _tracklets(index, face)
            cluster = face.cluster
            if cluster is None:
                cluster = next(item.cluster for item in index.tracklets() if item.number == tracklets[0])
                number = self._decisions.owners(index).get(tracklets[0])
                owner = None if number is None else self._people.get(number)
            else:
                owner = self._people.person_of(index.video.sha256, cluster)
            return FoundFace(
                index.folder,
                index.video.sha256,
                index.video.name,
                cluster,
                tracklets,
                places_of(index, tracklets),
                owner,
                index.version.to_text(),
            )

    def faces(self, text: str, versions: Versions = ANY_VERSIONS) -> FoundFace:
        """The face that a word names; raises OptionError for a word that names none."""
        face = Face.parse(text)
        if face is None:
            raise _no_face(text)
        return self.face(face, versions)

    def faces_of(self, text: str, person: LibraryPerson, versions: Versions = ANY_VERSIONS) -> FoundFace:
        """The faces of a person that a word names: a cluster, a tracklet, or all in a video.

        Raises OptionError where one of them is somebody else's, and where the person is not in the video.
        """
        face = Face.parse(text)
        if face is None and Path(text).suffix.lower() in PHOTO_SUFFIXES:
            raise _no_face(text)
        with self._open(text if face is None else face.video, versions) as index:
            video, owners = index.video, self._decisions.owners(index)
            numbers = (
                tuple(number for number, owner in owners.items() if owner == person.id)
                if face is None
                else _tracklets(index, face)
            )
            if not numbers:
                name = printable(video.name)
                raise OptionError(f"{person.title} is not in {name}; run: facereel faces {shlex.quote(name)}")
            for number in numbers:
                if (owner := owners.get(number)) != person.id:
                    whose = "nobody" if owner is None else self._people.get(owner).title
                    raise OptionError(
                        f"{printable(video.name)}#t{number} is {whose}, not {person.title}; name a face of "
                        f"{person.title}"
                    )
            cluster = next(item.cluster for item in index.tracklets() if item.number == numbers[0])
            places = places_of(index, numbers)
            return FoundFace(
                index.folder, video.sha256, video.name, cluster, numbers, places, person, index.version.to_text()
            )  # fmt: skip

    @contextmanager
    def _open(self, video: str, versions: Versions) -> Iterator[VideoIndex]:
        """The index of a video; raises ChangedIndexError for another version of it than is given, at the end too."""
        with self._catalogue.find(video) as index:
            version = versions.get(index.folder.name)
            if version is not None and version != index.version.to_text():
                raise _changed(index)
            yield index
            if version is not None and not index.unchanged():
                raise _changed(index)

    def _photo(self, path: Path) -> LibraryPerson:
        found = self._by_photo(path)
        if len(found) > 1:
            raise OptionError(
                f"{printable(path)} matches {len(found)} people of the library; give an id: {_listed(found)}"
            )
        if not found:
            raise OptionError(
                f"{printable(path)} surely matches nobody in the library; name a face instead, "
                "as `faces VIDEO` shows them: movie.mp4#3"
            )
        return found[0]

    def _nobody(self, text: str) -> OptionError:
        shown = printable(text)
        if Path(text).suffix.lower() in PHOTO_SUFFIXES:
            return OptionError(f"there is no photo {shown} and nobody of that name; run: facereel people")
        try:
            self._catalogue.locate(text)
        except (NotIndexedError, OptionError):
            names = sorted({person.name for person in self._people.all() if person.name})
            similar = difflib.get_close_matches(text, names, n=1)
            hint = f"did you mean {similar[0]}?" if similar else "run: facereel people"
            return OptionError(f'nobody in the library is called "{shown}"; {hint}')
        return OptionError(f"{shown} is a video, not a person; add the number of a cluster: {shown}#1")


def check_name(name: str) -> None:
    """Raise OptionError for a name that hides a face or a file: a name is looked for before these."""
    if _FACE_END.search(name):
        raise OptionError(f'the name "{printable(name)}" looks like a face of the library; leave the # out')
    suffix = Path(name).suffix.lower()
    if suffix in PHOTO_SUFFIXES | VIDEO_SUFFIXES:
        raise OptionError(f'the name "{printable(name)}" looks like a file; leave {suffix} out')


def is_photo(text: str) -> bool:
    """Whether a word is the path of a photo that is there."""
    return Path(text).suffix.lower() in PHOTO_SUFFIXES and os.path.isfile(text)


def _changed(index: VideoIndex) -> ChangedIndexError:
    return ChangedIndexError(
        f"{printable(index.video.name)} was indexed again, or somebody in it was forgotten: this may be another face "
        "by now; look at it again"
    )


def _no_face(text: str) -> OptionError:
    return OptionError(
        f"{printable(text)} is not a face of the library; write a video with a cluster or tracklet, "
        "as `faces` and --explain do: movie.mp4#3 or movie.mp4#t12"
    )


def _tracklets(index: VideoIndex, face: Face) -> tuple[int, ...]:
    tracklets, name = index.tracklets(), printable(index.video.name)
    if face.tracklet is not None:
        found = tuple(item.number for item in tracklets if item.number == face.tracklet)
        what = f"tracklet {face.tracklet}"
    else:
        found = tuple(item.number for item in tracklets if item.cluster == face.cluster)
        what = f"cluster {face.cluster}"
    if not found:
        raise OptionError(f"{name} has no {what}; run: facereel faces {name}")
    return found


def _listed(people: tuple[LibraryPerson, ...]) -> str:
    some = ", ".join(
        f"{person.id}" + (f" ({person.name})" if person.name else "") for person in people[:_MOST_CANDIDATES]
    )
    more = len(people) - _MOST_CANDIDATES
    return f"{some} and {more:,} more" if more > 0 else some
