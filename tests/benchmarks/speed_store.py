"""A store of a thousand generated indexes with a hundred tracklets each, one of whose people is on a photo."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.query.people.photos import group_photos, read_people
from facereel.query.records import PersonQuery
from facereel.store.model.records import Cluster, Exemplar, Floats
from tests import factories
from tests.benchmarks import portraits

VIDEOS, TRACKLETS = 1000, 100
FRAMES, LOOKS = 1800, 3
WORLD, IN_A_VIDEO = 3000, 20  # people in all, and in each video
# How far a look lies from its person: two looks of one then agree by 0.6, as single looks in films do.
SPREAD = 0.8


def thousand(engine: FaceEngine) -> tuple[Path, Path]:
    """The store and the photo of one of its people, who is in about seven videos; written once and kept."""
    photo = portraits.photos(portraits.SAMPLES / "obama")[0]
    code = Path(__file__).read_bytes() + Path(factories.__file__).read_bytes() + engine.info.name.encode()
    digest = hashlib.sha256(code + engine.info.recognizer_sha256.encode()).hexdigest()[:12]
    store = portraits.cache_folder() / f"store-{digest}"
    if not store.exists():
        part = store.with_name(f"{store.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        people = _world(person_query(photo, engine).references[0].embedding)
        for number in range(VIDEOS):
            factories.write_index(part, _contents(number, people, engine))
        part.rename(store)
    return store, photo


def person_query(photo: Path, engine: FaceEngine) -> PersonQuery:
    """The person of a photo, read as a query reads it."""
    return read_people(group_photos([photo]), engine)[0]


def _world(first: Floats) -> Floats:
    people = np.random.default_rng(1).standard_normal((WORLD, len(first))).astype(np.float32)
    people[0] = first * np.sqrt(len(first))
    return _unit(people)


def _contents(number: int, people: Floats, engine: FaceEngine) -> factories.IndexContents:
    rng = np.random.default_rng(number)
    cast = rng.choice(WORLD, IN_A_VIDEO, replace=False)
    video = factories.make_video(f"/videos/{number:04}.mp4", f"generated {number}", FRAMES)
    blank = factories.make_contents(number, video, 20, TRACKLETS, LOOKS, engine.info.dim)
    who = rng.integers(IN_A_VIDEO, size=TRACKLETS)
    tracklets = tuple(
        replace(item, cluster=int(person) + 1) for item, person in zip(blank.tracklets, who, strict=True)
    )
    exemplars = {
        item.number: tuple(
            _look(exemplar, people[cast[item.cluster - 1]], rng) for exemplar in blank.exemplars[item.number]
        )
        for item in tracklets
    }
    members = {p: tuple(t.number for t in tracklets if t.cluster == p) for p in range(1, IN_A_VIDEO + 1)}
    groups = tuple(Cluster(person, None, own) for person, own in members.items() if own)
    return replace(blank, engine=engine.info, tracklets=tracklets, exemplars=exemplars, clusters=groups)


def _look(exemplar: Exemplar, person: Floats, rng: np.random.Generator) -> Exemplar:
    noise = rng.standard_normal(len(person)) / np.sqrt(len(person))
    return replace(exemplar, embedding=_unit((person + SPREAD * noise)[None])[0])


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
