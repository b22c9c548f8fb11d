"""Stores whose files were harmed: indexes, what is derived from them, and unfinished indexes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from facereel.query import videos
from facereel.store.files.disk import make_store
from facereel.store.index import summary
from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.index.vectors import VECTORS
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.vectors import LIBRARY_VECTORS
from facereel.store.library.videos import read_clusters
from facereel.store.model.config import Config
from facereel.store.model.errors import FaceReelError
from facereel.store.model.records import Checkpoint, Segment
from facereel.store.resume.unfinished import UnfinishedIndex
from tests.benchmarks.fuzz_harm import MUTATIONS, Rng
from tests.benchmarks.fuzz_outcome import Outcome
from tests.factories import make_contents


def harmed_index(kind: str, index: Path, place: Path, rng: Rng) -> Outcome:
    """An index one of whose files was harmed: refused, mended, or whole after all."""
    folder = Path(shutil.copytree(index, place / "store" / index.name))
    catalogue = Catalogue(place / "store")
    catalogue.refresh()
    path = {
        "database": folder / DATABASE,
        "vectors": folder / VECTORS,
        "library": place / "store" / LIBRARY_VECTORS,
    }[kind]
    before = path.read_bytes()
    harm = str(rng.choice(list(MUTATIONS)))
    path.write_bytes(MUTATIONS[harm](before, rng))
    same = path.read_bytes() == before
    if kind == "library":
        own = read_clusters(index)
        search = catalogue.searchable(own.engine).clusters
        found = search.nearest(own.clusters.embeddings, 1)
        alike = search.count == len(own.clusters) and all(
            len(one) == 1 and number == one.clusters[0]
            for number, one in zip(own.clusters.numbers, found, strict=True)
        )
        return Outcome(kind, "ok", "" if alike else "other vectors than those of the index")
    health = videos.verify(folder)
    catalogue.listing()
    if kind == "vectors" and (health.problems or path.read_bytes() != before):
        return Outcome(kind, "not mended", str(health))
    with suppress(FaceReelError), VideoIndex(folder) as opened:
        summary.details(opened, {})
        opened.vectors()
    if health.problems:
        wrong = "\n" in health.problems[0] or ";" not in health.problems[0]
        return Outcome(kind, "refused", health.problems[0] if wrong else "")
    if kind == "database" and not same and _contents(folder) != _contents(index):
        return Outcome(kind, "silent", "other rows, and verify finds nothing")
    return Outcome(kind, "ok")


def harmed_unfinished(place: Path, rng: Rng) -> Outcome:
    """An unfinished index: what was harmed is thrown away, or reads as it was written."""
    made, store = make_contents(), place / "store"
    make_store(store)

    def opened() -> UnfinishedIndex:
        return UnfinishedIndex(store, made.video.sha256, made.engine, 0.5, Config())

    tracklets = tuple(
        (replace(item, cluster=0), made.sightings[item.number], made.exemplars[item.number])
        for item in made.tracklets
    )
    whole = opened()
    whole.add(
        Segment(0, made.shots, tracklets, Checkpoint(made.video.frame_count)), made.times, resumable=True
    )
    path = whole.folder / DATABASE
    whole.close()
    intact = _dump(path)
    harm = str(rng.choice(list(MUTATIONS)))
    path.write_bytes(MUTATIONS[harm](path.read_bytes(), rng))
    again = opened()
    again.close()
    if again.discarded:
        return Outcome("unfinished", "refused")
    return Outcome("unfinished", "ok", "" if _dump(path) == intact else f"other contents after {harm}")


def _dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def _contents(folder: Path) -> list[str]:
    return _dump(folder / DATABASE)
