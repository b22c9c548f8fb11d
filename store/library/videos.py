"""The table `videos` of library.db: what the library knows of each index without opening it, and its clusters.

A row is derived from an index and says of which version of it. It knows no folders but by their names.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from facereel.store.files.folders import is_index_name
from facereel.store.files.names import printable
from facereel.store.index import rows
from facereel.store.index.database import IndexVersion
from facereel.store.index.embeddings import ClusterEmbeddings
from facereel.store.index.reader import VideoIndex
from facereel.store.library.database import LibraryDatabase
from facereel.store.library.vectors import VectorFile, recogniser
from facereel.store.model.errors import StoreError
from facereel.store.model.records import EngineInfo, Video
from facereel.store.model.urls import Url

_ATTEMPTS = 3
_TIDYINGS = 3  # the first may write the file anew, the second gives it its name
_COLUMNS = "video, folder, version, facts, tracklets, exemplars, tracklets_without_exemplars, clusters"
_PUT = """
INSERT INTO videos (folder, sha256, path, name, size, version, recogniser, facts, tracklets, exemplars,
    tracklets_without_exemplars, clusters)
VALUES (:folder, :sha256, :path, :name, :size, :version, :recogniser, :facts, :tracklets, :exemplars,
    :tracklets_without_exemplars, :clusters)
ON CONFLICT (folder) DO UPDATE SET sha256 = excluded.sha256, path = excluded.path, name = excluded.name,
    size = excluded.size, version = excluded.version, recogniser = excluded.recogniser, facts = excluded.facts,
    tracklets = excluded.tracklets, exemplars = excluded.exemplars,
    tracklets_without_exemplars = excluded.tracklets_without_exemplars, clusters = excluded.clusters,
    block = NULL, first_row = NULL"""
# What reading a row that somebody altered raises.
_INVALID = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True, eq=False)
class StoredVideo:
    """What the library knows of one index, and of which index.db it was read."""

    number: int  # in the table; below 0 where it could not be written
    folder: Path
    version: IndexVersion
    video: Video
    engine: EngineInfo
    tracklets: int  # with exemplars
    exemplars: int
    tracklets_without_exemplars: int
    clusters_count: int  # with exemplars


@dataclass(frozen=True, slots=True, eq=False)
class VideoClusters(StoredVideo):
    """A video with its clusters, as they are read from its index."""

    clusters: ClusterEmbeddings


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is to search."""

    videos: int = 0
    tracklets: int = 0  # with exemplars
    exemplars: int = 0
    tracklets_without_exemplars: int = 0  # not compared: no crop of them is good enough to be an exemplar

    def plus(self, video: StoredVideo, times: int = 1) -> Counts:
        """These and a video's, or less a video's with -1."""
        return Counts(
            self.videos + times, self.tracklets + times * video.tracklets, self.exemplars + times * video.exemplars,
            self.tracklets_without_exemplars + times * video.tracklets_without_exemplars,
        )  # fmt: skip


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
    tracklets, exemplars = len(index.tracklets()), index.exemplar_count()
    return VideoClusters(
        0, index.folder, index.version, index.video, index.engine, len(pooled.tracklets), exemplars,
        tracklets - len(pooled.tracklets), len(pooled.clusters), pooled.clusters,
    )  # fmt: skip


def all_of(db: sqlite3.Connection, store: Path) -> dict[str, StoredVideo]:
    """All videos, by folder name."""
    return {
        video.folder.name: video
        for video in _decoded(store, db.execute(f"SELECT {_COLUMNS} FROM videos ORDER BY folder"))
    }


def by_numbers(db: sqlite3.Connection, store: Path, numbers: Iterable[int]) -> dict[int, StoredVideo]:
    """Those of some numbers; one that is gone meanwhile is left out."""
    query = f"SELECT {_COLUMNS} FROM videos WHERE video = ?"
    found = (row for number in numbers for row in db.execute(query, (number,)))
    return {video.number: video for video in _decoded(store, found)}


def by_folder(db: sqlite3.Connection, store: Path, name: str) -> StoredVideo | None:
    """The video of a folder."""
    return next(
        _decoded(store, db.execute(f"SELECT {_COLUMNS} FROM videos WHERE folder = ?", (text(name),))), None
    )


def by_path(db: sqlite3.Connection, store: Path, path: Path | Url) -> list[StoredVideo]:
    """Videos that lay at that absolute path, or address, when their indexes were read."""
    query = f"SELECT {_COLUMNS} FROM videos WHERE path = ? ORDER BY folder"
    return list(_decoded(store, db.execute(query, (os.fsencode(path),))))


def by_content(db: sqlite3.Connection, store: Path, sha256: str) -> list[StoredVideo]:
    """Videos with that content; more than one where another store was copied into this one."""
    query = f"SELECT {_COLUMNS} FROM videos WHERE sha256 = ? ORDER BY folder"
    return list(_decoded(store, db.execute(query, (sha256,))))


def frame_rates(db: sqlite3.Connection, videos: Iterable[str]) -> dict[str, float]:
    """Frames in a second, on average, of those of some videos, by sha256, that are here."""
    found = (one for sha256 in videos for one in by_content(db, Path(), sha256))
    return {one.video.sha256: float(one.video.frame_rate) for one in found if one.video.frame_rate}


def by_name(db: sqlite3.Connection, store: Path, name: str) -> list[StoredVideo]:
    """Videos whose file has that name."""
    query = f"SELECT {_COLUMNS} FROM videos WHERE name = ? ORDER BY folder"
    return list(_decoded(store, db.execute(query, (text(name),))))


def by_size(db: sqlite3.Connection, store: Path, size: int) -> list[StoredVideo]:
    """Videos whose file has that many bytes."""
    query = f"SELECT {_COLUMNS} FROM videos WHERE size = ? ORDER BY folder"
    return list(_decoded(store, db.execute(query, (size,))))


def folders(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The names of all folders of the table, and of their video files."""
    rows = db.execute("SELECT folder, name FROM videos")
    return [(os.fsdecode(folder), os.fsdecode(name)) for folder, name in map(tuple, rows)]


def names(db: sqlite3.Connection) -> list[str]:
    """The names of all video files."""
    return [os.fsdecode(row[0]) for row in db.execute("SELECT name FROM videos")]


def one_of_each_recogniser(db: sqlite3.Connection, store: Path) -> list[StoredVideo]:
    """A video of each recogniser."""
    query = (
        f"SELECT {_COLUMNS} FROM videos WHERE video IN (SELECT min(video) FROM videos GROUP BY recogniser)"
    )
    return list(_decoded(store, db.execute(query)))


def of_other_recognisers(db: sqlite3.Connection, store: Path, engine: EngineInfo) -> list[StoredVideo]:
    """Videos whose vectors do not compare with the engine's."""
    # Not `<>`, which would look at every row.
    below = f"SELECT {_COLUMNS} FROM videos WHERE recogniser < ? AND block IS NOT NULL"
    above = f"SELECT {_COLUMNS} FROM videos WHERE recogniser > ? AND block IS NOT NULL"
    own = (recogniser(engine),)
    return [*_decoded(store, db.execute(below, own)), *_decoded(store, db.execute(above, own))]


def counts(db: sqlite3.Connection, engine: EngineInfo) -> Counts:
    """How much there is of an engine's recogniser."""
    query = """SELECT count(*), coalesce(sum(tracklets), 0), coalesce(sum(exemplars), 0),
               coalesce(sum(tracklets_without_exemplars), 0) FROM videos WHERE recogniser = ? AND block IS NOT NULL"""
    return Counts(*db.execute(query, (recogniser(engine),)).fetchone())


def paths(db: sqlite3.Connection, engine: EngineInfo) -> list[tuple[str, str]]:
    """The folder names of the videos of an engine's recogniser, and where the videos lie."""
    query = "SELECT folder, path FROM videos WHERE recogniser = ? AND block IS NOT NULL ORDER BY folder"
    return [(os.fsdecode(row[0]), os.fsdecode(row[1])) for row in db.execute(query, (recogniser(engine),))]


def all_paths(db: sqlite3.Connection) -> set[str]:
    """Where all videos lay when they were indexed."""
    return {os.fsdecode(row[0]) for row in db.execute("SELECT path FROM videos")}


def listed_at(db: sqlite3.Connection) -> int:
    """The time of the store's folder when the table was last compared with its names, nanoseconds."""
    return int(db.execute("SELECT listed_mtime_ns FROM catalogue").fetchone()[0])


def record_listing(db: sqlite3.Connection, mtime_ns: int) -> None:
    """Note that the table has the names of the store as of that time of its folder."""
    db.execute("UPDATE catalogue SET listed_mtime_ns = ?", (mtime_ns,))


def pending(db: sqlite3.Connection) -> set[str]:
    """Names of folders whose vectors are not in library.vectors, but of those that cannot be read."""
    return _folder_names(
        db, "SELECT folder FROM videos WHERE block IS NULL AND folder NOT IN (SELECT folder FROM unreadable)"
    )


def unreadable(db: sqlite3.Connection) -> list[str]:
    """Names of folders whose indexes could not be read."""
    return [_folder(row[0]) for row in db.execute("SELECT folder FROM unreadable ORDER BY folder")]


def note_unreadable(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Note folders whose indexes cannot be read."""
    db.executemany("INSERT OR IGNORE INTO unreadable VALUES (?)", [(text(name),) for name in names])


def names_of_folders(db: sqlite3.Connection) -> set[str]:
    """The names of all folders of the table."""
    return _folder_names(db, "SELECT folder FROM videos")


def without_vectors(db: sqlite3.Connection) -> set[str]:
    """The names of the folders of the table whose vectors are not in library.vectors."""
    return _folder_names(db, "SELECT folder FROM videos WHERE block IS NULL")


def _folder_names(db: sqlite3.Connection, query: str) -> set[str]:
    rows = db.cursor()
    # There may be a hundred thousand: tuples take half the time of rows, and few names are no text.
    rows.row_factory = None
    return {folder if isinstance(folder, str) else os.fsdecode(folder) for (folder,) in rows.execute(query)}


def put(db: sqlite3.Connection, vectors: VectorFile, videos: Sequence[VideoClusters]) -> None:
    """Write what was read of some videos, in place of what there is of their folders. Raises as VectorFile does.

    `tidy` is to follow the commit, here and after `drop`.
    """
    for video in videos:
        _vacate(db, vectors, [video.folder.name])
        db.execute(_PUT, _row(video))
        db.execute("DELETE FROM unreadable WHERE folder = ?", (text(video.folder.name),))
    for engine in {video.engine for video in videos}:
        own = [video for video in videos if video.engine == engine]
        numbers = [_number(db, video.folder.name) for video in own]
        places = vectors.append(
            db,
            engine,
            [(n, v.clusters.numbers, v.clusters.embeddings) for n, v in zip(numbers, own, strict=True)],
        )
        db.executemany(
            "UPDATE videos SET block = ?, first_row = ? WHERE video = ?",
            [(block, first, number) for (block, first), number in zip(places, numbers, strict=True)],
        )


def drop(db: sqlite3.Connection, vectors: VectorFile, names: Iterable[str]) -> None:
    """Remove all that there is of some folders. Raises as VectorFile does."""
    names = list(names)
    _vacate(db, vectors, names)
    for name in names:
        db.execute("DELETE FROM videos WHERE folder = ?", (text(name),))
        db.execute("DELETE FROM unreadable WHERE folder = ?", (text(name),))


def forget_vectors(db: sqlite3.Connection) -> None:
    """Say that library.vectors has no vectors of any video."""
    db.execute("UPDATE videos SET block = NULL, first_row = NULL")


def tidy(database: LibraryDatabase, vectors: VectorFile) -> None:
    """Overwrite what is not in use any more of library.vectors. Raises as LibraryDatabase and VectorFile do."""
    for _ in range(_TIDYINGS):
        with database.read() as db:
            if vectors.is_tidy(db):
                return
        with database.write() as db:
            moved = vectors.tidy(db)
            db.executemany("UPDATE videos SET block = ?, first_row = ? WHERE video = ?", moved)


def text(name: str) -> str | bytes:
    """A name as SQLite can store it: one that is not UTF-8 as its bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def numbered(video: VideoClusters, number: int) -> VideoClusters:
    """The same under another number."""
    return replace(video, number=number)


def _vacate(db: sqlite3.Connection, vectors: VectorFile, names: Sequence[str]) -> None:
    query = "SELECT block, first_row, clusters FROM videos WHERE folder = ? AND block > 0"
    vectors.vacate(db, [tuple(row) for name in names for row in db.execute(query, (text(name),))])


def _number(db: sqlite3.Connection, folder: str) -> int:
    return int(db.execute("SELECT video FROM videos WHERE folder = ?", (text(folder),)).fetchone()[0])


def _row(video: VideoClusters) -> dict[str, Any]:
    row = rows.video_row(video.video)
    facts = {
        "video": row | {"path": os.fsdecode(row["path"]), "name": os.fsdecode(row["name"])},
        "engine": astuple(video.engine),
    }
    return {
        "folder": text(video.folder.name), "sha256": video.video.sha256, "path": os.fsencode(video.video.path),
        "name": text(video.video.name), "size": int(video.video.size), "version": video.version.to_text(),
        "recogniser": recogniser(video.engine), "facts": json.dumps(facts), "tracklets": video.tracklets,
        "exemplars": video.exemplars, "tracklets_without_exemplars": video.tracklets_without_exemplars,
        "clusters": len(video.clusters),
    }  # fmt: skip


def _decoded(store: Path, found: Iterable[sqlite3.Row]) -> Iterator[StoredVideo]:
    """Rows as records; raises sqlite3.DatabaseError, and so damage, for one that somebody altered."""
    for row in found:
        try:
            facts = json.loads(row["facts"])
            name, dim, *digests = facts["engine"]
            yield StoredVideo(
                int(row["video"]), store / _folder(row["folder"]), IndexVersion.from_text(row["version"]),
                rows.video_of(facts["video"]), EngineInfo(str(name), int(dim), *map(str, digests)),
                int(row["tracklets"]), int(row["exemplars"]), int(row["tracklets_without_exemplars"]),
                int(row["clusters"]),
            )  # fmt: skip
        except _INVALID as error:
            raise sqlite3.DatabaseError("a row of videos is not one of ours") from error


def _folder(value: Any) -> str:
    """The name of a folder as it is stored; raises sqlite3.DatabaseError for one that would lead to files elsewhere."""
    folder = os.fsdecode(value) if isinstance(value, str | bytes) else ""
    if Path(folder).name != folder or not is_index_name(folder):
        raise sqlite3.DatabaseError("a row names no folder of a store")
    return folder
