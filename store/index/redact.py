"""Taking people out of an index: their rows go, and nothing of them stays in free pages of the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import numpy as np

from facereel.store.files import folders
from facereel.store.files.folders import printable
from facereel.store.files.locks import video_lock
from facereel.store.index import rows, vectors
from facereel.store.index.checksum import write_checksum
from facereel.store.index.database import DATABASE, IndexVersion, open_readonly, predecessor, reading, writing
from facereel.store.index.reader import VideoIndex, write_vectors
from facereel.store.model.errors import StoreError

# What hangs on a tracklet, first what points at others.
_HANGING = (
    "DELETE FROM sightings WHERE tracklet = ?",
    "DELETE FROM exemplars WHERE tracklet = ?",
    "DELETE FROM tracklets WHERE tracklet = ?",
)


def drop_tracklets(folder: Path, numbers: Collection[int], version: IndexVersion) -> None:
    """Rewrite an index without some tracklets, their looks and vectors, and people who are left with none.

    The index is there as it was or as it is to be, whatever happens meanwhile; frames and shots stay. `version` is
    that from which the numbers were read: raises StoreError when it was written since or is just being indexed,
    as then they may be other people's; DamagedIndexError, UnwritableError.
    """
    with VideoIndex(folder) as index:
        video, dim = index.video, index.engine.dim
    store = folder.parent

    def busy() -> None:
        raise StoreError(
            f"{printable(video.name)} is being indexed by another process; run this again when that is done"
        )

    with (
        video_lock(store, video.sha256, busy), reading(folder, video.path), writing(store),
        folders.temporary_folder(store) as written,
    ):  # fmt: skip
        with closing(_without(folder, numbers, dim)) as connection:
            os.close(os.open(written / DATABASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            # Unlike a file whose rows were deleted, a new one has no pages in which they still stand.
            connection.execute("VACUUM INTO ?", (str(written / DATABASE),))
        folders.sync(written / DATABASE)
        write_checksum(written / DATABASE)
        write_vectors(written)
        folders.sync(written)
        folders.replace_folders(written, folder, lambda: predecessor(folder, version))


def _without(folder: Path, numbers: Collection[int], dim: int) -> sqlite3.Connection:
    """The database in memory, without those tracklets."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with closing(open_readonly(folder)) as original:
        original.backup(connection)
    for statement in _HANGING:
        connection.executemany(statement, [(int(number),) for number in numbers])
    connection.execute("DELETE FROM clusters WHERE cluster NOT IN (SELECT cluster FROM tracklets)")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise ValueError("a row points at one that is to go")
    left = connection.execute("SELECT exemplar, embedding FROM exemplars ORDER BY exemplar").fetchall()
    exemplars = np.array([exemplar for exemplar, _ in left], np.int64)
    digest = vectors.rows_digest(exemplars, rows.embeddings_of([blob for _, blob in left], dim))
    connection.execute("UPDATE vectors SET count = ?, sha256 = ?", (len(left), digest))
    connection.execute("UPDATE stats SET faces = (SELECT count(*) FROM sightings)")
    return connection
