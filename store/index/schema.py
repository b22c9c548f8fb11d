"""The tables of an index.db, and how an older one becomes a newer one.

`PRAGMA user_version` counts the migrations that a file has seen. These are written with sqlite-utils; its import waits
until an older file is met, because it costs as much as the start of everything else (0.18 s). A new file is made
without: `NEWEST` is what all migrations come to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from facereel.store.model.version import FIRST_FACEREEL_VERSION, FIRST_RESULTS_VERSION

if TYPE_CHECKING:
    from sqlite_utils import Database

Columns: TypeAlias = dict[str, type]

# Of the newest schema.
TABLES = frozenset((
    "clusters", "config", "engine", "exemplars", "frames", "meta", "shots", "sightings", "stats", "tracklets",
    "vectors", "video",
))  # fmt: skip

# A face in every frame is what fills an index: as whole tenths of a pixel and thousandths of a score a row
# takes 41 bytes, as floats 70 (measured on 3600 rows). The view sighting_boxes shows them as numbers to read.
SIGHTINGS = """
CREATE TABLE sightings (
    tracklet INTEGER NOT NULL REFERENCES tracklets(tracklet),
    frame INTEGER NOT NULL REFERENCES frames(frame),
    x_tenths INTEGER NOT NULL,
    y_tenths INTEGER NOT NULL,
    w_tenths INTEGER NOT NULL,
    h_tenths INTEGER NOT NULL,
    score_thousandths INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (tracklet, frame)
) WITHOUT ROWID
"""

_SECONDS = "({pts} - origin_pts) * 1.0 * time_base_numerator / time_base_denominator"

VIEWS = {
    "sighting_boxes": f"""
        SELECT tracklet, sightings.frame AS frame, {_SECONDS.format(pts="pts")} AS seconds,
               x_tenths / 10.0 AS x, y_tenths / 10.0 AS y, w_tenths / 10.0 AS w, h_tenths / 10.0 AS h,
               score_thousandths / 1000.0 AS score, source
        FROM sightings JOIN frames ON frames.frame = sightings.frame, video""",
    "shot_times": f"""
        SELECT shot, {_SECONDS.format(pts="first.pts")} AS start_seconds,
               {_SECONDS.format(pts="last.pts + last.duration")} AS end_seconds, start_frame, end_frame
        FROM shots JOIN frames first ON first.frame = start_frame
                   JOIN frames last ON last.frame = end_frame - 1, video""",
    "tracklet_times": f"""
        SELECT tracklet, cluster, clusters.name AS cluster_name, shot,
               {_SECONDS.format(pts="first.pts")} AS start_seconds,
               {_SECONDS.format(pts="last.pts + last.duration")} AS end_seconds,
               start_frame, end_frame, start_reason, end_reason, face_width, score
        FROM tracklets JOIN clusters USING (cluster)
                       JOIN frames first ON first.frame = start_frame
                       JOIN frames last ON last.frame = end_frame - 1, video""",
    "cluster_times": """
        SELECT cluster, cluster_name, count(*) AS tracklets, min(start_seconds) AS first_seen_seconds,
               max(end_seconds) AS last_seen_seconds, sum(end_seconds - start_seconds) AS visible_seconds
        FROM tracklet_times GROUP BY cluster""",
}

NEWEST = (
    """CREATE TABLE video (
        name TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, rotation INTEGER NOT NULL, sample_aspect_ratio TEXT NOT NULL,
        time_base_numerator INTEGER NOT NULL, time_base_denominator INTEGER NOT NULL, frame_rate TEXT NOT NULL,
        origin_pts INTEGER NOT NULL, codec TEXT NOT NULL, has_audio INTEGER NOT NULL, frame_count INTEGER NOT NULL,
        warnings TEXT NOT NULL, mirrored INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE engine (
        name TEXT NOT NULL, dim INTEGER NOT NULL, detector_sha256 TEXT NOT NULL, recognizer_sha256 TEXT NOT NULL,
        landmarks_sha256 TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE TABLE config (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    """CREATE TABLE stats (
        seconds REAL NOT NULL, faces INTEGER NOT NULL, searched INTEGER NOT NULL, skipped INTEGER, damaged INTEGER,
        concealed INTEGER, missing INTEGER, brief_faces INTEGER, brief_seconds REAL
    )""",
    "CREATE TABLE frames (frame INTEGER PRIMARY KEY, pts INTEGER NOT NULL, duration INTEGER NOT NULL)",
    "CREATE TABLE shots (shot INTEGER PRIMARY KEY, start_frame INTEGER NOT NULL, end_frame INTEGER NOT NULL)",
    "CREATE TABLE clusters (cluster INTEGER PRIMARY KEY, name TEXT)",
    """CREATE TABLE tracklets (
        tracklet INTEGER PRIMARY KEY NOT NULL, cluster INTEGER NOT NULL REFERENCES clusters(cluster),
        shot INTEGER NOT NULL REFERENCES shots(shot), start_frame INTEGER NOT NULL, end_frame INTEGER NOT NULL,
        start_reason TEXT NOT NULL, end_reason TEXT NOT NULL, face_width REAL NOT NULL, score REAL NOT NULL,
        clothes BLOB
    )""",
    "CREATE INDEX idx_tracklets_shot ON tracklets (shot)",
    "CREATE INDEX idx_tracklets_cluster ON tracklets (cluster)",
    SIGHTINGS,
    """CREATE TABLE exemplars (
        exemplar INTEGER PRIMARY KEY NOT NULL, tracklet INTEGER NOT NULL REFERENCES tracklets(tracklet),
        frame INTEGER NOT NULL REFERENCES frames(frame), x REAL NOT NULL, y REAL NOT NULL, w REAL NOT NULL,
        h REAL NOT NULL, landmarks TEXT NOT NULL, score REAL NOT NULL, quality REAL NOT NULL, sharpness REAL NOT NULL,
        frontality REAL NOT NULL, face_probability REAL, region TEXT, embedding BLOB NOT NULL, crop BLOB NOT NULL
    )""",
    "CREATE INDEX idx_exemplars_tracklet ON exemplars (tracklet)",
    "CREATE TABLE vectors (count INTEGER NOT NULL, dim INTEGER NOT NULL, sha256 TEXT NOT NULL)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    *(f"CREATE VIEW {name} AS {query}" for name, query in VIEWS.items()),
)

# How the settings of an index were called by the version before.
CONFIG_KEYS = {
    "bar": "threshold",
    "looks": "exemplars",
    "glance_interval": "low_res_interval",
    "look_interval": "crop_interval",
}
# What version 0.1 had besides: views by the names of before, and triggers that took a checksum away.
_DROP_BEFORE_7 = (
    *(
        f"DROP VIEW IF EXISTS {name}"
        for name in ("person_times", "tracklet_times", "shot_times", "sighting_boxes")
    ),
    *(f"DROP TRIGGER IF EXISTS breaks_seal_{number}" for number in range(30)),
    "DROP TABLE IF EXISTS seal",
)
# What made the indexes that do not say it.
FIRST_VERSION = {
    "facereel_version": FIRST_FACEREEL_VERSION,
    "results_version": str(FIRST_RESULTS_VERSION),
}


def m001_video(db: Database) -> None:
    """What was indexed, by whom, and how: one row each in video, engine and stats."""
    video: Columns = {"name": str, "path": str, "sha256": str, "size": int, "mtime_ns": int}
    video |= {"width": int, "height": int, "rotation": int, "sample_aspect_ratio": str}
    video |= {"time_base_numerator": int, "time_base_denominator": int, "frame_rate": str, "origin_pts": int}
    video |= {"codec": str, "has_audio": int, "frame_count": int, "warnings": str}
    db.table("video").create(video, not_null=video)
    engine: Columns = {"name": str, "dim": int, "detector_sha256": str, "recognizer_sha256": str}
    db.table("engine").create(engine, not_null=engine)
    # A value keeps the type it was set with: a column of bytes is one that SQLite does not convert.
    db.table("config").create({"key": str, "value": bytes}, pk="key", not_null=["value"])
    stats: Columns = {"seconds": float, "faces": int, "searched": int}
    db.table("stats").create(stats, not_null=stats)


def m002_timeline(db: Database) -> None:
    """Frames in ticks, and shots [start_frame, end_frame)."""
    frames: Columns = {"frame": int, "pts": int, "duration": int}
    db.table("frames").create(frames, pk="frame", not_null=["pts", "duration"])
    shots: Columns = {"shot": int, "start_frame": int, "end_frame": int}
    db.table("shots").create(shots, pk="shot", not_null=["start_frame", "end_frame"])


def m003_faces(db: Database) -> None:
    """People, their tracklets, and where a face is in each frame."""
    db.table("people").create({"person": int, "name": str}, pk="person")
    columns: Columns = {"tracklet": int, "person": int, "shot": int, "start_frame": int, "end_frame": int}
    columns |= {"start_reason": str, "end_reason": str, "face_width": float, "score": float}
    links = [("person", "people"), ("shot", "shots")]
    tracklets = db.table("tracklets").create(columns, pk="tracklet", not_null=columns, foreign_keys=links)
    tracklets.create_index(["person"])
    tracklets.create_index(["shot"])
    db.execute(SIGHTINGS)


def m004_looks(db: Database) -> None:
    """The exemplars, and the digest of their embeddings, from which vectors.faiss is made."""
    columns: Columns = {"exemplar": int, "tracklet": int, "frame": int, "x": float, "y": float, "w": float}
    columns |= {"h": float, "landmarks": str, "score": float, "quality": float, "sharpness": float}
    # The crop comes last: it overflows its page, and what is asked for often should not lie behind it.
    columns |= {"frontality": float, "embedding": bytes, "crop": bytes}
    links = [("tracklet", "tracklets"), ("frame", "frames")]
    exemplars = db.table("exemplars").create(columns, pk="exemplar", not_null=columns, foreign_keys=links)
    exemplars.create_index(["tracklet"])
    vectors: Columns = {"count": int, "dim": int, "sha256": str}
    db.table("vectors").create(vectors, not_null=vectors)


def m005_views(db: Database) -> None:
    """Nothing any more: views that a later migration makes anew."""


def m006_losses(db: Database) -> None:
    """How many frames were lost and why; NULL where nobody counted."""
    for column in ("skipped", "damaged", "concealed", "missing"):
        db.table("stats").add_column(column, int)


def m007_clusters(db: Database) -> None:
    """People of one video are its clusters; a table of versions; triggers that watched all rows go."""
    for statement in _DROP_BEFORE_7:
        db.execute(statement)
    db.execute("ALTER TABLE people RENAME TO clusters")
    db.execute("ALTER TABLE clusters RENAME COLUMN person TO cluster")
    db.execute("DROP INDEX idx_tracklets_person")
    db.execute("ALTER TABLE tracklets RENAME COLUMN person TO cluster")
    db.table("tracklets").create_index(["cluster"])
    for before, now in CONFIG_KEYS.items():
        db.execute("UPDATE config SET key = ? WHERE key = ?", [now, before])
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null=["value"])
    if db.table("video").count:  # an index that is complete, of the version before
        db.table("meta").insert_all({"key": key, "value": value} for key, value in FIRST_VERSION.items())
    for name, query in VIEWS.items():
        db.create_view(name, query)


def m008_crops_and_display(db: Database) -> None:
    """What older indexes lack: crops with a margin, the landmark model and its word, clothes, mirrored pictures."""
    # Whether a player swaps left and right; older indexes were made as if none did.
    db.table("video").add_column("mirrored", int, not_null_default=0)
    # How often the clock of the file starts again; older indexes left out the frames after that.
    db.table("video").add_column("restarts", int, not_null_default=0)
    db.table("engine").add_column("landmarks_sha256", str, not_null_default="")
    db.table("tracklets").add_column("clothes", bytes)
    # NULL where the crop is the aligned face and no landmark model was asked.
    exemplars = db.table("exemplars")
    exemplars.add_column("face_probability", float)
    exemplars.add_column("region", str)
    # The crop stays last: it overflows its page, and what is asked for often should not lie behind it.
    columns = [column.name for column in exemplars.columns if column.name not in ("embedding", "crop")]
    exemplars.transform(column_order=[*columns, "embedding", "crop"])
    # Faces too brief for a tracklet, NULL where nobody counted.
    db.table("stats").add_column("brief_faces", int)
    db.table("stats").add_column("brief_seconds", float)
    # A tracklet's least length was a number of detections, at any frame rate; here as if of 25 a second.
    db.execute("UPDATE config SET key = 'min_seconds', value = value / 25.0 WHERE key = 'min_detections'")


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    m001_video,
    m002_timeline,
    m003_faces,
    m004_looks,
    m005_views,
    m006_losses,
    m007_clusters,
    m008_crops_and_display,
)


def version(connection: sqlite3.Connection) -> int:
    """How many migrations a file has seen; 0 for one that is no index.db."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create(connection: sqlite3.Connection) -> None:
    """Give an empty file the newest schema; in one transaction, the caller's."""
    for statement in NEWEST:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def migrate(db: Database) -> None:
    """Bring an empty or older file to the newest schema, in one transaction."""
    with db.conn:
        db.conn.execute("BEGIN IMMEDIATE")  # of two processes that upgrade a file the second finds it done
        for migration in MIGRATIONS[version(db.conn) :]:
            migration(db)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
