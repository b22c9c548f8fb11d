"""Indexes clustered again in another way, from what they hold: no video is read."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from facereel.indexer.identity.clustering import make_clusters, tracklet_identity
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import Recognition, replace_recognition
from facereel.store.model.records import RecognisedFace
from tests.benchmarks.run_facereel import index_folder


@cache
def reclustered(store: Path, scale: float = 1.0, clothes: bool = True) -> Path:
    """A copy of a store whose one index is clustered as for an engine of that scale (Threshold.scale)."""
    copy = Path(tempfile.mkdtemp(dir=store.parent)) / "store"
    shutil.copytree(store, copy)
    folder = index_folder(copy)
    with VideoIndex(folder) as index:
        version, engine, times = index.version, index.engine, index.times()
        faces, identities = [], []
        for tracklet in index.tracklets():
            exemplars = index.exemplars([tracklet.number])[tracklet.number]
            faces += [
                RecognisedFace(
                    face.landmarks, face.frontality, face.face_probability, face.quality, face.embedding
                )
                for face in exemplars
            ]
            embeddings = np.array([face.embedding for face in exemplars], np.float32).reshape(-1, engine.dim)
            qualities = np.array([face.quality for face in exemplars], np.float32)
            evidence = tracklet if clothes else replace(tracklet, clothes=None)
            identities.append(
                tracklet_identity(
                    evidence,
                    index.end_boxes(tracklet),
                    embeddings,
                    qualities,
                    [face.face_probability for face in exemplars],
                    times.span(tracklet.start, tracklet.end, index.video.time_base),
                )
            )
    clusters = make_clusters(identities, scale)
    replace_recognition(folder, Recognition(engine, tuple(faces), clusters, {}), version)
    return copy
