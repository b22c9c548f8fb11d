"""Another recogniser's view of an index: its embeddings and clusters replace the old ones, whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facereel.store.files import folders
from facereel.store.index import rows, vectors
from facereel.store.index.checksum import write_checksum
from facereel.store.index.database import DATABASE, IndexVersion, open_readonly, predecessor, reading, writing
from facereel.store.index.reader import write_vectors
from facereel.store.model.records import Cluster, EngineInfo, Floats

REEMBEDDED = "reembedded_from"  # key in config: who looked at the video, when somebody else recognised later


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """What depends on a recogniser."""

    engine: EngineInfo
    embeddings: Floats  # (M, D) unit length, in order of exemplar numbers
    qualities: Floats  # (M,) 0..1
    clusters: tuple[Cluster, ...]  # all tracklets are in them
    settings: dict[str, float | int | str]  # that are other than before


def replace_recognition(folder: Path, recognition: Recognition, version: IndexVersion) -> None:
    """Write an index anew with another recognition and let it take the old one's place.

    `version` is that which was read: raises StoreError when it was written meanwhile, UnwritableError,
    DamagedIndexError; in any case the old index stays as it was.
    """
    store = folder.parent
    with reading(folder), writing(store), folders.temporary_folder(store) as fresh:
        _write(fresh / DATABASE, folder, recognition)
        write_vectors(fresh)
        folders.sync(fresh)
        folders.replace_folders(fresh, folder, lambda: predecessor(folder, version))


def _write(path: Path, folder: Path, recognition: Recognition) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(open_readonly(folder)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        # The file counts only once its folder is renamed: a journal and waiting for the disk protect nothing.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        with target:
            _put_in(target, recognition)
        target.execute("VACUUM")
    folders.sync(path)
    write_checksum(path)


def _put_in(db: sqlite3.Connection, recognition: Recognition) -> None:
    engine, clusters = recognition.engine, recognition.clusters
    db.execute("UPDATE engine SET name = :name, dim = :dim, detector_sha256 = :detector_sha256, "
               "recognizer_sha256 = :recognizer_sha256", asdict(engine))  # fmt: skip
    db.executemany("INSERT OR REPLACE INTO config (key, value) VALUES (?, ?)", recognition.settings.items())
    db.execute("DELETE FROM clusters")
    db.executemany(
        "INSERT INTO clusters (cluster, name) VALUES (?, ?)", [(c.number, c.name) for c in clusters]
    )
    members = [(cluster.number, tracklet) for cluster in clusters for tracklet in cluster.tracklets]
    db.executemany("UPDATE tracklets SET cluster = ? WHERE tracklet = ?", members)
    numbers = [row[0] for row in db.execute("SELECT exemplar FROM exemplars ORDER BY exemplar")]
    blobs = [np.asarray(vector, "<f4").tobytes() for vector in recognition.embeddings]
    embeddings = rows.embeddings_of(blobs, engine.dim)
    changed = zip(blobs, map(float, recognition.qualities), numbers, strict=True)
    db.executemany("UPDATE exemplars SET embedding = ?, quality = ? WHERE exemplar = ?", changed)
    digest = vectors.rows_digest(np.array(numbers, np.int64), embeddings)
    db.execute("UPDATE vectors SET count = ?, dim = ?, sha256 = ?", (len(numbers), engine.dim, digest))
