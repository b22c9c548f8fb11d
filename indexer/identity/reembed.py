"""Another recogniser for an index: its exemplars are embedded and clustered anew; no video is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.clustering import USUAL_MIN_FACE, make_clusters, tracklet_identity
from facereel.indexer.identity.quality import crop_quality, exemplar_quality
from facereel.store.index.crops import CROP_SIZE, decode_crop
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import REEMBEDDED, Recognition, replace_recognition
from facereel.store.model.records import Cluster, Exemplar, Floats, Tracklet

TRACKLETS_AT_ONCE = 5  # about thirty crops: fills a GPU, and costs a recogniser 100 MB


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What became of one index."""

    video: str
    folder: str
    engine: str
    engine_before: str
    exemplars: int
    clusters: int
    clusters_before: int
    skipped: bool  # its recogniser was this one already


def reembed_index(folder: Path, engine: FaceEngine) -> Reembedded:
    """Apply the engine's recogniser to an index's exemplars; its detector stays that of the index.

    Raises the errors of VideoIndex and of replace_recognition; the old index then stays.
    """
    with VideoIndex(folder) as index:
        version = index.version  # opening brings an older file to the newest schema first
        old, old_clusters = index.engine, index.clusters()
        result = Reembedded(
            index.video.name, str(folder), old.name, old.name, index.exemplar_count(),
            len(old_clusters), len(old_clusters), skipped=True,
        )  # fmt: skip
        if old.compares_with(engine.info):
            return result
        indexed_by = str(index.config.get(REEMBEDDED, old.name))
        min_face = int(index.config.get("min_face", USUAL_MIN_FACE))
        embeddings, qualities, identities = [], [], []
        for tracklet, vectors, worth in _embed_again(index, index.tracklets(), engine):
            embeddings.append(vectors)
            qualities.append(worth)
            identities.append(tracklet_identity(tracklet, vectors, worth, index.video.frame_rate, min_face))
    info = replace(engine.info, detector_sha256=old.detector_sha256)
    clusters = _with_names(make_clusters(identities, engine.threshold.scale), old_clusters)
    empty = np.zeros((0, info.dim), np.float32)
    settings: dict[str, float | int | str] = {REEMBEDDED: indexed_by, "threshold": engine.threshold.value}
    recognition = Recognition(
        info,
        np.concatenate([empty, *embeddings]),
        np.concatenate([empty[:, 0], *qualities]),
        clusters,
        settings,
    )
    replace_recognition(folder, recognition, version)
    return replace(result, engine=info.name, clusters=len(clusters), skipped=False)


def _embed_again(
    index: VideoIndex, tracklets: Sequence[Tracklet], engine: FaceEngine
) -> Iterator[tuple[Tracklet, Floats, Floats]]:
    """Each tracklet with embeddings (N, D) and qualities (N,) of its exemplars, as indexing would make them."""
    for start in range(0, len(tracklets), TRACKLETS_AT_ONCE):
        batch = tracklets[start : start + TRACKLETS_AT_ONCE]
        by_tracklet = index.exemplars([tracklet.number for tracklet in batch])
        exemplars = [exemplar for tracklet in batch for exemplar in by_tracklet[tracklet.number]]
        crops = [np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)]
        crops += [decode_crop(exemplar.jpeg)[None] for exemplar in exemplars]
        embedded = engine.embed(np.concatenate(crops), mirrored=False)
        qualities = np.array(list(map(_quality, exemplars, embedded.face_confidences.tolist())), np.float32)
        ends = np.cumsum([len(by_tracklet[tracklet.number]) for tracklet in batch])[:-1]
        yield from zip(batch, np.split(embedded.vectors, ends), np.split(qualities, ends), strict=True)


def _quality(exemplar: Exemplar, face_confidence: float) -> float:
    crop = crop_quality(float(exemplar.box[2]), exemplar.sharpness, exemplar.frontality, exemplar.score)
    return exemplar_quality(crop, face_confidence)


def _with_names(clusters: tuple[Cluster, ...], old: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
    """Clusters with the name that their tracklets had, where these agree on one."""
    names = {tracklet: cluster.name for cluster in old if cluster.name for tracklet in cluster.tracklets}
    by_cluster = [
        {names[tracklet] for tracklet in cluster.tracklets if tracklet in names} for cluster in clusters
    ]
    return tuple(
        replace(cluster, name=next(iter(own))) if len(own) == 1 else cluster
        for cluster, own in zip(clusters, by_cluster, strict=True)
    )
