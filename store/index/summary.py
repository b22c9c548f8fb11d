"""What a listing shows of an indexed video, in short and in full, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from facereel.store.index.database import DATABASE
from facereel.store.index.reader import VideoIndex
from facereel.store.model.records import Cluster, FrameTimes, Tracklet, Video


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """An indexed video in short."""

    video: str  # the file's name
    path: str  # where the file lay when it was indexed, or was found since
    folder: str  # of the index
    sha256: str  # of the video's content, hex
    duration: float  # seconds
    width: int  # pixels as displayed
    height: int
    shots: int
    tracklets: int
    clusters: int
    engine: str
    indexed_at: str  # UTC, `2026-01-31T12:00:00Z`
    facereel_version: str  # of the program that made the index
    results_version: int


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """A cluster of a video: tracklets that show one person."""

    cluster: int
    person: int | None  # the id of whose it is in the library, and the name if there is one
    name: str | None
    tracklets: int
    seconds: float  # for which the person is visible


@dataclass(frozen=True, slots=True)
class VideoDetails:
    """Everything about an indexed video."""

    summary: VideoSummary
    bytes: int
    codec: str
    has_audio: bool
    rotation: int  # degrees clockwise
    mirrored: bool  # left and right are swapped after the rotation
    sample_aspect_ratio: str
    time_base: str  # seconds a tick
    frame_rate: str  # average
    frames: int
    # Frames that were lost, as in IndexStats; None where an older version did not count them.
    frames_skipped: int | None
    frames_damaged: int | None
    frames_concealed: int | None
    frames_missing: int | None
    faces: int  # faces in frames
    brief_faces: int | None  # faces that were there too briefly for a tracklet
    brief_seconds: float | None  # for which they were, in all
    frames_searched: int
    seconds_to_index: float
    warnings: tuple[str, ...]
    detector_sha256: str
    recognizer_sha256: str
    vector_length: int
    config: dict[str, float | int | str]
    by_cluster: tuple[ClusterSummary, ...]


def summary(index: VideoIndex) -> VideoSummary:
    """An indexed video in short."""
    video, end, count = index.video, index.times(index.video.frame_count - 1), index.counts()
    return VideoSummary(
        video=video.name, path=video.path, folder=str(index.folder), sha256=video.sha256,
        duration=round(video.seconds(end.end_pts(1)), 6), width=video.width, height=video.height,
        shots=count.shots, tracklets=count.tracklets, clusters=count.clusters,
        engine=index.engine.name, indexed_at=index.indexed_at or _modified(index.folder),
        facereel_version=index.facereel_version, results_version=index.results_version,
    )  # fmt: skip


def details(index: VideoIndex, people: Mapping[int, tuple[int, str | None]]) -> VideoDetails:
    """Everything about one video, its clusters with the seconds for which they are visible.

    `people` are ids and names of the library, by cluster number.
    """
    video, times, tracklets = index.video, index.times(), index.tracklets()
    return VideoDetails(
        summary=summary(index), bytes=video.size, codec=video.codec, has_audio=video.has_audio,
        rotation=video.rotation, mirrored=video.mirrored, sample_aspect_ratio=str(video.sample_aspect_ratio),
        time_base=str(video.time_base), frame_rate=str(video.frame_rate), frames=video.frame_count,
        frames_skipped=index.stats.skipped, frames_damaged=index.stats.damaged,
        frames_concealed=index.stats.concealed, frames_missing=index.stats.missing,
        faces=index.stats.faces, brief_faces=index.stats.brief_faces, brief_seconds=index.stats.brief_seconds,
        frames_searched=index.stats.searched,
        seconds_to_index=round(index.stats.seconds, 3), warnings=video.warnings,
        detector_sha256=index.engine.detector_sha256, recognizer_sha256=index.engine.recognizer_sha256,
        vector_length=index.engine.dim, config=dict(index.config),
        by_cluster=tuple(
            ClusterSummary(
                cluster.number, person, name, len(cluster.tracklets),
                round(screen_time(cluster, tracklets, video, times), 3),
            )
            for cluster in index.clusters()
            for person, name in [people.get(cluster.number, (None, None))]
        ),
    )  # fmt: skip


def screen_time(cluster: Cluster, tracklets: tuple[Tracklet, ...], video: Video, times: FrameTimes) -> float:
    """How long somebody is visible, seconds; a frame counts once."""
    visible = np.zeros(len(times.pts), bool)
    for tracklet in tracklets:
        if tracklet.cluster == cluster.number:
            visible[tracklet.start : tracklet.end] = True
    return float(int(times.durations[visible].sum()) * video.time_base)


def _modified(folder: Path) -> str:
    """When an index was written that does not say it: the best guess is its file's time."""
    moment = datetime.fromtimestamp((folder / DATABASE).stat().st_mtime, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
