"""The best faces of a person, and when each is to be seen: what a page shows of somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.people import Member
from facereel.store.model.errors import OptionError, StoreError
from facereel.store.model.records import Floats

_MOST_VIDEOS = 12  # that are opened for one person


@dataclass(frozen=True, slots=True)
class Moment:
    """A face in a video, seen at its best in one frame."""

    folder: Path  # of the index
    video: str  # the file's name
    cluster: int
    tracklet: int
    frame: int  # of the best exemplar
    time: float  # of that frame, seconds
    start: float  # of the tracklet, seconds
    end: float
    quality: float  # of the exemplar, 0..1
    version: str  # of the index, by which the tracklet has its number


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """Where a face is in each frame of its tracklet."""

    folder: Path  # of the index
    video: str  # the file's name
    tracklet: int
    width: int  # of the video's picture, pixels
    height: int
    start_frame: int
    times: NDArray[np.float64]  # (N,) when each frame is shown, seconds
    boxes: Floats  # (N, 4) x y w h


def face_track(index: VideoIndex, tracklet: int) -> FaceTrack:
    """The track of one tracklet; raises OptionError for a number that no tracklet has."""
    own, video = index.sightings([tracklet])[tracklet], index.video
    times = (index.times().pts[own.frames] - video.origin_pts) * float(video.time_base)
    return FaceTrack(
        index.folder, video.name, tracklet, video.width, video.height, int(own.frames[0]),
        np.asarray(times, np.float64), own.boxes,
    )  # fmt: skip


def best_moments(members: Sequence[Member], catalogue: Catalogue, most: int) -> tuple[Moment, ...]:
    """The best face of each cluster in turn, then the second best of each, and so on; at most `most`.

    An index that cannot be read, or is gone, has none.
    """
    clusters: dict[str, set[int]] = {}
    for member in sorted(members, key=lambda one: (-one.quality, one.sha256, one.cluster)):
        if member.sha256 in clusters or len(clusters) < _MOST_VIDEOS:
            clusters.setdefault(member.sha256, set()).add(member.cluster)
    ranked: list[tuple[int, Moment]] = []
    for sha256, own in clusters.items():
        try:
            index = catalogue.by_hash(sha256)
            if index is not None:
                with index:
                    for cluster in sorted(own):
                        ranked += enumerate(_of_cluster(index, cluster, most))
        except StoreError:
            continue
    ranked.sort(key=lambda pair: (pair[0], -pair[1].quality))
    return tuple(moment for _, moment in ranked[:most])


def best_crop(index: VideoIndex, tracklets: Sequence[int]) -> bytes:
    """The JPEG of the exemplar with the highest quality of some tracklets; raises OptionError where there is none."""
    exemplars = [one for own in index.exemplars(tracklets).values() for one in own]
    if not exemplars:
        name = printable(index.video.name)
        raise OptionError(f"{name}#t{tracklets[0]} has no crop; name another face")
    return max(exemplars, key=lambda one: one.quality).jpeg


def poster_frame(index: VideoIndex) -> int:
    """The frame of the exemplar with the highest quality; the middle of a video without exemplars."""
    looks = index.exemplar_arrays()
    if not len(looks.frames):
        return index.video.frame_count // 2
    return int(looks.frames[looks.qualities.argmax()])


def _of_cluster(index: VideoIndex, cluster: int, most: int) -> list[Moment]:
    """The best faces of the tracklets of one cluster, best first."""
    looks, seconds, times = index.exemplar_arrays(), index.tracklet_seconds(), index.times()
    found, version = [], index.version.to_text()
    for item in index.tracklets():
        rows = np.flatnonzero(looks.tracklets == item.number)
        if item.cluster == cluster and len(rows):
            row = int(rows[looks.qualities[rows].argmax()])
            frame, (start, end) = int(looks.frames[row]), seconds[item.number]
            time = index.video.seconds(int(times.pts[frame]))
            quality = float(looks.qualities[row])
            moment = Moment(
                index.folder, index.video.name, cluster, item.number, frame, time, start, end, quality, version
            )  # fmt: skip
            found.append(moment)
    return sorted(found, key=lambda moment: (-moment.quality, moment.tracklet))[:most]
