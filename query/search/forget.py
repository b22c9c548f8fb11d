"""People who want to be forgotten: their crops and embeddings leave every index that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facereel.query.search.search import Answer, Scope, SkippedVideo
from facereel.store.files.folders import printable
from facereel.store.files.locks import locked_videos
from facereel.store.index.database import IndexVersion, read_version
from facereel.store.index.reader import VideoIndex
from facereel.store.index.rewrite import drop_tracklets
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import StoreError
from facereel.store.model.records import Tracklet, Video
from facereel.store.resume.unfinished import delete_unfinished


@dataclass(frozen=True, slots=True)
class Holding:
    """Tracklets of one index that are to be removed, or were."""

    video: str  # the file's name
    folder: Path  # of the index
    tracklets: tuple[int, ...]
    starts: tuple[float, ...]  # of each tracklet, seconds
    frames: int  # in which the face is visible
    seconds: float
    exemplars: int  # stored face crops
    version: IndexVersion  # of the index from which this was read


def holdings(answers: Sequence[Answer], scope: Scope) -> tuple[tuple[Holding, ...], tuple[Holding, ...]]:
    """What each index holds of the people of the answers: what matches them, and weaker tracklets.

    With a match goes its whole cluster. Weaker are the near misses that are in no frame with a match: a person is
    not twice in one frame. The caller keeps writers away (`no_writers`) since the search, so that the numbers still
    are those of the search.
    """
    matching, weaker = [], []
    for folder, video in scope.searched:
        clusters = {
            match.tracklet.cluster
            for answer in answers
            for match, _ in answer.matches
            if match.video.sha256 == video.sha256
        }
        near = {
            miss.tracklet.number
            for answer in answers
            for miss in answer.near_misses
            if miss.video.sha256 == video.sha256
        }
        if not clusters and not near:
            continue
        version = read_version(folder)
        with VideoIndex(folder) as index:
            tracklets = index.tracklets()
            certain = [item for item in tracklets if item.cluster in clusters]
            possible = [
                item
                for item in tracklets
                if item.number in near
                and item.cluster not in clusters
                and not any(item.start < other.end and other.start < item.end for other in certain)
            ]
            if certain:
                matching.append(_holding(index, video, certain, version))
            if possible:
                weaker.append(_holding(index, video, possible, version))
    return tuple(matching), tuple(weaker)


def merged(one: Sequence[Holding], other: Sequence[Holding]) -> tuple[Holding, ...]:
    """Two lists as one, with one entry an index."""
    by_folder = {holding.folder: holding for holding in one}
    for more in other:
        held = by_folder.get(more.folder)
        by_folder[more.folder] = more if held is None else replace(
            held, tracklets=held.tracklets + more.tracklets, starts=held.starts + more.starts,
            frames=held.frames + more.frames, seconds=held.seconds + more.seconds,
            exemplars=held.exemplars + more.exemplars,
        )  # fmt: skip
    return tuple(by_folder.values())


def forget(store: Path, removing: Sequence[Holding]) -> tuple[tuple[Holding, ...], tuple[SkippedVideo, ...]]:
    """Rewrite the indexes of a store without them, each completely or not at all; what was removed, what was busy.

    What unfinished runs stored goes too: nobody knows who is in it.
    """
    Catalogue(store).clean()
    removed, busy = [], []
    for holding in removing:
        try:
            drop_tracklets(holding.folder, holding.tracklets, holding.version)
            removed.append(holding)
        except StoreError as error:
            busy.append(SkippedVideo(printable(holding.video), str(error), "busy"))
    delete_unfinished(store)
    Catalogue(store).refresh()
    return tuple(removed), tuple(busy)


def being_indexed(store: Path) -> tuple[str, ...]:
    """Videos that a process indexes now, whose people nobody knows yet, by the first digits of their sha256."""
    return tuple(locked_videos(store))


def _holding(
    index: VideoIndex, video: Video, tracklets: Sequence[Tracklet], version: IndexVersion
) -> Holding:
    times, numbers = index.times(), {item.number for item in tracklets}
    return Holding(
        video=video.name, folder=index.folder, tracklets=tuple(item.number for item in tracklets),
        starts=tuple(round(video.seconds(int(times.pts[item.start])), 3) for item in tracklets),
        frames=sum(item.end - item.start for item in tracklets),
        seconds=round(sum(video.duration(times, item.start, item.end) for item in tracklets), 3),
        exemplars=sum(number in numbers for number in index.exemplar_arrays().tracklets.tolist()),
        version=version,
    )  # fmt: skip
