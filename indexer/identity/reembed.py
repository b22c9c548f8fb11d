"""Another recogniser for an index: the looks it keeps are embedded and grouped anew; no video is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.clustering import USUAL, Evidence, as_people, number_people, stands_alone
from facereel.indexer.identity.exemplars import weighed
from facereel.indexer.identity.quality import look_quality
from facereel.store.index.crops import decode_crop
from facereel.store.index.database import read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.recognition import REEMBEDDED, Recognition, replace_recognition
from facereel.store.model import pooling as evidence
from facereel.store.model.records import Cluster, Exemplar, Floats, Tracklet

BATCH = 5  # tracklets at once, about thirty looks: fills a GPU, and costs a recogniser 100 MB


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What came of one index."""

    video: str
    folder: str
    engine: str
    before: str  # the engine until now
    looks: int
    people: int
    people_before: int
    skipped: bool  # it was of this recogniser already


def reembed_index(folder: Path, engine: FaceEngine) -> Reembedded:
    """Apply the engine's recogniser to an index's looks; the detector stays the one that looked.

    Raises the errors of VideoIndex and of replace_recognition; the old index then stays.
    """
    version = read_version(folder)
    with VideoIndex(folder) as index:
        old, people = index.engine, index.clusters()
        name, count = index.video.name, len(index.exemplar_numbers())
        looked_by = str(index.config.get(REEMBEDDED, old.name))
        if old.compares_with(engine.info):
            return Reembedded(name, str(folder), old.name, old.name, count, len(people), len(people), True)
        tracklets, min_face = index.tracklets(), int(index.config.get("min_face", USUAL))
        vectors, qualities, grounds = [], [], []
        for tracklet, embeddings, worth in _recognised(index, tracklets, engine):
            vectors.append(embeddings)
            qualities.append(worth)
            pooled = evidence.pool(embeddings, worth)
            alone = stands_alone(tracklet.face_width, min_face)
            grounds.append(Evidence(pooled, float(worth.max(initial=0)), tracklet.start, tracklet.end, alone))
    info = replace(engine.info, detector_sha256=old.detector_sha256)
    anew = _named(as_people(number_people(grounds, engine.threshold.scale)), people)
    none = np.zeros((0, info.dim), np.float32)
    settings: dict[str, float | int | str] = {REEMBEDDED: looked_by, "threshold": engine.threshold.value}
    recognition = Recognition(
        info, np.concatenate([none, *vectors]), np.concatenate([none[:, 0], *qualities]), anew, settings
    )
    replace_recognition(folder, recognition, version)
    return Reembedded(name, str(folder), info.name, old.name, count, len(anew), len(people), False)


def _recognised(
    index: VideoIndex, tracklets: Sequence[Tracklet], engine: FaceEngine
) -> Iterator[tuple[Tracklet, Floats, Floats]]:
    """Tracklets in order, each with embeddings (N, D) and qualities (N,) of its looks as pass one would make them."""
    for start in range(0, len(tracklets), BATCH):
        some = tracklets[start : start + BATCH]
        kept = index.exemplars([tracklet.number for tracklet in some])
        looks = [look for tracklet in some for look in kept[tracklet.number]]
        crops = (
            np.stack([decode_crop(look.jpeg) for look in looks])
            if looks
            else np.zeros((0, 112, 112, 3), np.uint8)
        )
        seen = engine.embed(crops, mirrored=False)
        worth = np.array(list(map(_worth, looks, seen.face_confidences.tolist())), np.float32)
        ends = np.cumsum([len(kept[tracklet.number]) for tracklet in some])[:-1]
        yield from zip(some, np.split(seen.vectors, ends), np.split(worth, ends), strict=True)


def _worth(look: Exemplar, strength: float) -> float:
    plain = look_quality(float(look.box[2]), look.sharpness, look.frontality, look.score)
    return weighed(plain, strength)


def _named(anew: tuple[Cluster, ...], old: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
    """People with the names that their tracklets had, where these agree."""
    names = {tracklet: person.name for person in old if person.name for tracklet in person.tracklets}
    given = [{names[tracklet] for tracklet in person.tracklets if tracklet in names} for person in anew]
    return tuple(
        replace(person, name=next(iter(own))) if len(own) == 1 else person
        for person, own in zip(anew, given, strict=True)
    )
