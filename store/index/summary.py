"""What is known of an indexed video, in short and in full."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Cluster, FrameTimes, Tracklet, Video


def summary(index: VideoIndex) -> dict[str, Any]:
    """One row of a listing."""
    video = index.video
    return {
        "video": video.name, "length": round(video.duration(index.times()), 6),
        "width": video.width, "height": video.height, "shots": len(index.shots()),
        "tracklets": len(index.tracklets()), "people": len(index.clusters()), "engine": index.engine.name,
        "indexed": _written(index.folder), "folder": str(index.folder), "sha256": video.sha256,
    }  # fmt: skip


def details(index: VideoIndex) -> dict[str, Any]:
    """Everything about one video, its clusters with the seconds they are visible."""
    video, times, tracklets = index.video, index.times(), index.tracklets()
    return {
        **summary(index),
        "path": video.path, "bytes": video.size, "codec": video.codec, "has_audio": video.has_audio,
        "rotation": video.rotation, "sample_aspect_ratio": str(video.sample_aspect_ratio),
        "time_base": str(video.time_base), "frame_rate": str(video.frame_rate), "frames": video.frame_count,
        "frames_skipped": index.stats.skipped, "frames_damaged": index.stats.damaged,
        "frames_concealed": index.stats.concealed, "frames_missing": index.stats.missing,
        "faces": index.stats.faces, "frames_searched": index.stats.searched,
        "seconds_to_index": round(index.stats.seconds, 3), "warnings": list(video.warnings),
        "weights": {
            "detector_sha256": index.engine.detector_sha256,
            "recognizer_sha256": index.engine.recognizer_sha256, "vector_length": index.engine.dim,
        },
        "config": index.config,
        "who": [
            {"person": cluster.number, "name": cluster.name, "tracklets": len(cluster.tracklets),
             "seconds": round(screen_time(cluster, tracklets, video, times), 3)}
            for cluster in index.clusters()
        ],
    }  # fmt: skip


def screen_time(cluster: Cluster, tracklets: tuple[Tracklet, ...], video: Video, times: FrameTimes) -> float:
    """How long somebody is seen, seconds; a frame counts once."""
    seen = np.zeros(len(times.pts), bool)
    for tracklet in tracklets:
        if tracklet.cluster == cluster.number:
            seen[tracklet.start : tracklet.end] = True
    return float(int(times.durations[seen].sum()) * video.time_base)


def _written(folder: Path) -> str:
    moment = datetime.fromtimestamp((folder / DATABASE).stat().st_mtime, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
