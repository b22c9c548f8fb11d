"""What lies in a store and its results after a kill, and whether that is whole."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from facereel.api import Library
from facereel.query import videos
from facereel.store.files import folders
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import read_video
from facereel.store.index.vectors import VECTORS
from facereel.store.library.database import LIBRARY


@dataclass(frozen=True, slots=True)
class State:
    """What is there for a user: indexes by folder, with a digest of their rows, the files of the result, decisions."""

    indexes: dict[str, str]
    result: dict[str, str] | None
    decisions: tuple[tuple[Any, ...], ...]  # kind, ids, name and number of faces of each
    names: dict[str, dict[int, str]]  # of clusters, by the video's hash


def state(place: Path) -> State:
    """What is there."""
    store, result = place / "store", place / "out" / "red"
    files = {file.name: _digest(file) for file in sorted(result.iterdir())} if result.is_dir() else None
    found = folders.index_folders(store)
    indexes = {folder.name: rows_digest(folder / DATABASE) for folder in found}
    people = Library(store).people.stored
    decisions = tuple(
        (one.kind, one.person, one.other, one.name, one.undoes, len(one.places)) for one in people.log()
    )
    names = {
        sha256: {cluster: one.name for cluster, one in people.people_of(sha256).items() if one.name}
        for sha256 in [read_video(folder)[0].sha256 for folder in found]
    }
    return State(indexes, files, decisions, names)


def rows_digest(database: Path) -> str:
    """A digest of all rows except when the run was, and how long it took."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        for line in connection.iterdump():
            head, _, rest = line.partition(",")
            if head.startswith(('INSERT INTO "stats"', "INSERT INTO \"meta\" VALUES('indexed_at'")):
                line = rest if "stats" in head else head
            digest.update(line.encode())
    return digest.hexdigest()


def _digest(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".mp4":
        # x264 reads beyond the picture's edge, where memory is undefined: the last bits of pixels differ between runs.
        with av.open(str(file)) as clip:
            frames = [
                (frame.pts, frame.duration, frame.width, frame.height) for frame in clip.decode(video=0)
            ]
        with av.open(str(file)) as clip:
            sound = [bytes(packet) for packet in clip.demux(audio=0)]
        content = repr((frames, sound)).encode()
    if file.suffix == ".json":
        content = json.dumps(json.loads(content) | {"created": ""}).encode()
    return hashlib.sha256(content).hexdigest()


def check_between(present: State, ends: tuple[State, State]) -> None:
    """Raise AssertionError when something incomplete lies there, even before any clean-up."""
    if (present.decisions, present.names) not in [(end.decisions, end.names) for end in ends]:
        raise AssertionError("the decisions are neither those before the command nor those after it")
    for name, rows in present.indexes.items():
        if rows not in [end.indexes.get(name) for end in ends]:
            raise AssertionError(f"{name} is neither the old index nor the new one")
    if present.result is not None and present.result not in [end.result for end in ends]:
        raise AssertionError("the result is not complete")


def check_sound(place: Path) -> None:
    """Indexes pass their check, and nothing else lies there."""
    for folder in folders.index_folders(place / "store"):
        if problems := videos.verify(folder).problems:
            raise AssertionError(str(problems))
        if strange := {file.name for file in folder.iterdir()} - {DATABASE, f"{DATABASE}.sha256", VECTORS}:
            raise AssertionError(f"{strange} lies in {folder.name}")
    left = [path.name for room in ("store", "out") for path in (place / room).glob(".*")]
    if left:
        raise AssertionError(f"{left} was left")


def difference(one: State, other: State) -> str:
    """In words, for the message of a failure."""
    return f"{one} instead of {other}"


def listing(place: Path) -> list[str]:
    """What lies in the store and among the results, by name, and when the journal of decisions was written."""
    present = []
    with suppress(OSError):
        present.append(str((place / "store" / f"{LIBRARY}-journal").stat().st_mtime_ns))
    for room in ("store", "out"):
        with suppress(OSError):
            present += [f"{room}/{name}" for name in sorted(os.listdir(place / room))]
    return present
