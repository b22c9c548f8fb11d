"""What `forget` erases from library.db: everything that was stored of a person, but for the ids, which stay used."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import numpy as np

from facereel.store.index.reader import VideoIndex
from facereel.store.library import decisions
from facereel.store.library.decisions import PLACE_COLUMNS, VERDICTS, place_of, place_values
from facereel.store.library.places import Place, places_of, tracklets_at

# What hangs on decisions: the undoing of them, and of that.
_WITH_UNDOS = """WITH RECURSIVE chosen(decision) AS (
    {start} UNION SELECT decisions.decision FROM decisions JOIN chosen ON undoes = chosen.decision) """
_GONE = "(SELECT person FROM gone)"
_FACE = (
    "start_frame = ?, end_frame = ?, frame = ?, x = ?, y = ?, w = ?, h = ?"  # PLACE_COLUMNS but for the video
)
_SPLIT_OFF = f"kind = 'split' AND person IN {_GONE} AND other NOT IN {_GONE}"


def erase(db: sqlite3.Connection, person: int) -> tuple[int, ...]:
    """Erase a person, and all who became that person, and return their ids.

    Decisions, places and suggestions that name them go. Somebody who was split off from them keeps those faces, as
    accepted ones. Each id keeps one entry of the log, without name, face or video. The bytes are overwritten by
    SQLite's secure_delete; whoever calls this compacts the file afterwards.
    """
    ids = decisions.groups(db, person)
    db.execute("CREATE TEMP TABLE gone (person INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO gone VALUES (?)", [(one,) for one in ids])
    faces = f"SELECT sha256 FROM places WHERE person IN {_GONE}"
    own = f"SELECT sha256 FROM members WHERE person IN {_GONE} OR by_similarity IN {_GONE}"
    db.execute(f"INSERT OR IGNORE INTO unsettled {faces} UNION {own}")
    _keep_people_split_off(db)
    named = f"SELECT decision FROM decisions WHERE person IN {_GONE} OR other IN {_GONE}"
    db.execute(
        "CREATE TEMP TABLE erased AS " + _WITH_UNDOS.format(start=named) + "SELECT decision FROM chosen"
    )
    erased = "(SELECT decision FROM erased)"
    db.execute(f"DELETE FROM places WHERE decision IN {erased} OR person IN {_GONE}")
    db.execute(f"DELETE FROM undone WHERE decision IN {erased}")
    db.execute(f"UPDATE decisions SET undoes = NULL WHERE decision IN {erased}")  # they refer to one another
    db.execute(f"DELETE FROM decisions WHERE decision IN {erased}")
    db.execute(f"DELETE FROM members WHERE person IN {_GONE}")
    db.execute(f"DELETE FROM alike WHERE person IN {_GONE} OR whole IN {_GONE}")
    db.execute(f"UPDATE members SET by_similarity = person WHERE by_similarity IN {_GONE}")
    db.execute(f"DELETE FROM questions WHERE person IN {_GONE} OR other IN {_GONE}")
    db.execute(
        """DELETE FROM unsettled WHERE sha256 NOT IN (SELECT sha256 FROM members)
           AND sha256 NOT IN (SELECT sha256 FROM places) AND sha256 NOT IN (SELECT sha256 FROM videos)"""
    )
    db.execute("DROP TABLE gone")
    db.execute("DROP TABLE erased")
    decisions.replay(db)  # without merges each of them is alone again
    for one in ids:
        decisions.append(db, "forget", one)
    return ids


def erase_faces(db: sqlite3.Connection, index: VideoIndex, numbers: Collection[int]) -> None:
    """Erase the faces of tracklets, which are to be removed from their index, from all decisions.

    A decision about somebody as a whole knows a cluster by one of its faces; it gets another face of the cluster, or
    the rest of the cluster would lose its name. A decision about a face that goes keeps its entry, without the face.
    """
    sha256, removed, others = index.video.sha256, set(numbers), _others(index, numbers)
    query = (
        f"SELECT place, kind, {PLACE_COLUMNS} FROM places JOIN decisions USING (decision) WHERE sha256 = ?"
    )
    rows = db.execute(query, (sha256,)).fetchall()
    for row, number in zip(rows, tracklets_at(index, list(map(place_of, rows))), strict=True):
        if number not in removed:
            continue
        if VERDICTS[row["kind"]] == "anchor" and number in others:
            values = (*place_values(others[number])[1:], row["place"])
            db.execute(f"UPDATE places SET {_FACE} WHERE place = ?", values)
        else:
            db.execute("DELETE FROM places WHERE place = ?", (row["place"],))
    rows = db.execute(f"SELECT cluster, {PLACE_COLUMNS} FROM members WHERE sha256 = ?", (sha256,)).fetchall()
    for row, number in zip(rows, tracklets_at(index, list(map(place_of, rows))), strict=True):
        if number in removed and number in others:
            values = (*place_values(others[number])[1:], sha256, row["cluster"])
            db.execute(f"UPDATE members SET {_FACE} WHERE sha256 = ? AND cluster = ?", values)


def _others(index: VideoIndex, numbers: Collection[int]) -> dict[int, Place]:
    """By number of a tracklet that goes, the face of its cluster that stays and is seen best; none where all go."""
    looks, cluster_of = index.exemplar_arrays(), {item.number: item.cluster for item in index.tracklets()}
    best: dict[int, int] = {}
    for number in looks.tracklets[np.argsort(-looks.qualities, kind="stable")].tolist():
        if number not in numbers:
            best.setdefault(cluster_of[number], number)
    places = {cluster: places_of(index, [number])[0] for cluster, number in best.items()}
    return {number: places[cluster_of[number]] for number in numbers if cluster_of[number] in places}


def _keep_people_split_off(db: sqlite3.Connection) -> None:
    """Let a split from a person who goes become the confirmation of the one who was split off, undone or not."""
    rows = db.execute(f"SELECT decision, other FROM decisions WHERE {_SPLIT_OFF}").fetchall()
    for number, other in rows:
        chain = (
            _WITH_UNDOS.format(start="SELECT ?") + "UPDATE decisions SET person = ? WHERE decision IN chosen"
        )
        db.execute(chain, (number, other))
        db.execute("UPDATE decisions SET kind = 'accept', other = NULL WHERE decision = ?", (number,))
