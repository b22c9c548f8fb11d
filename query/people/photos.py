"""Who is asked for: photos and folders of photos become people with references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facereel.indexer.engines.engine import FaceEngine
from facereel.query.people.reference import disagreements, read_reference
from facereel.query.records import Reference
from facereel.store.files.folders import printable
from facereel.store.model.errors import OptionError, PhotoError

PHOTO_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
_LONGEST_NAME = 100  # bytes: file systems allow 255, and temporary names add to it


@dataclass(frozen=True, slots=True)
class Photos:
    """One person's photos, not yet read."""

    name: str
    paths: tuple[Path, ...]
    chosen: bool  # named one by one: then each of them has to be usable


@dataclass(frozen=True, slots=True, eq=False)
class PersonQuery:
    """Somebody who is asked for."""

    name: str
    references: tuple[Reference, ...]
    warnings: tuple[str, ...]  # photos left out, photos that seem to show somebody else


def who_is_asked(paths: Sequence[Path]) -> list[Photos]:
    """Photos are one person; a folder of photos is one person; a folder of folders is a person each."""
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return [Photos(folder_name(paths[0].stem), tuple(paths), chosen=True)]
    if len(folders) < len(paths):
        photo = next(path for path in paths if path not in folders)
        raise OptionError(
            f"{printable(photo)} is a photo and {printable(folders[0])} a folder; give photos (one person) or folders"
        )
    people = [photos for folder in folders for photos in _people_in(folder)]
    names = [photos.name for photos in people]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"two folders of photos are called {name}; rename one, or ask one by one")
    return people


def read_people(people: Sequence[Photos], engine: FaceEngine, face: int | None = None) -> list[PersonQuery]:
    """Read everybody's photos.

    Raises PhotoError for a photo named itself that cannot be used, and for a folder none of whose photos can;
    OptionError for a `face` chosen in more than one photo.
    """
    count = sum(len(photos.paths) for photos in people)
    if face is not None and count > 1:
        raise OptionError(f"--face {face} chooses in one photo, but {count} photos were given; give one")
    return [_read_person(photos, engine, face) for photos in people]


def folder_name(text: str) -> str:
    """A person's name as the name of a folder on any file system."""
    kept = "".join(sign if sign.isprintable() and sign not in '<>:"/\\|?*' else "_" for sign in text)
    name = kept.strip(" .").encode()[:_LONGEST_NAME].decode(errors="ignore").rstrip(" .")
    return f"_{name[1:]}" if name.startswith("-") else name or "person"


def _people_in(folder: Path) -> Iterator[Photos]:
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    photos = tuple(path for path in inside if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    folders = [path for path in inside if path.is_dir()]
    if photos and folders:
        raise OptionError(
            f"{printable(folder)} holds photos and folders; give a folder of photos (one person) or of folders"
        )
    if photos:
        yield Photos(folder_name(folder.resolve().name), photos, chosen=False)
        return
    within = [person for path in folders for person in _people_in(path)]
    if not within:
        known = " ".join(sorted(PHOTO_SUFFIXES))
        raise PhotoError(f"{printable(folder)} holds no photo; known suffixes: {known}")
    yield from within


def _read_person(photos: Photos, engine: FaceEngine, face: int | None) -> PersonQuery:
    references, warnings = [], []
    for path in photos.paths:
        try:
            references.append(read_reference(path, engine, face))
        except PhotoError as error:
            if photos.chosen:
                raise
            warnings.append(f"left out: {error}")
    if not references:
        count = len(photos.paths)
        raise PhotoError(f"none of the {count} photos of {photos.name} can be used; {warnings[0]}")
    return PersonQuery(
        photos.name, tuple(references), (*warnings, *disagreements(references, engine.threshold.scale))
    )
