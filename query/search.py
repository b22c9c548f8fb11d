"""Pass two as a story: photos of somebody -> who is asked for -> matches in every index -> clips."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.engine import FaceEngine
from query.match import Hit, Miss, match, pool
from query.reference import disagreements, read_reference
from store.errors import EngineMismatchError, NotIndexedError, OptionError, PhotoError, StoreError
from store.folders import shown
from store.library import Library
from store.records import EngineInfo, FrameTimes, Match, Reference, Sightings, Video
from store.video_index import VideoIndex

PHOTO_SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"]
)
_LONGEST_NAME = 100  # bytes: file systems allow 255, and temporary names add to it


@dataclass(frozen=True, slots=True)
class Photos:
    """One person's photos, not yet read."""

    name: str
    paths: tuple[Path, ...]
    chosen: bool  # named one by one: then each of them has to be usable


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Somebody who is asked for."""

    name: str
    references: tuple[Reference, ...]
    warnings: tuple[str, ...]  # photos left out, photos that seem to show somebody else


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An index that a query could not search, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The indexes that a query searches, and those it does not."""

    searched: tuple[tuple[Path, Video], ...]  # index folder, video with the path where it lies now
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NearMiss:
    """What just missed, and in which video."""

    video: Video
    start: float  # seconds
    end: float
    miss: Miss


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """All that was found of one person."""

    asked: Asked
    matches: tuple[tuple[Match, Sightings], ...]
    misses: tuple[NearMiss, ...]  # most similar first
    times: dict[str, FrameTimes]  # of the videos with matches, by sha256


def who_is_asked(paths: Sequence[Path]) -> list[Photos]:
    """Photos are one person; a folder of photos is one person; a folder of folders is a person each."""
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return [Photos(folder_name(paths[0].stem), tuple(paths), chosen=True)]
    if len(folders) < len(paths):
        photo = next(path for path in paths if path not in folders)
        raise OptionError(
            f"{shown(photo)} is a photo and {shown(folders[0])} a folder; give photos (one person) or folders"
        )
    people = [photos for folder in folders for photos in _people_in(folder)]
    names = [photos.name for photos in people]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"two folders of photos are called {name}; rename one, or ask one by one")
    return people


def read_people(people: Sequence[Photos], engine: FaceEngine, face: int | None = None) -> list[Asked]:
    """Read everybody's photos.

    Raises PhotoError for a photo named itself that cannot be used, and for a folder none of whose photos can;
    OptionError for a `face` chosen in more than one photo.
    """
    count = sum(len(photos.paths) for photos in people)
    if face is not None and count > 1:
        raise OptionError(
            f"--face {face} chooses a face in one photo, but {count} were given; give one photo"
        )
    return [_read_person(photos, engine, face) for photos in people]


def not_indexed(library: Library, names: Sequence[str | Path]) -> list[Path]:
    """Those of the named videos that are files nobody indexed yet."""
    fresh = []
    for name in names:
        try:
            library.locate(name)
        except NotIndexedError:
            if not Path(name).is_file():
                raise
            fresh.append(Path(name))
    return fresh


def scope(library: Library, names: Sequence[str | Path], engine: EngineInfo) -> Scope:
    """Which indexes to search: those named, else all that this engine made.

    Raises EngineMismatchError, NotIndexedError and the errors of damage for one that is named, and where
    nothing is left to search.
    """
    if names:
        found = dict(_named(library, name, engine) for name in names)
        return Scope(tuple(found.items()), ())
    listing = library.listing()
    searched = tuple((entry.folder, entry.video) for entry in listing.entries if entry.engine == engine)
    others = [
        (entry.video.name, _mismatch(entry.video, entry.engine, engine))
        for entry in listing.entries
        if entry.engine != engine
    ]
    failures = [(folder.name, error) for folder, error in listing.failures]
    refused: list[tuple[str, StoreError]] = [*others, *failures]
    if not searched and len(refused) == 1:
        raise refused[0][1]
    if not searched and refused:
        raise type(refused[0][1])(
            f"none of the {len(refused)} indexes in {shown(library.store)} can be searched; {refused[0][1]}"
        )
    if not searched:
        raise NotIndexedError(
            f"{shown(library.store)} holds no index; run: python cli.py index VIDEO (or name another --store)"
        )
    return Scope(searched, tuple(LeftOut(shown(name), str(error)) for name, error in refused))


def search(people: Sequence[Asked], where: Scope, threshold: float) -> list[Answer]:
    """Hold everybody against every index, each of which is opened once."""
    if not 0 < threshold < 1:
        raise OptionError(f"threshold {threshold:g} cannot be used; give a similarity between 0 and 1")
    found: list[_Found] = [_Found([], [], {}) for _ in people]
    for folder, video in where.searched:
        with VideoIndex(folder) as index:
            pooled = pool(index.tracklets(), index.looks())
            times: FrameTimes | None = None
            for asked, so_far in zip(people, found, strict=True):
                hits, misses = match(pooled, list(asked.references), threshold)
                if hits or misses:
                    times = times or index.times()
                    so_far.add(video, times, hits, index, misses)
    return [
        Answer(
            asked, tuple(so_far.matches),
            tuple(sorted(so_far.misses, key=lambda item: -item.miss.similarity)), so_far.times,
        )
        for asked, so_far in zip(people, found, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    matches: list[tuple[Match, Sightings]]
    misses: list[NearMiss]
    times: dict[str, FrameTimes]

    def add(
        self, video: Video, times: FrameTimes, hits: list[Hit], index: VideoIndex, misses: list[Miss]
    ) -> None:
        """Take what one index answered."""
        sightings = index.sightings(hit.tracklet.number for hit in hits)
        for hit in hits:
            answer = Match(video, hit.tracklet, hit.similarity, hit.bar, hit.found, hit.evidence)
            self.matches.append((answer, sightings[hit.tracklet.number]))
        for miss in misses:
            start = video.seconds(int(times.pts[miss.tracklet.start]))
            self.misses.append(NearMiss(video, start, video.seconds(times.end_pts(miss.tracklet.end)), miss))
        if hits:
            self.times[video.sha256] = times


def _people_in(folder: Path) -> Iterator[Photos]:
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    photos = tuple(path for path in inside if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    folders = [path for path in inside if path.is_dir()]
    if photos and folders:
        raise OptionError(
            f"{shown(folder)} holds photos and folders; give a folder of photos (one person) or of folders"
        )
    if photos:
        yield Photos(folder_name(folder.resolve().name), photos, chosen=False)
        return
    within = [person for path in folders for person in _people_in(path)]
    if not within:
        known = " ".join(sorted(PHOTO_SUFFIXES))
        raise PhotoError(f"{shown(folder)} holds no photo; known suffixes: {known}")
    yield from within


def _read_person(photos: Photos, engine: FaceEngine, face: int | None) -> Asked:
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
    return Asked(photos.name, tuple(references), (*warnings, *disagreements(references)))


def _named(library: Library, name: str | Path, engine: EngineInfo) -> tuple[Path, Video]:
    with library.find(name) as index:
        if index.engine != engine:
            raise _mismatch(index.video, index.engine, engine)
        video, path = index.video, Path(name)
        if path.is_file():
            # Found by its content: clips are cut from where it lies now.
            status = path.stat()
            video = replace(video, path=str(path.resolve()), size=status.st_size, mtime_ns=status.st_mtime_ns)
        return index.folder, video


def _mismatch(video: Video, made_by: EngineInfo, asking: EngineInfo) -> EngineMismatchError:
    again = f"python cli.py index --force --engine {asking.name} {shlex.quote(shown(video.path))}"
    if made_by.name == asking.name:
        return EngineMismatchError(
            f"{shown(video.name)} was indexed by {made_by.name} with other weights; run: {again}"
        )
    return EngineMismatchError(
        f"{shown(video.name)} was indexed by {made_by.name}, not {asking.name}; "
        f"add --engine {made_by.name}, or run: {again}"
    )


def folder_name(text: str) -> str:
    """A person's name as the name of a folder on any file system."""
    kept = "".join(sign if sign.isprintable() and sign not in '<>:"/\\|?*' else "_" for sign in text)
    name = kept.strip(" .").encode()[:_LONGEST_NAME].decode(errors="ignore").rstrip(" .")
    return f"_{name[1:]}" if name.startswith("-") else name or "person"
