"""A seal over the rows of an index: bits that turned on the disk are told from rows that somebody wrote.

SQLite minds its own pages, not what stands in their cells. Whoever changes rows by SQL breaks the seal without harm:
triggers take it away, and `put` sets it anew.
"""

from __future__ import annotations

import hashlib
import sqlite3

_TABLES = ("engine", "config", "frames", "shots", "people", "tracklets", "sightings", "exemplars", "vectors")
# Of these not what may differ between two indexes of one video: where it lies, and how long it took.
_COLUMNS = {
    "video": "sha256, size, width, height, rotation, sample_aspect_ratio, time_base_numerator, time_base_denominator, "
    "frame_rate, origin_pts, codec, has_audio, frame_count, warnings",
    "stats": "faces, searched, skipped, damaged, concealed, missing",
}
_QUERIES = (
    *(f"SELECT {columns} FROM {table}" for table, columns in _COLUMNS.items()),
    *(f"SELECT * FROM {table} ORDER BY 1, 2" for table in _TABLES),
)
_EVENTS = (
    *(f"UPDATE OF {columns} ON {table}" for table, columns in _COLUMNS.items()),
    *(f"UPDATE ON {table}" for table in _TABLES),
    *(f"DELETE ON {table}" for table in (*_COLUMNS, *_TABLES)),
)
CREATE = (
    "CREATE TABLE seal (sha256 TEXT NOT NULL)",
    *(
        f"CREATE TRIGGER breaks_seal_{number} AFTER {event} BEGIN DELETE FROM seal; END"
        for number, event in enumerate(_EVENTS)
    ),
)


def put(connection: sqlite3.Connection) -> None:
    """Seal the rows as they are."""
    connection.execute("DELETE FROM seal")
    connection.execute("INSERT INTO seal VALUES (?)", (_digest(connection),))


def check(connection: sqlite3.Connection) -> None:
    """Raise ValueError when the rows are not those that were sealed; without a seal nobody knows."""
    sealed = [row[0] for row in connection.execute("SELECT sha256 FROM seal")]
    if sealed not in ([], [_digest(connection)]):
        raise ValueError("its rows are not those that were written")


def _digest(connection: sqlite3.Connection) -> str:
    digest = hashlib.sha256()
    for query in _QUERIES:
        cursor = connection.cursor()
        cursor.row_factory = None  # plain tuples: a film has a million rows
        digest.update(query.encode())
        for row in cursor.execute(query):
            digest.update(repr(row).encode())
    return digest.hexdigest()
