"""Many video indexes as one: what is in a store, and finding it by name, path or content."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from facereel.store.files import folders, locks
from facereel.store.files.digest import hash_file
from facereel.store.files.names import HASH_DIGITS, hash_suffix, printable, safe_name
from facereel.store.index.database import NO_INDEX, read_version, writing
from facereel.store.index.reader import VideoIndex, read_video
from facereel.store.index.summary import VideoSummary, summary
from facereel.store.library.vectors import LibraryVectors, VideoClusters, read_clusters
from facereel.store.model.errors import NotIndexedError, OptionError, StoreError, UnwritableError
from facereel.store.model.records import EngineInfo, Video
from facereel.store.resume import unfinished

_MOST_CANDIDATES = 5  # that an error names
_BATCH = 64  # videos whose clusters are written to library.vectors at once

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One index of a listing; `VideoIndex(entry.folder)` opens it."""

    folder: Path
    video: Video
    engine: EngineInfo


@dataclass(frozen=True, slots=True)
class Listing:
    """All indexes of a store by folder name, and those that cannot be read with the reason why."""

    entries: tuple[Entry, ...]
    failures: tuple[tuple[Path, StoreError], ...]  # damaged, newer, or not to be read


@dataclass(frozen=True, slots=True)
class SearchableVideos:
    """What a query needs of the indexes of a store, by folder name, and those that cannot be read."""

    videos: tuple[VideoClusters, ...]
    failures: tuple[tuple[Path, StoreError], ...]


class Catalogue:
    """The indexes in a store; a store that is not there holds none. Making one changes nothing on the disk."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._vectors = LibraryVectors(store)
        self._digests: dict[
            tuple[str, int, int], str
        ] = {}  # of files that were hashed, by path, size and time

    def clean(self) -> None:
        """Finish what dead processes left in the store. For writers, before they write."""
        folders.clean_leftovers(self.store)
        locks.locked_videos(self.store)
        unfinished.clean_unfinished(self.store)

    def listing(self) -> Listing:
        """Every index; those that library.vectors has are not opened. Raises StoreError for an unreadable store."""
        entries, failures = [], []
        known = self._vectors.videos()
        for folder in folders.index_folders(self.store):
            stored = known.get(folder.name)
            if stored is not None and stored.version == read_version(folder):
                entries.append(Entry(folder, stored.video, stored.engine))
                continue
            try:
                path = stored.video.path if stored else None
                entries.append(Entry(folder, *self.read_current(read_video, folder, path)))
            except NotIndexedError:
                continue  # removed since it was listed
            except StoreError as error:
                failures.append((folder, error))
        return Listing(tuple(entries), tuple(failures))

    def searchable(self, only: Sequence[Path] | None = None) -> SearchableVideos:
        """The clusters of every index, or of some folders; library.vectors is brought up to date on the way.

        Only new and changed indexes are opened. Raises StoreError for an unreadable store.
        """
        chosen = folders.index_folders(self.store) if only is None else list(only)
        stored = self._vectors.clusters(None if only is None else [folder.name for folder in chosen])
        current = {
            name: row for name, row in stored.items() if row.version == read_version(self.store / name)
        }
        changed = [folder for folder in chosen if folder.name not in current]
        read, failures = self._read_changed(changed)
        if only is None:
            self._remove_gone(self._unlisted(chosen))
        current |= {video.folder.name: video for video in read}
        videos = tuple(current[folder.name] for folder in chosen if folder.name in current)
        return SearchableVideos(videos, tuple(failures))

    def refresh(self, only: Sequence[Path] | None = None) -> None:
        """Bring library.vectors up to date with every index, or with some folders. Damaged indexes are passed over.

        Whoever writes, replaces or removes an index calls this, so that nothing of an old index stays in the file;
        if nobody does, the next query brings it up to date. Raises StoreError for an unreadable store.
        """
        stored = self._vectors.videos() if only is None else {}
        chosen = (
            folders.index_folders(self.store)
            if only is None
            else [f for f in only if read_version(f) != NO_INDEX]
        )
        self._read_changed([
            folder for folder in chosen
            if folder.name not in stored or stored[folder.name].version != read_version(folder)
        ])  # fmt: skip
        gone = (
            self._unlisted(chosen)
            if only is None
            else [folder.name for folder in only if folder not in chosen]
        )
        self._remove_gone(gone)

    def read_current(self, read: Callable[[Path, str | None], T], folder: Path, path: str | None) -> T:
        """What `read` gives of an index, also while it is replaced; raises NotIndexedError if it is gone."""
        try:
            return read(folder, path)
        except NotIndexedError:
            # Between two renames a folder that is replaced is not there; listing waits until its successor is.
            if folder not in folders.index_folders(self.store):
                raise
            return read(folder, path)

    def drop_rows(self, chosen: Sequence[Path]) -> None:
        """Remove what library.vectors has of some folders, valid or not; raises UnwritableError where it stays."""
        with locks.no_writers(self.store):
            self._vectors.remove([folder.name for folder in chosen])

    def find(self, name: str | Path) -> VideoIndex:
        """Open the index of a video named as for `locate`; raises its errors and those of VideoIndex."""
        return self._open(self.locate(name))

    def by_hash(self, sha256: str) -> VideoIndex | None:
        """Open the index of the video with that content; None when there is none. Damage raises.

        Opens no other index and lists only the names of the store's folders.
        """
        for folder in folders.index_folders(self.store):
            if hash_suffix(folder.name) == sha256[:HASH_DIGITS]:
                index = self._open(folder)
                if index.video.sha256 == sha256:
                    return index
                index.close()
        return None

    def by_path(self, path: Path) -> VideoIndex | None:
        """Open the index of a file whose path, size and time are those that were indexed; None when there is none.

        Asks library.vectors and opens no other index: None does not mean that the content is not indexed.
        """
        status = path.stat()
        names = [name for place in _places(path) for name in self._vectors.folders_of(place)]
        for name in names:
            try:
                index = VideoIndex(self.store / name)
            except StoreError:
                continue
            if _is_unchanged(index.video, path, status):
                return index
            index.close()
        return None

    def video_path(self, folder: Path) -> str | None:
        """Where the video of an index lay when the index was last read, also if it is damaged since."""
        return self._vectors.video_path(folder.name)

    def remove(self, name: str | Path) -> Path:
        """Delete the index of a video, also a damaged one, and return where it was.

        Raises StoreError while the video is being indexed, UnwritableError.
        """
        self.clean()
        folder = self.locate(name)
        digits = hash_suffix(folder.name)
        with writing(folder), locks.folder_lock(self.store):
            if digits in locks.locked_videos(self.store):
                raise StoreError(
                    f"{printable(folder.name)} is being indexed by another process; "
                    "run this again when that is done"
                )
            folders.remove_folder(folder)
            unfinished.delete_unfinished(self.store, digits)
        self.refresh([folder])
        return folder

    def locate(self, name: str | Path) -> Path:
        """The index folder of a video: by folder name, by path, by content if there is such a file, by name.

        Raises NotIndexedError; OptionError when several videos have that name.
        """
        for folder in folders.index_folders(self.store):
            if folder.name == str(name) or folder.absolute() == Path(name).absolute():
                return folder
        listing = self.listing()
        if Path(name).is_file():
            found = self._entries_of_file(Path(name), listing.entries)
        elif str(name) == Path(name).name:
            found = [entry for entry in listing.entries if entry.video.name == str(name)]
        else:
            found = [entry for entry in listing.entries if Path(entry.video.path) == Path(name).absolute()]
        if len(found) > 1:
            raise _ambiguous(name, [entry.folder for entry in found])
        if found:
            return found[0].folder
        # The folder of a damaged index still names its video.
        stem = safe_name(Path(name).name)
        unreadable = [f for f, _ in listing.failures if f.name[: -HASH_DIGITS - 1] == stem]
        if unreadable:
            return unreadable[0]
        raise _unknown(name, listing.entries)

    def _read_changed(
        self, changed: Sequence[Path]
    ) -> tuple[list[VideoClusters], list[tuple[Path, StoreError]]]:
        """Read the clusters of some indexes and write them to library.vectors."""
        read, failures = [], []
        unwritten: list[VideoClusters] = []
        for folder in changed:
            try:
                unwritten.append(self.read_current(read_clusters, folder, self.video_path(folder)))
            except NotIndexedError:
                pass  # removed since it was listed
            except StoreError as error:
                failures.append((folder, error))
            if unwritten and (len(unwritten) == _BATCH or folder == changed[-1]):
                self._write(unwritten)
                read += unwritten
                unwritten = []
        return read, failures

    def _open(self, folder: Path) -> VideoIndex:
        return self.read_current(VideoIndex, folder, self.video_path(folder))

    def _write(self, videos: Sequence[VideoClusters]) -> None:
        # Under the lock nobody replaces an index: what was read of an old one is not written after its replacement.
        with locks.no_writers(self.store):
            self._vectors.write(video for video in videos if video.version == read_version(video.folder))

    def _remove_gone(self, names: Sequence[str]) -> None:
        """Remove the rows of some folders from library.vectors if their indexes are gone."""
        if not names:
            return
        with locks.no_writers(self.store), suppress(UnwritableError):
            self._vectors.remove([name for name in names if read_version(self.store / name) == NO_INDEX])

    def _unlisted(self, listed: Sequence[Path]) -> list[str]:
        """The folders that library.vectors has and the store does not."""
        names = {folder.name for folder in listed}
        return [name for name in self._vectors.names() if name not in names]

    def _entries_of_file(self, path: Path, entries: Sequence[Entry]) -> list[Entry]:
        """The index of a file that is there: by path while size and time are the same, else by content."""
        status = path.stat()
        for entry in entries:
            if _is_unchanged(entry.video, path, status):
                return [entry]
        if not any(entry.video.size == status.st_size for entry in entries):
            return []  # no need to read a long file
        key = (str(path.absolute()), status.st_size, status.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = hash_file(path)
        return [entry for entry in entries if entry.video.sha256 == self._digests[key]]


def listing(catalogue: Catalogue) -> tuple[list[VideoSummary], list[tuple[Path, StoreError]]]:
    """A row for every index, and the folders of those that cannot be read with the reason why."""
    found = catalogue.listing()
    rows, failures = [], list(found.failures)
    for entry in found.entries:
        try:
            with catalogue.read_current(VideoIndex, entry.folder, entry.video.path) as index:
                rows.append(summary(index))
        except NotIndexedError:
            continue  # removed since it was listed
        except StoreError as error:
            failures.append((entry.folder, error))
    return rows, failures


def _is_unchanged(video: Video, path: Path, status: os.stat_result) -> bool:
    """Is a file the one that was indexed, as far as path, size and time tell?"""
    same = (video.size, video.mtime_ns) == (status.st_size, status.st_mtime_ns)
    return same and Path(video.path) in _places(path)


def _places(path: Path) -> set[Path]:
    """The absolute paths of a file: as it is named, and where a link leads."""
    return {path.absolute(), path.resolve()}


def _ambiguous(name: str | Path, candidates: Sequence[Path]) -> OptionError:
    some = ", ".join(folder.name for folder in candidates[:_MOST_CANDIDATES])
    more = len(candidates) - _MOST_CANDIDATES
    rest = f" and {more:,} more" if more > 0 else ""
    return OptionError(
        f'"{printable(name)}" names {len(candidates):,} videos of the library; '
        f"give the path of one, or its folder in the library: {some}{rest}"
    )


def _unknown(name: str | Path, entries: Sequence[Entry]) -> NotIndexedError:
    text = printable(name)
    if Path(name).is_file():
        return NotIndexedError(f"{text} is not in the library; run: facereel index {shlex.quote(text)}")
    known = sorted({entry.video.name for entry in entries})
    wanted = Path(name).name
    similar = [known_name for known_name in known if Path(known_name).stem == wanted]
    similar = similar or difflib.get_close_matches(wanted, known, n=1)
    if similar:
        return NotIndexedError(f'no video "{text}" in the library; did you mean {printable(similar[0])}?')
    return NotIndexedError(f'no video "{text}" in the library; run: facereel index {shlex.quote(text)}')
