"""The people of a query: photos and folders of photos become people with references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.people.agreement import check_one_person, disagreements
from facereel.query.people.reference import read_reference
from facereel.query.records import PersonQuery
from facereel.store.files.folders import printable
from facereel.store.files.names import result_name
from facereel.store.model.errors import OptionError, PhotoError

PHOTO_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True, slots=True)
class PersonPhotos:
    """Paths of one person's photos, not read yet."""

    name: str
    paths: tuple[Path, ...]
    all_required: bool  # each photo was given by its path, so one that cannot be used is an error


def group_photos(paths: Sequence[Path]) -> list[PersonPhotos]:
    """Assign photos to people: several photos are one person, a folder of photos is one, a folder of folders several.

    Raises OptionError for a mixture of photos and folders and for two people of one name, PhotoError for a folder
    without photos.
    """
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return [PersonPhotos(result_name(paths[0].stem, "person"), tuple(paths), all_required=True)]
    if len(folders) < len(paths):
        photo = next(path for path in paths if path not in folders)
        raise OptionError(
            f"{printable(photo)} is a photo and {printable(folders[0])} a folder; give photos (one person) or folders"
        )
    people = [photos for folder in folders for photos in _people_in(folder)]
    names = [photos.name for photos in people]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(
                f"two folders of photos are called {name}; rename one, or query them one by one"
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
    scale = engine.threshold.scale
    warnings += check_one_person(photos.name, references, scale)
    return PersonQuery(photos.name, tuple(references), (*warnings, *disagreements(references, scale)))


def _people_in(folder: Path) -> Iterator[PersonPhotos]:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    photos = tuple(path for path in entries if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    folders = [path for path in entries if path.is_dir()]
    if photos and folders:
        raise OptionError(
            f"{printable(folder)} holds photos and folders; give a folder of photos (one person) or of folders"
        )
    if photos:
        yield PersonPhotos(result_name(folder.resolve().name, "person"), photos, all_required=False)
        return
    within = [person for path in folders for person in _people_in(path)]
    if not within:
        known = " ".join(sorted(PHOTO_SUFFIXES))
        raise PhotoError(f"{printable(folder)} holds no photo; known suffixes: {known}")
    yield from within
