"""library.vectors: the cluster embeddings of all videos in one SQLite file, so that a query opens few indexes.

One row a video, derived from its index.db and valid for one IndexVersion of it. The file is never trusted: what is
missing, stale, damaged or from elsewhere is read from the indexes again, and the file may be deleted at any time.
Deleted rows are overwritten, because forgotten faces must not stay in free pages.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from facereel.store.files.disk import unwritable
from facereel.store.files.names import printable
from facereel.store.index import rows
from facereel.store.index.database import IndexVersion
from facereel.store.index.embeddings import ClusterEmbeddings
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import StoreError
from facereel.store.model.records import EngineInfo, Floats, Ints, Video

logger = logging.getLogger(__name__)

LIBRARY_VECTORS = "library.vectors"
_FORMAT = 1  # PRAGMA user_version; the file is rebuilt when it has another
# `facts` comes before the large columns, which a listing does not read. `path` is for finding a video by its path.
_SCHEMA = (
    """CREATE TABLE videos (folder TEXT PRIMARY KEY, path BLOB NOT NULL, facts TEXT NOT NULL, checksum INTEGER NOT NULL,
numbers BLOB NOT NULL, quality_sums BLOB NOT NULL, embeddings BLOB NOT NULL)""",
    "CREATE INDEX videos_by_path ON videos (path)",
)
_SMALL = "folder, path, facts, checksum"
_INSERT = "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?, ?)"
_PATIENCE = 10.0  # seconds to wait while another process writes
_ATTEMPTS = 3
# What reading a row that somebody altered raises.
_INVALID = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, eq=False)
class StoredVideo:
    """What a listing shows of one video, and of which index.db it was read."""

    version: IndexVersion
    video: Video
    engine: EngineInfo


@dataclass(frozen=True, slots=True, eq=False)
class VideoClusters(StoredVideo):
    """What a query needs of one video before it opens its index."""

    folder: Path
    tracklets: int  # with exemplars
    exemplars: int
    tracklets_without_exemplars: int
    clusters: ClusterEmbeddings


def read_clusters(folder: Path, video_path: str | None = None) -> VideoClusters:
    """Read the clusters of an index; raises the errors of VideoIndex, StoreError while it is being written."""
    for _ in range(_ATTEMPTS):
        with VideoIndex(folder, video_path) as index:
            with index.snapshot():
                found = clusters_of(index)
            if index.unchanged():
                return found
    raise StoreError(f"{printable(folder)} is being written by another process; run it again")


def clusters_of(index: VideoIndex) -> VideoClusters:
    """The clusters of an open index, under the version that was opened."""
    pooled = index.pooled()
    tracklets, exemplars = len(index.tracklets()), len(index.exemplar_arrays())
    return VideoClusters(
        index.version, index.video, index.engine, index.folder, len(pooled.tracklets), exemplars,
        tracklets - len(pooled.tracklets), pooled.clusters,
    )  # fmt: skip


def videos_above(videos: Sequence[VideoClusters], queries: Floats, thresholds: Sequence[float]) -> list[Ints]:
    """For each query (Q, D), unit length, the positions of the videos with a cluster above its threshold, rising.

    The videos are of one recogniser. The search is exhaustive, by FAISS.
    """
    sizes = np.array([len(video.clusters) for video in videos], np.int64)
    if not sizes.sum() or not len(queries):
        return [np.zeros(0, np.int64) for _ in queries]
    import faiss

    index = faiss.IndexFlatIP(queries.shape[1])
    index.add(np.concatenate([video.clusters.embeddings for video in videos]))
    owners = np.repeat(np.arange(len(videos)), sizes)
    limits, similarities, clusters = index.range_search(np.ascontiguousarray(queries), float(min(thresholds)))
    return [
        np.unique(owners[clusters[start:end][similarities[start:end] > threshold]])
        for start, end, threshold in zip(limits[:-1].tolist(), limits[1:].tolist(), thresholds, strict=True)
    ]


class LibraryVectors:
    """The file library.vectors of one store. A row that cannot be read or written is none; only `remove` raises."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = store / LIBRARY_VECTORS

    def names(self) -> list[str]:
        """The names of the folders that have a row, valid or not."""
        return [os.fsdecode(row[0]) for row in self._select("SELECT folder FROM videos")]

    def videos(self) -> dict[str, StoredVideo]:
        """All rows without their clusters, by folder name."""
        return dict(self._valid(f"SELECT {_SMALL} FROM videos", _stored))

    def clusters(self, folders: Sequence[str] | None = None) -> dict[str, VideoClusters]:
        """The rows of some folders or of all, by folder name."""
        if folders is None:
            return dict(self._valid("SELECT * FROM videos", self._clusters))
        query = "SELECT * FROM videos WHERE folder = ?"
        return dict(pair for name in folders for pair in self._valid(query, self._clusters, _text(name)))

    def folders_of(self, path: Path) -> list[str]:
        """Names of the folders whose video lay at that absolute path when they were read."""
        found = self._select("SELECT folder FROM videos WHERE path = ?", os.fsencode(path))
        return [os.fsdecode(row[0]) for row in found]

    def video_path(self, folder: str) -> str | None:
        """Where the video of a folder lay when its index was last read, though it may be damaged since."""
        query = f"SELECT {_SMALL} FROM videos WHERE folder = ?"
        return next((known.video.path for _, known in self._valid(query, _stored, _text(folder))), None)

    def write(self, videos: Iterable[VideoClusters]) -> None:
        """Replace the rows of some videos, all or none; a store that cannot be written stays as it is.

        A damaged file is replaced by one with these rows only.
        """
        new = [_row(video) for video in videos]
        if not new:
            return
        try:
            try:
                self._write(new, [])
            except _UnusableFile:
                self._write(new, [])
        except (OSError, sqlite3.Error, _UnusableFile) as error:
            logger.info("%s is not written: %s", printable(self._path), error)

    def remove(self, names: Iterable[str]) -> None:
        """Remove the rows of some folders, or the whole file where no row can be removed, as on a full disk.

        Raises UnwritableError where they stay.
        """
        gone = [(_text(name),) for name in names]
        if not gone or not self._path.is_file():
            return
        try:
            self._write([], gone)
        except (OSError, sqlite3.Error, _UnusableFile) as error:
            logger.info("%s is not written: %s", printable(self._path), error)
            try:
                # The journal of a program that holds the lock would bring old rows into the next file.
                if "locked" in str(error):
                    raise OSError(str(error)) from error
                self._path.unlink(missing_ok=True)
            except OSError as refusal:
                raise unwritable(self._path, refusal) from refusal

    def _write(self, new: list[tuple[Any, ...]], gone: list[tuple[str | bytes]]) -> None:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))
        with self._opened("rw") as db:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            with db:
                if _is_empty(db):
                    for statement in _SCHEMA:
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {_FORMAT}")
                _check_schema(db)
                db.executemany("DELETE FROM videos WHERE folder = ?", gone)
                db.executemany(_INSERT, new)

    def _valid(
        self, query: str, decode: Callable[[sqlite3.Row, dict[str, Any]], Row], *values: str | bytes
    ) -> Iterator[tuple[str, Row]]:
        """The rows that bear their checksum, by folder name."""
        for row in self._select(query, *values):
            with suppress(*_INVALID):
                name = os.fsdecode(row["folder"])
                if _checksum(name, row["path"], row["facts"]) == row["checksum"]:
                    yield name, decode(row, json.loads(row["facts"]))

    def _select(self, query: str, *values: str | bytes) -> list[sqlite3.Row]:
        try:
            if not self._path.exists():
                return []
            with self._opened("ro") as db:
                if _is_empty(db):
                    return []
                _check_schema(db)
                return db.execute(query, values).fetchall()
        except (OSError, sqlite3.Error, _UnusableFile) as error:
            logger.info("%s is not read: %s", printable(self._path), error)
            return []

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection; a file that is damaged or from elsewhere is deleted, and raises _UnusableFile."""
        before = self._path.stat()
        uri = f"{self._path.resolve().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute("PRAGMA cell_size_check = ON")
                yield db
        except sqlite3.OperationalError:
            raise  # locked, read-only, a full disk: the file itself may be fine
        except (sqlite3.DatabaseError, _UnusableFile) as error:
            logger.warning("%s is rebuilt: %s", printable(self._path), error)
            with suppress(OSError):
                if os.path.samestat(before, self._path.stat()):
                    self._path.unlink()
            raise _UnusableFile(str(error)) from error

    def _clusters(self, row: sqlite3.Row, facts: dict[str, Any]) -> VideoClusters:
        known = _stored(row, facts)
        numbers = np.frombuffer(row["numbers"], "<i8")
        quality_sums = np.frombuffer(row["quality_sums"], "<f8")
        embeddings = np.frombuffer(row["embeddings"], "<f4").reshape(len(numbers), known.engine.dim)
        if len(quality_sums) != len(numbers) or _blobs_checksum(row) != facts["clusters_checksum"]:
            raise ValueError("torn")
        if not (np.isfinite(embeddings).all() and np.isfinite(quality_sums).all()):
            raise ValueError("a number is not finite")
        tracklets, exemplars, without = map(int, facts["counts"])
        return VideoClusters(
            known.version, known.video, known.engine, self._store / os.fsdecode(row["folder"]),
            tracklets, exemplars, without, ClusterEmbeddings(numbers, embeddings, quality_sums),
        )  # fmt: skip


class _UnusableFile(Exception):
    """library.vectors is damaged, or was not made by this version."""


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _check_schema(db: sqlite3.Connection) -> None:
    """Raise _UnusableFile unless the file holds our tables only: a trigger from elsewhere would run at every write."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    statements = {row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if version != _FORMAT or statements != set(_SCHEMA):
        raise _UnusableFile("made by another version or program")


def _row(video: VideoClusters) -> tuple[Any, ...]:
    row = rows.video_row(video.video)
    clusters = video.clusters
    blobs = {
        "numbers": clusters.numbers.astype("<i8").tobytes(),
        "quality_sums": clusters.quality_sums.astype("<f8").tobytes(),
        "embeddings": clusters.embeddings.astype("<f4").tobytes(),
    }
    facts = json.dumps({
        "version": video.version.to_text(),
        "video": row | {"path": os.fsdecode(row["path"]), "name": os.fsdecode(row["name"])},
        "engine": astuple(video.engine),
        "counts": (video.tracklets, video.exemplars, video.tracklets_without_exemplars),
        "clusters_checksum": _blobs_checksum(blobs),
    })  # fmt: skip
    name, path = video.folder.name, os.fsencode(video.video.path)
    return _text(name), path, facts, _checksum(name, path, facts), *blobs.values()


def _stored(row: sqlite3.Row, facts: dict[str, Any]) -> StoredVideo:
    name, dim, *digests = facts["engine"]
    engine = EngineInfo(str(name), int(dim), *map(str, digests))
    return StoredVideo(IndexVersion.from_text(facts["version"]), rows.video_of(facts["video"]), engine)


def _text(name: str) -> str | bytes:
    """A folder's name as SQLite can store it: one that is not UTF-8 as its bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _checksum(folder: str, path: bytes, facts: str) -> int:
    return zlib.crc32(b"\0".join((os.fsencode(folder), path, facts.encode())))


def _blobs_checksum(row: Mapping[str, bytes] | sqlite3.Row) -> int:
    return zlib.crc32(b"\0".join((row["numbers"], row["quality_sums"], row["embeddings"])))
