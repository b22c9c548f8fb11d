"""Which indexes a query searches: those named, or all of an engine's recogniser; and why it does not search others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facereel.store.files.names import printable
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import ClusterSearch
from facereel.store.library.videos import Counts, StoredVideo
from facereel.store.model.errors import (
    DamagedIndexError,
    EngineMismatchError,
    NewerIndexError,
    NotIndexedError,
    StoreError,
)
from facereel.store.model.records import EngineInfo, Video

# Why an index was not searched, in a word for scripts.
KINDS = {
    EngineMismatchError: "other_engine", NewerIndexError: "newer_version", DamagedIndexError: "damaged",
    StoreError: "unreadable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkippedVideo:
    """An index that a query could not search, and why."""

    name: str
    reason: str  # one sentence with the remedy, which may name a path
    kind: str = "unreadable"  # a word for scripts: one of KINDS, or gone, changed, busy
    folder: str = ""  # name of the index, where that is what could not be searched


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The indexes that a query searches, and those it does not."""

    catalogue: Catalogue
    clusters: ClusterSearch  # of all indexes by this recogniser
    counts: Counts  # of the indexes that are searched
    skipped: tuple[SkippedVideo, ...]
    engine: EngineInfo  # of the query
    # Those that the user named, by their numbers, each with the path where its video lies now; one that cannot be
    # searched is then an error. None: all.
    chosen: Mapping[int, tuple[StoredVideo, Video]] | None = None
    unreadable: frozenset[Path] = (
        frozenset()
    )  # folders of indexes that turned out to be, once they were opened

    @property
    def named(self) -> bool:
        """Did the user name the videos?"""
        return self.chosen is not None

    def current(self) -> Scope:
        """The same over the clusters that library.vectors has now."""
        if self.catalogue.is_current(self.clusters):
            return self
        if self.chosen is not None:
            return replace(self, clusters=self.catalogue.clusters_like(self.engine))
        known = self.catalogue.searchable(self.engine)
        return replace(self, clusters=known.clusters, counts=known.counts)

    @property
    def cluster_count(self) -> int:
        """How many clusters are compared with the references."""
        if self.chosen is None:
            return self.clusters.count
        return sum(stored.clusters_count for stored, _ in self.chosen.values())

    def videos(self, numbers: Iterable[int]) -> list[tuple[StoredVideo, Video]]:
        """Those of some numbers that are searched, by folder name, each with the path where its video lies now."""
        if self.chosen is not None:
            found = [self.chosen[number] for number in numbers if number in self.chosen]
        else:
            stored = self.catalogue.stored(sorted(numbers)).values()
            found = [(one, one.video) for one in stored if one.engine.compares_with(self.engine)]
        return sorted(found, key=lambda pair: pair[0].folder.name)

    def of_contents(self, contents: Iterable[str]) -> list[int]:
        """The numbers of the videos of some contents, by their sha256."""
        return [stored.number for sha256 in contents for stored in self.catalogue.of_content(sha256)]

    @property
    def searched(self) -> list[tuple[Path, Video]]:
        """Each index that was searched, by folder name, and its video; reads all that is known of each."""
        if self.chosen is None:
            found = [(v.folder, v.video) for v in self.catalogue.all() if v.engine.compares_with(self.engine)]
        else:
            found = [(stored.folder, video) for stored, video in self.chosen.values()]
        return [(folder, video) for folder, video in found if folder not in self.unreadable]

    @property
    def paths(self) -> list[str]:
        """Where the videos lie whose indexes were searched, by folder name."""
        if self.chosen is not None or self.unreadable:
            return [video.path for _, video in self.searched]
        return self.catalogue.paths(self.engine)


def not_indexed(catalogue: Catalogue, names: Sequence[str | Path]) -> list[Path]:
    """Those of the named videos that are files without an index."""
    fresh = []
    for name in names:
        try:
            catalogue.locate(name)
        except NotIndexedError:
            if not Path(name).is_file():
                raise
            fresh.append(Path(name))
    return fresh


def scope_of(catalogue: Catalogue, names: Sequence[str | Path], engine: EngineInfo) -> Scope:
    """Which indexes to search: those named, else all that this engine's recogniser made.

    Raises EngineMismatchError, NotIndexedError and the errors of damage for one that is named, and where nothing is
    left to search.
    """
    if names:
        chosen = {
            stored.number: (stored, video) for stored, video in (_named(catalogue, n, engine) for n in names)
        }
        counts = Counts()
        for stored, _ in chosen.values():
            counts = counts.plus(stored)
        return Scope(catalogue, catalogue.clusters_like(engine), counts, (), engine, chosen)
    known = catalogue.searchable(engine)
    refused: list[tuple[str, str, StoreError]] = [
        (item.folder.name, item.video.name, _mismatch(item.video, item.engine, engine))
        for item in known.others
    ]
    refused += [(folder.name, folder.name, error) for folder, error in known.failures]
    if not known.counts.videos and len(refused) == 1:
        raise refused[0][2]
    if not known.counts.videos and refused:
        raise type(refused[0][2])(
            f"none of the {len(refused)} indexes in {printable(catalogue.store)} can be searched; {refused[0][2]}"
        )
    if not known.counts.videos:
        raise NotIndexedError(
            f"{printable(catalogue.store)} holds no index; run: facereel index VIDEO (or name another --store)"
        )
    skipped = tuple(
        SkippedVideo(printable(name), str(error), kind_of(error), folder) for folder, name, error in refused
    )
    return Scope(catalogue, known.clusters, known.counts, skipped, engine)


def kind_of(error: StoreError) -> str:
    """Why an index is skipped, in a word."""
    return next(word for kind, word in KINDS.items() if isinstance(error, kind))


def _named(catalogue: Catalogue, name: str | Path, engine: EngineInfo) -> tuple[StoredVideo, Video]:
    stored = catalogue.current(catalogue.locate(name))
    video, path = stored.video, Path(name)
    if not stored.engine.compares_with(engine):
        raise _mismatch(video, stored.engine, engine)
    if path.is_file():
        # Found by its content: clips are cut from where it lies now.
        status = path.stat()
        video = replace(video, path=str(path.resolve()), size=status.st_size, mtime_ns=status.st_mtime_ns)
    return stored, video


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
