"""The unfinished index of one video: a folder in the store that becomes the video's index when it is complete."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.disk import make_folder, sync, unwritable
from facereel.store.files.locks import OWN, folder_lock, locked_videos
from facereel.store.files.names import HASH_DIGITS, folder_name
from facereel.store.index import schema
from facereel.store.index.checksum import compare_checksum
from facereel.store.index.database import DATABASE, read_version, reading, writing
from facereel.store.index.placing import older_indexes, place, seal
from facereel.store.index.reader import read_video
from facereel.store.index.rewrite import record_place
from facereel.store.index.writer import IndexWriter
from facereel.store.model.config import Config
from facereel.store.model.records import (
    Checkpoint,
    Cluster,
    EngineInfo,
    Floats,
    FrameTimes,
    IndexStats,
    Segment,
    Tracklet,
    Video,
)
from facereel.store.model.version import RESULTS_VERSION

UNFINISHED = f"{OWN}part-"  # with the first digits of the content's hash
_KEEP = 30 * 86400 * 10**9  # nanoseconds after which nobody is expected to resume


class UnfinishedIndex:
    """The unfinished index of one video; whoever holds it must hold the video's lock.

    Methods raise UnwritableError, and DamagedIndexError for rows that were damaged while it is open.
    """

    def __init__(
        self, store: Path, sha256: str, engine: EngineInfo, threshold: float, config: Config
    ) -> None:
        """Take up what an earlier run left if it was made of the same; anything else there is deleted.

        Raises UnwritableError, and deletes nothing, where it cannot be opened now.
        """
        made_of = [RESULTS_VERSION, len(schema.MIGRATIONS), sha256, asdict(engine), threshold, asdict(config)]
        self._run = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        self._store = store
        self.folder = store / f"{UNFINISHED}{sha256[:HASH_DIGITS]}"
        self._writer: IndexWriter | None = None
        self.discarded = ""  # why what an earlier run left is not used, if there was anything
        if self.folder.exists():
            self._take_up()

    @property
    def checkpoint(self) -> Checkpoint:
        """How far it has come."""
        return self._writer.checkpoint if self._writer is not None else Checkpoint()

    @property
    def completed(self) -> bool:
        """Whether an earlier run completed it and was stopped before it moved the folder into place."""
        return self._writer is not None and self._writer.completed

    def times(self) -> FrameTimes:
        """When each frame up to the checkpoint is shown."""
        with self._reading():
            return self._opened().times()

    def tracklets(self) -> Iterator[tuple[Tracklet, Floats, Floats, Floats, list[float | None]]]:
        """As IndexWriter.tracklets."""
        with self._reading():
            yield from self._opened().tracklets()

    def faces(self) -> int:
        """Sightings so far."""
        with self._reading():
            return self._opened().faces()

    def add(self, segment: Segment, times: FrameTimes, resumable: bool) -> None:
        """Add a segment with the times of its frames; on the disk when this returns if it is `resumable`.

        After one that is not, the next that is would make it last too: the caller adds no such segment.
        """
        with writing(self._store):
            writer = self._opened()
            writer.add(segment, times)
            if resumable:
                writer.commit(segment.after)

    def complete(
        self, video: Video, engine: EngineInfo, config: dict[str, float | int | str], stats: IndexStats,
        clusters: Sequence[Cluster],
    ) -> None:  # fmt: skip
        """Add what is known only at the end; raises ValueError when rows contradict themselves."""
        with writing(self._store):
            self._opened().complete(video, engine, config, stats, clusters)
            seal(self.folder)

    def record_place(self, path: Path) -> None:
        """Note where the video lies now, in an index that an earlier run completed."""
        self._close()
        record_place(self.folder, path)

    def move_into_place(self, check: Callable[[], None]) -> Path:
        """Give the complete index its name in the store and return its folder; an older index of the video goes then.

        `check` is called last before that; it may raise, and the index stays for a later run to move.
        """
        video, _ = read_video(self.folder)
        target = self._store / folder_name(video.name, video.sha256)
        self._close()

        def older() -> list[Path]:
            check()
            return older_indexes(target, video.sha256)

        with writing(self._store):
            place(self.folder, target, older)
        return target

    def clear(self) -> None:
        """Delete it: what was written turned out not to fit."""
        self._close()
        self._writer = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the files; deletes the folder unless a later run can resume from it."""
        resumable = self.completed or self.checkpoint.frames > 0
        self._close()
        if not resumable:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with reading(self.folder), writing(self._store):
            yield

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _opened(self) -> IndexWriter:
        """The writer; made with the first segment, so that a short video leaves nothing when it is stopped."""
        if self._writer is None:
            make_folder(self.folder, 0o700)
            self._writer = IndexWriter(self.folder / DATABASE, self._run)
            sync(self.folder)
        return self._writer

    def _take_up(self) -> None:
        try:
            if not (self.folder / DATABASE).exists():
                raise ValueError("it holds no index.db")
            self._writer = IndexWriter(self.folder / DATABASE, self._run)
            if self._writer.completed and compare_checksum(self.folder / DATABASE) != "intact":
                raise ValueError("it has no checksum")
        except (sqlite3.Error, ValueError, TypeError, OSError) as error:
            if _is_temporary(error):
                raise unwritable(self._store, error) from error
            self.discarded = str(error)
            self.clear()


def _is_temporary(error: Exception) -> bool:
    """Whether a file could not be opened or read, as when it is locked: that says nothing about its rows."""
    if isinstance(error, sqlite3.OperationalError):
        return not str(error).startswith("no such ")  # a table or column: it is no unfinished index of ours
    return isinstance(error, OSError)


def clean_unfinished(store: Path) -> None:
    """Delete unfinished indexes of videos that were indexed since, and those that nobody continued for a month."""

    def is_over(folder: Path) -> bool:
        last = folder.stat().st_mtime_ns
        return time.time_ns() - last > _KEEP or _indexed_since(folder, last)

    _delete(store, is_over)


def unfinished_runs(store: Path) -> tuple[str, ...]:
    """The videos with an unfinished index, by the first digits of their sha256; also those being indexed now."""
    with suppress(OSError):
        names = sorted(name for name in os.listdir(store) if name.startswith(UNFINISHED))
        return tuple(name.removeprefix(UNFINISHED) for name in names)
    return ()


def delete_unfinished(store: Path, digits: str | None = None) -> tuple[str, ...]:
    """Delete all unfinished indexes, or that of one video; gives those that are gone.

    One on which a process works stays, and so does one that cannot be deleted.
    """
    return _delete(store, lambda folder: digits is None or folder.name == UNFINISHED + digits)


def _delete(store: Path, chosen: Callable[[Path], bool]) -> tuple[str, ...]:
    """Delete unfinished indexes on which nobody works; gives the first digits of their videos' sha256."""
    deleted: list[str] = []
    if not unfinished_runs(store):
        return ()
    # Under the folder lock nobody takes a video's lock: who does not work on a video now does not begin meanwhile.
    with suppress(OSError), folder_lock(store):
        live = locked_videos(store)
        for digits in unfinished_runs(store):
            folder = store / f"{UNFINISHED}{digits}"
            with suppress(OSError):
                if digits not in live and chosen(folder):
                    shutil.rmtree(folder)
                    deleted.append(digits)
    return tuple(deleted)


def _indexed_since(folder: Path, moment: int) -> bool:
    """Whether the run ended with an index, and died before it tidied up."""
    digits = folder.name.removeprefix(UNFINISHED)
    return any(
        read_version(index).mtime_ns > moment for index in folders.index_folders(folder.parent, digits)
    )
