"""A video that was moved: its index learns where it lies now, by one small transaction in place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facereel.store.files.locks import folder_lock
from facereel.store.index import rows
from facereel.store.index.checksum import write_checksum
from facereel.store.index.database import DATABASE, writing
from facereel.store.index.reader import VideoIndex


def record_place(folder: Path, path: Path) -> None:
    """Note that an index's video lies at `path`; raises UnwritableError, and then nothing has changed."""
    status = path.stat()
    with VideoIndex(folder) as index:
        video = replace(index.video, path=str(path.resolve()), mtime_ns=status.st_mtime_ns)
    with (
        writing(folder.parent), folder_lock(folder.parent),
        closing(sqlite3.connect(folder / DATABASE, timeout=30)) as db, db,
    ):  # fmt: skip
        db.execute("UPDATE video SET path = :path, name = :name, mtime_ns = :mtime_ns", rows.video_row(video))
        db.commit()
        write_checksum(folder / DATABASE)
