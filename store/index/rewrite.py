"""Changing a complete index: a changed copy is written beside it and takes its place, whole or not at all.

The copy is made on the disk, page by page, and compacted into a new file at the end: nothing of rows that were
deleted stays in its free pages, and no index is read into memory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from facereel.store.files import folders
from facereel.store.files.locks import video_lock
from facereel.store.files.names import printable
from facereel.store.index import rows
from facereel.store.index.database import DATABASE, IndexVersion, open_version, predecessor, reading, writing
from facereel.store.index.placing import place
from facereel.store.index.reader import VideoIndex
from facereel.store.index.writer import embedding_digest, write_clusters
from facereel.store.model.errors import StoreError, VideoError
from facereel.store.model.records import Cluster, EngineInfo, RecognisedFace

REEMBEDDED = (
    "reembedded_from"  # key in config: whose detector found the faces, when another recogniser came later
)
_COPY = "copy.db"

_UPDATE_ENGINE = (
    "UPDATE engine SET name = :name, dim = :dim, detector_sha256 = :detector_sha256, "
    "recognizer_sha256 = :recognizer_sha256, landmarks_sha256 = :landmarks_sha256"
)
_UPDATE_EXEMPLAR = (
    "UPDATE exemplars SET landmarks = :landmarks, frontality = :frontality, face_probability = :face_probability, "
    "quality = :quality, embedding = :embedding WHERE exemplar = :exemplar"
)
# What hangs on a tracklet, first what points at others.
_DELETE_TRACKLET = (
    "DELETE FROM sightings WHERE tracklet = ?",
    "DELETE FROM exemplars WHERE tracklet = ?",
    "DELETE FROM tracklets WHERE tracklet = ?",
)


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """What of an index depends on landmarks and recogniser."""

    engine: EngineInfo
    faces: tuple[RecognisedFace, ...]  # of all exemplars, in order of their numbers
    clusters: tuple[Cluster, ...]  # all tracklets are in them
    settings: dict[str, float | int | str]  # that are other than before


def drop_tracklets(folder: Path, numbers: Collection[int], version: IndexVersion) -> None:
    """Rewrite an index without some tracklets, their exemplars and embeddings, and clusters that are left with none.

    Frames and shots stay. `version` is that from which the numbers were read: raises StoreError when the index was
    written since or is just being indexed, as the numbers may then be other people's; DamagedIndexError,
    UnwritableError. In any case the index is as it was or as it is to be.
    """
    with VideoIndex(folder) as index:
        video = index.video

    def busy() -> None:
        raise StoreError(
            f"{printable(video.name)} is being indexed by another process; run this again when that is done"
        )

    def drop(db: sqlite3.Connection) -> None:
        for statement in _DELETE_TRACKLET:
            db.executemany(statement, [(int(number),) for number in numbers])
        db.execute("DELETE FROM clusters WHERE cluster NOT IN (SELECT cluster FROM tracklets)")
        db.execute("UPDATE stats SET faces = (SELECT count(*) FROM sightings)")

    with video_lock(folder.parent, video.sha256, busy):
        _rewrite(folder, version, drop)


def replace_recognition(folder: Path, recognition: Recognition, version: IndexVersion) -> None:
    """Rewrite an index with the landmarks, embeddings, qualities and clusters of another engine.

    `version` is that which was read: raises StoreError when it was written meanwhile, UnwritableError,
    DamagedIndexError; the old index then stays as it was.
    """

    def put_in(db: sqlite3.Connection) -> None:
        db.execute(_UPDATE_ENGINE, asdict(recognition.engine))
        settings = recognition.settings.items()
        db.executemany("INSERT OR REPLACE INTO config (key, value) VALUES (?, ?)", settings)
        db.execute("DELETE FROM clusters")
        write_clusters(db, recognition.clusters)
        numbers = [row[0] for row in db.execute("SELECT exemplar FROM exemplars ORDER BY exemplar")]
        changed = (
            {**rows.recognised_columns(face), "exemplar": number}
            for face, number in zip(recognition.faces, numbers, strict=True)
        )
        db.executemany(_UPDATE_EXEMPLAR, changed)

    _rewrite(folder, version, put_in)


def record_place(folder: Path, path: Path) -> None:
    """Note that an index's video lies at `path`; nothing has changed when it raises.

    Raises VideoError when no file can be read there, StoreError when the index was written meanwhile, UnwritableError.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(
            f"{printable(path)} cannot be read any more ({error.strerror}); put it back and index it again"
        ) from error
    with VideoIndex(folder) as index:
        video = replace(index.video, path=str(path.resolve()), mtime_ns=status.st_mtime_ns)
        version, unchanged = index.version, video == index.video
    if unchanged:
        return

    def note(db: sqlite3.Connection) -> None:
        db.execute("UPDATE video SET path = :path, name = :name, mtime_ns = :mtime_ns", rows.video_row(video))

    _rewrite(folder, version, note)


def _rewrite(folder: Path, version: IndexVersion, change: Callable[[sqlite3.Connection], None]) -> None:
    """Let a changed copy take an index's place; raises StoreError unless the index has that version to the end."""
    store = folder.parent
    with reading(folder), writing(store), folders.temporary_folder(store) as written:
        _write_changed(folder, version, change, written)
        place(written, folder, lambda: predecessor(folder, version))


def _write_changed(
    folder: Path, version: IndexVersion, change: Callable[[sqlite3.Connection], None], written: Path
) -> None:
    for name in (_COPY, DATABASE):
        os.close(os.open(written / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    source, opened = open_version(folder)
    with closing(source), closing(sqlite3.connect(written / _COPY, isolation_level=None)) as copy:
        if opened != version:
            predecessor(folder, version)  # raises
        source.backup(copy)
        # The file counts only once its folder is renamed: a journal and waiting for the disk protect nothing.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("BEGIN")
        change(copy)
        (dim,) = copy.execute("SELECT dim FROM engine").fetchone()
        count, digest = embedding_digest(copy, int(dim))
        copy.execute("UPDATE vectors SET count = ?, dim = ?, sha256 = ?", (count, int(dim), digest))
        if copy.execute("PRAGMA foreign_key_check").fetchone():
            raise ValueError("a row points at one that is not there")
        copy.execute("COMMIT")
        # As bytes, since a folder's name need not be UTF-8.
        copy.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(written / DATABASE),))
    (written / _COPY).unlink()
