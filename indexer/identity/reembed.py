"""Another engine for an index: its face crops are aligned, embedded and clustered anew; no video is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from facereel.indexer.engines.alignment import frontality
from facereel.indexer.engines.face_crops import align_faces, aligned_face, stored_crop
from facereel.indexer.engines.protocol import FaceEngine
from facereel.indexer.identity.clustering import make_clusters, tracklet_identity
from facereel.indexer.identity.quality import crop_quality, exemplar_quality
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import REEMBEDDED, Recognition, replace_recognition
from facereel.store.model.records import Cluster, Exemplar, RecognisedFace, Tracklet

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
    """Apply the engine's landmarks and recogniser to an index's face crops; its detector stays that of the index.

    Raises the errors of VideoIndex and of replace_recognition; the old index then stays.
    """
    with VideoIndex(folder) as index:
        version = index.version  # opening brings an older file to the newest schema first
        old, old_clusters = index.engine, index.clusters()
        result = Reembedded(
            index.video.name, str(folder), old.name, old.name, index.exemplar_count(),
            len(old_clusters), len(old_clusters), skipped=True,
        )  # fmt: skip
        # Crops without a margin are aligned already, and an engine may take landmarks as they are stored.
        landmarks = engine.info.landmarks_sha256 if index.crops_have_margins() else ""
        info = replace(
            engine.info,
            detector_sha256=old.detector_sha256,
            landmarks_sha256=landmarks or old.landmarks_sha256,
        )
        if old.aligns_and_embeds_like(info):
            return result
        indexed_by = str(index.config.get(REEMBEDDED, old.name))
        recognised, identities, times = [], [], index.times()
        for tracklet, faces in _recognise_again(index, index.tracklets(), engine):
            recognised += faces
            vectors = np.array([face.embedding for face in faces], np.float32).reshape(-1, info.dim)
            worth = np.array([face.quality for face in faces], np.float32)
            probabilities = [face.face_probability for face in faces]
            ends = index.end_boxes(tracklet)
            span = times.span(tracklet.start, tracklet.end, index.video.time_base)
            identities.append(tracklet_identity(tracklet, ends, vectors, worth, probabilities, span))
    clusters = _with_names(make_clusters(identities, engine.threshold.scale), old_clusters)
    settings: dict[str, float | int | str] = {REEMBEDDED: indexed_by, "threshold": engine.threshold.value}
    recognition = Recognition(info, tuple(recognised), clusters, settings)
    replace_recognition(folder, recognition, version)
    return replace(result, engine=info.name, clusters=len(clusters), skipped=False)


def _recognise_again(
    index: VideoIndex, tracklets: Sequence[Tracklet], engine: FaceEngine
) -> Iterator[tuple[Tracklet, list[RecognisedFace]]]:
    """Each tracklet with its exemplars as indexing would make them of the stored crops."""
    for start in range(0, len(tracklets), TRACKLETS_AT_ONCE):
        batch = tracklets[start : start + TRACKLETS_AT_ONCE]
        by_tracklet = index.exemplars([tracklet.number for tracklet in batch])
        faces = iter(
            _recognise([exemplar for tracklet in batch for exemplar in by_tracklet[tracklet.number]], engine)
        )
        for tracklet in batch:
            yield tracklet, list(islice(faces, len(by_tracklet[tracklet.number])))


def _recognise(exemplars: Sequence[Exemplar], engine: FaceEngine) -> list[RecognisedFace]:
    if not exemplars:
        return []
    crops = [crop for exemplar in exemplars if (crop := stored_crop(exemplar)) is not None]
    if len(crops) == len(exemplars):
        faces = align_faces(crops, engine)
        images, landmarks = faces.images, faces.landmarks
        probabilities: list[float | None] = faces.face_probabilities.tolist()
    else:
        images = np.stack([aligned_face(exemplar) for exemplar in exemplars])
        landmarks = np.stack([exemplar.landmarks for exemplar in exemplars])
        probabilities = [exemplar.face_probability for exemplar in exemplars]
    embedded = engine.embed(images, mirrored=False)
    recognised = []
    for exemplar, points, probability, vector, face_confidence in zip(
        exemplars, landmarks, probabilities, embedded.vectors, embedded.face_confidences.tolist(), strict=True
    ):
        frontal = frontality(points)
        before = crop_quality(float(exemplar.box[2]), exemplar.sharpness, frontal, exemplar.score)
        quality = exemplar_quality(before, face_confidence)
        recognised.append(RecognisedFace(points, frontal, probability, quality, vector))
    return recognised


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
