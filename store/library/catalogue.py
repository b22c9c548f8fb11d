"""Many video indexes as one: what is in a store, and finding it by name, path or content."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from facereel.store.files import folders, locks
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import printable
from facereel.store.index.pooled_file import read_identity
from facereel.store.index.reader import VideoIndex
from facereel.store.index.summary import VideoSummary, summary
from facereel.store.model.errors import NotIndexedError, OptionError, StoreError
from facereel.store.model.records import EngineInfo, Video
from facereel.store.resume import unfinished


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing knows of an index; `VideoIndex(entry.folder)` opens it."""

    folder: Path
    video: Video
    engine: EngineInfo


@dataclass(frozen=True, slots=True)
class Listing:
    """All indexes of a store by folder name, and those that cannot be read with the reason why."""

    entries: tuple[Entry, ...]
    failures: tuple[tuple[Path, StoreError], ...]  # damaged, newer, or not to be read


class Catalogue:
    """The indexes in a store; a store that is not there holds none. Making one changes nothing on the disk."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def clean(self) -> None:
        """Finish what dead processes left in the store. For writers, before they write."""
        folders.clean_leftovers(self.store)
        locks.locked_videos(self.store)
        unfinished.clean_unfinished(self.store)

    def listing(self) -> Listing:
        """Every index, at the cost of opening each once; raises StoreError when the store cannot be read."""
        entries, failures = [], []
        for folder in folders.index_folders(self.store):
            try:
                entries.append(Entry(folder, *read_identity(folder)))
            except NotIndexedError:
                continue  # removed since it was listed
            except StoreError as error:
                failures.append((folder, error))
        return Listing(tuple(entries), tuple(failures))

    def find(self, name: str | Path) -> VideoIndex:
        """Open the index of a video named as for `locate`; raises its errors and those of VideoIndex."""
        return VideoIndex(self.locate(name))

    def by_hash(self, sha256: str) -> VideoIndex | None:
        """Open the index of the video with that content; None when there is none. Damage raises."""
        for folder in folders.index_folders(self.store):
            if folders.hash_suffix(folder.name) == sha256[: folders.HASH_DIGITS]:
                index = VideoIndex(folder)
                if index.video.sha256 == sha256:
                    return index
                index.close()
        return None

    def remove(self, name: str | Path) -> Path:
        """Delete the index of a video, also a damaged one, and return where it was."""
        self.clean()
        folder = self.locate(name)
        folders.remove_folder(folder)
        unfinished.drop_unfinished(self.store, folders.hash_suffix(folder.name))
        return folder

    def locate(self, name: str | Path) -> Path:
        """The index folder of a video: by folder name, by path, by content if there is such a file, by name.

        Raises NotIndexedError; OptionError when several videos have that name.
        """
        listing = self.listing()
        every = [entry.folder for entry in listing.entries] + [folder for folder, _ in listing.failures]
        by_folder = [folder for folder in every if _is_folder(folder, name)]
        if by_folder:
            return by_folder[0]
        if Path(name).is_file():
            found = _of_file(Path(name), listing.entries)
        elif str(name) == Path(name).name:
            found = [entry for entry in listing.entries if entry.video.name == str(name)]
        else:
            found = [entry for entry in listing.entries if Path(entry.video.path) == Path(name).absolute()]
        if len(found) > 1:
            names = ", ".join(entry.folder.name for entry in found)
            raise OptionError(f"{printable(name)} names {len(found)} indexed videos; name one of {names}")
        if found:
            return found[0].folder
        # A damaged index still tells its video by its folder's name.
        stem = folders.safe_name(Path(name).name)
        unreadable = [f for f, _ in listing.failures if f.name[: -folders.HASH_DIGITS - 1] == stem]
        if unreadable:
            return unreadable[0]
        command = f"facereel index {shlex.quote(printable(name))}"
        raise NotIndexedError(f"{printable(name)} is not indexed; run: {command}")


def listing(library: Catalogue) -> tuple[list[VideoSummary], list[tuple[Path, StoreError]]]:
    """A row for every index, and the folders of those that cannot be read with the reason why."""
    found = library.listing()
    rows, failures = [], list(found.failures)
    for entry in found.entries:
        try:
            with VideoIndex(entry.folder) as index:
                rows.append(summary(index))
        except StoreError as error:
            failures.append((entry.folder, error))
    return rows, failures


def _is_folder(folder: Path, name: str | Path) -> bool:
    return folder.name == str(name) or folder.absolute() == Path(name).absolute()


def _of_file(path: Path, entries: tuple[Entry, ...]) -> list[Entry]:
    """The index of a file that is there: by path while size and time say it is the same, else by content."""
    status = path.stat()
    for entry in entries:
        unchanged = (entry.video.size, entry.video.mtime_ns) == (status.st_size, status.st_mtime_ns)
        if unchanged and Path(entry.video.path) == path.absolute():
            return [entry]
    if not any(entry.video.size == status.st_size for entry in entries):
        return []  # no need to read a long file
    sha256 = hash_file(path)
    return [entry for entry in entries if entry.video.sha256 == sha256]
