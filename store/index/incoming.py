"""An index.db that comes from another machine in parts: it is checked before it gets its place in the store."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.disk import make_store
from facereel.store.files.names import folder_name
from facereel.store.index import rows
from facereel.store.index.database import DATABASE, writing
from facereel.store.index.placing import older_indexes, place
from facereel.store.index.reader import VideoIndex
from facereel.store.index.verify import check_content, check_tables
from facereel.store.model.errors import EngineMismatchError, StoreError
from facereel.store.model.records import EngineInfo, Video
from facereel.store.model.version import FACEREEL_VERSION, RESULTS_VERSION


class IncomingIndex:
    """A temporary folder of the store with what has come so far; gone when it is closed, unless it was installed.

    Methods raise UnwritableError.
    """

    def __init__(self, store: Path) -> None:
        self._store, self._stack, self._digest = store, ExitStack(), hashlib.sha256()
        make_store(store)
        with writing(store):
            self._folder = self._stack.enter_context(folders.temporary_folder(store))
            handle = os.open(self._folder / DATABASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = self._stack.enter_context(os.fdopen(handle, "wb"))

    def add(self, part: bytes) -> None:
        """Append a part of the file."""
        with writing(self._store):
            self._file.write(part)
        self._digest.update(part)

    def video(self, sha256: str, content: str, engine: EngineInfo) -> Video:
        """The video of the complete file, once all that can be checked of it is right.

        `sha256` is that of the file, `content` that of its video. Raises EngineMismatchError for one that another
        engine made, StoreError for one of another video or another version of the program, and for one that did not
        come as it was sent, DamagedIndexError.
        """
        with writing(self._store):
            self._file.close()
        if self._digest.hexdigest() != sha256:
            raise StoreError("its index did not arrive as it was sent; index it again")
        check_tables(self._folder)
        with VideoIndex(self._folder) as index:
            if index.video.sha256 != content:
                raise StoreError("its index is of another video; index it again")
            if index.engine != engine:
                raise EngineMismatchError(
                    f"it was indexed by {_identity(index.engine)}, and here is {_identity(engine)}; "
                    "install the same on every node"
                )
            if index.results_version != RESULTS_VERSION:
                raise StoreError(
                    f"it was indexed by FaceReel {index.facereel_version}, whose results differ from those of "
                    f"{FACEREEL_VERSION} here; install the same on every node"
                )
            check_content(index)
            return index.video

    def install(self, video: Video, path: str, mtime_ns: int) -> Path:
        """Note where this machine finds the video, give the index its place in the store, and return its folder.

        An older index of the video goes then.
        """
        placed = replace(video, path=path, mtime_ns=mtime_ns)
        target = self._store / folder_name(placed.name, video.sha256)
        with writing(self._store):
            if placed != video:
                with closing(sqlite3.connect(self._folder / DATABASE)) as db, db:
                    db.execute("PRAGMA trusted_schema = OFF")  # the file is another machine's
                    db.execute(
                        "UPDATE video SET path = :path, name = :name, mtime_ns = :mtime_ns",
                        rows.video_row(placed),
                    )
            place(self._folder, target, lambda: older_indexes(target, video.sha256))
        return target

    def close(self) -> None:
        """Delete what was not installed."""
        with suppress(OSError):  # the end of a part that a full disk refused before
            self._file.close()
        self._stack.close()


def _identity(engine: EngineInfo) -> str:
    """An engine with the beginnings of its weights' digests."""
    weights = (engine.detector_sha256, engine.landmarks_sha256, engine.recognizer_sha256)
    return f"{engine.name} (weights {' '.join(digest[:6] for digest in weights if digest)})"
