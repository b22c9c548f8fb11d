"""The contents of an index as the rows of a new index.db."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facereel.store.files.folders import sync
from facereel.store.index import rows, schema, vectors
from facereel.store.index.checksum import write_checksum
from facereel.store.model.records import IndexContents
from facereel.store.model.version import FACEREEL_VERSION, RESULTS_VERSION

if TYPE_CHECKING:
    from sqlite_utils import Database

VERSIONS = {"facereel_version": FACEREEL_VERSION, "results_version": str(RESULTS_VERSION)}


def write_database(path: Path, contents: IndexContents) -> None:
    """Write a new index.db (0600) and force it onto the disk; raises ValueError on contradictions."""
    from sqlite_utils import Database

    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as connection:
        # The file counts only once its folder is renamed: a journal and waiting for the disk protect nothing.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        db = Database(connection)
        schema.migrate(db)
        with db.atomic():
            _insert_video(db, contents)
            _insert_faces(db, contents)
            _insert_looks(db, contents)
    sync(path)
    write_checksum(path)


def _insert_video(db: Database, contents: IndexContents) -> None:
    db.table("video").insert(rows.video_row(contents.video))
    db.table("engine").insert(asdict(contents.engine))
    db.table("stats").insert(asdict(contents.stats))
    db.table("meta").insert_all({"key": key, "value": value} for key, value in VERSIONS.items())
    db.table("config").insert_all({"key": key, "value": value} for key, value in contents.config.items())
    pts, durations = contents.times.pts.tolist(), contents.times.durations.tolist()
    if not len(pts) == len(durations) == contents.video.frame_count:
        raise ValueError(f"{contents.video.frame_count} frames have {len(pts)} times")
    # Not through sqlite-utils: of these and of sightings a film has a million, and this is much faster.
    numbered = zip(range(len(pts)), pts, durations, strict=True)
    db.conn.executemany("INSERT INTO frames VALUES (?, ?, ?)", numbered)
    db.table("shots").insert_all(
        {"shot": int(shot.number), "start_frame": int(shot.start), "end_frame": int(shot.end)}
        for shot in contents.shots
    )


def _insert_faces(db: Database, contents: IndexContents) -> None:
    db.table("clusters").insert_all({"cluster": int(c.number), "name": c.name} for c in contents.clusters)
    db.table("tracklets").insert_all(map(rows.tracklet_row, contents.tracklets))
    for tracklet in sorted(contents.tracklets, key=lambda t: t.number):
        db.conn.executemany(
            "INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows.sighting_rows(tracklet, contents.sightings[tracklet.number]),
        )


def _insert_looks(db: Database, contents: IndexContents) -> None:
    looks = [(number, look) for number in sorted(contents.exemplars) for look in contents.exemplars[number]]
    db.table("exemplars").insert_all(
        rows.exemplar_row(exemplar, number, look) for exemplar, (number, look) in enumerate(looks, start=1)
    )
    blobs = [np.asarray(look.embedding, dtype="<f4").tobytes() for _, look in looks]
    embeddings = rows.embeddings_of(blobs, contents.engine.dim)
    digest = vectors.rows_digest(np.arange(1, len(looks) + 1), embeddings)
    db.table("vectors").insert({"count": len(looks), "dim": contents.engine.dim, "sha256": digest})
