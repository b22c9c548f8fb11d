"""Where a person is in the videos of a library, a page of videos at a time, also only with or without somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facereel.query.library.decisions import LibraryDecisions
from facereel.store.index.reader import VideoIndex
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.people import LibraryPeople, LibraryPerson
from facereel.store.model.errors import StoreError
from facereel.store.model.records import Tracklet


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of frames [start_frame, end_frame) of a face track."""

    tracklet: int
    cluster: int
    start_frame: int
    end_frame: int
    start: float  # seconds as a player shows them
    end: float


@dataclass(frozen=True, slots=True)
class VideoPieces:
    """A person in one video."""

    folder: Path  # of the index
    video: str  # the file's name
    duration: float  # of the video, seconds
    seconds: float  # for which the pieces last together
    pieces: tuple[Piece, ...]  # by start
    version: str  # of the index, by which tracklets have their numbers


@dataclass(frozen=True, slots=True)
class PersonVideos:
    """A page of the videos that show a person."""

    person: LibraryPerson
    videos: tuple[VideoPieces, ...]  # those first in which the person is shown longest
    unreadable: tuple[str, ...]  # why videos of this page are left out, one sentence each
    next: int | None  # where the next page begins; None after the last one


def videos_of(
    person: LibraryPerson, present: Sequence[LibraryPerson], absent: Sequence[LibraryPerson],
    people: LibraryPeople, catalogue: Catalogue, first: int, most: int,
) -> PersonVideos:  # fmt: skip
    """A page of at most `most` videos from place `first` on; a video without such frames is left out of its page."""
    seconds = people.seconds_by_video(person.id)
    chosen = set(seconds)
    for other in present:
        chosen &= people.seconds_by_video(other.id).keys()
    ordered = sorted(chosen, key=lambda sha256: (-seconds[sha256], sha256))
    decisions = LibraryDecisions(people)
    videos, unreadable = [], []
    for sha256 in ordered[first : first + most]:
        try:
            index = catalogue.by_hash(sha256)
            if index is None:
                continue  # its index was removed; decisions about it stay
            with index:
                found = _of_video(index, decisions, person, present, absent)
            if found.pieces:
                videos.append(found)
        except StoreError as error:
            unreadable.append(str(error))
    following = first + most
    return PersonVideos(
        person, tuple(videos), tuple(unreadable), following if following < len(ordered) else None
    )


def _of_video(
    index: VideoIndex, decisions: LibraryDecisions, person: LibraryPerson, present: Sequence[LibraryPerson],
    absent: Sequence[LibraryPerson],
) -> VideoPieces:  # fmt: skip
    times, tracklets, owners = index.times(), index.tracklets(), decisions.owners(index)
    wanted = np.ones(index.video.frame_count, bool)
    for others, there in ((present, True), (absent, False)):
        for other in others:
            own = [item for item in tracklets if owners.get(item.number) == other.id]
            wanted &= _frames(own, len(wanted)) == there
    pieces = []
    for item in tracklets:
        if owners.get(item.number) != person.id:
            continue
        edges = np.diff(np.concatenate([[False], wanted[item.start : item.end], [False]]).astype(np.int8))
        for start, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
            first, last = item.start + int(start), item.start + int(end)
            span = index.video.seconds(int(times.pts[first])), index.video.seconds(times.end_pts(last))
            pieces.append(Piece(item.number, item.cluster, first, last, *span))
    pieces.sort(key=lambda piece: (piece.start_frame, piece.tracklet))
    return VideoPieces(
        index.folder, index.video.name, index.video.length(times), sum(piece.end - piece.start for piece in pieces),
        tuple(pieces), index.version.to_text(),
    )  # fmt: skip


def _frames(tracklets: Sequence[Tracklet], count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """In which of `count` frames one of some tracklets is to be seen."""
    found = np.zeros(count, bool)
    for item in tracklets:
        found[item.start : item.end] = True
    return found
