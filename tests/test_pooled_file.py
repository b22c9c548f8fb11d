"""Pooled evidence beside an index: the same answers as from the rows, and never an old one."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facereel.query.records import PersonQuery, Reference
from facereel.query.search.matching import VideoFaces, match
from facereel.query.search.search import Answer, Scope, search
from facereel.store.index import pooled_file
from facereel.store.index.database import DATABASE
from facereel.store.index.pooled import Pooled, pool
from facereel.store.index.pooled_header import POOLED
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import DamagedIndexError
from facereel.store.model.records import Cluster, Floats
from tests.factories import IndexContents, make_contents, make_video, write_index

DIM = 16


def photo(vector: Floats, quality: float = 0.9) -> Reference:
    return Reference("photo.jpg", "0" * 64, np.array([0, 0, 99, 99], np.float32), vector, quality)


def faces(pooled: Pooled) -> VideoFaces:
    return VideoFaces(make_video(), pooled, np.zeros((len(pooled.rows), 2)))


def contents(seed: int, people: int = 5) -> IndexContents:
    """A random index whose people look like themselves, more or less."""
    rng = np.random.default_rng(seed)
    made = make_contents(seed, make_video(f"/videos/{seed}.mp4", str(seed), 200), 3, 14, 2, DIM)
    faces = rng.standard_normal((people, DIM))
    who = {item.number: int(rng.integers(people)) for item in made.tracklets}
    exemplars = {}
    for number, looks in made.exemplars.items():
        vectors = faces[who[number]] + 0.7 * rng.standard_normal((len(looks), DIM))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        exemplars[number] = tuple(
            replace(look, embedding=vector.astype(np.float32))
            for look, vector in zip(looks, vectors, strict=True)
        )
    tracklets = tuple(replace(item, cluster=who[item.number] + 1) for item in made.tracklets)
    groups = tuple(
        Cluster(n, None, tuple(t.number for t in tracklets if t.cluster == n)) for n in range(1, people + 1)
    )
    groups = tuple(group for group in groups if group.tracklets)
    return replace(made, tracklets=tracklets, exemplars=exemplars, clusters=groups)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_index(tmp_path / "store", contents(3))


def asked_in(folder: Path) -> Answer:
    """What a query answers that asks for the first look in an index."""
    with VideoIndex(folder) as index:
        asked = PersonQuery("anna", (photo(index.exemplar_arrays().embeddings[0]),), ())
        where = Scope(((folder, index.video),), (), index.engine)
    return search([asked], where, 0.42)[0]


def told(answer: Answer) -> list[object]:
    """Everything that an answer says, in values that can be compared."""
    hits = [
        (
            m.video,
            m.tracklet,
            m.similarity,
            m.threshold,
            m.matched,
            m.explanation,
            s.frames.tolist(),
            s.boxes.tolist(),
        )
        for m, s in answer.matches
    ]
    misses = list(answer.near_misses)
    return [hits, misses, {key: times.pts.tolist() for key, times in answer.times.items()}]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), base=st.floats(0.2, 0.6))
def test_kept_evidence_answers_as_the_rows_do(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, base: float
) -> None:
    folder = write_index(tmp_path_factory.mktemp("store"), contents(seed))
    with VideoIndex(folder) as index:
        looks = index.exemplar_arrays()
        direct = pool(index.tracklets(), looks, index.video.frame_rate)
    rng = np.random.default_rng(seed)
    photos = [photo(looks.embeddings[rng.integers(len(looks))], rng.random()) for _ in range(count)]
    pooled_file.keep(folder)
    assert match(faces(pooled_file.read(folder).pooled), photos, base) == match(faces(direct), photos, base)


def test_a_query_keeps_what_it_pooled_and_uses_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = asked_in(folder)
    assert first.matches
    assert first.near_misses
    monkeypatch.setattr(pooled_file, "keep", lambda folder: pytest.fail("pooled again"))
    assert told(asked_in(folder)) == told(first)


def test_a_listing_reads_what_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = Catalogue(folder.parent).listing().entries
    pooled_file.keep(folder)
    monkeypatch.setattr(pooled_file, "read_video", lambda folder: pytest.fail("index.db was opened"))
    (entry,) = Catalogue(folder.parent).listing().entries
    assert entry == before


def test_it_is_for_its_owner_only(folder: Path) -> None:
    pooled_file.keep(folder)
    assert (folder / POOLED).stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob("*.tmp"))


def test_changed_rows_make_it_stale(folder: Path) -> None:
    pooled_file.keep(folder)
    with sqlite3.connect(folder / DATABASE) as rows:
        rows.execute("UPDATE tracklets SET end_reason = 'video_end', cluster = 1")
    known = pooled_file.read(folder)
    assert len(known.pooled.people) == 1
    assert known.pooled.tracklet(0).end_reason == "video_end"


@pytest.mark.parametrize("place", [0, 5, 40, -200, -1])
def test_a_torn_one_is_made_anew(folder: Path, place: int) -> None:
    pooled_file.keep(folder)
    whole = (folder / POOLED).read_bytes()
    torn = bytearray(whole)
    torn[place] ^= 1
    for damaged in (bytes(torn), whole[: len(whole) // 2], b"", whole[:20], whole + b"\0"):
        (folder / POOLED).write_bytes(damaged)
        assert pooled_file.read(folder).pooled.rows.tobytes() in whole
        assert (folder / POOLED).read_bytes() == whole


def test_it_is_not_that_of_another_index(folder: Path) -> None:
    other = write_index(folder.parent, contents(4))
    pooled_file.keep(other)
    shutil.copy2(other / POOLED, folder / POOLED)
    with VideoIndex(folder) as index:
        assert pooled_file.read_identity(folder)[0] == index.video


def test_damage_of_the_index_is_told_though_it_was_kept(folder: Path) -> None:
    pooled_file.keep(folder)
    (folder / DATABASE).write_bytes(b"not a database, nothing of it" * 100)
    with pytest.raises(DamagedIndexError):
        pooled_file.read(folder)
    with pytest.raises(DamagedIndexError):
        pooled_file.read_identity(folder)


def test_removed_with_its_index(folder: Path) -> None:
    pooled_file.keep(folder)
    Catalogue(folder.parent).remove(folder.name)
    assert not list(folder.parent.rglob(POOLED))


def test_an_index_without_looks_is_known_too(tmp_path: Path) -> None:
    folder = write_index(tmp_path, make_contents(tracklets=0))
    pooled_file.keep(folder)
    assert match(faces(pooled_file.read(folder).pooled), [photo(np.ones(DIM, np.float32))]) == ([], [])
