"""Stores whose files were harmed: indexes, what is derived from them, and the segments of unfinished runs."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import numpy as np

from facereel.query import videos
from facereel.store.index import pooled_file, summary
from facereel.store.index.database import DATABASE
from facereel.store.index.pooled_header import POOLED
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import VECTORS
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import FaceReelError
from facereel.store.resume.segments import Segment, StoredSegment, TrackRecord, pack, unpack
from tests.benchmarks.fuzz_harm import MUTATIONS, Rng
from tests.benchmarks.fuzz_outcome import Outcome
from tests.factories import make_contents


def harmed_index(kind: str, index: Path, place: Path, rng: Rng) -> Outcome:
    """An index one of whose files was harmed: refused, mended, or whole after all."""
    folder = Path(shutil.copytree(index, place / "store" / index.name))
    if kind == "pooled":
        pooled_file.keep(folder)
    path = folder / {"database": DATABASE, "vectors": VECTORS, "pooled": POOLED}[kind]
    before = path.read_bytes()
    harm = str(rng.choice(list(MUTATIONS)))
    path.write_bytes(MUTATIONS[harm](before, rng))
    same = path.read_bytes() == before
    if kind == "pooled":
        found, sound = pooled_file.read(folder), pooled_file.read(index)
        alike = found.pooled.vectors.tobytes() == sound.pooled.vectors.tobytes()
        return Outcome(kind, "ok", "" if alike else "other vectors than those of the index")
    health = videos.verify(folder)
    Catalogue(place / "store").listing()
    if kind == "vectors" and (health.problems or path.read_bytes() != before):
        return Outcome(kind, "not mended", str(health))
    with suppress(FaceReelError), VideoIndex(folder) as opened:
        summary.details(opened)
        opened.vectors()
    if health.problems:
        wrong = "\n" in health.problems[0] or ";" not in health.problems[0]
        return Outcome(kind, "refused", health.problems[0] if wrong else "")
    if kind == "database" and not same and _contents(folder) != _contents(index):
        return Outcome(kind, "silent", "other rows, and verify finds nothing")
    return Outcome(kind, "ok")


def harmed_chapter(rng: Rng) -> Outcome:
    """A segment of an unfinished run: what was harmed is left out, or reads as if it were whole."""
    sound = _chapter()
    harm = str(rng.choice(list(MUTATIONS)))
    try:
        kept = unpack(MUTATIONS[harm](sound, rng))
    except ValueError:
        return Outcome("journal", "refused")
    return Outcome("journal", "ok", "" if pack(kept) == sound else f"other contents after {harm}")


@cache
def _chapter() -> bytes:
    made = make_contents()
    faces = tuple(
        TrackRecord("scene_cut", "occlusion", made.sightings[number], made.exemplars[number])
        for number in made.sightings
    )
    return pack(StoredSegment(Segment(0, 40, (20,), 10, faces, 30, 5), np.arange(41)))


def _contents(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return list(connection.iterdump())
