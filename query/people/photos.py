"""The people of a query: photos and folders of photos become people with references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.people.agreement import check_one_person, disagreements
from facereel.query.people.reference import read_reference
from facereel.query.records import PersonQuery, Reference
from facereel.store.files.kinds import PHOTO_SUFFIXES
from facereel.store.files.names import printable, result_name
from facereel.store.model.errors import OptionError, PhotoError


@dataclass(frozen=True, slots=True)
class PersonPhotos:
    """Paths of one person's photos, not read yet."""

    name: str
    paths: tuple[Path, ...]
    all_required: bool  # each photo was given by its path, so one that cannot be used is an error


def group_photos(paths: Sequence[Path]) -> list[PersonPhotos]:
    """Assign photos to people: several photos are one person, a folder of photos is one, a folder of folders several.

    Raises OptionError for no path at all, a mixture of photos and folders and two people of one name, PhotoError for a
    folder without photos or one that cannot be read.
    """
    if not paths:
        raise OptionError("there is no photo to search for; give one or more, or a folder of photos")
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return [PersonPhotos(result_name(paths[0].stem, "person"), tuple(paths), all_required=True)]
    if len(folders) < len(paths):
        photo = next(path for path in paths if path not in folders)
        raise OptionError(
            f"{printable(photo)} is a photo and {printable(folders[0])} a folder; give photos (one person) or folders"
        )
    people = [person for folder in folders for person in _people_in(folder)]
    if (name := _repeated_name(people)) is not None:
        raise OptionError(f"two folders of photos are called {name}; rename one, or query them one by one")
    return people


def named_people(paths_by_name: Mapping[str, Sequence[Path]]) -> list[PersonPhotos]:
    """The photos of people by name; raises OptionError for nobody, for no photo, and for two names of one folder."""
    people = []
    for name, paths in paths_by_name.items():
        if not paths:
            raise OptionError(f"there is no photo of {printable(name)}; give one or more")
        people.append(PersonPhotos(result_name(name, "person"), tuple(paths), all_required=True))
    if not people:
        raise OptionError("there is nobody to search for; give a name with photos")
    if (name_of_two := _repeated_name(people)) is not None:
        raise OptionError(
            f"two names would give one result folder, {name_of_two}; rename one, or query them one by one"
        )
    return people


def read_people(
    people: Sequence[PersonPhotos], engine: FaceEngine, face: int | None = None
) -> list[PersonQuery]:
    """Read everybody's photos; raises as check_face and read_person."""
    check_face(people, face)
    return [read_person(photos, engine, face) for photos in people]


def check_face(people: Sequence[PersonPhotos], face: int | None) -> None:
    """Raise OptionError for a `face` with more than one photo."""
    count = sum(len(photos.paths) for photos in people)
    if face is not None and count > 1:
        raise OptionError(
            f"--face {face} selects a face of one photo, but {count} photos were given; give one"
        )


def read_person(photos: PersonPhotos, engine: FaceEngine, face: int | None = None) -> PersonQuery:
    """Read one person's photos, `face` being the number of the face to use, 1 for the largest.

    Raises PhotoError for a required photo that cannot be used, if no photo can be used, and where the photos show
    different people.
    """
    references, warnings = [], []
    for path in photos.paths:
        try:
            references.append(read_reference(path, engine, face))
        except PhotoError as error:
            if photos.all_required:
                raise
            warnings.append(f"not used: {error}")
    if not references:
        raise PhotoError(f"no photo of {photos.name} can be used; {warnings[0]}")
    person = person_of_faces(references, photos.name, engine.threshold.scale)
    return replace(person, warnings=(*warnings, *person.warnings))


def person_of_faces(references: Sequence[Reference], name: str, scale: float) -> PersonQuery:
    """One person by faces of photos; raises PhotoError where these show different people, OptionError for no face.

    `scale` is the engine's, see `Threshold`.
    """
    if not references:
        raise OptionError("there is no face to search for; choose one of a photo")
    warnings = check_one_person(name, references, scale)
    return PersonQuery(
        result_name(name, "person"), tuple(references), (*warnings, *disagreements(references, scale))
    )


def _repeated_name(people: Sequence[PersonPhotos]) -> str | None:
    """A name that two people have; also one that differs in case only, which some file systems take for the same."""
    names = [person.name.casefold() for person in people]
    return next((person.name for person in people if names.count(person.name.casefold()) > 1), None)


def _people_in(folder: Path) -> Iterator[PersonPhotos]:
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise PhotoError(
            f"{printable(folder)} cannot be read ({error.strerror}); check its permissions"
        ) from error
    photos = tuple(path for path in entries if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    folders = [path for path in entries if path.is_dir()]
    if photos and folders:
        raise OptionError(
            f"{printable(folder)} holds photos and folders; give a folder of photos (one person) or of folders"
        )
    if photos:
        yield PersonPhotos(result_name(folder.resolve().name, "person"), photos, all_required=False)
        return
    people = [person for path in folders for person in _people_in(path)]
    if not people:
        suffixes = " ".join(sorted(PHOTO_SUFFIXES))
        raise PhotoError(f"{printable(folder)} holds no photo; known suffixes: {suffixes}")
    yield from people
