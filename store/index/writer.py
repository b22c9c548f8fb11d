"""A new index.db: rows are added segment by segment while the video is read, and completed at the end.

Every commit is on the disk when it returns. A digest of all rows goes with every checkpoint, so that whoever
continues the file later knows that it is the one that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from facereel.store.index import rows, schema
from facereel.store.model.records import (
    Checkpoint,
    Cluster,
    EngineInfo,
    Exemplar,
    Floats,
    FrameTimes,
    IndexStats,
    Segment,
    Tracklet,
    Video,
)
from facereel.store.model.version import FACEREEL_VERSION, RESULTS_VERSION

VERSIONS = {"facereel_version": FACEREEL_VERSION, "results_version": str(RESULTS_VERSION)}
LOCK_SECONDS = 30.0  # to wait for another program that has the file open and writes
_RUN, _CHECKPOINT, _DIGEST = "run", "checkpoint", "rows_sha256"  # keys in the table meta

# What a segment adds, with the order in which rows are added.
_COLUMNS = {
    "frames": ("frame", "pts", "duration"),
    "shots": ("shot", "start_frame", "end_frame"),
    "tracklets": (
        "tracklet", "cluster", "shot", "start_frame", "end_frame", "start_reason", "end_reason", "face_width", "score",
        "clothes",
    ),
    "sightings": ("tracklet", "frame", "x_tenths", "y_tenths", "w_tenths", "h_tenths", "score_thousandths", "source"),
    "exemplars": (
        "exemplar", "tracklet", "frame", "x", "y", "w", "h", "landmarks", "score", "quality", "sharpness",
        "frontality", "face_probability", "region", "embedding", "crop",
    ),
}  # fmt: skip
_ORDER = {"sightings": "tracklet, frame"}  # of the others the first column is the key
_SELECT = {
    table: f"SELECT {', '.join(columns)} FROM {table} ORDER BY {_ORDER.get(table, columns[0])}"
    for table, columns in _COLUMNS.items()
}


def _insert_into(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_VIDEO = (
    "name", "path", "sha256", "size", "mtime_ns", "width", "height", "rotation", "sample_aspect_ratio",
    "time_base_numerator", "time_base_denominator", "frame_rate", "origin_pts", "codec", "has_audio", "frame_count",
    "warnings", "mirrored", "restarts",
)  # fmt: skip
_INSERT = {table: _insert_into(table, columns) for table, columns in _COLUMNS.items()} | {
    "video": _insert_into("video", _VIDEO),
    "engine": _insert_into("engine", [field.name for field in fields(EngineInfo)]),
    "stats": _insert_into("stats", [field.name for field in fields(IndexStats)]),
}


class IndexWriter:
    """An index.db while it is made. Methods raise sqlite3.Error, ValueError when rows contradict themselves."""

    def __init__(self, database: Path, run: str) -> None:
        """Open an unfinished index.db, or make one (0600); `run` identifies what it is made of.

        Raises ValueError when the file there is of another run, or not as it was written.
        """
        new = not database.exists()
        if new:
            os.close(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self._db = sqlite3.connect(database, timeout=LOCK_SECONDS, isolation_level=None)
        self._digests = {table: hashlib.sha256() for table in _COLUMNS}
        self.checkpoint = Checkpoint()  # how far the file has come for whoever continues it
        self.completed = False
        try:
            if new:
                self._create(run)
            else:
                self._continue(run)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; what was not committed is undone."""
        self._db.close()

    def add(self, segment: Segment, times: FrameTimes) -> None:
        """Add a segment with the times of its frames; lasts once `commit` or `complete` returns."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        end = segment.after.frames
        if not len(times.pts) == len(times.durations) == end - segment.start:
            raise ValueError(f"{end - segment.start} frames have {len(times.pts)} times")
        numbered = zip(range(segment.start, end), times.pts.tolist(), times.durations.tolist(), strict=True)
        self._insert("frames", numbered)
        self._insert("shots", ((int(shot.number), int(shot.start), int(shot.end)) for shot in segment.shots))
        self._insert(
            "tracklets", (_values("tracklets", rows.tracklet_row(t)) for t, _, _ in segment.tracklets)
        )
        for tracklet, sightings, _ in segment.tracklets:
            self._insert("sightings", rows.sighting_rows(tracklet, sightings))
        self._insert("exemplars", self._exemplar_rows(segment))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Make everything added so far last: whoever opens the file again continues here."""
        self._put(_CHECKPOINT, json.dumps(asdict(checkpoint)))
        self._put(_DIGEST, self._digest())
        self._db.execute("COMMIT")
        self.checkpoint = checkpoint

    def complete(
        self, video: Video, engine: EngineInfo, config: dict[str, float | int | str], stats: IndexStats,
        clusters: Sequence[Cluster],
    ) -> None:  # fmt: skip
        """Add what is known only at the end; every tracklet is in one of the clusters."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        row = rows.video_row(video)
        self._many(_INSERT["video"], [tuple(row[name] for name in _VIDEO)])
        self._many(_INSERT["engine"], [astuple(engine)])
        self._many(_INSERT["stats"], [astuple(stats)])
        self._db.executemany("INSERT INTO config (key, value) VALUES (?, ?)", config.items())
        write_clusters(self._db, clusters)
        count, digest = embedding_digest(self._db, engine.dim)
        self._db.execute(
            "INSERT INTO vectors (count, dim, sha256) VALUES (?, ?, ?)", (count, engine.dim, digest)
        )
        self._db.execute("DELETE FROM meta WHERE key IN (?, ?)", (_CHECKPOINT, _DIGEST))
        self._put("indexed_at", datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
        (frames,) = self._db.execute("SELECT count(*) FROM frames").fetchone()
        if frames != video.frame_count:
            raise ValueError(f"{video.frame_count} frames have {frames} times")
        if self._db.execute("PRAGMA foreign_key_check").fetchone():
            raise ValueError("a row points at one that is not there")
        self._db.execute("COMMIT")
        self.completed = True

    def times(self) -> FrameTimes:
        """When each frame so far is shown."""
        found = self._db.execute("SELECT pts, duration FROM frames ORDER BY frame").fetchall()
        pts, durations = np.array(found, np.int64).reshape(-1, 2).T
        return FrameTimes(pts, durations)

    def faces(self) -> int:
        """Sightings so far."""
        return int(self._db.execute("SELECT count(*) FROM sightings").fetchone()[0])

    def tracklets(self) -> Iterator[tuple[Tracklet, Floats, Floats, Floats, list[float | None]]]:
        """The tracklets so far: each with its first and last box (2, 4), and what its exemplars are worth.

        These are embeddings (N, D), qualities (N,) and face probabilities.
        """
        query = (
            "SELECT embedding, quality, face_probability FROM exemplars WHERE tracklet = ? ORDER BY exemplar"
        )
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        for row in cursor.execute("SELECT * FROM tracklets ORDER BY tracklet"):
            found = self._db.execute(query, (row["tracklet"],)).fetchall()
            embeddings = np.stack([np.frombuffer(blob, "<f4") for blob, _, _ in found])
            tracklet = rows.tracklet_of(row)
            ends = rows.end_boxes(self._db, tracklet)
            qualities = np.array([quality for _, quality, _ in found], np.float32)
            yield tracklet, ends, embeddings, qualities, [probability for _, _, probability in found]

    def _create(self, run: str) -> None:
        with self._db:
            self._db.execute("BEGIN")
            schema.create(self._db)
            for key, value in {**VERSIONS, _RUN: run}.items():
                self._put(key, value)

    def _continue(self, run: str) -> None:
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        if meta.get(_RUN) != run:
            raise ValueError("it is of another run")
        video = self._db.execute("SELECT frame_count FROM video").fetchone()
        if video is not None:
            self.completed, self.checkpoint = True, Checkpoint(frames=int(video[0]))
            return
        for table, query in _SELECT.items():
            for row in self._db.execute(query):
                self._digests[table].update(repr(row).encode())
        if _CHECKPOINT in meta:
            self.checkpoint = _checkpoint_of(meta[_CHECKPOINT])
        if meta.get(_DIGEST, self._digest()) != self._digest():
            raise ValueError("its rows are not those that were written")

    def _insert(self, table: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._many(_INSERT[table], self._digested(table, values))

    def _many(self, query: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(query, values)

    def _digested(self, table: str, values: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in values:
            self._digests[table].update(repr(row).encode())
            yield row

    def _exemplar_rows(self, segment: Segment) -> Iterator[tuple[Any, ...]]:
        (number,) = self._db.execute("SELECT coalesce(max(exemplar), 0) FROM exemplars").fetchone()
        found: list[tuple[int, Exemplar]] = [
            (tracklet.number, exemplar) for tracklet, _, own in segment.tracklets for exemplar in own
        ]
        for place, (tracklet, exemplar) in enumerate(found, start=number + 1):
            yield _values("exemplars", rows.exemplar_row(place, tracklet, exemplar))

    def _put(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def _digest(self) -> str:
        return hashlib.sha256("".join(d.hexdigest() for d in self._digests.values()).encode()).hexdigest()


def _checkpoint_of(text: str) -> Checkpoint:
    values = json.loads(text)
    if not isinstance(values, dict) or set(values) != set(Checkpoint.__slots__):
        raise ValueError("its checkpoint cannot be read")
    seconds, brief_seconds = float(values.pop("seconds")), float(values.pop("brief_seconds"))
    numbers = {key: int(value) for key, value in values.items()}
    return Checkpoint(**numbers, seconds=seconds, brief_seconds=brief_seconds)


def write_clusters(db: sqlite3.Connection, clusters: Sequence[Cluster]) -> None:
    """Write clusters and set those of their tracklets."""
    named = [(int(cluster.number), cluster.name) for cluster in clusters]
    db.executemany("INSERT INTO clusters (cluster, name) VALUES (?, ?)", named)
    members = ((int(cluster.number), int(number)) for cluster in clusters for number in cluster.tracklets)
    db.executemany("UPDATE tracklets SET cluster = ? WHERE tracklet = ?", members)


def embedding_digest(db: sqlite3.Connection, dim: int) -> tuple[int, str]:
    """How many exemplars there are, and `vectors.rows_digest` of their numbers and embeddings, read one by one."""
    (count,) = db.execute("SELECT count(*) FROM exemplars").fetchone()
    digest = hashlib.sha256(np.array([count, dim], "<i8").tobytes())
    for (number,) in db.execute("SELECT exemplar FROM exemplars ORDER BY exemplar"):
        digest.update(int(number).to_bytes(8, "little", signed=True))
    for (blob,) in db.execute("SELECT embedding FROM exemplars ORDER BY exemplar"):
        if len(blob) != 4 * dim:
            raise ValueError(f"an embedding does not have {dim} numbers")
        digest.update(blob)
    return count, digest.hexdigest()


def _values(table: str, row: rows.Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in _COLUMNS[table])
