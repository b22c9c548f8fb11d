"""People who are asked for, held against every index: what answers, what just missed, what was left out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facereel.query.people.photos import PersonQuery
from facereel.query.records import Match
from facereel.query.search.matching import Hit, Miss, match
from facereel.store.files.folders import printable
from facereel.store.index import pooled_file
from facereel.store.index.pooled_file import Known
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Library
from facereel.store.model.errors import (
    DamagedIndexError,
    EngineMismatchError,
    NewerIndexError,
    NotIndexedError,
    OptionError,
    StoreError,
)
from facereel.store.model.records import EngineInfo, FrameTimes, Sightings, Video

# Why an index was not searched, in a word for scripts.
KINDS = {
    EngineMismatchError: "other_engine", NewerIndexError: "newer_version", DamagedIndexError: "damaged",
    StoreError: "unreadable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkippedVideo:
    """An index that a query could not search, and why."""

    name: str
    reason: str  # with the remedy, which may name a path
    kind: str = "unreadable"  # one of KINDS' words


@dataclass(frozen=True, slots=True)
class Scope:
    """The indexes that a query searches, and those it does not."""

    searched: tuple[tuple[Path, Video], ...]  # index folder, video with the path where it lies now
    left_out: tuple[SkippedVideo, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NearMiss:
    """What just missed, and in which video."""

    video: Video
    start: float  # seconds
    end: float
    miss: Miss


@dataclass(frozen=True, slots=True)
class Counts:
    """What of one index a query was held against."""

    tracklets: int
    looks: int
    lookless: int  # tracklets left out: no look of them was worth keeping


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """All that was found of one person."""

    asked: PersonQuery
    matches: tuple[tuple[Match, Sightings], ...]
    misses: tuple[NearMiss, ...]  # most similar first
    times: dict[str, FrameTimes]  # of the videos with matches, by sha256
    where: Scope
    counts: dict[str, Counts]  # by the sha256 of the videos searched


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
    searched = tuple(
        (entry.folder, entry.video) for entry in listing.entries if entry.engine.compares_with(engine)
    )
    others = [
        (entry.video.name, _mismatch(entry.video, entry.engine, engine))
        for entry in listing.entries
        if not entry.engine.compares_with(engine)
    ]
    failures = [(folder.name, error) for folder, error in listing.failures]
    refused: list[tuple[str, StoreError]] = [*others, *failures]
    if not searched and len(refused) == 1:
        raise refused[0][1]
    if not searched and refused:
        raise type(refused[0][1])(
            f"none of the {len(refused)} indexes in {printable(library.store)} can be searched; {refused[0][1]}"
        )
    if not searched:
        raise NotIndexedError(
            f"{printable(library.store)} holds no index; run: python cli.py index VIDEO (or name another --store)"
        )
    return Scope(
        searched, tuple(SkippedVideo(printable(name), str(error), _kind(error)) for name, error in refused)
    )


def search(people: Sequence[PersonQuery], where: Scope, threshold: float, scale: float = 1.0) -> list[Answer]:
    """Hold everybody against every index, of which those with matches are opened; `scale` is the engine's Bar.scale."""
    if not 0 < threshold < 1:
        raise OptionError(f"threshold {threshold:g} cannot be used; give a similarity between 0 and 1")
    found: list[_Found] = [_Found([], [], {}) for _ in people]
    counts: dict[str, Counts] = {}
    for folder, video in where.searched:
        known = pooled_file.read(folder)
        counts[video.sha256] = Counts(len(known.pooled.rows), known.looks, known.lookless)
        answers = [match(known.pooled, list(asked.references), threshold, scale) for asked in people]
        for so_far, (_, misses) in zip(found, answers, strict=True):
            so_far.misses.extend(_near_misses(video, known, misses))
        if any(hits for hits, _ in answers):
            with VideoIndex(folder) as index:
                for so_far, (hits, _) in zip(found, answers, strict=True):
                    so_far.add(video, hits, index)
    return [
        Answer(
            asked, tuple(so_far.matches),
            tuple(sorted(so_far.misses, key=lambda item: -item.miss.similarity)), so_far.times,
            where, counts,
        )
        for asked, so_far in zip(people, found, strict=True)
    ]  # fmt: skip


def _kind(error: StoreError) -> str:
    return next(word for kind, word in KINDS.items() if isinstance(error, kind))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    matches: list[tuple[Match, Sightings]]
    misses: list[NearMiss]
    times: dict[str, FrameTimes]

    def add(self, video: Video, hits: list[Hit], index: VideoIndex) -> None:
        """Take what one index answered."""
        sightings = index.sightings(hit.tracklet.number for hit in hits)
        for hit in hits:
            answer = Match(video, hit.tracklet, hit.similarity, hit.threshold, hit.found, hit.evidence)
            self.matches.append((answer, sightings[hit.tracklet.number]))
        if hits:
            self.times[video.sha256] = index.times()


def _near_misses(video: Video, known: Known, misses: list[Miss]) -> list[NearMiss]:
    places = (
        {number: place for place, number in enumerate(known.pooled.rows["number"].tolist())} if misses else {}
    )
    found = []
    for miss in misses:
        start, end = known.ticks[places[miss.tracklet.number]].tolist()
        found.append(NearMiss(video, video.seconds(start), video.seconds(end), miss))
    return found


def _named(library: Library, name: str | Path, engine: EngineInfo) -> tuple[Path, Video]:
    with library.find(name) as index:
        if not index.engine.compares_with(engine):
            raise _mismatch(index.video, index.engine, engine)
        video, path = index.video, Path(name)
        if path.is_file():
            # Found by its content: clips are cut from where it lies now.
            status = path.stat()
            video = replace(video, path=str(path.resolve()), size=status.st_size, mtime_ns=status.st_mtime_ns)
        return index.folder, video


def _mismatch(video: Video, made_by: EngineInfo, asking: EngineInfo) -> EngineMismatchError:
    again = f"python cli.py reembed --engine {asking.name} {shlex.quote(printable(video.path))}"
    if made_by.name == asking.name:
        return EngineMismatchError(
            f"{printable(video.name)} was indexed by {made_by.name} with other weights; run: {again}"
        )
    return EngineMismatchError(
        f"{printable(video.name)} was indexed by {made_by.name}, not {asking.name}; "
        f"add --engine {made_by.name}, or run: {again}"
    )
