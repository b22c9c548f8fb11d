"""A generated library for the page: 1,000 videos with 10,000 people, each in two of them on average, 500 named."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from facereel import Library
from facereel.indexer.engines.protocol import FaceEngine
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.records import Cluster, Floats
from tests import factories
from tests.benchmarks.portraits import cache_folder
from tests.benchmarks.report import say

VIDEOS, PEOPLE, NAMED = 1_000, 10_000, 500
TRACKLETS, FRAMES, LOOKS = 40, 1_800, 2
# Of the people of a video so many are only there for certain; the others are anybody, so that videos share people.
OWN, OTHERS = PEOPLE // VIDEOS, 10
_SPREAD = 0.5  # how far a look lies from its person: two looks of one agree by 0.8


def large_library(engine: FaceEngine) -> Path:
    """Its store; written once and kept in the cache folder of the benchmarks, and not to be changed."""
    code = Path(__file__).read_bytes() + Path(factories.__file__).read_bytes()
    digest = hashlib.sha256(code + engine.info.recognizer_sha256.encode()).hexdigest()[:12]
    store = cache_folder() / f"page-{digest}"
    if store.exists():
        return store
    say(f"web: generating {VIDEOS:,} videos with {PEOPLE:,} people, once")
    part = store.with_name(f"{store.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    people = _unit(np.random.default_rng(1).standard_normal((PEOPLE, engine.info.dim)).astype(np.float32))
    for number in range(VIDEOS):
        factories.write_index(part, _contents(number, people, engine))
    Catalogue(part).refresh()
    library = Library(part).people
    for place, person in enumerate(library.all()[:NAMED]):
        library.name(str(person.id), f"Person {place + 1}")
    part.rename(store)
    Catalogue(store).refresh()
    return store


def _contents(number: int, people: Floats, engine: FaceEngine) -> factories.IndexContents:
    rng = np.random.default_rng(number)
    own = np.arange(number * OWN, (number + 1) * OWN)
    others = rng.choice(np.setdiff1d(np.arange(PEOPLE), own), OTHERS, replace=False)
    cast = np.concatenate([own, others])
    video = factories.make_video(f"/videos/{number:04}.mp4", f"page {number}", FRAMES)
    blank = factories.make_contents(number, video, 20, TRACKLETS, LOOKS, engine.info.dim)
    tracklets = tuple(
        replace(item, cluster=place % len(cast) + 1) for place, item in enumerate(blank.tracklets)
    )
    exemplars = {
        item.number: tuple(
            replace(look, embedding=_look(people[cast[item.cluster - 1]], rng))
            for look in blank.exemplars[item.number]
        )
        for item in tracklets
    }
    clusters = tuple(
        Cluster(place, None, tuple(item.number for item in tracklets if item.cluster == place))
        for place in range(1, len(cast) + 1)
    )
    return replace(
        blank, engine=engine.info, config={**blank.config, "threshold": engine.threshold.value},
        tracklets=tracklets, exemplars=exemplars, clusters=clusters,
    )  # fmt: skip


def _look(person: Floats, rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(len(person)) / np.sqrt(len(person))
    vectors: Floats = _unit((person + _SPREAD * noise)[None])
    return np.asarray(vectors[0], np.float32)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
