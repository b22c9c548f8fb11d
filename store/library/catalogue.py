"""Many video indexes as one: what is in a store, finding it by name, path or content, and searching its clusters.

The table `videos` of library.db and library.vectors are brought up to date by the names of the store's folders, and
those are listed only when the time of the store's folder is another than at the last listing. So an index that was
replaced by hand is noticed when it is opened; whoever writes an index through this program calls `refresh`.
"""

from __future__ import annotations

import difflib
import logging
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facereel.store.files import folders, locks
from facereel.store.files.digest import hash_file
from facereel.store.files.disk import unwritable
from facereel.store.files.names import HASH_DIGITS, hash_suffix, printable, safe_name
from facereel.store.index.database import NO_INDEX, read_version, writing
from facereel.store.index.reader import VideoIndex, read_video
from facereel.store.library import videos
from facereel.store.library.database import LibraryDatabase
from facereel.store.library.joining import Looks, join, settle, similarity_scale
from facereel.store.library.people import LibraryPeople
from facereel.store.library.suggestions import Questions, Suggestion, note_asked, questions
from facereel.store.library.vectors import ClusterSearch, UnusableFile, VectorFile, recogniser, state_of
from facereel.store.library.videos import Counts, StoredVideo, VideoClusters, read_clusters
from facereel.store.model.errors import (
    BusyLibraryError,
    DamagedIndexError,
    DamagedLibraryError,
    NewerIndexError,
    NotIndexedError,
    OptionError,
    StoreError,
    UnwritableError,
)
from facereel.store.model.records import EngineInfo, Video
from facereel.store.model.urls import Url, is_url

if TYPE_CHECKING:
    from facereel.store.index.summary import VideoSummary

logger = logging.getLogger(__name__)

_MOST_CANDIDATES = 5  # that an error names
_BATCH = 64  # videos whose clusters are written at once
_ATTEMPTS = 20  # to search a file that others write anew meanwhile
_NOTE_SECONDS = 2.0  # between two notes of how far reading indexes has come
# A folder's time may stay the same for this long though its entries change, nanoseconds: what file systems of Linux
# need is 10 ms at most; one that counts in whole seconds needs two.
_TICK, _COARSE_TICK = 20_000_000, 2_000_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One index of a listing; `VideoIndex(entry.folder)` opens it."""

    folder: Path
    video: Video
    engine: EngineInfo


@dataclass(frozen=True, slots=True)
class Listing:
    """All indexes of a store by folder name, and those that cannot be read with the reason why; so a library.db."""

    entries: tuple[Entry, ...]
    failures: tuple[tuple[Path, StoreError], ...]  # damaged, newer, or not to be read


@dataclass(frozen=True, slots=True, eq=False)
class Searchable:
    """What a query by one recogniser can search, and what it cannot."""

    clusters: ClusterSearch
    counts: Counts
    others: tuple[StoredVideo, ...]  # of other recognisers
    failures: tuple[tuple[Path, StoreError], ...]  # indexes that cannot be read


class Catalogue:
    """The indexes in a store; a store that is not there holds none. Making one changes nothing on the disk."""

    def __init__(self, store: Path, note: Callable[[str], None] = lambda text: None) -> None:
        """`note` gets a line now and then while many indexes are read."""
        self.store = store
        self.database = LibraryDatabase(store)
        self._note = note
        self.people = LibraryPeople(store, self.database)
        self._vectors = VectorFile(store)
        # What could not be written, as in a store that may only be read, by folder name; None: the index is gone. It is
        # replaced as a whole, under the lock of writers: other threads read it meanwhile, each the one it began with.
        self._unwritten: dict[str, VideoClusters | None] = {}
        self._numbers = count(-1, -1)  # of those: by its number a search tells a video from others
        self._noted_loss = False
        self._digests: dict[
            tuple[str, int, int], str
        ] = {}  # of files that were hashed, by path, size and time

    def clean(self) -> None:
        """Finish what dead processes left in the store. For writers, before they write."""
        from facereel.store.resume import (
            unfinished,  # here and below: what only writers need takes long to import
        )

        self._note_loss()
        if folders.is_clean(self.store):
            return  # one listing of a large store, and not one for each of the following
        folders.clean_leftovers(self.store)
        locks.locked_videos(self.store)
        unfinished.clean_unfinished(self.store)

    def listing(self) -> Listing:
        """Every index; those that library.db has are not opened, damaged it has none.

        Raises StoreError for an unreadable store.
        """
        entries, failures = [], list[tuple[Path, StoreError]]()
        known: dict[str, StoredVideo] = {}
        try:
            with self.database.read() as db:
                known = videos.all_of(db, self.store)
        except DamagedLibraryError as error:
            failures.append((self.database.path, error))
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

    def searchable(self, engine: EngineInfo) -> Searchable:
        """The clusters that an engine's vectors compare with; what is new in the store is read on the way.

        Raises StoreError for an unreadable store.
        """
        return self._while_usable(partial(self._searchable, engine))

    def _while_usable(self, work: Callable[[tuple[tuple[Path, StoreError], ...]], T]) -> T:
        """What `work` gives of the library as it is now; it gets the indexes that cannot be read."""
        for _ in range(_ATTEMPTS):
            failures = self._synchronise()
            with suppress(UnusableFile):  # another process writes it anew
                return work(failures)
        raise StoreError(f"{printable(self._vectors.path)} is being written by another process; run it again")

    def clusters_like(self, engine: EngineInfo) -> ClusterSearch:
        """The clusters of an engine's recogniser, as library.vectors has them now; raises StoreError."""
        with suppress(UnusableFile):
            return self._clusters_like(engine)
        return self._while_usable(lambda _: self._clusters_like(engine))

    def _clusters_like(self, engine: EngineInfo) -> ClusterSearch:
        unwritten = self._unwritten
        own = [video for video in unwritten.values() if video and video.engine.compares_with(engine)]
        with self.database.read() as db:
            excluded = [
                stored.number for name in unwritten
                if (stored := videos.by_folder(db, self.store, name)) is not None
            ]  # fmt: skip
            if unwritten and not self._is_usable(db):
                if not videos.names_of_folders(db) <= unwritten.keys():
                    raise UnusableFile("gone since indexes were read")
                found = ClusterSearch(engine.dim, 0, (), state=state_of(db))
            else:
                found = self._vectors.search(db, engine, excluded)
        return found.plus([(v.number, v.clusters.numbers, v.clusters.embeddings) for v in own])

    def is_current(self, clusters: ClusterSearch) -> bool:
        """Are the vectors still there that were mapped? Those of an index that is replaced are overwritten."""
        with self.database.read() as db:
            return state_of(db) == clusters.state

    def stored(self, numbers: Sequence[int]) -> dict[int, StoredVideo]:
        """Videos by the numbers that a search gives; one that is gone meanwhile is left out."""
        unwritten = {video.number: video for video in self._unwritten.values() if video is not None}
        with self.database.read() as db:
            found = videos.by_numbers(db, self.store, [n for n in numbers if n > 0])
        return found | {number: unwritten[number] for number in numbers if number in unwritten}

    def all(self) -> list[StoredVideo]:
        """Every video, by folder name."""
        return self._known(lambda db: list(videos.all_of(db, self.store).values()), lambda _: True)

    def of_content(self, sha256: str) -> list[StoredVideo]:
        """The videos of that content, by folder name; more than one where another store was copied into this one."""
        return self._known(
            lambda db: videos.by_content(db, self.store, sha256), lambda video: video.video.sha256 == sha256
        )

    def paths(self, engine: EngineInfo) -> list[str]:
        """Where the videos lie that an engine's vectors compare with."""
        unwritten = self._unwritten
        own = [v.video.path for v in unwritten.values() if v and v.engine.compares_with(engine)]
        with self.database.read() as db:
            return [path for name, path in videos.paths(db, engine) if name not in unwritten] + own

    def names(self, most: int) -> list[tuple[Path, str]]:
        """The folders of the first indexes by the names of their videos, and these; what is new is read on the way.

        Opens no index that library.db has: one that was damaged since is among them.
        """
        self._synchronise()
        unwritten = self._unwritten
        with self.database.read() as db:
            found = [(name, video) for name, video in videos.folders(db) if name not in unwritten]
        found += [(name, stored.video.name) for name, stored in unwritten.items() if stored is not None]
        found.sort(key=lambda pair: (pair[1].casefold(), pair[0]))
        return [(self.store / name, video) for name, video in found[:most]]

    def current(self, folder: Path) -> StoredVideo:
        """What the library knows of one index, as it is now; raises the errors of VideoIndex."""
        with self.database.read() as db:
            stored = videos.by_folder(db, self.store, folder.name)
        if stored is not None and stored.version == read_version(folder):
            return stored
        read, failures = self._read_changed([folder])
        if failures:
            raise failures[0][1]
        if not read:
            raise NotIndexedError(f"{printable(folder.name)} was removed or replaced meanwhile; run it again")
        (found,) = self._known(
            lambda db: [one for one in [videos.by_folder(db, self.store, folder.name)] if one],
            lambda video: video.folder == folder,
        )
        return found

    def refresh(self, only: Sequence[Path] | None = None) -> None:
        """Bring the library up to date with the names of the store's folders, or with some indexes as they are now.

        Whoever writes, replaces or removes an index calls this, so that nothing of an old index stays in
        library.vectors; if nobody does, the next query finds what is new or gone. Damaged indexes are passed over.
        Raises StoreError for an unreadable store.
        """
        if only is None:
            self._synchronise()
            return
        with self.database.read() as db:
            known = {folder: videos.by_folder(db, self.store, folder.name) for folder in only}
        versions = {folder: read_version(folder) for folder in only}
        self._read_changed([
            folder for folder in only
            if versions[folder] != NO_INDEX
            and ((stored := known[folder]) is None or stored.version != versions[folder])
        ])  # fmt: skip
        self._remove_gone([folder.name for folder in only if versions[folder] == NO_INDEX])

    def read_current(self, read: Callable[[Path, str | None], T], folder: Path, path: str | None) -> T:
        """What `read` gives of an index, also while it is replaced; raises NotIndexedError if it is gone."""
        try:
            return read(folder, path)
        except NotIndexedError:
            # Between two renames a folder that is replaced is not there; listing waits until its successor is.
            if folder.name not in folders.index_names(self.store):
                raise
            return read(folder, path)

    def settle(self) -> list[tuple[int, int]]:
        """Let the clusters of videos follow decisions; gives what `joining.settle` gives of all."""
        anchored: list[tuple[int, int]] = []
        for sha256 in self.people.unsettled(indexed=True):  # the other marks wait for their videos
            index = self.by_hash(sha256)
            if index is not None:  # removed meanwhile
                with index:
                    anchored += settle(self.people, index)
        return anchored

    def suggest(self, most: int) -> tuple[Suggestion, ...]:
        """As `questions`, and note that they were put to the user."""

        def ask(_: object) -> tuple[Suggestion, ...]:
            with self.people.writing():
                found = questions(self.people, self._every_look, self.by_hash, most).suggestions
                note_asked(self.people, [(one.person.id, one.other.id) for one in found])
            return found

        return self._while_usable(ask)

    def questions(self, most: int) -> Questions:
        """The questions about people whose answers would help most; raises the errors of suggestions.questions."""
        return self._while_usable(lambda _: questions(self.people, self._every_look, self.by_hash, most))

    def _every_look(self, db: sqlite3.Connection) -> Iterator[tuple[Looks, int]]:
        """What people look like by each recogniser, and how many clusters there are of it."""
        for video in videos.one_of_each_recogniser(db, self.store):
            with VideoIndex(video.folder, video.video.path) as index:
                scale = similarity_scale(index)
            search = self._vectors.search(db, video.engine)
            yield Looks(db, self._vectors, search, recogniser(video.engine), "", scale), search.count

    def drop_rows(self, chosen: Sequence[Path]) -> None:
        """Remove what library.vectors has of some folders, valid or not; raises StoreError where it stays."""
        with locks.no_writers(self.store):
            self._drop([folder.name for folder in chosen])

    def find(self, name: str | Path) -> VideoIndex:
        """Open the index of a video named as for `locate`; raises its errors and those of VideoIndex."""
        return self._open(self.locate(name))

    def by_hash(self, sha256: str) -> VideoIndex | None:
        """Open the index of the video with that content; None when there is none. Damage raises.

        Opens no other index and lists the names of the store's folders at most.
        """
        for folder in self._folders_of(sha256):
            index = self._open(folder)
            if index.video.sha256 == sha256:
                return index
            index.close()
        return None

    def by_path(self, path: Path) -> VideoIndex | None:
        """Open the index of a file whose path, size and time are those that were indexed; None when there is none.

        Asks library.db and opens no other index: None does not mean that the content is not indexed.
        """
        status = path.stat()
        for stored in self._of_path(path):
            try:
                index = VideoIndex(stored.folder)
            except StoreError:
                continue
            if _is_unchanged(index.video, path, status):
                return index
            index.close()
        return None

    def by_url(self, url: Url) -> VideoIndex | None:
        """Open the index of the video that had that address; None when there is none. Damage raises."""
        return next((self._open(stored.folder) for stored in self._of_url(url)), None)

    def known_paths(self) -> set[str]:
        """Where all videos lay when they were indexed, as far as library.db tells now; opens no index."""
        with suppress(StoreError), self.database.read() as db:
            return videos.all_paths(db)
        return set()

    def video_path(self, folder: Path) -> str | None:
        """Where the video of an index lay when the index was last read, also if it is damaged since."""
        with suppress(DamagedLibraryError), self.database.read() as db:
            stored = videos.by_folder(db, self.store, folder.name)
            return None if stored is None else stored.video.path
        return None

    def remove(self, name: str | Path) -> Path:
        """Delete the index of a video, also a damaged one, and return where it was.

        Raises StoreError while the video is being indexed, UnwritableError.
        """
        from facereel.store.resume import unfinished

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
        folder = self.store / Path(name).name
        named = folder.name == str(name) or folder.absolute() == Path(name).absolute()
        if (
            named and hash_suffix(folder.name) and os.path.isdir(folder)
        ):  # False, too, for what can be no name
            return folder
        failures = self._synchronise()
        if os.path.isfile(name):
            found = self._of_file(Path(name))
        elif is_url(str(name)):
            found = self._of_url(Url(str(name)))
        elif str(name) == Path(name).name:
            found = self._known(
                lambda db: videos.by_name(db, self.store, str(name)),
                lambda video: video.video.name == str(name),
            )
        else:
            path = Path(name).absolute()
            found = self._known(
                lambda db: videos.by_path(db, self.store, path), lambda video: Path(video.video.path) == path
            )
        if len(found) > 1:
            raise _ambiguous(name, [stored.folder for stored in found])
        if found:
            return found[0].folder
        # The folder of a damaged index still names its video.
        stem = safe_name(Path(name).name)
        unreadable = [f for f, _ in failures if f.name[: -HASH_DIGITS - 1] == stem]
        if unreadable:
            return unreadable[0]
        with self.database.read() as db:
            names = videos.names(db)
        raise _unknown(name, names + [video.video.name for video in self._unwritten.values() if video])

    # Finding

    def _known(
        self,
        select: Callable[[sqlite3.Connection], list[StoredVideo]],
        chosen: Callable[[StoredVideo], bool],
    ) -> list[StoredVideo]:
        """Videos of the table, and of what could not be written into it, by folder name."""
        unwritten = self._unwritten
        with self.database.read() as db:
            found = [stored for stored in select(db) if stored.folder.name not in unwritten]
        found += [video for video in unwritten.values() if video is not None and chosen(video)]
        return sorted(found, key=lambda stored: stored.folder.name)

    def _of_path(self, path: Path) -> list[StoredVideo]:
        """Videos that lay where a file lies now, as far as the library knows."""
        places = _places(path)
        return self._known(
            lambda db: [stored for place in places for stored in videos.by_path(db, self.store, place)],
            lambda video: Path(video.video.path) in places,
        )

    def _of_url(self, url: Url) -> list[StoredVideo]:
        """Videos that had an address when they were indexed."""
        return self._known(
            lambda db: videos.by_path(db, self.store, url), lambda video: video.video.path == url
        )

    def _of_file(self, path: Path) -> list[StoredVideo]:
        """The index of a file that is there: by path while size and time are the same, else by content."""
        status = path.stat()
        for stored in self._of_path(path):
            if _is_unchanged(stored.video, path, status):
                return [stored]
        same_size = self._known(
            lambda db: videos.by_size(db, self.store, status.st_size),
            lambda video: video.video.size == status.st_size,
        )
        if not same_size:
            return []  # no need to read a long file
        key = (str(path.absolute()), status.st_size, status.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = hash_file(path)
        return [stored for stored in same_size if stored.video.sha256 == self._digests[key]]

    def _folders_of(self, sha256: str) -> list[Path]:
        """Folders that may hold the index of that content."""
        with self.database.read() as db:
            if videos.listed_at(db) == _mtime_ns(self.store):
                own = [stored.folder for stored in videos.by_content(db, self.store, sha256)]
                return own + [self.store / name for name in videos.unreadable(db) if _may_hold(name, sha256)]
        return folders.index_folders(self.store, sha256[:HASH_DIGITS])

    def _open(self, folder: Path) -> VideoIndex:
        return self.read_current(VideoIndex, folder, self.video_path(folder))

    # Searching

    def _searchable(self, engine: EngineInfo, failures: tuple[tuple[Path, StoreError], ...]) -> Searchable:
        unwritten = self._unwritten
        with self.database.read() as db:
            if not videos.pending(db) <= unwritten.keys():
                raise UnusableFile("made anew by another process")
            search = self._clusters_like(engine)
            counts = videos.counts(db, engine)
            replaced = [
                videos.by_folder(db, self.store, name)
                for name in unwritten.keys() - videos.without_vectors(db)
            ]  # fmt: skip
        for stored in replaced:
            if stored is not None and stored.engine.compares_with(engine):
                counts = counts.plus(stored, -1)
        for video in unwritten.values():
            if video is not None and video.engine.compares_with(engine):
                counts = counts.plus(video)
        others = self._known(
            lambda db: videos.of_other_recognisers(db, self.store, engine),
            lambda video: not video.engine.compares_with(engine),
        )
        return Searchable(search, counts, tuple(others), failures)

    # Keeping up to date

    def _synchronise(self) -> tuple[tuple[Path, StoreError], ...]:
        """Read what is new among the store's folders, remove what is gone; gives those that cannot be read."""
        self._note_loss()
        before = _mtime_ns(self.store)
        with self.database.read() as db:
            listed, pending, unreadable = videos.listed_at(db), videos.pending(db), videos.unreadable(db)
            usable = self._is_usable(db)
            copied = usable and not self._vectors.check(db)
        if copied:
            self._adopt()
        if listed == before and usable and not pending and not self._unwritten:
            return self._read_new([self.store / name for name in unreadable])
        listed_at = self._stable_mtime()
        with self.database.read() as db:
            known = videos.names_of_folders(db)
        names = folders.index_names(self.store, known=known)
        if not usable and names:
            self._begin_anew()
        with self.database.read() as db:
            usable = self._is_usable(db)
            # Not what was known before the listing: rows may have gone since, as while somebody is forgotten.
            complete = videos.names_of_folders(db) - videos.without_vectors(db) if usable else set[str]()
        complete |= {name for name, video in self._unwritten.items() if video is not None}
        failures = self._read_new([self.store / name for name in sorted(names - complete)])
        self._remove_gone(sorted((known | set(unreadable)) - names))
        if listed != before or not usable:
            self._record_listing(names, listed_at)
        return failures

    def _note_loss(self) -> None:
        """Say once that what was decided is gone; without a word a library would begin anew."""
        if self._noted_loss or self.database.is_there():
            return
        if self._vectors.path.exists() or folders.index_names(self.store):
            self._noted_loss = True
            where = f"{printable(self.database.path)} is {'empty' if self.database.path.exists() else 'not there'}"
            self._note(
                f"{where}, though there are indexes: names and decisions that it held are gone; "
                "if you have a backup of them run: facereel people restore BACKUP"
            )

    def _is_usable(self, db: sqlite3.Connection) -> bool:
        """Are library.vectors and the table of one state?"""
        try:
            self._vectors.check(db)
        except (UnusableFile, OSError) as reason:
            logger.info("%s is not read: %s", printable(self._vectors.path), reason)
            return False
        return True

    def _adopt(self) -> None:
        """Let a library.vectors that was copied with its store count without its checksums from now on."""
        with suppress(OSError, UnusableFile), _unless_damaged(), self.database.write(patience=0) as db:
            if not self._vectors.check(db):  # and not merely written by another process at this moment
                self._vectors.adopt(db)

    def _begin_anew(self) -> None:
        """Begin a new library.vectors where it can be written; raises BusyLibraryError while others write."""
        with suppress(OSError, UnusableFile), _unless_damaged(busy=False), self.database.write() as db:
            self._make_usable(db)
        self._tidy()

    def _tidy(self) -> None:
        """Overwrite vectors that count no more; where that is not possible now, whoever writes next does it."""
        with suppress(OSError, UnusableFile), _unless_damaged():
            videos.tidy(self.database, self._vectors)

    def _make_usable(self, db: sqlite3.Connection) -> None:
        """Begin a new library.vectors, unless the one there is that of the table."""
        try:
            if not self._vectors.check(db):
                self._vectors.adopt(db)
        except UnusableFile as reason:
            if videos.names_of_folders(db):
                logger.warning("%s is made anew from the indexes: %s", printable(self._vectors.path), reason)
            self._vectors.reset(db)
            videos.forget_vectors(db)

    def _read_new(self, new: Sequence[Path]) -> tuple[tuple[Path, StoreError], ...]:
        """Read some indexes; those that cannot be read are noted, so that the next query tries again."""
        if not new:
            return ()
        _, failures = self._read_changed(new)
        names = {folder.name for folder, _ in failures}
        with self.database.read() as db:
            unknown = sorted(names - set(videos.unreadable(db)))
        if unknown:
            with suppress(OSError), _unless_damaged(), self.database.write() as db:
                videos.note_unreadable(db, unknown)
        return tuple(failures)

    def _read_changed(
        self, changed: Sequence[Path]
    ) -> tuple[list[VideoClusters], list[tuple[Path, StoreError]]]:
        """Read the clusters of some indexes and write them into the library."""
        read, failures = [], []
        unwritten: list[VideoClusters] = []
        last_note = time.monotonic()
        for done, folder in enumerate(changed, start=1):
            try:
                unwritten.append(self.read_current(read_clusters, folder, self.video_path(folder)))
            except NotIndexedError:
                pass  # removed since it was listed
            except StoreError as error:
                failures.append((folder, error))
            if unwritten and (len(unwritten) == _BATCH or done == len(changed)):
                self._write(unwritten)
                read += unwritten
                unwritten = []
            if time.monotonic() - last_note > _NOTE_SECONDS:
                self._note(
                    f"the library reads {len(changed):,} new or changed indexes: {done / len(changed):.0%}"
                )
                last_note = time.monotonic()
        return read, failures

    def _write(self, read: Sequence[VideoClusters]) -> None:
        # Under the lock nobody replaces an index: what was read of an old one is not written after its replacement.
        with locks.no_writers(self.store):
            read = [video for video in read if video.version == read_version(video.folder)]
            try:
                with self.database.write() as db:
                    self._make_usable(db)
                    videos.put(db, self._vectors, read)
                    self._join(read)
            except (DamagedLibraryError, NewerIndexError):
                raise
            except (StoreError, UnusableFile, OSError) as error:
                # Who waits for another process need not hold the whole library in memory.
                if isinstance(error, BusyLibraryError) and len(self._unwritten) + len(read) > _BATCH:
                    raise
                logger.info("%s is not written: %s", printable(self._vectors.path), error)
                unwritten = dict(self._unwritten)
                for video in read:
                    before = unwritten.get(video.folder.name)
                    number = next(self._numbers) if before is None else before.number
                    unwritten[video.folder.name] = videos.numbered(video, number)
                self._unwritten = unwritten
            else:
                names = {video.folder.name for video in read}
                self._unwritten = {name: one for name, one in self._unwritten.items() if name not in names}
                self._tidy()

    def _join(self, read: Sequence[VideoClusters]) -> None:
        """Give the clusters of some videos their people. A damaged index has none: it is named when it is opened."""
        for video in read:
            with (
                suppress(DamagedIndexError, NotIndexedError),
                VideoIndex(video.folder, video.video.path) as index,
            ):
                join(self.people, self._vectors, index)

    def _remove_gone(self, names: Sequence[str]) -> None:
        """Remove some folders from the library if their indexes are gone."""
        if not names:
            return
        with locks.no_writers(self.store):
            gone = [name for name in names if read_version(self.store / name) == NO_INDEX]
            try:
                self._drop(gone)
            except (DamagedLibraryError, NewerIndexError):
                raise
            except StoreError:
                self._unwritten = self._unwritten | dict.fromkeys(gone)

    def _drop(self, names: Sequence[str]) -> None:
        """Remove the rows of some folders, or library.vectors if they cannot be; raises StoreError where they stay."""
        if not names:
            return
        try:
            if not self.database.path.exists():
                self._vectors.unlink()  # of a version without library.db
                return
            with self.database.write() as db:
                self._make_usable(db)
                known = [videos.by_folder(db, self.store, name) for name in names]
                videos.drop(db, self._vectors, names)
                for sha256 in {video.video.sha256 for video in known if video is not None}:
                    if not videos.by_content(db, self.store, sha256):
                        self.people.drop_members(sha256)
            videos.tidy(self.database, self._vectors)
        except (UnwritableError, UnusableFile, OSError) as error:
            logger.info("%s is not written: %s", printable(self._vectors.path), error)
            try:
                self._vectors.unlink()
            except OSError as refusal:
                raise unwritable(self._vectors.path, refusal) from refusal

    def _record_listing(self, names: set[str], listed_at: int | None) -> None:
        """Record the time of the store's folder, if its folders are still those that the library was compared with.

        They were listed at that time of the folder.
        """
        if not self.database.path.exists() or locks.holds(self.store):
            return  # while the lock is held there is a file in the folder that will go
        if listed_at is None or listed_at != _mtime_ns(self.store):  # as after any writing of our own
            listed_at = self._stable_mtime()
            if listed_at is None or folders.index_names(self.store, known=names) != names:
                return
        if _mtime_ns(self.store) == listed_at:
            with suppress(OSError), _unless_damaged(), self.database.write() as db:
                videos.record_listing(db, listed_at)

    def _stable_mtime(self) -> int | None:
        """The time of the store's folder, once each later change gives it another; None where that takes long."""
        before = _mtime_ns(self.store)
        tick = _TICK if before % 1_000_000_000 else _COARSE_TICK
        age = time.time_ns() - before
        if age < tick:
            if tick > _TICK:
                return None
            time.sleep((tick - max(age, 0)) / 1e9)
        return before


def listing(catalogue: Catalogue) -> tuple[list[VideoSummary], list[tuple[Path, StoreError]]]:
    """A row for every index, and the folders of those that cannot be read with the reason why."""
    from facereel.store.index.summary import summary

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


def _may_hold(folder: str, sha256: str) -> bool:
    return hash_suffix(folder) == sha256[:HASH_DIGITS]


def _mtime_ns(folder: Path) -> int:
    """When the entries of a folder last changed; 0 where it is not there."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def _unless_damaged(busy: bool = True) -> Iterator[None]:
    """Go on where library.db cannot be written; a damaged or newer one raises, without `busy` a busy one, too."""
    try:
        yield
    except (DamagedLibraryError, NewerIndexError):
        raise
    except StoreError as error:
        if isinstance(error, BusyLibraryError) and not busy:
            raise
        logger.info("library.db is not written: %s", error)


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


def _unknown(name: str | Path, names: Sequence[str]) -> NotIndexedError:
    text = printable(name)
    if os.path.isfile(name):
        return NotIndexedError(f"{text} is not in the library; run: facereel index {shlex.quote(text)}")
    known = sorted(set(names))
    wanted = Path(name).name
    similar = [known_name for known_name in known if Path(known_name).stem == wanted]
    similar = similar or difflib.get_close_matches(wanted, known, n=1)
    if similar:
        return NotIndexedError(f'no video "{text}" in the library; did you mean {printable(similar[0])}?')
    return NotIndexedError(f'no video "{text}" in the library; run: facereel index {shlex.quote(text)}')
