"""People who are asked for, held against every index: what answers, what just missed, what was left out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facereel.query.records import Match, NearMiss, PersonQuery
from facereel.query.search.matching import VideoFaces, match
from facereel.store.files.folders import printable
from facereel.store.index import pooled_file
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
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
    skipped: tuple[SkippedVideo, ...]
    engine: EngineInfo  # of the query


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of one index was compared with the references."""

    tracklets: int
    exemplars: int
    tracklets_without_exemplars: int  # not compared: no crop of them is good enough to be an exemplar


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a query finds of one person."""

    person: PersonQuery
    matches: tuple[tuple[Match, Sightings], ...]
    near_misses: tuple[NearMiss, ...]  # most similar first
    times: dict[str, FrameTimes]  # of the videos with matches, by sha256
    scope: Scope
    counts: dict[str, Counts]  # by the sha256 of the videos searched
    threshold: float  # similarity that counted as the same person

    def statistics(
        self, min_duration: float, too_short: int, not_cut: Sequence[SkippedVideo]
    ) -> dict[str, Any]:
        """What was searched and what was not, as `search` in metadata.json and --json; names of files, no paths.

        `too_short` counts the matches that `min_duration`, seconds, drops; `not_cut` are videos that are gone or
        changed.
        """
        counts = self.counts.values()
        return {
            "videos": len(counts),
            "tracklets": sum(one.tracklets for one in counts),
            "exemplars": sum(one.exemplars for one in counts),
            "skipped": [{"video": item.name, "why": item.kind} for item in self.scope.skipped],
            "not_cut": [{"video": item.name, "why": item.kind} for item in not_cut],
            "tracklets_without_exemplars": sum(one.tracklets_without_exemplars for one in counts),
            "matches": len(self.matches),
            "near_misses": len(self.near_misses),
            "min_duration": min_duration,
            "too_short": too_short,
        }


def not_indexed(library: Catalogue, names: Sequence[str | Path]) -> list[Path]:
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


def scope(library: Catalogue, names: Sequence[str | Path], engine: EngineInfo) -> Scope:
    """Which indexes to search: those named, else all that this engine made.

    Raises EngineMismatchError, NotIndexedError and the errors of damage for one that is named, and where
    nothing is left to search.
    """
    if names:
        found = dict(_named(library, name, engine) for name in names)
        return Scope(tuple(found.items()), (), engine)
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
            f"{printable(library.store)} holds no index; run: facereel index VIDEO (or name another --store)"
        )
    return Scope(
        searched,
        tuple(SkippedVideo(printable(name), str(error), _kind(error)) for name, error in refused),
        engine,
    )


def search(people: Sequence[PersonQuery], where: Scope, threshold: float, scale: float = 1.0) -> list[Answer]:
    """Compare everybody with every index, of which those with matches are opened.

    `scale` is the engine's Threshold.scale.
    """
    if not 0 < threshold < 1:
        raise OptionError(f"threshold {threshold:g} cannot be used; give a similarity between 0 and 1")
    collected: list[_Collected] = [_Collected([], [], {}) for _ in people]
    counts: dict[str, Counts] = {}
    for folder, video in where.searched:
        known = pooled_file.read(folder)
        counts[video.sha256] = Counts(len(known.pooled.rows), known.looks, known.lookless)
        seconds = [[video.seconds(tick) for tick in pair] for pair in known.ticks.tolist()]
        faces = VideoFaces(video, known.pooled, np.array(seconds, np.float64).reshape(-1, 2))
        answers = [match(faces, list(person.references), threshold, scale) for person in people]
        for so_far, (_, near_misses) in zip(collected, answers, strict=True):
            so_far.near_misses.extend(near_misses)
        if any(matches for matches, _ in answers):
            with VideoIndex(folder) as index:
                for so_far, (matches, _) in zip(collected, answers, strict=True):
                    so_far.add(video, matches, index)
    return [
        Answer(
            person, tuple(so_far.matches),
            tuple(sorted(so_far.near_misses, key=lambda item: -item.similarity)), so_far.times,
            where, counts, threshold,
        )
        for person, so_far in zip(people, collected, strict=True)
    ]  # fmt: skip


def _kind(error: StoreError) -> str:
    return next(word for kind, word in KINDS.items() if isinstance(error, kind))


@dataclass(frozen=True, slots=True, eq=False)
class _Collected:
    matches: list[tuple[Match, Sightings]]
    near_misses: list[NearMiss]
    times: dict[str, FrameTimes]

    def add(self, video: Video, matches: list[Match], index: VideoIndex) -> None:
        """Take the matches of one index, with their sightings."""
        sightings = index.sightings(match.tracklet.number for match in matches)
        self.matches.extend((match, sightings[match.tracklet.number]) for match in matches)
        if matches:
            self.times[video.sha256] = index.times()


def _named(library: Catalogue, name: str | Path, engine: EngineInfo) -> tuple[Path, Video]:
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
    again = f"facereel reembed --engine {asking.name} {shlex.quote(printable(video.path))}"
    if made_by.name == asking.name:
        return EngineMismatchError(
            f"{printable(video.name)} was indexed by {made_by.name} with other weights; run: {again}"
        )
    return EngineMismatchError(
        f"{printable(video.name)} was indexed by {made_by.name}, not {asking.name}; "
        f"add --engine {made_by.name}, or run: {again}"
    )
